//! What is in force, on disk, in the turn, and after rounds that ended one way or another.
#![allow(clippy::unwrap_used)]

use rand::{SeedableRng as _, rngs::StdRng};

use super::*;
use crate::{
    ceremony::Report,
    dealer::{Dealt, trusted_dealer},
    keys::IdentityKey,
};

const PARENT: Digest = Digest([9; 32]);

fn dealt(seed: u64) -> (Vec<Ed25519Key>, Dealt) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut members: Vec<_> = (0..4).map(|_| IdentityKey::generate(&mut rng).public()).collect();
    members.sort_unstable();
    let dealt = trusted_dealer(&mut rng, &members).unwrap();
    (members, dealt)
}

fn keys(share: bool) -> TermKeys {
    let (members, dealt) = dealt(1);
    let disputes = vec![Dispute { dealer: members[0], player: members[1] }];
    TermKeys {
        term: 3,
        since: 2,
        parent: Digest([7; 32]),
        consensus: Committee::new(&members, &dealt.consensus_polynomial.0).unwrap(),
        derivation: Committee::from_coefficients(&members, &dealt.derivation_polynomial).unwrap(),
        consensus_share: share.then(|| dealt.consensus_shares[1].clone()),
        derivation_share: share.then(|| dealt.derivation_shares[1].clone()),
        masters: vec![held(1, share), held(3, share)],
        successor: Some(successor(share)),
        network_keys: vec![(0, NetworkKey([3; 96])), (2, dealt.network_key)],
        ending: Some(Ending { outcome: TermOutcome::Kept, silent: vec![members[3]], disputes }),
    }
}

/// A network key that waits, with the same members.
fn successor(share: bool) -> Successor {
    let mut rng = StdRng::seed_from_u64(3);
    let (members, _) = dealt(1);
    let dealt = trusted_dealer(&mut rng, &members).unwrap();
    Successor {
        committee: Committee::new(&members, &dealt.consensus_polynomial.0).unwrap(),
        share: share.then(|| dealt.consensus_shares[1].clone()),
    }
}

/// A master beside the genesis' one, with the same members.
fn held(generation: u8, share: bool) -> HeldMaster {
    let mut rng = StdRng::seed_from_u64(100 + u64::from(generation));
    let (members, _) = dealt(1);
    let dealt = trusted_dealer(&mut rng, &members).unwrap();
    let scalar = dealt.derivation_shares[1].to_bytes();
    let kind = ShareKind::Master(generation);
    let bytes = [&[1, kind.tag()], &scalar[2..]].concat();
    HeldMaster {
        generation: generation.into(),
        committee: Committee::from_coefficients(&members, &dealt.derivation_polynomial).unwrap(),
        share: share.then(|| KeyShare::from_bytes(kind, &bytes).unwrap()),
    }
}

/// Without a key that waits, and with no other master.
fn plain(share: bool) -> TermKeys {
    TermKeys { successor: None, masters: vec![], ..keys(share) }
}

/// With two masters beside the genesis' one.
fn mastered() -> TermKeys {
    TermKeys { successor: None, ..keys(true) }
}

#[test]
fn round_trip() {
    for share in [true, false] {
        let before = keys(share);
        let after = TermKeys::from_bytes(&before.to_bytes()).unwrap();
        assert_eq!((after.term, after.since, after.parent), (3, 2, before.parent));
        assert!(after.consensus == before.consensus && after.derivation == before.derivation);
        assert_eq!(after.turn(), before.turn());
        assert_eq!(after.network_keys, before.network_keys);
        let scalars = |keys: &TermKeys| {
            let waiting = keys.successor.as_ref().and_then(|successor| successor.share.clone());
            let masters = keys.masters.iter().map(|held| &held.share);
            let shares = [&keys.consensus_share, &keys.derivation_share, &waiting];
            let all = shares.into_iter().chain(masters);
            all.map(|share| share.as_ref().map(|share| (share.kind(), share.index(), *share.scalar())))
                .collect::<Vec<_>>()
        };
        assert_eq!(scalars(&after), scalars(&before));
        assert_eq!(after.to_bytes(), before.to_bytes());
    }
}

#[test]
fn the_first_term_has_no_turn() {
    let first = TermKeys { ending: None, ..plain(true) };
    assert_eq!(first.turn(), None);
    assert_eq!(TermKeys::from_bytes(&first.to_bytes()).unwrap().turn(), None);
}

#[test]
fn turn_says_what_is_in_force_and_how_the_round_ended() {
    let keys = keys(true);
    let turn = keys.turn().unwrap();
    assert_eq!((turn.term, turn.outcome), (3, TermOutcome::Kept));
    assert_eq!(turn.members, keys.consensus.keys());
    assert_eq!(turn.silent, turn.members[3..]);
    assert_eq!(turn.disputes, [Dispute { dealer: turn.members[0], player: turn.members[1] }]);
    assert!(Committee::new(&turn.members, &turn.consensus_polynomial.0).unwrap() == keys.consensus);
    assert!(Committee::from_coefficients(&turn.members, &turn.derivation_polynomial).unwrap() == keys.derivation);
}

#[test]
fn damaged_bytes_refused() {
    let bytes = keys(true).to_bytes();
    for length in 0..bytes.len() {
        assert!(TermKeys::from_bytes(&bytes[..length]).is_err(), "cut at {length}");
    }
    assert!(TermKeys::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
}

fn success(kind: ShareKind, share: Option<&KeyShare>) -> Outcome {
    let (members, dealt) = dealt(2);
    let committee = match kind {
        ShareKind::Consensus | ShareKind::Successor => Committee::new(&members, &dealt.consensus_polynomial.0).unwrap(),
        ShareKind::Derivation | ShareKind::Master(_) => {
            Committee::from_coefficients(&members, &dealt.derivation_polynomial).unwrap()
        }
    };
    Outcome::Success { committee, share: share.cloned() }
}

fn failure(silent: &[u8], disputes: &[(u8, u8)]) -> Outcome {
    let key = |byte: u8| Ed25519Key([byte; 32]);
    Outcome::Failure(Report {
        silent: silent.iter().copied().map(key).collect(),
        disputes: disputes.iter().map(|(dealer, player)| (key(*dealer), key(*player))).collect(),
    })
}

/// How rounds ended, without one for another network key.
fn ended([consensus, derivation]: [Outcome; 2]) -> Outcomes {
    Outcomes { consensus, derivation, masters: vec![], successor: None }
}

/// Both keys are reshared.
fn reshared() -> [Outcome; 2] {
    let (_, dealt) = dealt(2);
    [
        success(ShareKind::Consensus, Some(&dealt.consensus_shares[1])),
        success(ShareKind::Derivation, Some(&dealt.derivation_shares[1])),
    ]
}

#[test]
fn both_keys_change_hands_together() {
    let (members, _) = dealt(2);
    let after = plain(true).after(PARENT, ended(reshared()));
    assert_eq!((after.term, after.since, after.parent), (4, 4, PARENT));
    assert_eq!(after.consensus.keys(), members);
    assert!(after.consensus_share.is_some() && after.derivation_share.is_some());
    let turn = after.turn().unwrap();
    assert_eq!((turn.outcome, turn.silent.len(), turn.disputes.len()), (TermOutcome::Reshared, 0, 0));
}

#[test]
fn one_failed_round_keeps_both_keys() {
    for consensus_fails in [true, false] {
        let outcomes = if consensus_fails {
            [failure(&[3], &[(1, 2)]), success(ShareKind::Derivation, None)]
        } else {
            [success(ShareKind::Consensus, None), failure(&[3], &[(1, 2)])]
        };
        let after = plain(true).after(PARENT, ended(outcomes));
        assert_eq!((after.term, after.since, after.parent), (4, 2, PARENT));
        assert!(after.consensus == keys(true).consensus && after.derivation == keys(true).derivation);
        assert!(after.consensus_share.is_some() && after.derivation_share.is_some(), "the old shares are lost");
        assert_eq!(after.turn().unwrap().outcome, TermOutcome::Kept);
        assert_eq!(after.turn().unwrap().silent, [Ed25519Key([3; 32])]);
    }
}

#[test]
fn reports_of_both_rounds_are_united_and_sorted() {
    let outcomes = [failure(&[4, 2], &[(3, 1), (1, 2)]), failure(&[2, 1], &[(1, 2), (1, 3)])];
    let turn = plain(true).after(PARENT, ended(outcomes)).turn().unwrap();
    assert_eq!(turn.silent, [1, 2, 4].map(|byte| Ed25519Key([byte; 32])));
    let disputes: Vec<_> = turn.disputes.iter().map(|dispute| (dispute.dealer.0[0], dispute.player.0[0])).collect();
    assert_eq!(disputes, [(1, 2), (1, 3), (3, 1)]);
}

#[test]
fn a_network_key_that_was_made_waits_one_term_and_is_then_in_force() {
    let (_, dealt) = dealt(2);
    let made = || Some(success(ShareKind::Successor, Some(&dealt.consensus_shares[1])));
    let before = plain(true);
    let waits = before.after(PARENT, Outcomes { successor: made(), ..ended(reshared()) });
    let key = waits.successor.as_ref().unwrap().committee.public_key();
    assert_eq!(waits.turn().unwrap().waiting.unwrap().network_key, key);
    assert_eq!(waits.successor.as_ref().unwrap().share.as_ref().unwrap().kind(), ShareKind::Consensus);
    let keys_at = |keys: &TermKeys| [1, 3, 4, 5, 6].map(|term| keys.network_key(term));
    let (first, old) = (before.network_keys[0].1, before.network_keys[1].1);
    assert_eq!(keys_at(&waits), [Some(first), Some(old), Some(old), Some(key), None]);
    // The shares of the key that waits are what is reshared, and what is in force where that failed.
    assert!(waits.next_consensus().0 == &waits.successor.as_ref().unwrap().committee);
    let kept = waits.after(PARENT, ended([failure(&[3], &[]), success(ShareKind::Derivation, None)]));
    assert!(kept.consensus == waits.successor.as_ref().unwrap().committee && kept.successor.is_none());
    assert_eq!(kept.consensus_share.as_ref().unwrap().scalar(), dealt.consensus_shares[1].scalar());
    assert_eq!(keys_at(&kept), [Some(first), Some(old), Some(old), Some(key), Some(key)]);
    assert_eq!(kept.turn().unwrap().waiting, None);
}

#[test]
fn a_network_key_is_not_made_where_its_round_or_a_resharing_failed() {
    let made = || Some(success(ShareKind::Successor, None));
    let (failed, kept) = (Some(failure(&[4], &[(1, 2)])), [failure(&[3], &[]), success(ShareKind::Derivation, None)]);
    let without = plain(true).after(PARENT, Outcomes { successor: failed, ..ended(reshared()) });
    let turn = without.turn().unwrap();
    // Whoever blocks this round alone is named all the same.
    assert_eq!((turn.outcome, &turn.silent[..]), (TermOutcome::Reshared, &[Ed25519Key([4; 32])][..]));
    assert_eq!((turn.disputes.len(), turn.waiting), (1, None));
    let without = plain(true).after(PARENT, Outcomes { successor: made(), ..ended(kept) });
    assert!(without.successor.is_none());
    assert_eq!(without.network_keys, plain(true).network_keys);
}

/// The resharing of masters, each of which succeeds where it says so.
fn masters(rounds: &[(u8, bool)]) -> Vec<(Generation, Outcome)> {
    let outcome = |(generation, succeeds): &(u8, bool)| {
        let kind = ShareKind::Master(*generation);
        let outcome = if *succeeds { success(kind, None) } else { failure(&[*generation], &[]) };
        (Generation::from(*generation), outcome)
    };
    rounds.iter().map(outcome).collect()
}

fn generations(keys: &TermKeys) -> Vec<Generation> {
    keys.masters.iter().map(|held| held.generation).collect()
}

#[test]
fn a_master_that_was_made_is_in_force_and_one_that_is_not_reshared_is_gone() {
    let made = mastered().after(PARENT, Outcomes { masters: masters(&[(3, true), (4, true)]), ..ended(reshared()) });
    assert_eq!((generations(&made), made.since), (vec![3, 4], 4));
    let turn = made.turn().unwrap();
    assert_eq!(turn.masters.iter().map(|master| master.generation).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(turn.masters[1].polynomial, made.masters[1].committee.coefficients());
    assert_eq!(TermKeys::from_bytes(&made.to_bytes()).unwrap().turn(), Some(turn));
    // The shares of what is gone stand in nothing that is kept.
    let gone = *held(1, true).share.unwrap().scalar();
    assert!(!made.to_bytes().windows(32).any(|bytes| bytes == gone));
}

#[test]
fn a_master_is_not_made_where_its_round_or_a_resharing_failed() {
    let without = mastered()
        .after(PARENT, Outcomes { masters: masters(&[(1, true), (3, true), (4, false)]), ..ended(reshared()) });
    let turn = without.turn().unwrap();
    assert_eq!((generations(&without), turn.outcome), (vec![1, 3], TermOutcome::Reshared));
    // Whoever blocks this round alone is named all the same.
    assert_eq!(turn.silent, [Ed25519Key([4; 32])]);
    // One master that could not be reshared keeps all keys where they are, and the new one is gone.
    let kept = mastered().after(PARENT, Outcomes { masters: masters(&[(3, false), (4, true)]), ..ended(reshared()) });
    assert_eq!((generations(&kept), kept.since), (vec![3], 2));
    assert_eq!(kept.turn().unwrap().outcome, TermOutcome::Kept);
    assert!(kept.consensus == keys(true).consensus && kept.masters[0].share.is_some(), "the old shares are lost");
    assert!(kept.master(1).is_none(), "a master that has ended outlives a failed round");
}
