//! A network from one seed: four validators on the deterministic runtime, with its clock, network and storage, killed
//! and started again at moments that the seed chooses. Storage that was not synced is lost at every crash of the
//! whole network, as it is when a machine loses power.
//!
//! `FREEHOLD_SEED=<n>` runs one seed again; a failure prints its seed.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::atomic::Ordering,
    time::Duration,
};

use crate::{
    common::Net,
    stage::{addresses, runner, start_all},
};
use commonware_runtime::{
    Clock as _, Runner as _, Storage as _,
    deterministic::{Context, Runner},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

const COUNT: usize = 4;
const LIMIT: Duration = Duration::from_secs(120);

fn network(count: u16, seed: u64) -> Net {
    Net::new(count.into(), seed, addresses(count))
}

/// Runs `test` for some seeds, or for the one that the environment names.
fn seeds(count: u64, test: impl Fn(u64)) {
    let one = std::env::var("FREEHOLD_SEED").ok().map(|text| text.parse::<u64>().unwrap());
    for seed in one.map_or(0..count, |seed| seed..seed + 1) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(seed))) {
            eprintln!("failed with FREEHOLD_SEED={seed}");
            resume_unwind(panic);
        }
    }
}

/// Order of one run, for comparison.
fn order(net: &Net) -> Vec<(u64, String)> {
    let seen = net.seen[0].lock().unwrap();
    seen.finals.iter().map(|(height, last)| (*height, last.digest.to_string())).collect()
}

#[test]
fn one_seed_gives_one_history() {
    let history = || {
        let net = network(4, 11);
        runner(11).start(async |context: Context| {
            let _handles = start_all(&net, &context).await;
            net.reach(&context, &[0, 1, 2, 3], 10, LIMIT).await;
        });
        net.check_order();
        order(&net)
    };
    assert_eq!(history(), history());
}

#[test]
fn killed_validators_come_back() {
    seeds(4, |seed| {
        let mut net = network(4, seed);
        let mut rng = StdRng::seed_from_u64(seed);
        let net = runner(seed).start(async move |context: Context| {
            let mut handles = start_all(&net, &context).await;
            for _ in 0..4 {
                context.sleep(Duration::from_millis(rng.random_range(50..1_500))).await;
                let victim = rng.random_range(0..COUNT);
                handles[victim].take().unwrap().stop().await;
                context.sleep(Duration::from_millis(rng.random_range(0..1_500))).await;
                // The simulated network never frees an address, so it comes back on another and dials the others.
                net.readdress(victim);
                handles[victim] = Some(net.start(&context, victim).await);
            }
            let target = (0..COUNT).map(|index| net.height(index)).max().unwrap() + 10;
            net.reach(&context, &[0, 1, 2, 3], target, LIMIT).await;
            net
        });
        net.check_order();
    });
}

/// Cuts the power of a network of `count` four times, and checks that it goes on with the same order.
fn check_power_cuts(count: u16, seed: u64) {
    let net = network(count, seed);
    for knobs in &net.knobs {
        knobs.pace_ms.store(20, Ordering::Relaxed);
    }
    let all: Vec<_> = (0..count.into()).collect();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut current = runner(seed);
    for _ in 0..4 {
        let moment = Duration::from_millis(rng.random_range(300..3_000));
        let ((), checkpoint) = current.start_and_recover(async |context: Context| {
            let handles = start_all(&net, &context).await;
            context.sleep(moment).await;
            std::mem::forget(handles);
        });
        net.check_order();
        current = Runner::from(checkpoint);
    }
    let before = all.iter().map(|index| net.height(*index)).max().unwrap();
    assert!(before > 0, "nothing became final in four runs");
    current.start(async |context: Context| {
        let _handles = start_all(&net, &context).await;
        net.reach(&context, &all, before + 10, LIMIT).await;
    });
    net.check_order();
}

#[test]
fn power_cuts_lose_nothing_final() {
    seeds(3, |seed| check_power_cuts(4, seed));
}

#[test]
fn power_cuts_of_one_validator_alone() {
    seeds(2, |seed| check_power_cuts(1, seed));
}

#[test]
fn twin_of_a_validator_splits_nothing() {
    seeds(3, |seed| {
        // Two processes with one validator's keys, each with its own storage: they vote and propose against each other.
        let (net, mut twin) = (network(4, seed), network(4, seed));
        twin.addresses[3].set_port(20_900);
        runner(seed).start(async |context: Context| {
            let _handles = start_all(&net, &context).await;
            let mut settings = twin.validator(3);
            settings.partition = "twin".to_owned();
            twin.knobs[3].bytes.store(64, Ordering::Relaxed);
            let _twin = twin.start_with(&context, 3, settings).await;
            net.reach(&context, &[0, 1, 2], 40, LIMIT).await;
        });
        // What the twin was given is part of the one order too.
        net.check_order();
        for (height, last) in &twin.seen[3].lock().unwrap().finals {
            let honest = net.seen[0].lock().unwrap().finals.get(height).map(|last| last.digest);
            assert!(honest.is_none_or(|digest| digest == last.digest), "two payloads at {height}");
        }
    });
}

#[test]
fn what_is_forgotten_is_gone_and_the_rest_goes_on() {
    let net = network(1, 21);
    let ((), checkpoint) = runner(21).start_and_recover(async |context: Context| {
        let handle = net.start(&context, 0).await;
        net.reach(&context, &[0], 2_200, LIMIT).await;
        let history = handle.history();
        assert!(history.payload(1).await.is_some());
        history.forget_below(2_100);
        assert!(history.payload(1).await.is_none() && history.payload(1_000).await.is_none());
        assert!(history.payload(2_100).await.is_some());
        // Their storage is freed with them, but for the rest of the section.
        for kind in ["blocks-keys", "blocks-values", "finals-keys", "finals-values"] {
            let sections = context.scan(&format!("validator-0-{kind}")).await.unwrap();
            assert!(sections.contains(&2_048_u64.to_be_bytes().to_vec()), "{kind}: {sections:?}");
            assert!(sections.len() <= 2 && *sections.iter().min().unwrap() == 2_048_u64.to_be_bytes(), "{kind}");
        }
        // What is not final yet is not forgotten.
        history.forget_below(u64::MAX);
        assert!(history.payload(2_199).await.is_some());
    });
    Runner::from(checkpoint).start(async |context: Context| {
        let _handle = net.start(&context, 0).await;
        net.reach(&context, &[0], 2_300, LIMIT).await;
    });
    net.check_order();
}

#[test]
fn silent_and_refusing_minority_changes_no_order() {
    seeds(2, |seed| {
        let net = network(4, seed);
        let fault = usize::try_from(seed).unwrap() % COUNT;
        net.knobs[fault].silent.store(true, Ordering::Relaxed);
        net.knobs[fault].refuses.store(true, Ordering::Relaxed);
        runner(seed).start(async |context: Context| {
            let _handles = start_all(&net, &context).await;
            net.reach(&context, &[0, 1, 2, 3], 20, LIMIT).await;
        });
        net.check_order();
    });
}
