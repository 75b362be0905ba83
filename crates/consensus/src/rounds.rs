//! What this validator has seen of each round: seeds, finalization certificates, heights of payloads.
//!
//! Fed by the engine's reports, whose certificates the engine has verified. Bounded: only the newest rounds are kept;
//! older ones are found in the archive of the engine, or in the next payload's head.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use freehold_primitives::{Certificate, Digest, G1Point, Height, Term};
use tokio::sync::Notify;

/// Rounds kept.
pub(crate) const ROUNDS_MAX: usize = 4_096;
/// Heights of payloads kept.
pub(crate) const HEIGHTS_MAX: usize = 4_096;

/// What was seen of one round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Seed of the round.
    pub(crate) seed: Option<G1Point>,
    /// Finalization certificate of the round.
    pub(crate) certificate: Option<Certificate>,
}

#[derive(Default)]
struct State {
    records: BTreeMap<(Term, u64), Record>,
    heights: BTreeMap<Digest, Height>,
    order: VecDeque<Digest>,
}

/// The bounded memory of rounds.
#[derive(Default)]
pub(crate) struct Rounds {
    state: Mutex<State>,
    changed: Notify,
}

impl Rounds {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves plain maps behind, which stay usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the seed of a round.
    pub(crate) fn note_seed(&self, term: Term, view: u64, seed: G1Point) {
        let mut state = self.lock();
        state.records.entry((term, view)).or_default().seed = Some(seed);
        trim(&mut state);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Notes a finalization certificate, and with it the seed.
    pub(crate) fn note_certificate(&self, certificate: &Certificate) {
        let mut state = self.lock();
        let record = state.records.entry((certificate.term, certificate.view)).or_default();
        record.seed = Some(certificate.seed);
        record.certificate = Some(certificate.clone());
        trim(&mut state);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Notes the height of a payload.
    pub(crate) fn note_height(&self, digest: Digest, height: Height) {
        let mut state = self.lock();
        if state.heights.insert(digest, height).is_none() {
            state.order.push_back(digest);
        }
        while state.order.len() > HEIGHTS_MAX {
            if let Some(oldest) = state.order.pop_front() {
                state.heights.remove(&oldest);
            }
        }
    }

    /// Height of a payload, where known.
    pub(crate) fn height(&self, digest: &Digest) -> Option<Height> {
        self.lock().heights.get(digest).copied()
    }

    /// What was seen of a round.
    pub(crate) fn record(&self, term: Term, view: u64) -> Record {
        self.lock().records.get(&(term, view)).cloned().unwrap_or_default()
    }

    /// Waits until the seed of a round is known. Dropping the future is the only other way out.
    pub(crate) async fn seed(&self, term: Term, view: u64) -> G1Point {
        loop {
            let changed = self.changed.notified();
            if let Some(seed) = self.record(term, view).seed {
                return seed;
            }
            changed.await;
        }
    }
}

fn trim(state: &mut State) {
    while state.records.len() > ROUNDS_MAX {
        state.records.pop_first();
    }
}

#[cfg(test)]
mod tests;
