//! Figures of finality: what the protocol promises in delays of the link, measured.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Duration;

use freehold_sim::{FinalityFigures, FinalityOptions, finality};

fn measure(nodes: u16, latency_ms: u64, seed: u64) -> FinalityFigures {
    let latency = Duration::from_millis(latency_ms);
    let figures = finality(FinalityOptions { nodes, latency, blocks: 12, seed }).unwrap();
    println!("{nodes} validators, {latency_ms} ms, seed {seed}: {figures:?}");
    assert!(figures.p50_ms <= figures.p99_ms && figures.blocks >= 12);
    figures
}

/// A proposal, a notarization and a finalization cross the link, for every validator and block; a block is proposed every
/// two crossings. What stands below is only the cheating, what stands above is a pair that does not reach each other.
#[allow(clippy::cast_precision_loss, reason = "a small number of milliseconds")]
fn check(nodes: u16, latency_ms: u64, seed: u64) {
    let (figures, delay) = (measure(nodes, latency_ms, seed), latency_ms as f64);
    assert!(figures.p50_ms >= 2.9 * delay && figures.p99_ms <= 3.2 * delay, "{figures:?}");
    let blocks_per_s = 1_000.0 / (2.0 * delay);
    assert!((0.9 * blocks_per_s..=1.05 * blocks_per_s).contains(&figures.blocks_per_s), "{figures:?}");
}

#[test]
fn finality_takes_three_delays() {
    for (nodes, latency_ms) in [(4, 25), (4, 50), (4, 100), (7, 50), (16, 25)] {
        check(nodes, latency_ms, 1);
    }
    assert!(measure(1, 0, 1).p50_ms < 5.0);
    assert!(finality(FinalityOptions { nodes: 3, latency: Duration::ZERO, blocks: 1, seed: 1 }).is_err());
}

/// Every pair must have connected, which is a matter of order and so of the seed.
#[test]
fn all_validators_meet_over_slow_links() {
    for seed in 2..10 {
        check(4, 100, seed);
    }
}
