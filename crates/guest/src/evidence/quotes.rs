//! Quotes for callers and for the chain, taken one at a time on a thread of their own.
//!
//! The chain's go first. Callers wait in a bounded queue in which equal nonces share one place and are taken at a bounded
//! rate; the quote without a nonce is taken once. Nothing here is on the path of a request.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use freehold_crypto::report_data;
use freehold_primitives::Digest;
use thiserror::Error;
use tokio::sync::oneshot;

use super::{EvidenceError, EvidenceSource, TakenEvidence, Wanted, take_evidence};

/// Nonces that may wait.
pub(crate) const QUEUE_MAX: usize = 64;
/// Callers that may share one nonce.
pub(crate) const SHARED_MAX: usize = 256;
/// Pause between two quotes for callers.
pub(crate) const CALLER_PAUSE: Duration = Duration::from_millis(25);

/// Why a caller got no quote.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub(crate) enum QuoteError {
    /// Too many wait already.
    #[error("too many quotes are waited for; try again in a second")]
    QueueFull,
    /// The source failed.
    #[error("no quote could be taken: {0}")]
    Evidence(Arc<EvidenceError>),
    /// The service ended.
    #[error("the guest is stopping")]
    Stopped,
}

type Answer = Result<Arc<TakenEvidence>, QuoteError>;
type Reply = oneshot::Sender<Answer>;

struct Job {
    report_data: [u8; 64],
    /// Whether the quote is kept: it answers whoever asks without a nonce.
    kept: bool,
    replies: Vec<Reply>,
}

#[derive(Default)]
struct Queue {
    urgent: VecDeque<Job>,
    callers: VecDeque<Job>,
    /// The quote without a nonce, and its report data.
    cached: Option<([u8; 64], Arc<TakenEvidence>)>,
    stopped: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Handle of the thread; dropping the last one ends it.
pub(crate) struct QuoteService {
    shared: Arc<Shared>,
    provider: String,
}

impl Drop for QuoteService {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.wake.notify_all();
    }
}

impl QuoteService {
    pub(crate) fn start(source: Box<dyn EvidenceSource>, wanted: Wanted) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::default(), wake: Condvar::new() });
        let provider = source.provider().to_owned();
        let worker = Arc::clone(&shared);
        thread::Builder::new().name("quotes".to_owned()).spawn(move || work(source, &wanted, &worker))?;
        Ok(Self { shared, provider })
    }

    /// Name of the source.
    pub(crate) fn provider(&self) -> &str {
        &self.provider
    }

    /// A quote for the chain: ahead of every caller's.
    pub(crate) async fn for_chain(&self, keyset: Digest, nonce: Digest) -> Answer {
        let (reply, answer) = oneshot::channel();
        let report_data = report_data(&keyset, Some(&nonce));
        self.shared.lock().urgent.push_back(Job { report_data, kept: false, replies: vec![reply] });
        self.shared.wake.notify_all();
        answer.await.unwrap_or(Err(QuoteError::Stopped))
    }

    /// A quote for a caller, over the statement of the keyset and the caller's nonce.
    pub(crate) async fn for_caller(&self, keyset: Digest, nonce: Option<Digest>) -> Answer {
        self.queued(report_data(&keyset, nonce.as_ref()), nonce.is_none()).await
    }

    /// A quote over report data of the app's own. Whether it may be asked for is the caller's to check.
    pub(crate) async fn for_app(&self, report_data: [u8; 64]) -> Answer {
        self.queued(report_data, false).await
    }

    async fn queued(&self, report_data: [u8; 64], kept: bool) -> Answer {
        let (reply, answer) = oneshot::channel();
        {
            let mut queue = self.shared.lock();
            if let Some((bound, quote)) = &queue.cached
                && kept
                && *bound == report_data
            {
                return Ok(Arc::clone(quote));
            }
            let full = queue.callers.len() >= QUEUE_MAX;
            match queue.callers.iter_mut().find(|job| job.report_data == report_data) {
                Some(job) if job.replies.len() < SHARED_MAX => job.replies.push(reply),
                Some(_) => return Err(QuoteError::QueueFull),
                None if full => return Err(QuoteError::QueueFull),
                None => queue.callers.push_back(Job { report_data, kept, replies: vec![reply] }),
            }
        }
        self.shared.wake.notify_all();
        answer.await.unwrap_or(Err(QuoteError::Stopped))
    }
}

enum Next {
    Urgent(Job),
    Caller(Job),
    Stop,
}

fn next(shared: &Shared, callers_from: Instant) -> Next {
    let mut queue = shared.lock();
    loop {
        if queue.stopped {
            return Next::Stop;
        }
        if let Some(job) = queue.urgent.pop_front() {
            return Next::Urgent(job);
        }
        let pause = callers_from.saturating_duration_since(Instant::now());
        if queue.callers.is_empty() {
            queue = shared.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        } else if pause.is_zero() {
            return queue.callers.pop_front().map_or(Next::Stop, Next::Caller);
        } else {
            queue = shared.wake.wait_timeout(queue, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Evidence of the CPU.
#[cfg(not(feature = "nvml"))]
fn take_whole(
    source: &mut dyn EvidenceSource,
    report_data: &[u8; 64],
    wanted: &Wanted,
) -> Result<TakenEvidence, EvidenceError> {
    take_evidence(source, report_data, wanted)
}

/// Evidence of the CPU, and of the GPUs beside it where NVIDIA's driver is there. Without the driver it is the CPU's alone,
/// and a policy that wants GPUs refuses it. An emulated machine has no real ones.
#[cfg(feature = "nvml")]
fn take_whole(
    source: &mut dyn EvidenceSource,
    report_data: &[u8; 64],
    wanted: &Wanted,
) -> Result<TakenEvidence, EvidenceError> {
    let cpu = take_evidence(source, report_data, wanted)?;
    match super::NvmlSource::open() {
        Ok(gpus) if !wanted.is_emulated() => Ok(gpus.bundle(cpu, report_data)?),
        _ => Ok(cpu),
    }
}

fn work(mut source: Box<dyn EvidenceSource>, wanted: &Wanted, shared: &Shared) {
    let mut callers_from = Instant::now();
    loop {
        let job = match next(shared, callers_from) {
            Next::Stop => return,
            Next::Urgent(job) => job,
            Next::Caller(job) => {
                callers_from = Instant::now() + CALLER_PAUSE;
                job
            }
        };
        // Everybody who asked for it stopped waiting.
        if job.replies.iter().all(Reply::is_closed) {
            continue;
        }
        let taken = take_whole(source.as_mut(), &job.report_data, wanted);
        let answer = taken.map(Arc::new).map_err(|error| QuoteError::Evidence(Arc::new(error)));
        if let (true, Ok(quote)) = (job.kept, &answer) {
            shared.lock().cached = Some((job.report_data, Arc::clone(quote)));
        }
        for reply in job.replies {
            let _ = reply.send(answer.clone());
        }
    }
}
