//! Tests of the taking of evidence and of the quote queue, against a scripted source and the kernel's files.
#![allow(clippy::unwrap_used)]

mod configfs;
mod endorsed;
mod fuse;
mod kernel;
mod rtmr;
mod socket;

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicU64, Ordering},
};

use freehold_crypto::report_data;
use freehold_emulator::{AppImage, DEVELOPMENT_SEED, Platform, TdReport};
use freehold_primitives::{Blob, Digest, TrustRoot};

use super::{quotes::QUEUE_MAX, *};

static PLATFORM: LazyLock<Platform> = LazyLock::new(|| Platform::new(&DEVELOPMENT_SEED));

fn quote_over(report_data: &[u8; 64]) -> Vec<u8> {
    let app = AppImage { executable: Digest([2; 32]), arguments: Vec::new(), model: None };
    PLATFORM.quote_v4(&TdReport::launch(&Digest([1; 32]), &app), report_data)
}

/// The root of the emulated platform, as a genesis lists it under a domain.
fn root(domain: TrustDomain) -> TrustRoot {
    TrustRoot { domain, certificate: Blob(PLATFORM.root_certificate()) }
}

fn emulated() -> Wanted {
    Wanted::new(TrustDomain::Emulated, &[root(TrustDomain::Emulated)])
}

/// Counts its writes; each may take a while; `skip` further writers interfere, as often as `skips` says.
struct Scripted {
    written: [u8; 64],
    generation: u64,
    skips: u32,
    count: Arc<AtomicU64>,
    gate: Option<std::sync::mpsc::Receiver<()>>,
}

fn scripted() -> Scripted {
    Scripted { written: [0; 64], generation: 7, skips: 0, count: Arc::default(), gate: None }
}

impl EvidenceSource for Scripted {
    fn write_inblob(&mut self, report_data: &[u8; 64]) -> Result<(), EvidenceError> {
        if let Some(gate) = &self.gate {
            let _ = gate.recv();
        }
        self.count.fetch_add(1, Ordering::SeqCst);
        self.written = *report_data;
        self.generation += 1;
        if self.skips > 0 {
            self.skips -= 1;
            self.generation += 1;
        }
        Ok(())
    }
    fn read_outblob(&mut self) -> Result<Vec<u8>, EvidenceError> {
        Ok(quote_over(&self.written))
    }
    fn generation(&mut self) -> Result<u64, EvidenceError> {
        Ok(self.generation)
    }
    fn provider(&self) -> &str {
        "tdx_guest"
    }
}

#[test]
fn evidence_holds_its_report_data() {
    let taken = take_evidence(&mut scripted(), &[9; 64], &emulated()).unwrap();
    assert_eq!(taken.bytes, quote_over(&[9; 64]));
}

#[test]
fn a_second_writer_is_noticed() {
    let mut source = Scripted { skips: 2, ..scripted() };
    assert!(take_evidence(&mut source, &[9; 64], &emulated()).is_ok(), "it went away");
    assert_eq!(source.count.load(Ordering::SeqCst), 3);
    let mut source = Scripted { skips: u32::MAX, ..scripted() };
    let error = take_evidence(&mut source, &[9; 64], &emulated()).unwrap_err();
    assert!(matches!(error, EvidenceError::Generation { before: 15, after: 17 }), "{error}");
}

#[test]
fn an_emulator_never_passes_for_hardware() {
    // The name of hardware and well-formed evidence are not enough where hardware is asked for.
    let genesis = [root(TrustDomain::Emulated)];
    let wanted = Wanted::new(TrustDomain::Intel, &genesis);
    let error = take_evidence(&mut scripted(), &[9; 64], &wanted).unwrap_err();
    assert!(matches!(error, EvidenceError::WrongDomain(TrustDomain::Intel)), "{error}");
    for domain in [TrustDomain::Amd, TrustDomain::Aws, TrustDomain::Nvidia] {
        let error = take_evidence(&mut scripted(), &[9; 64], &Wanted::new(domain, &genesis)).unwrap_err();
        assert!(matches!(error, EvidenceError::WrongProvider { .. }), "{error}");
    }
    // Nor the other way round: what a genesis calls hardware is not taken for emulated.
    let error =
        take_evidence(&mut scripted(), &[9; 64], &Wanted::new(TrustDomain::Emulated, &[root(TrustDomain::Intel)]));
    assert!(matches!(error, Err(EvidenceError::WrongDomain(TrustDomain::Emulated))));
}

#[tokio::test]
async fn equal_nonces_share_one_quote_and_the_null_nonce_is_kept() {
    let source = scripted();
    let count = Arc::clone(&source.count);
    let service = QuoteService::start(Box::new(source), emulated()).unwrap();
    let keyset = Digest([1; 32]);
    let (first, second) = tokio::join!(service.for_caller(keyset, None), service.for_caller(keyset, None));
    assert_eq!(first.unwrap().bytes[568..632], report_data(&keyset, None));
    second.unwrap();
    service.for_caller(keyset, None).await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    let nonce = Digest([2; 32]);
    let quote = service.for_chain(keyset, nonce).await.unwrap();
    assert_eq!(quote.bytes[568..632], report_data(&keyset, Some(&nonce)));
}

#[tokio::test]
async fn a_full_queue_refuses() {
    let (open, gate) = std::sync::mpsc::channel();
    let service =
        Arc::new(QuoteService::start(Box::new(Scripted { gate: Some(gate), ..scripted() }), emulated()).unwrap());
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
