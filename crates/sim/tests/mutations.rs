//! Networks that break a rule on purpose: the invariants must see it, else a seed that passes means nothing.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{collections::BTreeSet, time::Duration};

use freehold_sim::{Broken, Options, Violation, run};

fn broken(seed: u64, rule: Broken) -> Option<Violation> {
    let length = Duration::from_millis(2_000);
    let options = Options { nodes: Some(4), faults: BTreeSet::new(), length, broken: Some(rule), ..Options::new(seed) };
    let report = run(&options);
    println!("{report}");
    report.violation
}

#[test]
fn votes_without_execution_are_seen() {
    let seen = broken(1, Broken::VotesWithoutExecuting);
    assert!(matches!(seen, Some(Violation::Executed { .. })), "{seen:?}");
}

#[test]
fn another_execution_is_seen() {
    let seen = broken(1, Broken::ExecutesOtherwise);
    assert!(matches!(seen, Some(Violation::TwoBlocks { .. })), "{seen:?}");
}

#[test]
fn disks_that_lie_are_seen() {
    let seen = broken(1, Broken::DisksLie);
    assert!(seen.is_some(), "the power went, nothing was synced, and nobody missed it");
}

#[test]
fn too_many_that_refuse_are_seen() {
    let seen = broken(1, Broken::TooManyRefuse);
    assert!(matches!(seen, Some(Violation::Stuck { .. })), "{seen:?}");
}

#[test]
fn more_twins_than_a_third_are_seen() {
    let seen: Vec<_> = (0..6).map(|seed| broken(seed, Broken::TooManyTwins)).collect();
    let split = |seen: &Option<Violation>| {
        matches!(seen, Some(Violation::TwoPayloads { .. } | Violation::Certificate { .. } | Violation::Chain { .. }))
    };
    assert!(seen.iter().any(split), "{seen:?}");
}
