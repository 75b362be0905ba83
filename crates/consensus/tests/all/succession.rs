//! Succession of the network key on a running chain, on the deterministic runtime: a fresh key is made beside the resharing,
//! waits a term, is named under a certificate of the old one, and signs from then on; with liars, absentees and crashes.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use commonware_runtime::{
    Clock as _, Runner as _,
    deterministic::{Context, Runner},
};
use freehold_consensus::{Floor, History, Start};
use freehold_crypto::{chain_namespace, genesis_hash, verify_certificate, verify_succession};
use freehold_primitives::{Body, NetworkKey, SuccessionRecord, Term, TermOutcome};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    common::Net,
    stage::{self, FOUR, Handles, TERM, in_force, runner, start_all},
};

const LIMIT: Duration = Duration::from_secs(200);

/// The first four of `count` identities, with terms; another network key is asked for in the given ones.
fn network(count: u16, seed: u64, asked: &[Term]) -> Net {
    let net = stage::network(count, seed, 40);
    net.shared.lock().unwrap().asked.extend(asked);
    net
}

fn history(handles: &Handles, index: usize) -> History {
    handles[index].as_ref().unwrap().history()
}

/// The record that the last payload of a term makes.
async fn record(history: &History, term: Term) -> SuccessionRecord {
    let last = (term + 1) * TERM - 1;
    let payload = history.payload(last).await.unwrap();
    let Body::Succession(network_key) = Body::read(&payload.body.0).unwrap() else { panic!("no key is named") };
    let certificate = history.certificate(last).await.unwrap();
    SuccessionRecord { payload_head: payload.head, network_key, certificate }
}

/// The terms whose last payload names a key, and the keys. No other payload names one.
fn named(net: &Net) -> Vec<(Term, NetworkKey)> {
    let mut named = Vec::new();
    for (height, last) in &net.seen[0].lock().unwrap().finals {
        if let Body::Succession(key) = Body::read(&last.payload.body.0).unwrap() {
            assert_eq!((height + 1) % TERM, 0, "a key is named at height {height}, in the middle of a term");
            named.push((height / TERM, key));
        }
    }
    named
}

/// Every certificate that anybody saw verifies under the key of its term and under no other.
fn check_certificates(net: &Net, keys: &[(Term, NetworkKey)]) {
    let namespace = chain_namespace(net.genesis.chain_id, &genesis_hash(&net.genesis));
    let mut terms = std::collections::BTreeSet::new();
    for seen in &net.seen {
        for certificate in seen.lock().unwrap().certificates.values() {
            let (_, right) = keys.iter().rev().find(|(from, _)| *from <= certificate.term).unwrap();
            for (_, key) in keys {
                assert_eq!(verify_certificate(key, &namespace, certificate).is_ok(), key == right);
            }
            terms.insert(certificate.term);
        }
    }
    assert!(keys.iter().all(|(from, _)| terms.contains(from)), "nothing was final in {keys:?}");
}

#[test]
fn the_network_key_is_succeeded_while_members_change() {
    let net = network(5, 1, &[1]);
    net.set_players(1, &[0, 1, 2, 4]);
    let first = freehold_consensus::network_key(&net.genesis).unwrap();
    let second = runner(1).start(async |context: Context| {
        let handles = start_all(&net, &context).await;
        net.reach(&context, &FOUR, TERM + 4, LIMIT).await;
        assert!(in_force(&handles, 0).successor.is_none(), "a key waits before its round is over");
        net.reach(&context, &[0, 1, 2, 4], 2 * TERM + 4, LIMIT).await;
        let waits = in_force(&handles, 4);
        assert_eq!(waits.consensus.public_key(), first, "the key of a term changed in the middle");
        let successor = waits.successor.unwrap();
        assert!(successor.share.is_some() && successor.committee.keys() == net.keys(&[0, 1, 2, 4]));
        let second = successor.committee.public_key();
        assert_ne!(second, first);
        // Long after it nothing but the key has changed: the keys are reshared as ever.
        net.reach(&context, &[0, 1, 2, 4], 5 * TERM + 4, LIMIT).await;
        for index in [0, 1, 2, 4] {
            let keys = in_force(&handles, index);
            assert_eq!((keys.consensus.public_key(), keys.since), (second, 5));
            assert_eq!(keys.derivation.public_key(), net.genesis.derivation_polynomial[0]);
            assert!(keys.consensus_share.is_some() && keys.successor.is_none());
        }
        let record = record(&history(&handles, 0), 2).await;
        let hash = genesis_hash(&net.genesis);
        let found = verify_succession(&first, (net.genesis.chain_id, &hash), &record).unwrap();
        assert_eq!((found.from_term, found.network_key), (3, second));
        second
    });
    net.check_order();
    assert_eq!(named(&net), [(2, second)]);
    check_certificates(&net, &[(0, first), (3, second)]);
    let turns = net.turns();
    assert_eq!(turns[&2].waiting.as_ref().map(|waiting| waiting.network_key), Some(second));
    assert!(turns.iter().all(|(term, turn)| *term == 2 || turn.waiting.is_none()));
    assert!(turns.values().all(|turn| turn.outcome == TermOutcome::Reshared));
}

#[test]
fn a_key_is_succeeded_twice_and_a_validator_begins_after_it_and_while_the_next_one_waits() {
    let net = network(6, 2, &[1, 3]);
    net.set_players(5, &[0, 1, 2, 5]);
    let first = freehold_consensus::network_key(&net.genesis).unwrap();
    runner(2).start(async |context: Context| {
        let mut handles: Handles = (0..6).map(|_| None).collect();
        for index in FOUR {
            handles[index] = Some(net.start(&context, index).await);
        }
        net.reach(&context, &FOUR, 3 * TERM + 4, LIMIT).await;
        let after_one = floor(&handles, 3, vec![record(&history(&handles, 0), 2).await]).await;
        net.reach(&context, &FOUR, 4 * TERM + 4, LIMIT).await;
        let waits = floor(&handles, 4, after_one.successions.clone()).await;
        assert!(after_one.waiting.is_none() && waits.waiting.is_some());
        for (index, floor) in [(4, after_one.clone()), (5, waits)] {
            let mut settings = net.validator(index);
            settings.start = Start::At(Box::new(floor));
            handles[index] = Some(net.start_with(&context, index, settings).await);
        }
        // Without the record, or with one of another chain of keys, it does not begin.
        let mut settings = net.validator(4);
        settings.partition = "other".to_owned();
        settings.start = Start::At(Box::new(Floor { successions: vec![], ..after_one.clone() }));
        assert!(settings.check().is_err());
        let mut forged = after_one;
        forged.successions[0].network_key = first;
        settings.start = Start::At(Box::new(forged));
        assert!(settings.check().is_err());
        net.reach(&context, &[0, 1, 2, 4, 5], 7 * TERM + 4, LIMIT).await;
        let keys = in_force(&handles, 5);
        assert!(keys.consensus_share.is_some(), "it has no share of the third key");
        assert!(keys.consensus == in_force(&handles, 4).consensus && keys.consensus == in_force(&handles, 0).consensus);
    });
    net.check_order();
    let [(2, second), (4, third)] = named(&net)[..] else { panic!("{:?}", named(&net)) };
    check_certificates(&net, &[(0, first), (3, second), (5, third)]);
}

/// Where a validator may begin in a term, as the ledger proves it.
async fn floor(handles: &Handles, term: Term, successions: Vec<SuccessionRecord>) -> Floor {
    let (keys, history) = (in_force(handles, 0), history(handles, 0));
    assert_eq!(keys.term, term);
    Floor {
        head: history.payload(term * TERM - 1).await.unwrap().head,
        certificate: history.certificate(term * TERM - 1).await.unwrap(),
        consensus: keys.consensus,
        derivation: keys.derivation,
        masters: keys.masters.into_iter().map(|held| (held.generation, held.committee)).collect(),
        waiting: keys.successor.map(|successor| successor.committee),
        successions,
    }
}

#[test]
fn a_proposer_names_no_key_but_the_one_that_waits() {
    let net = network(4, 3, &[1]);
    let first = freehold_consensus::network_key(&net.genesis).unwrap();
    // A key that nobody made, in every payload of one proposer: where none is asked for, and where another waits.
    *net.knobs[0].named.lock().unwrap() = Some(NetworkKey([0xa5; 96]));
    runner(3).start(async |context: Context| {
        let handles = start_all(&net, &context).await;
        net.reach(&context, &FOUR, 3 * TERM + 8, LIMIT).await;
        assert!(FOUR.iter().all(|index| in_force(&handles, *index).consensus.public_key() != first));
    });
    net.check_order();
    let finals = net.seen[1].lock().unwrap();
    assert!(finals.finals.values().all(|last| last.payload.head.height == 0 || last.payload.head.proposer != 0));
    drop(finals);
    let [(2, second)] = named(&net)[..] else { panic!("{:?}", named(&net)) };
    check_certificates(&net, &[(0, first), (3, second)]);
}

#[test]
fn an_absent_player_costs_terms_and_the_round_is_repeated() {
    let mut net = network(4, 4, &[1, 2, 3, 4]);
    let first = freehold_consensus::network_key(&net.genesis).unwrap();
    let net = runner(4).start(async move |context: Context| {
        let mut handles = start_all(&net, &context).await;
        net.reach(&context, &FOUR, 4, LIMIT).await;
        handles[3].take().unwrap().stop().await;
        net.reach(&context, &[0, 1, 2], 3 * TERM + 2, LIMIT).await;
        assert!(in_force(&handles, 0).successor.is_none(), "a key was made without one of its players");
        net.readdress(3);
        handles[3] = Some(net.start(&context, 3).await);
        net.reach(&context, &FOUR, 7 * TERM + 4, LIMIT).await;
        assert!(FOUR.iter().all(|index| in_force(&handles, *index).consensus_share.is_some()));
        net
    });
    net.check_order();
    let named = named(&net);
    assert!(named[0].0 >= 4 && net.turns()[&3].outcome == TermOutcome::Kept);
    let mut keys = vec![(0, first)];
    keys.extend(named.iter().map(|(term, key)| (term + 1, *key)));
    check_certificates(&net, &keys);
}

#[test]
fn power_cuts_at_any_moment_of_a_succession_lose_nothing() {
    for seed in 0..3 {
        let net = network(4, seed, &[1]);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut current = runner(seed);
        // Some cuts in each of the terms in which a key is made, waits, is named, and signs.
        for _ in 0..6 {
            let moment = Duration::from_millis(rng.random_range(700..2_500));
            let ((), checkpoint) = current.start_and_recover(async |context: Context| {
                let handles = start_all(&net, &context).await;
                context.sleep(moment).await;
                std::mem::forget(handles);
            });
            net.check_order();
            current = Runner::from(checkpoint);
        }
        current.start(async |context: Context| {
            let handles = start_all(&net, &context).await;
            let before = FOUR.iter().map(|index| net.height(*index)).max().unwrap();
            net.reach(&context, &FOUR, (before / TERM + 2).max(4) * TERM + 4, LIMIT).await;
            let keys: Vec<_> = FOUR.iter().map(|index| in_force(&handles, *index)).collect();
            assert!(keys.iter().all(|held| held.consensus == keys[0].consensus && held.consensus_share.is_some()));
        });
        net.check_order();
        let named = named(&net);
        let first = freehold_consensus::network_key(&net.genesis).unwrap();
        assert!(named.len() <= 1, "one key was asked for, and {} were made", named.len());
        let keys: Vec<_> = [(0, first)].into_iter().chain(named.iter().map(|(term, key)| (term + 1, *key))).collect();
        check_certificates(&net, &keys);
    }
}

#[test]
fn validators_that_die_in_the_middle_of_a_succession_keep_their_part() {
    let mut net = network(4, 6, &[1, 2]);
    let mut rng = StdRng::seed_from_u64(6);
    let first = freehold_consensus::network_key(&net.genesis).unwrap();
    let net = runner(6).start(async move |context: Context| {
        let mut handles = start_all(&net, &context).await;
        net.reach(&context, &FOUR, TERM, LIMIT).await;
        for _ in 0..8 {
            context.sleep(Duration::from_millis(rng.random_range(50..900))).await;
            let victim = rng.random_range(0..4);
            handles[victim].take().unwrap().stop().await;
            net.readdress(victim);
            handles[victim] = Some(net.start(&context, victim).await);
        }
        net.reach(&context, &FOUR, 5 * TERM + 4, LIMIT).await;
        let keys: Vec<_> = FOUR.iter().map(|index| in_force(&handles, *index)).collect();
        assert!(keys.iter().all(|held| held.consensus == keys[0].consensus && held.consensus_share.is_some()));
        assert_ne!(keys[0].consensus.public_key(), first, "no key was made");
        net
    });
    net.check_order();
}
