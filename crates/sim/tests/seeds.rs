//! Seeds: whole networks in trouble, none of which may break a promise, and each of which must come again as it was.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{collections::BTreeSet, time::Duration};

use freehold_sim::{Fault, Options, run};

fn short(seed: u64) -> Options {
    Options { length: Duration::from_millis(2_500), ..Options::new(seed) }
}

#[test]
fn seeds_violate_nothing() {
    let only = std::env::var("FREEHOLD_SEED").ok().map(|text| text.parse::<u64>().unwrap());
    for seed in only.map_or(0..6, |seed| seed..seed + 1) {
        let report = run(&short(seed));
        println!("{report}");
        assert_eq!(report.violation, None, "{report}");
    }
}

#[test]
fn one_seed_gives_one_trace() {
    for seed in [3, 4] {
        let (first, second) = (run(&short(seed)), run(&short(seed)));
        assert_eq!(first.trace, second.trace, "{first}\n{second}");
        assert_eq!(first, second);
    }
}

#[test]
fn quiet_network_runs() {
    let report = run(&Options { faults: BTreeSet::<Fault>::new(), nodes: Some(4), ..short(1) });
    println!("{report}");
    assert_eq!(report.violation, None, "{report}");
}

#[test]
fn validators_join_and_leave_while_keys_stay() {
    let mut newcomers = 0;
    let faults = BTreeSet::from([Fault::Terms, Fault::Membership]);
    for seed in with_candidates().take(2) {
        let report = run(&Options { faults: faults.clone(), nodes: Some(4), ..short(seed) });
        println!("{report}");
        assert_eq!(report.violation, None, "{report}");
        assert!(report.terms.since > 0, "nothing was reshared: {report}");
        newcomers += report.terms.newcomers;
    }
    assert!(newcomers > 0, "nobody took a seat");
}

/// Seeds whose plans have candidates, when nothing else goes wrong.
fn with_candidates() -> impl Iterator<Item = u64> {
    let faults = BTreeSet::from([Fault::Terms, Fault::Membership]);
    (0..).filter(move |seed| {
        freehold_sim::candidates(&Options { faults: faults.clone(), nodes: Some(4), ..short(*seed) }) > 0
    })
}
