//! Figures of finality: what the protocol promises in delays of the link, measured.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::Duration;

use freehold_sim::{FinalityOptions, finality};

fn check(nodes: u16, latency_ms: u64, p50_ms: std::ops::Range<f64>) {
    let latency = Duration::from_millis(latency_ms);
    let figures = finality(FinalityOptions { nodes, latency, blocks: 12, seed: 1 }).unwrap();
    println!("{nodes} validators, {latency_ms} ms: {figures:?}");
    assert!(p50_ms.contains(&figures.p50_ms), "{figures:?}");
    assert!(figures.p50_ms <= figures.p99_ms && figures.blocks >= 12);
}

#[test]
fn finality_takes_three_delays() {
    // A proposal, a notarization and a finalization cross the link, whoever looks; below that stands only the cheating.
    // With four validators the simulation shows six (docs/simulation.md, Limits).
    check(7, 50, 145.0..200.0);
    check(1, 0, 0.0..5.0);
    assert!(finality(FinalityOptions { nodes: 3, latency: Duration::ZERO, blocks: 1, seed: 1 }).is_err());
}
