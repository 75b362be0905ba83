//! Anybody does anything, rounds fail as they like: what holds after every block.

use std::collections::BTreeSet;

use alloy_primitives::{Address, U256};
use alloy_sol_types::SolCall as _;
use freehold_crypto::{payload_digest, proposal_message};
use freehold_primitives::{
    Canonical as _, Digest, Dispute, Ed25519Key,
    entries::{ValidatorEntry, ValidatorState},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use crate::{
    common::Round,
    registry::IValidators,
    validators::net::{BOND, FOUNDERS, Net, TERM, identity, secret},
};

/// Identities that take part, each of the account `seed % 9 + 1`.
const SEEDS: std::ops::Range<u8> = 1..20;

fn owner(seed: u8) -> u8 {
    if FOUNDERS.contains(&seed) { seed } else { seed % 9 + 1 }
}

fn call(net: &Net, rng: &mut StdRng) -> (u8, Vec<u8>, u128) {
    let seed = rng.random_range(SEEDS);
    let id = identity(seed).0.into();
    let from = if rng.random_range(0..10) == 0 { rng.random_range(1..10) } else { owner(seed) };
    let (data, value) = match rng.random_range(0..12) {
        0..5 => (net.joining(seed, from).abi_encode(), BOND + u128::from(rng.random_range(0..3_u8))),
        5 => (IValidators::resignCall { identity: id }.abi_encode(), 0),
        6 | 7 => (IValidators::withdrawCall { identity: id }.abi_encode(), 0),
        8 | 9 => (IValidators::unjailCall { identity: id }.abi_encode(), 0),
        10 => (IValidators::bondCall { identity: id }.abi_encode(), u128::from(rng.random_range(0..BOND as u64))),
        _ => (report(net, rng), 0),
    };
    (from, data, value)
}

fn report(net: &Net, rng: &mut StdRng) -> Vec<u8> {
    let committee = net.committee().members;
    let member = *committee.choose(rng).unwrap();
    let seed = SEEDS.clone().find(|seed| identity(*seed) == member).unwrap();
    let mut head = net.chain.payload(vec![]).head;
    head.term = net.roster().term;
    head.proposer = committee.iter().position(|known| *known == member).unwrap() as u32;
    let mut other = head.clone();
    other.body = Digest([3; 32]);
    let sign = |head| secret(seed).sign(&proposal_message(&payload_digest(head))).to_vec().into();
    let (signature1, signature2) = (sign(&head), sign(&other));
    let (head1, head2) = (head.to_canonical().into(), other.to_canonical().into());
    IValidators::reportDoubleProposalCall { head1, signature1, head2, signature2 }.abi_encode()
}

fn round(net: &Net, rng: &mut StdRng) -> Round {
    if rng.random_range(0..3) > 0 {
        return Round::default();
    }
    let (dealers, players) = (net.committee().members, net.players());
    let silent: BTreeSet<Ed25519Key> = (0..rng.random_range(0..2)).map(|_| *dealers.choose(rng).unwrap()).collect();
    let disputes: BTreeSet<Dispute> = (0..rng.random_range(0..3))
        .map(|_| Dispute { dealer: *dealers.choose(rng).unwrap(), player: *players.choose(rng).unwrap() })
        .filter(|dispute| dispute.dealer != dispute.player)
        .collect();
    Round { failed: true, silent: silent.into_iter().collect(), disputes: disputes.into_iter().collect() }
}

/// Everything that must hold, whatever was done.
fn check(net: &Net, committee_before: usize, context: &str) {
    let roster = net.roster();
    let known: Vec<ValidatorEntry> = SEEDS
        .filter_map(|seed| {
            freehold_ledger::read_validator(&identity(seed), &net.chain.state, &net.chain.content).unwrap()
        })
        .collect();
    let bonds = known.iter().fold(U256::ZERO, |sum, entry| sum + U256::from_be_bytes(entry.bond));
    assert_eq!(net.bonded(), bonds, "the sum of all bonds; {context}");
    assert!(net.held() >= bonds, "the bonds are there; {context}");
    assert!(net.committee().members.len() >= committee_before, "a committee shrank; {context}");
    assert!(net.players().len() >= net.committee().members.len(), "seats became fewer; {context}");
    assert_eq!(roster.seats, net.players(), "{context}");
    for entry in &known {
        let (sits, waits) = (roster.seats.contains(&entry.identity), roster.candidates.contains(&entry.identity));
        let expected = match entry.state {
            ValidatorState::Candidate => !sits && waits,
            ValidatorState::Active | ValidatorState::Leaving => sits && !waits,
            ValidatorState::Jailed => !waits,
            ValidatorState::Left => !sits && !waits,
        };
        assert!(expected, "{entry:?} sits {sits}, waits {waits}; {context}");
    }
    let size = roster.seats.len();
    for seat in &roster.seats {
        let operator = net.entry(seat).operator;
        let held = roster.seats.iter().filter(|other| net.entry(other).operator == operator).count();
        assert!(held < size - (size - 1) / 3, "{held} of {size} in one hand; {context}");
    }
}

fn run(seed: u64, blocks: u64, term: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut net = Net::with_terms_of(term);
    let supply = net.coins();
    let mut burnt = U256::ZERO;
    for block in 0..blocks {
        let context = format!("seed {seed}, block {block}");
        let committee = net.committee().members.len();
        if (net.chain.head.height + 1).is_multiple_of(term) {
            net.chain.round = round(&net, &mut rng);
        }
        let (from, data, value) = call(&net, &mut rng);
        let owner = crate::common::key(from);
        let transaction = net.chain.sign(&owner, crate::validators::net::validators(), value, data);
        let made = net.chain.block(vec![transaction]);
        assert_eq!(made.skipped, vec![], "{context}");
        burnt += U256::from(made.header.base_fee_per_gas.unwrap()) * U256::from(made.header.gas_used);
        check(&net, committee, &context);
        assert_eq!(net.coins() + burnt, supply, "coins; {context}");
    }
    assert!(net.roster().term == blocks / term, "the chain went on");
    assert!(net.chain.balance(&Address::ZERO) > U256::ZERO, "somebody was slashed in seed {seed}");
}

#[test]
fn rules_hold_whatever_anybody_does() {
    for seed in 0..6 {
        run(seed, 240, TERM);
    }
}

#[test]
fn rules_hold_while_committees_grow() {
    for seed in 6..8 {
        run(seed, 104 * 6, 104);
    }
}
