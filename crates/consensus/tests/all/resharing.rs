//! Resharing on a running chain, on the deterministic runtime: terms turn, keys stay, shares change; with validators
//! that die, stay away for a term, or lose power all at once.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::time::Duration;

use crate::{
    common::Net,
    stage::{self, TERM, runner, start_all},
};
use commonware_runtime::{
    Clock as _, Runner as _,
    deterministic::{Context, Runner},
};
use freehold_consensus::{TermKeys, ValidatorHandle};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

const LIMIT: Duration = Duration::from_secs(120);

fn in_force(handle: &ValidatorHandle) -> TermKeys {
    handle.term_keys().borrow().clone()
}

/// All hold the same committees of the genesis' keys, each with its shares; returns what is in force.
fn check_keys(net: &Net, handles: &[Option<ValidatorHandle>], term: u64) -> TermKeys {
    let all: Vec<_> = handles.iter().flatten().map(in_force).collect();
    for keys in &all {
        assert_eq!(keys.term, term);
        assert!(keys.consensus == all[0].consensus && keys.derivation == all[0].derivation, "committees differ");
        assert_eq!(keys.consensus.public_key(), freehold_consensus::network_key(&net.genesis).unwrap());
        assert_eq!(keys.derivation.public_key(), net.genesis.derivation_polynomial[0]);
        assert!(keys.consensus_share.is_some() && keys.derivation_share.is_some(), "a share is lost");
    }
    all[0].clone()
}

#[test]
fn terms_turn_and_the_keys_stay() {
    let net = stage::network(4, 1, 20);
    // A term of some seconds, so that the first round has time although the links come up in it.
    net.knobs.iter().for_each(|knobs| knobs.pace_ms.store(100, std::sync::atomic::Ordering::Relaxed));
    runner(1).start(async |context: Context| {
        let handles = start_all(&net, &context).await;
        let genesis = in_force(handles[0].as_ref().unwrap());
        net.reach(&context, &[0, 1, 2, 3], TERM + 8, LIMIT).await;
        let first = check_keys(&net, &handles, 1);
        assert!(first.consensus != genesis.consensus, "the consensus key was not reshared");
        assert!(first.derivation != genesis.derivation, "the derivation key was not reshared");
        net.reach(&context, &[0, 1, 2, 3], 3 * TERM + 8, LIMIT).await;
        let third = check_keys(&net, &handles, 3);
        assert!(third.consensus != first.consensus);
    });
    net.check_order();
    let seen = net.seen[0].lock().unwrap();
    assert!(seen.finals.iter().all(|(height, last)| last.payload.head.term == height / TERM));
}

#[test]
fn validators_that_die_in_the_middle_of_a_round_keep_their_part() {
    for seed in 0..2 {
        let mut net = stage::network(4, seed, 20);
        let mut rng = StdRng::seed_from_u64(seed);
        let net = runner(seed).start(async move |context: Context| {
            let mut handles = start_all(&net, &context).await;
            for _ in 0..5 {
                context.sleep(Duration::from_millis(rng.random_range(50..900))).await;
                let victim = rng.random_range(0..4);
                handles[victim].take().unwrap().stop().await;
                net.readdress(victim);
                handles[victim] = Some(net.start(&context, victim).await);
            }
            let target = (0..4).map(|index| net.height(index)).max().unwrap();
            let term = target / TERM + 2;
            net.reach(&context, &[0, 1, 2, 3], term * TERM + 8, LIMIT).await;
            check_keys(&net, &handles, term);
            net
        });
        net.check_order();
    }
}

#[test]
fn power_cuts_between_terms_lose_no_share() {
    for seed in 0..2 {
        let net = stage::network(4, seed, 20);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut current = runner(seed);
        for _ in 0..4 {
            let moment = Duration::from_millis(rng.random_range(800..3_000));
            let ((), checkpoint) = current.start_and_recover(async |context: Context| {
                let handles = start_all(&net, &context).await;
                context.sleep(moment).await;
                std::mem::forget(handles);
            });
            net.check_order();
            current = Runner::from(checkpoint);
        }
        let before = (0..4).map(|index| net.height(index)).max().unwrap();
        current.start(async |context: Context| {
            let handles = start_all(&net, &context).await;
            let term = before / TERM + 2;
            net.reach(&context, &[0, 1, 2, 3], term * TERM + 8, LIMIT).await;
            check_keys(&net, &handles, term);
        });
        net.check_order();
    }
}

#[test]
fn absent_validator_stops_resharing_not_the_chain_and_comes_back() {
    let mut net = stage::network(4, 5, 20);
    let net = runner(5).start(async move |context: Context| {
        let mut handles = start_all(&net, &context).await;
        net.reach(&context, &[0, 1, 2, 3], 4, LIMIT).await;
        handles[3].take().unwrap().stop().await;
        net.reach(&context, &[0, 1, 2], 2 * TERM + 4, LIMIT).await;
        // A whole term without it: the round fails, and the shares before stay in force.
        let keys: Vec<_> = handles.iter().flatten().map(in_force).collect();
        assert!(keys.iter().all(|held| held.term == 2 && held.consensus == keys[0].consensus));
        net.readdress(3);
        handles[3] = Some(net.start(&context, 3).await);
        net.reach(&context, &[0, 1, 2, 3], 4 * TERM + 4, LIMIT).await;
        let later = check_keys(&net, &handles, 4);
        assert!(later.consensus != keys[0].consensus, "it is back, and nothing was reshared");
        net
    });
    net.check_order();
}
