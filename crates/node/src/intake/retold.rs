//! Which of this node's own transactions are told again, and when: after two seconds, then after twice as long each time, for
//! as long as they wait.
//!
//! Invariant: no more of them are remembered than the pool holds, and one look gives no more than [`BYTES_MAX`]. Not here:
//! the clock, the pool, the network.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use alloy_primitives::B256;

use crate::mempool::POOL_COUNT_MAX;

#[cfg(test)]
mod tests;

/// First wait: longer than a view without a leader.
const FIRST: Duration = Duration::from_secs(2);
/// Longest wait.
const LONGEST: Duration = Duration::from_secs(64);
/// Most bytes of one look.
const BYTES_MAX: usize = 256 * 1024;

/// Transactions of this node's clients, by the time of their next telling.
#[derive(Debug, Default)]
pub(super) struct Retold(BTreeSet<(Instant, Duration, B256)>);

impl Retold {
    /// A transaction was told for the first time.
    pub(super) fn add(&mut self, hash: B256, now: Instant) {
        if self.0.len() < POOL_COUNT_MAX {
            self.0.insert((now + FIRST, FIRST, hash));
        }
    }

    /// What is due and still waits, by `waiting`; what does not wait any more is forgotten.
    pub(super) fn due(&mut self, now: Instant, waiting: impl Fn(&B256) -> Option<Vec<u8>>) -> Vec<Vec<u8>> {
        let (mut told, mut bytes) = (Vec::new(), 0);
        while let Some((at, wait, hash)) = self.0.first().copied() {
            if at > now || bytes >= BYTES_MAX {
                break;
            }
            self.0.pop_first();
            let Some(raw) = waiting(&hash) else { continue };
            let next = (wait * 2).min(LONGEST);
            self.0.insert((now + next, next, hash));
            bytes += raw.len();
            told.push(raw);
        }
        told
    }
}
