//! Names of reasons, quantiles, and times that are forgotten.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use alloy_primitives::B256;

use super::{Counts, Executed, Quantiles, variant};
use crate::{intake::IntakeError, mempool::PoolError};

#[test]
fn a_reason_is_the_innermost_variant_and_nothing_of_its_values() {
    assert_eq!(variant(&IntakeError::Pool(PoolError::Underpriced)), "Underpriced");
    assert_eq!(variant(&IntakeError::Pool(PoolError::NonceTooLow { next: 4, nonce: 2 })), "NonceTooLow");
    assert_eq!(variant(&"text from outside"), "");
    assert_eq!(variant(&Some(7)), "Some");
    let counts = Counts::default();
    counts.transactions_refused.refused(&PoolError::Full);
    counts.transactions_refused.refused(&PoolError::Full);
    assert_eq!(counts.transactions_refused.counts()["Full"], 2);
}

fn executed(counts: &Counts, (timestamp_ms, now_ms): (u64, u64), hashes: &[B256], now: Instant) {
    let mut transactions = hashes.iter().copied();
    let block = Executed {
        spacing: Duration::from_millis(100),
        timestamp_ms,
        now_ms,
        took: Duration::from_millis(1),
        transactions: &mut transactions,
    };
    counts.executed(block, now);
}

#[test]
fn times_are_those_of_the_newest_blocks_and_of_own_clients() {
    let counts = Counts::default();
    assert_eq!(counts.finality(), Quantiles::default());
    let begun = Instant::now();
    let [own, other, gone] = [1, 2, 3].map(B256::repeat_byte);
    counts.submitted(own, begun);
    counts.submitted(gone, begun);
    counts.forget([gone]);
    for delay in 1..=100 {
        executed(&counts, (1_000_000, 1_000_000 + delay), &[], begun);
    }
    // A block of an hour ago is caught up with: it says nothing of finality.
    executed(&counts, (1_000_000, 4_600_000), &[own, other, gone], begun + Duration::from_millis(40));
    assert_eq!(counts.finality(), Quantiles { count: 100, p50_ms: 51, p99_ms: 100 });
    assert_eq!(counts.receipts(), Quantiles { count: 1, p50_ms: 40, p99_ms: 40 });
    for _ in 0..1_000 {
        executed(&counts, (2_000_000, 2_000_007), &[], begun);
    }
    assert_eq!(counts.finality(), Quantiles { count: 512, p50_ms: 7, p99_ms: 7 });
}

#[test]
fn a_clock_behind_the_others_shows() {
    let counts = Counts::default();
    executed(&counts, (1_000_000, 1_000_020), &[], Instant::now());
    assert_eq!(counts.ahead_ms(), 0);
    executed(&counts, (1_001_500, 1_000_100), &[], Instant::now());
    assert_eq!(counts.ahead_ms(), 1_400);
}
