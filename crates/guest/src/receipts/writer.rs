//! The one thread that writes receipts: it takes what waits, signs, writes and syncs once for all of it, then answers.
//!
//! Invariant: an answer is given only after the sync of its receipt. A failed write leaves the log as it was and the
//! sequence unused; a failed sync ends the log, because nobody knows what the disk holds.

use std::{sync::Arc, thread};

use freehold_primitives::{Blob, BlockMoment, Digest, UnixSeconds};
use freehold_rpc::{AppendReceipt, AppendedReceipt};
use thiserror::Error;
use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    LogError, ReceiptRefusal, ReceiptStore, SignedReceipt, Signer,
    file::{LogFile, Record},
};

/// Receipts that may wait.
const QUEUE_MAX: usize = 256;
/// Receipts under one sync.
const BATCH_MAX: usize = 64;

/// Why a receipt was not appended.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub(crate) enum AppendError {
    /// The request makes no receipt.
    #[error(transparent)]
    Refused(#[from] ReceiptRefusal),
    /// An id was used before.
    #[error("the receipt or completion id was used before")]
    Duplicate,
    /// The instance does not serve.
    #[error("the instance does not serve now")]
    NotServing,
    /// The disk failed.
    #[error("{0}; free some space or replace the disk, then restart the instance")]
    Log(Arc<LogError>),
    /// The log ended after a failed sync.
    #[error("the receipt log ended after a disk error; restart the instance")]
    Ended,
}

/// Newest certified header and the time now, while the instance serves.
pub(crate) type Moment = Arc<dyn Fn() -> Option<(BlockMoment, UnixSeconds)> + Send + Sync>;

struct Job {
    ask: AppendReceipt,
    reply: oneshot::Sender<Result<AppendedReceipt, AppendError>>,
}

/// Handle of the thread; it ends when the last handle is dropped.
#[derive(Clone)]
pub(crate) struct ReceiptWriter {
    jobs: mpsc::Sender<Job>,
}

/// What the thread works with.
pub(crate) struct WriterParts {
    pub(crate) file: LogFile,
    pub(crate) store: Arc<ReceiptStore>,
    pub(crate) signer: Signer,
    pub(crate) moment: Moment,
    /// Told after each batch.
    pub(crate) appended: Arc<Notify>,
}

impl ReceiptWriter {
    pub(crate) fn start(parts: WriterParts) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        thread::Builder::new().name("receipts".to_owned()).spawn(move || work(parts, queue))?;
        Ok(Self { jobs })
    }

    /// Appends a receipt and waits until it is durable.
    pub(crate) async fn append(&self, ask: AppendReceipt) -> Result<AppendedReceipt, AppendError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job { ask, reply }).await.map_err(|_| AppendError::Ended)?;
        answer.await.unwrap_or(Err(AppendError::Ended))
    }
}

fn work(mut parts: WriterParts, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.blocking_recv() {
        let mut jobs = vec![first];
        while jobs.len() < BATCH_MAX
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
        if batch(&mut parts, jobs).is_err() {
            return;
        }
        parts.appended.notify_one();
    }
}

struct Ready {
    signed: SignedReceipt,
    access: Option<Digest>,
    reply: oneshot::Sender<Result<AppendedReceipt, AppendError>>,
}

/// Signs, writes, syncs, commits, answers. An error ends the log.
fn batch(parts: &mut WriterParts, jobs: Vec<Job>) -> Result<(), ()> {
    let mut ready: Vec<Ready> = Vec::with_capacity(jobs.len());
    for Job { ask, reply } in jobs {
        let access = ask.access;
        match sign(parts, ask, &ready) {
            Ok(signed) => ready.push(Ready { signed, access, reply }),
            Err(error) => drop(reply.send(Err(error))),
        }
    }
    if ready.is_empty() {
        return Ok(());
    }
    let record = |ready: &Ready| Record { access: ready.access, document: Blob(ready.signed.document.clone().into()) };
    let records: Vec<Record> = ready.iter().map(record).collect();
    let places = match parts.file.write(&records) {
        Ok(places) => places,
        Err(error) => {
            let error = AppendError::Log(Arc::new(error));
            ready.into_iter().for_each(|ready| drop(ready.reply.send(Err(error.clone()))));
            return Ok(());
        }
    };
    if let Err(error) = parts.file.sync() {
        let error = AppendError::Log(Arc::new(error));
        ready.into_iter().for_each(|ready| drop(ready.reply.send(Err(error.clone()))));
        return Err(());
    }
    parts.file.commit(&places);
    let (signed, replies): (Vec<_>, Vec<_>) = ready.into_iter().map(|ready| (ready.signed, ready.reply)).unzip();
    parts.store.commit(&signed, &places);
    for (signed, reply) in signed.into_iter().zip(replies) {
        let SignedReceipt { receipt, sequence, .. } = signed;
        let _ = reply.send(Ok(AppendedReceipt { receipt, sequence }));
    }
    Ok(())
}

fn sign(parts: &WriterParts, ask: AppendReceipt, before: &[Ready]) -> Result<SignedReceipt, AppendError> {
    let (moment, now) = (parts.moment)().ok_or(AppendError::NotServing)?;
    let ids = || std::iter::once(&ask.receipt_id).chain(&ask.chat_id);
    let pending = |id: &String| {
        before.iter().any(|b| b.signed.receipt.receipt_id == *id || b.signed.receipt.chat_id.as_ref() == Some(id))
    };
    if ids().any(|id| pending(id) || parts.store.knows(id)) {
        return Err(AppendError::Duplicate);
    }
    let last = before.last().map(|ready| &ready.signed);
    Ok(parts.store.with_chain(|chain| chain.sign(&parts.signer, ask, (&moment, now), last))?)
}
