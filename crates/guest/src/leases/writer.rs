//! The one task that raises the counters under a held lease: increments that wait while a batch is under way go together
//! into the next one, and all get their answers when it stands under a certificate (group commit).
//!
//! Invariant: an answer is given only after the batch was seen under a certificate, and no value is given twice. The
//! disk's record names a batch before it is sent.

use std::{sync::Arc, time::Duration};

use alloy_sol_types::SolCall as _;
use freehold_crypto::{hash, slots::LOG};
use freehold_primitives::{
    Digest,
    entries::{CountersEntry, LEASE_FENCE_CODE, LeaseEntry, NOT_LIVE_CODE},
};
use freehold_rpc::{Checked, IncrementedCounter};
use freehold_verify::EntryKey;
use rand::{
    SeedableRng as _, TryRng as _,
    rngs::{StdRng, SysRng},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep},
};

use super::{
    LeaseError,
    batch::{Base, Batch, Outcome, judge},
    record::{PENDING_MAX, Record, RecordFile},
    reference,
};
use crate::{
    abi::ILog,
    clock::boot_ms,
    sender::{AccountSender, SendError},
    state::{Input, StopReason},
};

/// Increments that may wait.
const QUEUE_MAX: usize = 4096;
/// Increments in one batch.
const BATCH_MAX: usize = 4096;
/// Longest wait for one batch, below the client's wait for an answer.
const BATCH_WAIT: Duration = Duration::from_secs(20);
/// Pause that lets increments which come together go together.
const GATHER: Duration = Duration::from_millis(2);
/// Pause before the next try.
const RETRY: Duration = Duration::from_millis(200);

/// What the task works with.
pub(super) struct WriterParts {
    pub(super) sender: Arc<AccountSender>,
    /// The lease as it was taken; its fence does not change.
    pub(super) lease: LeaseEntry,
    /// The counters as the chain held them then.
    pub(super) chain: Option<CountersEntry>,
    pub(super) file: RecordFile,
    pub(super) inputs: mpsc::Sender<Input>,
}

struct Job {
    counter: String,
    by: u64,
    reply: oneshot::Sender<Result<IncrementedCounter, LeaseError>>,
}

/// Handle of the task; it ends with the last handle.
#[derive(Clone)]
pub(super) struct CounterWriter {
    jobs: mpsc::Sender<Job>,
}

impl CounterWriter {
    pub(super) fn start(parts: WriterParts) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(work(parts, queue));
        Self { jobs }
    }

    pub(super) async fn increment(&self, counter: String, by: u64) -> Result<IncrementedCounter, LeaseError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job { counter, by, reply }).await.map_err(|_| LeaseError::Lost)?;
        answer.await.unwrap_or(Err(LeaseError::Lost))
    }
}

async fn work(parts: WriterParts, mut queue: mpsc::Receiver<Job>) {
    let mut writer = Writer { base: Base::of(parts.chain.as_ref()), tries: Vec::new(), parts };
    while let Some(first) = queue.recv().await {
        sleep(GATHER).await;
        let mut jobs = vec![first];
        while jobs.len() < BATCH_MAX
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
        let lost = writer.commit(jobs).await;
        if let Some(error) = lost {
            // What waits gets the same answer; nothing is ever written under this fence again.
            queue.close();
            while let Some(job) = queue.recv().await {
                let _ = job.reply.send(Err(error.clone()));
            }
            if matches!(error, LeaseError::Copied) {
                let _ = writer.parts.inputs.send(Input::Lost(StopReason::Copied)).await;
            }
            return;
        }
    }
}

struct Writer {
    parts: WriterParts,
    base: Base,
    /// Batches sent since the base, of which none is known to stand.
    tries: Vec<Digest>,
}

impl Writer {
    /// Raises one batch and answers its increments. Gives the error that ends the lease, if one does.
    async fn commit(&mut self, jobs: Vec<Job>) -> Option<LeaseError> {
        if self.tries.len() >= PENDING_MAX
            && let Err(error) = self.settle().await
        {
            jobs.into_iter().for_each(|job| drop(job.reply.send(Err(error.clone()))));
            return Some(error).filter(LeaseError::is_final);
        }
        let mut batch = Batch::on(&self.base);
        let mut waiting = Vec::with_capacity(jobs.len());
        for Job { counter, by, reply } in jobs {
            match batch.add(&counter, by) {
                Ok(value) => waiting.push((value, reply)),
                Err(error) => drop(reply.send(Err(error))),
            }
        }
        if batch.is_empty() {
            return None;
        }
        match self.raise(&batch).await {
            Ok(done) => {
                for (value, reply) in waiting {
                    let _ = reply.send(Ok(IncrementedCounter { value, ..done }));
                }
                None
            }
            Err(error) => {
                for (_, reply) in waiting {
                    let _ = reply.send(Err(error.clone()));
                }
                Some(error).filter(LeaseError::is_final)
            }
        }
    }

    /// Sends a batch until the chain proves it, or proves that it never will be.
    async fn raise(&mut self, batch: &Batch) -> Result<IncrementedCounter, LeaseError> {
        let id = batch_id(&self.base)?;
        self.tries.push(id);
        self.remember().await?;
        let raises = batch.raised().iter().map(|(name, value)| ILog::Raise { name: name.clone(), value: *value });
        let data = ILog::raiseCountersCall {
            lease: self.parts.lease.name.clone(),
            fence: self.parts.lease.fence,
            previous: self.base.sequence,
            batch: id.0.into(),
            raises: raises.collect(),
        }
        .abi_encode();
        let end = Instant::now() + BATCH_WAIT;
        loop {
            let sent = self.parts.sender.send(LOG, data.clone()).await;
            let looked = self.look().await;
            match looked {
                Ok((Outcome::Landed, checked)) => return Ok(self.landed(checked)),
                Ok((Outcome::Earlier, checked)) => {
                    // The values of this batch stand on what nobody was told; the app asks again.
                    self.landed(checked);
                    return Err(LeaseError::Unavailable);
                }
                Ok((Outcome::Fenced, _)) => return Err(LeaseError::Lost),
                Ok((Outcome::Copied, _)) => return Err(LeaseError::Copied),
                Ok((Outcome::NotYet, _)) => {
                    if let Err(error) = sent {
                        tracing::debug!(%error, "a batch of counters does not stand yet");
                        // The chain says by a certificate that the batch does not stand, and the module would refuse it.
                        if let SendError::Refused { code: LEASE_FENCE_CODE | NOT_LIVE_CODE } = error {
                            return Err(LeaseError::Lost);
                        }
                    }
                }
                Err(error) => tracing::debug!(%error, "no checked look at the counters"),
            }
            if Instant::now() >= end {
                return Err(LeaseError::Unavailable);
            }
            sleep(RETRY).await;
        }
    }

    async fn look(&self) -> Result<(Outcome, Checked<CountersEntry>), LeaseError> {
        let key = EntryKey::Counters(self.parts.lease.app_id, self.parts.lease.name.clone());
        let checked = self.parts.sender.chain().entry::<CountersEntry>(&key).await?;
        Ok((judge(&self.base, &self.parts.lease, &self.tries, checked.entry.as_ref()), checked))
    }

    /// Takes in a batch that stands.
    fn landed(&mut self, checked: Checked<CountersEntry>) -> IncrementedCounter {
        self.base = Base::of(checked.entry.as_ref());
        self.tries.clear();
        IncrementedCounter {
            value: 0,
            sequence: self.base.sequence,
            fence: self.parts.lease.fence,
            header: reference(&checked.header),
        }
    }

    /// Learns whether an earlier try stands before there are more of them than the record holds.
    async fn settle(&mut self) -> Result<(), LeaseError> {
        match self.look().await? {
            (Outcome::Landed | Outcome::Earlier, checked) => {
                self.landed(checked);
                Ok(())
            }
            (Outcome::Fenced, _) => Err(LeaseError::Lost),
            (Outcome::Copied, _) => Err(LeaseError::Copied),
            (Outcome::NotYet, _) => Err(LeaseError::Unavailable),
        }
    }

    /// Writes to disk what was proven and what is about to be sent.
    async fn remember(&self) -> Result<(), LeaseError> {
        let record = Record { sequence: self.base.sequence, batch: self.base.batch, pending: self.tries.clone() };
        let file = self.parts.file.clone();
        let stored = tokio::task::spawn_blocking(move || file.store(&record)).await;
        stored.map_err(|_| LeaseError::NotServing)?.map_err(Into::into)
    }
}

/// An id that no other batch has: randomness, and the own clock, by which copies of one memory differ soon.
fn batch_id(base: &Base) -> Result<Digest, LeaseError> {
    let mut random = [0; 32];
    let mut rng = StdRng::try_from_rng(&mut SysRng).map_err(|_| LeaseError::NotServing)?;
    let _ = rng.try_fill_bytes(&mut random);
    Ok(hash("freehold counters batch", &[&random, &boot_ms().to_be_bytes(), &base.sequence.to_be_bytes()]))
}
