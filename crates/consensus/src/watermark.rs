//! No validator signs two different payloads for one round, whatever crashes: the rounds it may sign in are reserved on
//! disk before it does.
//!
//! Invariant: a signature leaves only for a round above every round that was reserved when the validator started, and
//! above every round it signed in since. A reservation covers some views more than asked for, so that most proposals wait
//! for no disk; after a crash the rest of it is given up, which costs a leader its next few views and nobody a timeout.

use commonware_runtime::{Clock, Metrics, Storage};
use commonware_storage::metadata::{Config, Metadata};
use commonware_utils::sequence::U64;
use freehold_primitives::{Digest, Term};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

/// Views reserved at a time.
pub(crate) const VIEWS_RESERVED: u64 = 16;
/// Requests waiting: one proposal is made at a time, and a dropped one may still wait.
const REQUESTS_QUEUED_MAX: usize = 16;
/// Where the reservation stands in the store: term, then view.
const KEYS: [u64; 2] = [0, 1];

/// A round of the engine, in order.
type Round = (Term, u64);

/// A round in which a payload is to be signed.
struct Request {
    round: Round,
    payload: Digest,
    /// Told whether it may be signed.
    answer: oneshot::Sender<bool>,
}

/// Asks for rounds to sign in; cheap to clone.
#[derive(Clone)]
pub(crate) struct Permits {
    requests: mpsc::Sender<Request>,
    /// Reserved before this start.
    before: Option<Round>,
}

impl Permits {
    /// Whether nothing may be signed in this round whatever it is: a leader gives it up at once.
    pub(crate) fn is_given_up(&self, round: Round) -> bool {
        Some(round) <= self.before
    }

    /// Whether this payload may be signed in this round. A request that was dropped counts as one that was granted.
    pub(crate) async fn may_sign(&self, round: Round, payload: Digest) -> bool {
        let (answer, granted) = oneshot::channel();
        self.requests.send(Request { round, payload, answer }).await.is_ok() && granted.await.unwrap_or(false)
    }
}

/// Which rounds may be signed in: a pure state.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rounds {
    /// Reserved before this start: nothing at or below it may be signed.
    before: Option<Round>,
    /// Reserved on disk.
    reserved: Option<Round>,
    /// Signed last.
    last: Option<(Round, Digest)>,
}

/// What to do about a request.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Refuse,
    Grant,
    /// Grant once this is durable.
    Reserve(Round),
}

impl Rounds {
    const fn new(before: Option<Round>) -> Self {
        Self { before, reserved: before, last: None }
    }

    fn ask(&mut self, round: Round, payload: Digest) -> Answer {
        let again = self.last == Some((round, payload));
        let signed = self.last.map(|(last, _)| last);
        if !again && (Some(round) <= self.before || Some(round) <= signed) {
            return Answer::Refuse;
        }
        self.last = Some((round, payload));
        if Some(round) <= self.reserved {
            return Answer::Grant;
        }
        let reserved = (round.0, round.1.saturating_add(VIEWS_RESERVED - 1));
        self.reserved = Some(reserved);
        Answer::Reserve(reserved)
    }
}

/// The reservation and its store.
pub(crate) struct Watermark<E: Storage + Clock + Metrics> {
    store: Metadata<E, U64, U64>,
    rounds: Rounds,
    requests: mpsc::Receiver<Request>,
}

impl<E: Storage + Clock + Metrics> Watermark<E> {
    /// Opens the store in a partition.
    pub(crate) async fn open(context: E, partition: String) -> Option<(Self, Permits)> {
        let store = Metadata::<E, U64, U64>::init(context, Config { partition, codec_config: () }).await;
        let store = store.inspect_err(|error| error!(%error, "the store of signed rounds did not open")).ok()?;
        let [term, view] = KEYS.map(|key| store.get(&U64::new(key)).map(u64::from));
        let rounds = Rounds::new(term.zip(view));
        let before = rounds.before;
        let (permits, requests) = mpsc::channel(REQUESTS_QUEUED_MAX);
        Some((Self { store, rounds, requests }, Permits { requests: permits, before }))
    }

    /// Answers until nobody asks any more, or the store fails.
    pub(crate) async fn run(self) {
        let Self { mut store, mut rounds, mut requests } = self;
        while let Some(Request { round, payload, answer }) = requests.recv().await {
            let granted = match rounds.ask(round, payload) {
                Answer::Refuse => {
                    warn!(term = round.0, view = round.1, "a payload of this round may have been signed before");
                    false
                }
                Answer::Grant => true,
                Answer::Reserve((term, view)) => {
                    let [term_key, view_key] = KEYS.map(U64::new);
                    let _before = store.put(term_key, U64::new(term));
                    match store.put_sync(view_key, U64::new(view)).await {
                        Ok(synced) => store = synced,
                        Err(error) => return error!(%error, "the store of signed rounds failed"),
                    }
                    true
                }
            };
            let _dropped = answer.send(granted);
        }
    }
}

#[cfg(test)]
mod tests;
