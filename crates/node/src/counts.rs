//! What a node counts while it runs: times of blocks, keys released, and what was refused and why.
//!
//! Invariant: names of reasons come from types, so that their number is bounded, and nothing here names an account, a
//! transaction or a key. Registering with the engine's metrics is `metrics`.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt::Debug,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use commonware_runtime::telemetry::metrics::raw;

#[cfg(test)]
mod tests;

/// Bounds of the buckets of times, in seconds.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Newest times that quantiles are taken of.
const NEWEST_MAX: usize = 512;
/// Transactions of this node's clients whose receipt is waited for with a clock.
const SUBMITTED_MAX: usize = 4_096;

/// One label and its value.
pub(crate) type Label = [(&'static str, String); 1];

/// Refusals by their reason.
#[derive(Default)]
pub(crate) struct Reasons {
    /// For the engine's registry.
    pub(crate) family: raw::Family<Label, raw::Counter>,
    known: Mutex<BTreeMap<String, u64>>,
}

impl Reasons {
    /// Counts a refusal under the name of its variant.
    pub(crate) fn refused(&self, why: &impl Debug) {
        self.count(variant(why));
    }

    /// Counts a refusal for a reason.
    pub(crate) fn count(&self, reason: String) {
        self.family.get_or_create(&[("reason", reason.clone())]).inc();
        *self.known.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
    }

    /// Reasons and their counts.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is counted. Clones of its metrics share their values.
pub(crate) struct Counts {
    /// Seconds between the times of a block and of its parent.
    pub(crate) block_s: raw::Histogram,
    /// Seconds from the time of a payload until its block was executed here.
    pub(crate) finality_s: raw::Histogram,
    /// Seconds from a client's submission here until its transaction's receipt was here.
    pub(crate) receipt_s: raw::Histogram,
    /// Seconds that execution took.
    pub(crate) execution_s: raw::Histogram,
    /// Requests for key shares that were answered with enough of them.
    pub(crate) keys_released: raw::Counter,
    /// Requests for key shares that were refused.
    pub(crate) keys_refused: Reasons,
    /// Transactions of clients and of other nodes that were refused.
    pub(crate) transactions_refused: Reasons,
    /// Messages of other nodes that were dropped.
    pub(crate) messages_refused: Reasons,
    /// Transactions told again because they waited long.
    pub(crate) told_again: raw::Counter,
    newest: Mutex<Newest>,
}

#[derive(Default)]
struct Newest {
    submitted: HashMap<B256, Instant>,
    finality_ms: VecDeque<u64>,
    receipt_ms: VecDeque<u64>,
    /// How far the newest payloads' times were ahead of this clock when they had been executed, in milliseconds.
    ahead_ms: VecDeque<i64>,
}

/// Quantiles of the newest times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Quantiles {
    /// Times that were counted.
    pub(crate) count: u64,
    /// Median, in milliseconds.
    pub(crate) p50_ms: u64,
    /// The time that one of a hundred exceeds, in milliseconds.
    pub(crate) p99_ms: u64,
}

/// What is known of a block when it has been executed.
pub(crate) struct Executed<'a> {
    /// Milliseconds between the payload's time and its parent's.
    pub(crate) spacing: Duration,
    /// The payload's time, in milliseconds since the epoch.
    pub(crate) timestamp_ms: u64,
    /// This clock's time, likewise.
    pub(crate) now_ms: u64,
    /// How long execution took.
    pub(crate) took: Duration,
    /// Hashes of its transactions.
    pub(crate) transactions: &'a mut dyn Iterator<Item = B256>,
}

impl Default for Counts {
    fn default() -> Self {
        let seconds = || raw::Histogram::new(SECONDS);
        Self {
            block_s: seconds(),
            finality_s: seconds(),
            receipt_s: seconds(),
            execution_s: seconds(),
            keys_released: raw::Counter::default(),
            keys_refused: Reasons::default(),
            transactions_refused: Reasons::default(),
            messages_refused: Reasons::default(),
            told_again: raw::Counter::default(),
            newest: Mutex::default(),
        }
    }
}

impl Counts {
    /// A client's transaction entered the pool.
    pub(crate) fn submitted(&self, hash: B256, now: Instant) {
        let mut newest = self.newest();
        if newest.submitted.len() < SUBMITTED_MAX {
            newest.submitted.insert(hash, now);
        }
    }

    /// A transaction left the pool without a block.
    pub(crate) fn forget(&self, gone: impl IntoIterator<Item = B256>) {
        let mut newest = self.newest();
        for hash in gone {
            newest.submitted.remove(&hash);
        }
    }

    /// A block was executed and is durable.
    pub(crate) fn executed(&self, block: Executed<'_>, now: Instant) {
        let finality_ms = block.now_ms.saturating_sub(block.timestamp_ms);
        self.block_s.observe(block.spacing.as_secs_f64());
        self.execution_s.observe(block.took.as_secs_f64());
        let mut newest = self.newest();
        push(&mut newest.ahead_ms, signed(block.timestamp_ms).saturating_sub(signed(block.now_ms)));
        // What is caught up with was final long ago.
        if finality_ms < 60_000 {
            self.finality_s.observe(seconds(finality_ms));
            push(&mut newest.finality_ms, finality_ms);
        }
        for hash in block.transactions {
            let Some(submitted) = newest.submitted.remove(&hash) else { continue };
            let waited = now.saturating_duration_since(submitted);
            self.receipt_s.observe(waited.as_secs_f64());
            push(&mut newest.receipt_ms, u64::try_from(waited.as_millis()).unwrap_or(u64::MAX));
        }
    }

    /// Quantiles of the newest blocks' times to finality and execution here.
    pub(crate) fn finality(&self) -> Quantiles {
        quantiles(&self.newest().finality_ms)
    }

    /// Quantiles of the newest client transactions' times to their receipts.
    pub(crate) fn receipts(&self) -> Quantiles {
        quantiles(&self.newest().receipt_ms)
    }

    /// How far the others' clocks are ahead of this one at least, in milliseconds, as far as payloads show it.
    pub(crate) fn ahead_ms(&self) -> u64 {
        let most = self.newest().ahead_ms.iter().rev().take(32).copied().max().unwrap_or(0);
        u64::try_from(most).unwrap_or(0)
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of an error's innermost variant, as far as it is one word after the other: `Pool(Underpriced)` is
/// `Underpriced`.
fn variant(why: &impl Debug) -> String {
    let text = format!("{why:?}");
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let mut name = "";
    let mut rest = text.as_str();
    loop {
        let end = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
        let word = &rest[..end];
        if !word.starts_with(|first: char| first.is_ascii_uppercase()) {
            break;
        }
        name = word;
        let Some(inner) = rest[end..].strip_prefix('(') else { break };
        rest = inner;
    }
    name.to_owned()
}

fn push<T>(times: &mut VecDeque<T>, time: T) {
    if times.len() >= NEWEST_MAX {
        times.pop_front();
    }
    times.push_back(time);
}

fn quantiles(times: &VecDeque<u64>) -> Quantiles {
    let mut sorted: Vec<u64> = times.iter().copied().collect();
    sorted.sort_unstable();
    let at = |percent: usize| sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied();
    Quantiles { count: sorted.len() as u64, p50_ms: at(50).unwrap_or(0), p99_ms: at(99).unwrap_or(0) }
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
