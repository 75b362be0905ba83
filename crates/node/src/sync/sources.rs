//! The nodes that this one takes from: asked in turn, left alone for a while when they do not answer, dropped when they lie.
//!
//! Invariant: each wait and each answer is bounded, and a dropped source is never asked again while the process runs.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use freehold_crypto::{content_digest, keccak256};
use freehold_primitives::Digest;
use freehold_rpc::{Endpoint, HttpError, HttpLimits, NodeClient, NodeError};
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use super::error::{Lie, SyncError};
use crate::store::{AnswerCheck, OperationSource, OperationsRequest};

/// Bounds of a source's answers: the largest block in hex, and a link that moves a megabyte a second.
const LIMITS: HttpLimits = HttpLimits {
    connect: Duration::from_secs(5),
    head: Duration::from_secs(10),
    pause: Duration::from_secs(10),
    body_bytes_max: 40 * 1024 * 1024,
};
/// Longest wait for one attempt with one source.
const ATTEMPT_MAX: Duration = Duration::from_secs(60);
/// How long a source that does not answer is left alone, at first and at most.
const REST_MIN: Duration = Duration::from_millis(500);
const REST_MAX: Duration = Duration::from_secs(30);
/// Rest from which a source counts as gone, so that what only it might have is not waited for.
const REST_LONG: Duration = Duration::from_secs(4);
/// Tries of a part of the state while no source answers: about half a minute.
const TRIES_MAX: u32 = 60;
/// JSON-RPC codes by which a node says that it does not have something, or no longer.
const MISSING_CODES: [i64; 3] = [4_444, -32_001, -32_601];

/// How an attempt with one source failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It did not answer, or refused.
    Away(NodeError),
    /// It does not have what was asked for, and said so.
    Missing(String),
    /// It lied.
    Lie(Lie),
}

impl From<Lie> for Fault {
    fn from(lie: Lie) -> Self {
        Self::Lie(lie)
    }
}

impl From<NodeError> for Fault {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Malformed { reason, .. } => Self::Lie(Lie::Form(reason)),
            NodeError::Unreachable(error @ HttpError::TooLarge { .. }) => Self::Lie(Lie::Form(error.to_string())),
            NodeError::Refused { code, message, .. } if MISSING_CODES.contains(&code) => Self::Missing(message),
            other => Self::Away(other),
        }
    }
}

/// How a source stands.
enum Standing {
    /// Asked as its turn comes.
    Good,
    /// Left alone until then; the next rest is twice as long.
    Resting(Instant, Duration),
    /// Not asked again.
    Dropped(Lie),
}

struct Source {
    client: NodeClient,
    standing: Mutex<Standing>,
}

/// The sources, and whose turn it is.
pub(crate) struct Sources {
    list: Vec<Source>,
    turn: AtomicUsize,
}

impl Sources {
    /// At least one endpoint.
    pub(crate) fn new(endpoints: &[Endpoint]) -> Result<Self, SyncError> {
        Self::with(endpoints, Vec::new())
    }

    /// These endpoints, and behind them these clients; at least one of both.
    pub(crate) fn with(endpoints: &[Endpoint], clients: Vec<NodeClient>) -> Result<Self, SyncError> {
        let named = endpoints.iter().map(|endpoint| NodeClient::with_limits(endpoint.clone(), LIMITS));
        let source = |client| Source { client, standing: Mutex::new(Standing::Good) };
        let list: Vec<_> = named.chain(clients).map(source).collect();
        if list.is_empty() {
            return Err(SyncError::NoSources);
        }
        Ok(Self { list, turn: AtomicUsize::new(0) })
    }

    /// A piece of content, by its digest.
    pub(crate) async fn content(&self, digest: Digest) -> Result<Vec<u8>, SyncError> {
        self.ask("content that was missed", |node| async move {
            let bytes = node.content(&digest).await?.ok_or_else(|| Fault::Missing("not here".to_owned()))?;
            let right = keccak256(&[&bytes]) == digest || content_digest(&bytes) == digest;
            if right { Ok(bytes) } else { Err(Lie::Content.into()) }
        })
        .await
    }

    /// Asks one source after another until one gives what `attempt` accepts.
    pub(crate) async fn ask<T, F>(
        &self,
        what: &'static str,
        attempt: impl Fn(NodeClient) -> F + Send,
    ) -> Result<T, SyncError>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        self.ask_whom(what, attempt).await.map(|(_, value)| value)
    }

    /// As [`Self::ask`], and who gave it.
    pub(crate) async fn ask_whom<T, F>(
        &self,
        what: &'static str,
        attempt: impl Fn(NodeClient) -> F + Send,
    ) -> Result<(Endpoint, T), SyncError>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        let first = self.turn.load(Ordering::Relaxed);
        let (mut away, mut missing, mut lied) = (None, None, None);
        for step in 0..self.list.len() {
            let at = (first + step) % self.list.len();
            let source = &self.list[at];
            let endpoint = source.client.endpoint().clone();
            match source.standing() {
                Stands::Ready => {}
                Stands::Aside => {
                    away = away.or_else(|| Some(aside(endpoint)));
                    continue;
                }
                Stands::Gone => continue,
                Stands::Dropped(lie) => {
                    lied = Some(SyncError::Lied { endpoint, lie });
                    continue;
                }
            }
            let answer = timeout(ATTEMPT_MAX, attempt(source.client.clone())).await;
            match answer.unwrap_or_else(|_| Err(Fault::Away(slow(endpoint.clone())))) {
                Ok(value) => {
                    source.stand(Standing::Good);
                    self.turn.store(at, Ordering::Relaxed);
                    return Ok((endpoint, value));
                }
                Err(Fault::Missing(reason)) => missing = Some(SyncError::NotKept { what, endpoint, reason }),
                Err(Fault::Away(error)) => {
                    debug!(%endpoint, %error, "a source does not answer");
                    source.rest();
                    away = Some(SyncError::Away { endpoint, source: Box::new(error) });
                }
                Err(Fault::Lie(lie)) => {
                    source.drop_for(&lie);
                    lied = Some(SyncError::Lied { endpoint, lie });
                }
            }
        }
        // One that may come back soon may have it; only where all lied is there nobody left.
        let gone = || aside(self.list[0].client.endpoint().clone());
        Err(away.or(missing).unwrap_or_else(|| if self.all_lied() { lied.unwrap_or_else(gone) } else { gone() }))
    }

    /// Drops a source whose answer turned out to be a lie when it was used.
    pub(crate) fn denounce(&self, endpoint: &Endpoint, lie: &Lie) {
        for source in self.list.iter().filter(|source| source.client.endpoint() == endpoint) {
            source.drop_for(lie);
        }
    }

    /// How many there are.
    pub(crate) const fn count(&self) -> usize {
        self.list.len()
    }

    fn all_lied(&self) -> bool {
        self.list.iter().all(|source| matches!(source.standing(), Stands::Dropped(_)))
    }

    /// The next source is asked first from now on: one that has nothing new may be holding something back.
    pub(crate) fn rotate(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether a source is asked now.
enum Stands {
    Ready,
    /// Not now; it may be back soon.
    Aside,
    /// Not now, and it has been away for long.
    Gone,
    Dropped(Lie),
}

impl Source {
    fn standing(&self) -> Stands {
        match &*self.standing.lock().unwrap_or_else(PoisonError::into_inner) {
            Standing::Good => Stands::Ready,
            Standing::Resting(until, _) if Instant::now() >= *until => Stands::Ready,
            Standing::Resting(_, pause) => {
                if *pause < REST_LONG {
                    Stands::Aside
                } else {
                    Stands::Gone
                }
            }
            Standing::Dropped(lie) => Stands::Dropped(lie.clone()),
        }
    }

    fn drop_for(&self, lie: &Lie) {
        warn!(endpoint = %self.client.endpoint(), code = lie.code(), %lie, "a source lied and is not asked again");
        self.stand(Standing::Dropped(lie.clone()));
    }

    fn stand(&self, standing: Standing) {
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    fn rest(&self) {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = match &*standing {
            Standing::Resting(_, pause) => (*pause * 2).min(REST_MAX),
            _ => REST_MIN,
        };
        *standing = Standing::Resting(Instant::now() + pause, pause);
    }
}

fn aside(endpoint: Endpoint) -> SyncError {
    SyncError::Away { source: Box::new(slow(endpoint.clone())), endpoint }
}

fn slow(endpoint: Endpoint) -> NodeError {
    NodeError::Unreachable(HttpError::Timeout { endpoint, what: "answer", limit: ATTEMPT_MAX })
}

impl OperationSource for std::sync::Arc<Sources> {
    type Error = SyncError;

    async fn operations(&self, request: OperationsRequest, check: AnswerCheck) -> Result<Vec<u8>, SyncError> {
        let OperationsRequest { size, start, count } = request;
        let mut tries = 0;
        loop {
            let check = &check;
            let asked = self.ask("this part of the state", |node| async move {
                let bytes = node.sync_operations(size, start, count).await?;
                if check(&bytes) { Ok(bytes) } else { Err(Lie::Operations.into()) }
            });
            match asked.await {
                Err(SyncError::Away { .. }) if tries < TRIES_MAX => {
                    tries += 1;
                    tokio::time::sleep(REST_MIN).await;
                }
                other => return other,
            }
        }
    }
}
