//! One case per fault of a payload, and the seed rule against a real dealing.
#![allow(clippy::unwrap_used)]

use commonware_consensus::types::{Epoch, Round, View};
use commonware_cryptography::{certificate::Scheme as _, sha256};
use freehold_primitives::{Blob, Canonical as _, Ed25519Key, Executed, PayloadBody};
use rand::{SeedableRng as _, rngs::StdRng};

use super::*;
use crate::{
    application::ProposalContext,
    ceremony::Committee,
    dealer::trusted_dealer,
    keys::{IdentityKey, KeyShare},
};

const CHAIN: u64 = 7;

fn parent() -> PayloadHead {
    PayloadHead {
        chain_id: CHAIN,
        height: 40,
        term: 0,
        view: 50,
        parent: Digest([1; 32]),
        timestamp_ms: 1_000,
        proposer: 2,
        executed: Executed { height: 38, block_hash: Digest([38; 32]) },
        parent_seed: Some(G1Point([5; 48])),
        body: body_digest(&PayloadBody::default().to_canonical()),
    }
}

fn position(parent: &PayloadHead) -> Position {
    Position { term: 0, view: 52, proposer: 1, parent: freehold_crypto::payload_digest(parent) }
}

fn payload(parent: &PayloadHead, transactions: usize) -> Payload {
    let at = position(parent);
    let seed = (parent.height > 0).then_some(G1Point([6; 48]));
    let context = ProposalContext::new(CHAIN, &at, parent.clone(), seed);
    let body = PayloadBody { transactions: vec![Blob(vec![3; 9]); transactions], ..PayloadBody::default() };
    let executed = Executed { height: parent.executed.height + 1, block_hash: Digest([39; 32]) };
    context.payload(1_500, if parent.height > 0 { executed } else { parent.executed }, &body)
}

/// Checks a good payload of height 41 after `change`.
fn check(expect: Result<(), Fault>, change: impl FnOnce(&mut Payload)) {
    let parent = parent();
    let mut payload = payload(&parent, 2);
    change(&mut payload);
    assert_eq!(check_payload(CHAIN, &position(&parent), &parent, &payload), expect);
}

fn set_body(payload: &mut Payload, body: Vec<u8>) {
    payload.head.body = body_digest(&body);
    payload.body = Blob(body);
}

#[test]
fn right_payload() {
    check(Ok(()), |_| {});
}

#[test]
fn same_time_as_parent() {
    check(Ok(()), |payload| payload.head.timestamp_ms = 1_000);
}

#[test]
fn same_executed_as_parent() {
    check(Ok(()), |payload| payload.head.executed = parent().executed);
}

#[test]
fn other_chain() {
    check(Err(Fault::Chain { expected: 7, found: 8 }), |payload| payload.head.chain_id = 8);
}

#[test]
fn other_term() {
    check(Err(Fault::Term), |payload| payload.head.term = 1);
}

#[test]
fn other_view() {
    check(Err(Fault::View), |payload| payload.head.view = 51);
}

#[test]
fn other_proposer() {
    check(Err(Fault::Proposer), |payload| payload.head.proposer = 0);
}

#[test]
fn other_parent() {
    check(Err(Fault::Parent), |payload| payload.head.parent = Digest([9; 32]));
}

#[test]
fn height_of_parent() {
    check(Err(Fault::Height), |payload| payload.head.height = 40);
}

#[test]
fn height_skipped() {
    check(Err(Fault::Height), |payload| payload.head.height = 42);
}

#[test]
fn time_goes_back() {
    check(Err(Fault::Timestamp), |payload| payload.head.timestamp_ms = 999);
}

#[test]
fn other_body() {
    check(Err(Fault::Body), |payload| payload.body.0.push(0));
}

#[test]
fn body_too_long() {
    check(Err(Fault::BodySize), |payload| set_body(payload, vec![0; PAYLOAD_BYTES_MAX + 1]));
}

#[test]
fn body_at_the_bound() {
    check(Ok(()), |payload| set_body(payload, vec![0; PAYLOAD_BYTES_MAX]));
}

#[test]
fn executed_goes_back() {
    check(Err(Fault::ExecutedBack), |payload| payload.head.executed.height = 37);
}

#[test]
fn executed_is_another_block() {
    check(Err(Fault::ExecutedBack), |payload| {
        payload.head.executed = Executed { height: 38, block_hash: Digest([0; 32]) };
    });
}

#[test]
fn executed_is_the_payload_itself() {
    check(Err(Fault::ExecutedAhead), |payload| payload.head.executed.height = 41);
}

#[test]
fn executed_is_the_parent() {
    check(Ok(()), |payload| payload.head.executed.height = 40);
}

#[test]
fn no_seed() {
    check(Err(Fault::SeedPresence), |payload| payload.head.parent_seed = None);
}

#[test]
fn executed_lag_is_the_applications() {
    let mut parent = parent();
    parent.executed.height = 10;
    let at = position(&parent);
    let mut payload = payload(&parent, 2);
    payload.head.executed = parent.executed;
    assert_eq!(check_payload(CHAIN, &at, &parent, &payload), Ok(()));
    let context = ProposalContext::new(CHAIN, &at, parent, payload.head.parent_seed);
    let executed = |height| Executed { height, block_hash: Digest::ZERO };
    assert!(context.lags(&executed(24)) && !context.lags(&executed(25)), "16 heights are the most");
}

#[test]
fn signature_of_the_leader() {
    let mut rng = StdRng::seed_from_u64(4);
    let (leader, other) = (IdentityKey::generate(&mut rng), IdentityKey::generate(&mut rng));
    let digest = Digest([7; 32]);
    let signature = leader.sign_proposal(&digest);
    assert_eq!(check_signature(&leader.public(), &digest, &signature), Ok(()));
    assert_eq!(check_signature(&other.public(), &digest, &signature), Err(Fault::Signature));
    assert_eq!(check_signature(&leader.public(), &Digest([8; 32]), &signature), Err(Fault::Signature));
    assert_eq!(check_signature(&leader.public(), &digest, &Ed25519Signature::ZERO), Err(Fault::Signature));
    for byte in 0..Ed25519Signature::SIZE {
        let mut changed = signature;
        changed.0[byte] ^= 1;
        assert_eq!(check_signature(&leader.public(), &digest, &changed), Err(Fault::Signature), "byte {byte}");
    }
}

#[test]
fn child_of_genesis() {
    let genesis = PayloadHead { height: 0, view: 0, parent_seed: None, ..parent() };
    let genesis = PayloadHead { executed: Executed { height: 0, block_hash: Digest::ZERO }, ..genesis };
    let at = position(&genesis);
    let mut first = payload(&genesis, 1);
    assert_eq!(check_payload(CHAIN, &at, &genesis, &first), Ok(()));
    // Block 0's hash is named for the first time here.
    first.head.executed.block_hash = Digest([4; 32]);
    assert_eq!(check_payload(CHAIN, &at, &genesis, &first), Ok(()));
    first.head.parent_seed = Some(G1Point([6; 48]));
    assert_eq!(check_payload(CHAIN, &at, &genesis, &first), Err(Fault::SeedPresence));
}

/// Schemes of four validators, and the network key.
fn schemes(namespace: &[u8]) -> (Vec<Scheme>, freehold_primitives::NetworkKey) {
    let mut rng = StdRng::seed_from_u64(1);
    let mut validators: Vec<Ed25519Key> = (0..4).map(|_| IdentityKey::generate(&mut rng).public()).collect();
    validators.sort_unstable();
    let dealt = trusted_dealer(&mut rng, &validators).unwrap();
    let (set, polynomial) = Committee::new(&validators, &dealt.consensus_polynomial.0).unwrap().parts();
    let scheme = |share: &KeyShare| {
        Scheme::signer(namespace, set.clone(), polynomial.clone(), share.to_engine().unwrap()).unwrap()
    };
    (dealt.consensus_shares.iter().map(scheme).collect(), dealt.network_key)
}

/// A finalization by three of four.
fn certificate(schemes: &[Scheme], view: u64, payload: Digest) -> freehold_primitives::Certificate {
    use commonware_consensus::simplex::types::{Finalization, Finalize, Proposal};
    use commonware_parallel::Sequential;
    use commonware_utils::iter::NonEmpty;
    let round = Round::new(Epoch::zero(), View::new(view));
    let proposal = Proposal::new(round, View::new(view - 1), sha256::Digest(payload.0));
    let votes: Vec<_> = schemes[..3].iter().map(|scheme| Finalize::sign(scheme, proposal.clone()).unwrap()).collect();
    assert!(schemes[3].me().is_some());
    let votes = NonEmpty::try_new(votes.iter()).unwrap();
    let finalization = Finalization::from_finalizes(&schemes[3], votes, &Sequential).unwrap();
    let certificate = crate::reports::certificate_of(&finalization).unwrap();
    assert_eq!(crate::reports::finalization_of(&certificate), Some(finalization));
    certificate
}

#[test]
fn seed_of_the_round() {
    let namespace = freehold_crypto::chain_namespace(CHAIN, &Digest([2; 32]));
    let (schemes, _) = schemes(&namespace);
    let certificate = certificate(&schemes, 9, Digest([3; 32]));
    let seed = certificate.seed;
    assert_eq!(check_seed(&schemes[0], 0, 9, &seed), Ok(()));
    assert_eq!(check_seed(&schemes[0], 0, 8, &seed), Err(Fault::Seed));
    assert_eq!(check_seed(&schemes[0], 1, 9, &seed), Err(Fault::Seed));
    assert_eq!(check_seed(&schemes[0], 0, 9, &certificate.signature), Err(Fault::Seed));
    assert_eq!(check_seed(&schemes[0], 0, 9, &G1Point([0xff; 48])), Err(Fault::Seed));
    let mut infinity = [0; 48];
    infinity[0] = 0xc0;
    assert_eq!(check_seed(&schemes[0], 0, 9, &G1Point(infinity)), Err(Fault::Seed));
}

#[test]
fn engine_certificate_verifies_in_our_format() {
    let namespace = freehold_crypto::chain_namespace(CHAIN, &Digest([2; 32]));
    let (schemes, key) = schemes(&namespace);
    for view in [1, 127, 128, 300, 1 << 20, u64::MAX] {
        let certificate = certificate(&schemes, view, Digest([3; 32]));
        freehold_crypto::verify_certificate(&key, &namespace, &certificate).unwrap();
        freehold_crypto::verify_seed(&key, &namespace, 0, view, &certificate.seed).unwrap();
        let mut other = certificate.clone();
        other.payload = Digest([4; 32]);
        assert!(freehold_crypto::verify_certificate(&key, &namespace, &other).is_err());
    }
}
