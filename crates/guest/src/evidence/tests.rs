//! Tests of the evidence source and of the quote queue against a scripted source.
#![allow(clippy::unwrap_used)]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use freehold_crypto::report_data;
use freehold_primitives::Digest;

use super::{quotes::QUEUE_MAX, *};

/// Counts its writes; each may take a while; `skip` further writers interfere.
struct Scripted {
    written: [u8; 64],
    generation: u64,
    skip: u64,
    count: Arc<AtomicU64>,
    gate: Option<std::sync::mpsc::Receiver<()>>,
}

fn scripted() -> Scripted {
    Scripted { written: [0; 64], generation: 7, skip: 0, count: Arc::default(), gate: None }
}

impl EvidenceSource for Scripted {
    fn write_inblob(&mut self, report_data: &[u8; 64]) -> Result<(), EvidenceError> {
        if let Some(gate) = &self.gate {
            let _ = gate.recv();
        }
        self.count.fetch_add(1, Ordering::SeqCst);
        self.written = *report_data;
        self.generation += 1 + self.skip;
        Ok(())
    }
    fn read_outblob(&mut self) -> Result<Vec<u8>, EvidenceError> {
        Ok([&[0; 568][..], &self.written, &[0; 32]].concat())
    }
    fn generation(&mut self) -> Result<u64, EvidenceError> {
        Ok(self.generation)
    }
    fn provider(&self) -> &str {
        "scripted"
    }
}

#[test]
fn a_quote_holds_its_report_data() {
    let quote = take_quote(&mut scripted(), &[9; 64]).unwrap();
    assert_eq!(&quote[568..632], &[9; 64]);
}

#[test]
fn a_second_writer_is_noticed() {
    let mut source = Scripted { skip: 1, ..scripted() };
    let error = take_quote(&mut source, &[9; 64]).unwrap_err();
    assert!(matches!(error, EvidenceError::Generation { before: 7, after: 9 }), "{error}");
}

#[tokio::test]
async fn equal_nonces_share_one_quote_and_the_null_nonce_is_kept() {
    let source = scripted();
    let count = Arc::clone(&source.count);
    let service = QuoteService::start(Box::new(source)).unwrap();
    let keyset = Digest([1; 32]);
    let (first, second) = tokio::join!(service.for_caller(keyset, None), service.for_caller(keyset, None));
    assert_eq!(first.unwrap()[568..632], report_data(&keyset, None));
    second.unwrap();
    service.for_caller(keyset, None).await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let nonce = Digest([2; 32]);
    let quote = service.for_chain(keyset, nonce).await.unwrap();
    assert_eq!(quote[568..632], report_data(&keyset, Some(&nonce)));
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let (open, gate) = std::sync::mpsc::channel();
    let service = Arc::new(QuoteService::start(Box::new(Scripted { gate: Some(gate), ..scripted() })).unwrap());
    let mut waiting = Vec::new();
    for index in 0..QUEUE_MAX + 1 {
        let service = Arc::clone(&service);
        let mut nonce = [0; 32];
        nonce[..8].copy_from_slice(&(index as u64).to_be_bytes());
        waiting.push(tokio::spawn(async move { service.for_caller(Digest([1; 32]), Some(Digest(nonce))).await }));
        // The first is being taken, the others fill the queue.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let error = service.for_caller(Digest([1; 32]), Some(Digest([255; 32]))).await.unwrap_err();
    assert!(matches!(error, QuoteError::QueueFull));
    // One of those that wait may be asked for again: it shares a place.
    let shared = Arc::clone(&service);
    let again = tokio::spawn(async move { shared.for_caller(Digest([1; 32]), Some(Digest([0; 32]))).await });
    drop(open);
    for task in waiting {
        task.await.unwrap().unwrap();
    }
    drop(again);
}
