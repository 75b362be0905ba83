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
    // A seed whose plan has a candidate that comes and a validator that leaves.
    let faults = BTreeSet::from([Fault::Terms, Fault::Membership]);
    let report = run(&Options { faults, nodes: Some(4), ..short(10) });
    println!("{report}");
    assert_eq!(report.violation, None, "{report}");
    assert!(report.terms.since > 0, "nothing was reshared: {report}");
    assert!(report.terms.newcomers > 0, "nobody took a seat: {report}");
}

#[test]
fn keys_are_succeeded_while_validators_crash() {
    // A seed whose plan asks for both.
    let faults = BTreeSet::from([Fault::Terms, Fault::Succession, Fault::Crashes]);
    let report = run(&Options { faults, nodes: Some(4), ..short(20) });
    println!("{report}");
    assert_eq!(report.violation, None, "{report}");
    assert_eq!((report.terms.network_keys, report.terms.masters), (1, 1), "{report}");
}
