//! Members that come and go on a running chain, on the deterministic runtime: joins, replacements, absentees, lost disks,
//! liars, and validators that begin in the middle of a chain.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, time::Duration};

use commonware_runtime::{Runner as _, deterministic::Context};
use freehold_consensus::{Floor, Start};
use freehold_crypto::{chain_namespace, genesis_hash, verify_certificate};
use freehold_primitives::{Dispute, Term, TermOutcome};

use crate::{
    common::Net,
    stage::{self, FOUR, Handles, TERM, in_force, runner, start},
};

const LIMIT: Duration = Duration::from_secs(200);

fn signs(handles: &Handles, index: usize) -> bool {
    let keys = in_force(handles, index);
    assert_eq!(keys.consensus_share.is_some(), keys.derivation_share.is_some(), "one share of two");
    keys.consensus_share.is_some()
}

/// Who proposed the payloads of a term, as far as they are final.
fn proposers(net: &Net, term: Term) -> BTreeSet<usize> {
    let members = match term {
        0 => net.genesis.validators.clone(),
        term => net.turns()[&term].members.clone(),
    };
    let place = |proposer: u32| {
        let key = members[proposer as usize];
        net.identities.iter().position(|identity| identity.public() == key).unwrap()
    };
    let finals: Vec<_> = net.seen.iter().map(|seen| seen.lock().unwrap()).collect();
    let heads = finals.iter().flat_map(|seen| seen.finals.values().map(|last| &last.payload.head));
    heads.filter(|head| head.term == term).map(|head| place(head.proposer)).collect()
}

/// The network's keys are the genesis', and certificates of all terms verify under them.
fn check_keys(net: &Net, handles: &Handles) {
    let network_key = freehold_consensus::network_key(&net.genesis).unwrap();
    let namespace = chain_namespace(net.genesis.chain_id, &genesis_hash(&net.genesis));
    for handle in handles.iter().flatten() {
        let keys = handle.term_keys().borrow().clone();
        assert_eq!(keys.consensus.public_key(), network_key);
        assert_eq!(keys.derivation.public_key(), net.genesis.derivation_polynomial[0]);
    }
    for seen in &net.seen {
        for certificate in seen.lock().unwrap().certificates.values() {
            verify_certificate(&network_key, &namespace, certificate).unwrap();
        }
    }
    net.check_order();
}

#[test]
fn a_joiner_takes_the_seat_of_a_leaver() {
    let net = stage::network(5, 1, 40);
    net.set_players(1, &[0, 1, 2, 4]);
    let all = net.peers.borrow().clone();
    // The candidate may not connect yet.
    net.peers.send_modify(|peers| peers.truncate(4));
    runner(1).start(async |context: Context| {
        let mut handles = start(&net, &context, &[0, 1, 2, 3, 4]).await;
        net.reach(&context, &FOUR, TERM / 2, LIMIT).await;
        assert_eq!(net.height(4), 0, "it follows although nobody lets it connect");
        net.peers.send_replace(all.clone());
        net.reach(&context, &[0, 1, 2, 3, 4], TERM + 4, LIMIT).await;
        assert!(signs(&handles, 3) && !signs(&handles, 4));
        net.reach(&context, &[0, 1, 2, 3, 4], 2 * TERM + 4, LIMIT).await;
        assert!(signs(&handles, 4) && !signs(&handles, 3), "the seat did not change hands");
        assert_eq!(in_force(&handles, 0).consensus.keys(), net.keys(&[0, 1, 2, 4]));
        // Without the leaver the network has all its members.
        handles[3].take().unwrap().stop().await;
        net.peers.send_modify(|peers| peers.retain(|(key, _)| *key != net.identities[3].public()));
        net.reach(&context, &[0, 1, 2, 4], 3 * TERM + 4, LIMIT).await;
        check_keys(&net, &handles);
    });
    assert_eq!(net.turns()[&2].outcome, TermOutcome::Reshared);
    assert!(proposers(&net, 2).contains(&4) && !proposers(&net, 2).contains(&3));
    assert!(proposers(&net, 1).contains(&3));
}

#[test]
fn a_committee_grows_to_seven() {
    let mut net = stage::network(7, 2, 40);
    net.genesis.membership.term_blocks = 2 * TERM;
    let seven = [0, 1, 2, 3, 4, 5, 6];
    net.set_players(1, &seven);
    runner(2).start(async |context: Context| {
        let handles = start(&net, &context, &seven).await;
        net.reach(&context, &seven, 4 * TERM + 8, LIMIT).await;
        assert!(seven.iter().all(|index| signs(&handles, *index)));
        assert_eq!(in_force(&handles, 0).consensus.coefficients().len(), 5, "five of seven make the key");
        check_keys(&net, &handles);
    });
    assert_eq!(net.turns()[&2].members, net.keys(&seven));
}

#[test]
fn all_members_change_in_four_steps_and_the_network_key_stays() {
    let net = stage::network(8, 3, 40);
    for term in 1..=4 {
        let first = usize::try_from(term).unwrap();
        net.set_players(term, &[first, first + 1, first + 2, first + 3]);
    }
    runner(3).start(async |context: Context| {
        let mut handles = start(&net, &context, &[0, 1, 2, 3, 4]).await;
        for term in 1..=5 {
            let first = usize::try_from(term).unwrap() - 1;
            let members: Vec<_> = (first..first + 4).collect();
            net.reach(&context, &members, term * TERM + 4, LIMIT).await;
            assert_eq!(in_force(&handles, first).consensus.keys(), net.keys(&members), "term {term}");
            assert!(members.iter().all(|index| signs(&handles, *index)), "term {term}");
            // The next candidate starts with nothing, and the one that left goes.
            if first > 0 {
                handles[first - 1].take().unwrap().stop().await;
            }
            if first + 4 < 8 && handles[first + 4].is_none() {
                handles[first + 4] = Some(net.start(&context, first + 4).await);
            }
        }
        net.reach(&context, &[4, 5, 6, 7], 5 * TERM + 12, LIMIT).await;
        check_keys(&net, &handles);
    });
    assert!(net.turns().values().all(|turn| turn.outcome == TermOutcome::Reshared));
    assert!(proposers(&net, 5).iter().all(|index| *index >= 4));
}

#[test]
fn a_wiped_validator_follows_and_signs_after_the_next_resharing() {
    let mut net = stage::network(4, 4, 40);
    let net = runner(4).start(async move |context: Context| {
        let mut handles = start(&net, &context, &FOUR).await;
        net.reach(&context, &FOUR, TERM + 8, LIMIT).await;
        handles[3].take().unwrap().stop().await;
        net.readdress(3);
        // Nothing is left of it but its identity.
        let mut settings = net.validator(3);
        (settings.partition, settings.shares) = ("wiped".to_owned(), None);
        let before = net.height(3);
        handles[3] = Some(net.start_with(&context, 3, settings).await);
        net.reach(&context, &FOUR, 2 * TERM + 2, LIMIT).await;
        assert!(!signs(&handles, 3), "it signs in the term after the one in which it lost its shares");
        net.reach(&context, &FOUR, 4 * TERM + 2, LIMIT).await;
        assert!(signs(&handles, 3), "two terms, and it has no shares");
        net.reach(&context, &FOUR, 5 * TERM, LIMIT).await;
        for (height, last) in &net.seen[0].lock().unwrap().finals {
            let own = last.payload.head.proposer == 3;
            assert!(!own || *height <= before + 1 || *height >= 3 * TERM, "it proposed at {height} without shares");
        }
        check_keys(&net, &handles);
        net
    });
    assert!(proposers(&net, 4).contains(&3));
    net.check_signed_once();
}

#[test]
fn a_silent_player_is_named_and_costs_a_term() {
    let net = stage::network(5, 5, 40);
    net.set_players(1, &[0, 1, 2, 4]);
    runner(5).start(async |context: Context| {
        let handles = start(&net, &context, &FOUR).await;
        net.reach(&context, &FOUR, 2 * TERM + 4, LIMIT).await;
        let kept = in_force(&handles, 0);
        assert_eq!((kept.term, kept.since), (2, 1), "the old shares stay in force");
        net.reach(&context, &FOUR, 3 * TERM + 4, LIMIT).await;
        assert_eq!(in_force(&handles, 0).since, 3, "the next term tries again");
        assert!(FOUR.iter().all(|index| signs(&handles, *index)));
        check_keys(&net, &handles);
    });
    let turns = net.turns();
    let player = net.identities[4].public();
    let accused = net.keys(&FOUR).into_iter().map(|dealer| Dispute { dealer, player });
    assert_eq!((turns[&2].outcome, turns[&2].silent.len()), (TermOutcome::Kept, 0));
    assert_eq!(turns[&2].disputes, accused.collect::<Vec<_>>());
    assert_eq!(turns[&2].members, turns[&1].members);
    assert_eq!(turns[&2].consensus_polynomial, turns[&1].consensus_polynomial);
    assert_eq!(turns[&3].outcome, TermOutcome::Reshared);
    assert!(turns[&3].disputes.is_empty());
}

#[test]
fn a_validator_that_was_away_for_two_terms_comes_back() {
    let mut net = stage::network(4, 6, 40);
    let net = runner(6).start(async move |context: Context| {
        let mut handles = start(&net, &context, &FOUR).await;
        net.reach(&context, &FOUR, TERM + 4, LIMIT).await;
        handles[3].take().unwrap().stop().await;
        net.reach(&context, &[0, 1, 2], 4 * TERM + 2, LIMIT).await;
        net.readdress(3);
        handles[3] = Some(net.start(&context, 3).await);
        net.reach(&context, &FOUR, 6 * TERM + 4, LIMIT).await;
        assert!(signs(&handles, 3));
        check_keys(&net, &handles);
        net
    });
    let turns = net.turns();
    assert_eq!((turns[&1].outcome, turns[&3].outcome), (TermOutcome::Reshared, TermOutcome::Kept));
    assert_eq!(turns[&3].silent, net.keys(&[3]));
    assert_eq!(turns[&6].outcome, TermOutcome::Reshared);
    net.check_signed_once();
}

#[test]
fn a_dealer_with_two_stories_neither_learns_nor_stops_anything() {
    let net = stage::network(4, 7, 40);
    runner(7).start(async |context: Context| {
        // Two processes with one identity and one share, each with its own storage and so with its own dealings.
        let mut handles = start(&net, &context, &FOUR).await;
        let mut settings = net.validator(3);
        settings.partition = "twin".to_owned();
        settings.listen.set_port(20_900);
        let twin = net.start_with(&context, 3, settings).await;
        net.reach(&context, &[0, 1, 2], 2 * TERM + 4, LIMIT).await;
        let [first, second] = [0, 1].map(|index| in_force(&handles, index));
        assert!(first.consensus == second.consensus && first.derivation == second.derivation);
        twin.stop().await;
        net.reach(&context, &[0, 1, 2], 4 * TERM + 4, LIMIT).await;
        handles[3] = None;
        check_keys(&net, &handles);
    });
    assert!(net.turns().values().any(|turn| turn.outcome == TermOutcome::Reshared));
}

#[test]
fn a_validator_begins_in_the_middle_of_a_chain() {
    let net = stage::network(5, 8, 40);
    net.set_players(3, &[0, 1, 2, 4]);
    runner(8).start(async |context: Context| {
        let mut handles = start(&net, &context, &FOUR).await;
        net.reach(&context, &FOUR, 2 * TERM + 4, LIMIT).await;
        let (last, keys) = (2 * TERM - 1, in_force(&handles, 0));
        let history = handles[0].as_ref().unwrap().history();
        let floor = Floor {
            head: history.payload(last).await.unwrap().head,
            certificate: history.certificate(last).await.unwrap(),
            consensus: keys.consensus,
            derivation: keys.derivation,
            waiting: None,
            masters: vec![],
            successions: vec![],
        };
        let mut settings = net.validator(4);
        settings.start = Start::At(Box::new(floor));
        handles[4] = Some(net.start_with(&context, 4, settings).await);
        net.reach(&context, &[0, 1, 2, 3, 4], 4 * TERM + 4, LIMIT).await;
        assert_eq!(net.seen[4].lock().unwrap().finals.keys().next(), Some(&last));
        assert!(signs(&handles, 4) && !signs(&handles, 3));
        check_keys(&net, &handles);
    });
}

#[test]
fn a_follower_begins_in_the_middle_of_a_chain_without_terms() {
    let mut net = stage::network(5, 9, 40);
    net.genesis.membership.term_blocks = 0;
    net.peers.send_modify(|peers| peers.truncate(4));
    runner(9).start(async |context: Context| {
        let mut handles = start(&net, &context, &FOUR[..3]).await;
        net.reach(&context, &[0, 1, 2], 20, LIMIT).await;
        let keys = in_force(&handles, 0);
        let history = handles[0].as_ref().unwrap().history();
        let mut settings = net.validator(3);
        // Its disk was lost, and it has the state of block 17 from elsewhere.
        settings.shares = None;
        settings.start = Start::At(Box::new(Floor {
            head: history.payload(17).await.unwrap().head,
            certificate: history.certificate(17).await.unwrap(),
            consensus: keys.consensus,
            derivation: keys.derivation,
            waiting: None,
            masters: vec![],
            successions: vec![],
        }));
        handles[3] = Some(net.start_with(&context, 3, settings).await);
        net.reach(&context, &FOUR, 40, LIMIT).await;
        assert_eq!(net.seen[3].lock().unwrap().finals.keys().next(), Some(&17));
        assert!(!signs(&handles, 3));
        check_keys(&net, &handles);
    });
    assert!(!proposers(&net, 0).contains(&3));
}
