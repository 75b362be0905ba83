//! Two signed payloads of one round are noticed, and nothing else is.
#![allow(clippy::unwrap_used)]

use freehold_primitives::{Digest, G1Point, Membership, Payload};
use rand::{SeedableRng as _, rngs::StdRng};

use super::*;
use crate::{ceremony::Committee, check::Scheme, dealer::trusted_dealer, keys::IdentityKey, terms::TermKeys};

/// Four members of term 0, and a witness who knows them.
fn four() -> (Vec<IdentityKey>, Witness) {
    let mut rng = StdRng::seed_from_u64(1);
    let mut members: Vec<_> = (0..4).map(|_| IdentityKey::generate(&mut rng)).collect();
    members.sort_by_key(IdentityKey::public);
    let keys: Vec<_> = members.iter().map(IdentityKey::public).collect();
    let dealt = trusted_dealer(&mut rng, &keys).unwrap();
    let committee = Committee::new(&keys, &dealt.consensus_polynomial.0).unwrap();
    let first = TermKeys::first(committee.clone(), committee.clone(), Digest::ZERO);
    let terms = Terms::new(b"chain".to_vec(), tokio::sync::watch::channel(first).1);
    let (set, polynomial) = committee.parts();
    terms.insert(0, Scheme::verifier(b"chain", set, polynomial));
    (members, Witness::new(terms))
}

/// A payload of view `view` at `time`, which names member `proposer` and is signed by `signer`.
fn block(view: u64, time: u64, proposer: u32, signer: &IdentityKey) -> Block {
    let genesis = freehold_primitives::Genesis {
        chain_id: 7,
        purpose: freehold_primitives::Purpose::Development,
        timestamp_ms: time,
        epoch_s: 600,
        lease_s: 600,
        validators: vec![],
        consensus_polynomial: freehold_primitives::Blob(vec![]),
        derivation_polynomial: vec![],
        key_ceremony: freehold_primitives::KeyCeremony::TrustedDealer,
        trust_roots: vec![],
        allocations: vec![],
        membership: Membership::default(),
    };
    let mut payload: Payload = crate::block::genesis_payload(&genesis);
    (payload.head.height, payload.head.view, payload.head.proposer) = (1, view, proposer);
    (payload.head.parent, payload.head.parent_seed) = (Digest([1; 32]), Some(G1Point([1; 48])));
    payload.signature = signer.sign_proposal(&payload_digest(&payload.head));
    Block::new(payload).unwrap()
}

#[test]
fn two_payloads_of_one_round_are_noticed_once() {
    let (members, witness) = four();
    let (one, other) = (block(5, 1, 2, &members[2]), block(5, 2, 2, &members[2]));
    assert_eq!(witness.judged(&one), None);
    assert_eq!(witness.ended(&one), None, "the same is no other");
    let found = witness.ended(&other).unwrap();
    assert_eq!((&found.one.head, &found.other.head), (one.head(), other.head()));
    for signed in [&found.one, &found.other] {
        let digest = payload_digest(&signed.head);
        assert_eq!(check_signature(&members[2].public(), &digest, &signed.signature), Ok(()));
    }
    assert_eq!(witness.ended(&other), None);
    assert_eq!(witness.judged(&other), None);
}

#[test]
fn other_rounds_and_foreign_signatures_prove_nothing() {
    let (members, witness) = four();
    assert_eq!(witness.judged(&block(5, 1, 2, &members[2])), None);
    assert_eq!(witness.judged(&block(6, 2, 2, &members[2])), None, "another round");
    assert_eq!(witness.judged(&block(5, 2, 2, &members[1])), None, "signed by another");
    assert_eq!(witness.judged(&block(5, 2, 1, &members[1])), None, "another proposer");
    assert_eq!(witness.judged(&block(5, 2, 9, &members[1])), None, "a proposer of no place");
    assert_eq!(witness.ended(&block(7, 2, 2, &members[2])), None, "a round in which nothing was judged");
    // What is not signed is not remembered either.
    assert_eq!(witness.judged(&block(8, 1, 2, &members[1])), None);
    assert_eq!(witness.judged(&block(8, 2, 2, &members[2])), None);
    assert!(witness.judged(&block(8, 3, 2, &members[2])).is_some());
}

#[test]
fn memory_is_bounded() {
    let (members, witness) = four();
    for view in 0..ROUNDS_MAX as u64 + 10 {
        assert_eq!(witness.judged(&block(view, 1, 2, &members[2])), None);
    }
    assert_eq!(witness.seen.lock().unwrap().len(), ROUNDS_MAX);
    assert_eq!(witness.ended(&block(3, 2, 2, &members[2])), None);
}
