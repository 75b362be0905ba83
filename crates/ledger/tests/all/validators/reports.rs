//! Two proposals in one view: what proves them, and what does not.

use alloy_primitives::{Address, U256};
use alloy_sol_types::SolEvent as _;
use freehold_crypto::{payload_digest, proposal_message};
use freehold_ledger::ModuleRefusal;
use freehold_primitives::{Canonical as _, Digest, Ed25519Key, PayloadHead, entries::ValidatorState};

use crate::{
    common::{address, key},
    registry::{IValidators, assert_refused},
    validators::net::{BOND, FOUNDERS, Net, genesis_of, identity, secret},
};

/// A head of the next height by the validator of this seed.
fn head(net: &Net, seed: u8, view: u64) -> PayloadHead {
    let place = net.committee().members.iter().position(|member| *member == identity(seed)).unwrap();
    let mut head = net.chain.payload(vec![]).head;
    (head.term, head.view, head.proposer) = (net.roster().term, view, u32::try_from(place).unwrap());
    head
}

fn signed(seed: u8, head: &PayloadHead) -> Vec<u8> {
    secret(seed).sign(&proposal_message(&payload_digest(head))).to_vec()
}

fn report(seed: u8, one: &PayloadHead, other: &PayloadHead) -> IValidators::reportDoubleProposalCall {
    IValidators::reportDoubleProposalCall {
        head1: one.to_canonical().into(),
        signature1: signed(seed, one).into(),
        head2: other.to_canonical().into(),
        signature2: signed(seed, other).into(),
    }
}

/// The same head with another body.
fn other(head: &PayloadHead) -> PayloadHead {
    PayloadHead { body: Digest([9; 32]), ..head.clone() }
}

#[test]
fn two_proposals_cost_the_bond_and_the_seat() {
    let mut net = Net::new();
    net.chain.block(vec![]);
    net.join(5, 5).unwrap();
    let one = head(&net, 3, 77);
    let (before, zero, coins) = (net.balance(9), net.chain.balance(&Address::ZERO), net.coins());
    let block = net.send(9, report(3, &one, &other(&one)), 0).unwrap();
    let receipt = &block.receipts[0];
    let slashed = IValidators::Slashed::decode_log(&receipt.envelope.logs()[0]).unwrap();
    let (bond, reward) = (U256::from(BOND), U256::from(BOND / 8));
    assert_eq!((slashed.amount, slashed.reward, slashed.view_), (bond, reward, 77));
    let fee = U256::from(receipt.effective_gas_price) * U256::from(receipt.gas_used);
    assert_eq!(net.balance(9), before + reward - fee);
    assert_eq!(net.chain.balance(&Address::ZERO), zero + bond - reward);
    let base = U256::from(block.header.base_fee_per_gas.unwrap()) * U256::from(block.header.gas_used);
    assert_eq!(net.coins() + base, coins, "burnt at the zero address, where everyone sees it");
    assert_eq!((net.state_of(3), net.bonded()), (ValidatorState::Jailed, U256::from(4 * BOND)));
    // The same view, and another of the same term, are not punished twice.
    assert_refused(net.send(9, report(3, &one, &other(&one)), 0), ModuleRefusal::SlashedAlready);
    let later = PayloadHead { view: 78, ..one.clone() };
    assert_refused(net.send(9, report(3, &later, &other(&later)), 0), ModuleRefusal::SlashedAlready);
    net.next_term();
    assert!(!net.players().contains(&identity(3)));
    // The way back: the terms, and a whole bond.
    let id: Ed25519Key = identity(3);
    while net.roster().term < net.validator(3).jailed_until {
        assert_refused(net.unjail(3, 3), ModuleRefusal::JailRuns);
        net.next_term();
    }
    assert_refused(net.unjail(3, 3), ModuleRefusal::Bond);
    net.send(3, IValidators::bondCall { identity: id.0.into() }, BOND).unwrap();
    net.unjail(3, 3).unwrap();
    assert_eq!(net.state_of(3), ValidatorState::Candidate);
}

#[test]
fn candidate_and_leaver_answer_for_what_they_signed() {
    let mut net = Net::new();
    for seed in [5, 6] {
        net.join(seed, seed).unwrap();
    }
    net.resign(3, 3).unwrap();
    let one = head(&net, 3, 9);
    net.next_term();
    assert_eq!(net.state_of(3), ValidatorState::Left);
    net.send(9, report(3, &one, &other(&one)), 0).unwrap();
    assert_eq!((net.state_of(3), net.validator(3).bond), (ValidatorState::Left, [0; 32]));
    assert_refused(net.join(3, 3), ModuleRefusal::JailRuns);
}

#[test]
fn what_proves_nothing_is_refused() {
    let mut net = Net::new();
    for _ in 0..3 {
        net.chain.block(vec![]);
    }
    let one = head(&net, 3, 77);
    let two = other(&one);
    let refuse = |net: &mut Net, call: IValidators::reportDoubleProposalCall, refusal: ModuleRefusal| {
        assert_refused(net.send(9, call, 0), refusal);
    };
    refuse(&mut net, report(3, &one, &one), ModuleRefusal::NoDouble);
    refuse(&mut net, report(4, &one, &two), ModuleRefusal::HeadSignature);
    let swapped = report(3, &one, &two);
    let swapped = IValidators::reportDoubleProposalCall { signature1: swapped.signature2.clone(), ..swapped };
    refuse(&mut net, swapped, ModuleRefusal::HeadSignature);
    let short = IValidators::reportDoubleProposalCall { signature2: vec![0; 65].into(), ..report(3, &one, &two) };
    refuse(&mut net, short, ModuleRefusal::HeadSignature);
    let cut = IValidators::reportDoubleProposalCall { head2: vec![1; 20].into(), ..report(3, &one, &two) };
    refuse(&mut net, cut, ModuleRefusal::HeadMalformed);
    for change in [
        |head: &mut PayloadHead| head.view = 78,
        |head: &mut PayloadHead| head.term = 1,
        |head: &mut PayloadHead| head.proposer = 0,
    ] {
        let mut changed = two.clone();
        changed.proposer = one.proposer;
        change(&mut changed);
        if changed.proposer == one.proposer && changed.view == one.view && changed.term == one.term {
            continue;
        }
        refuse(&mut net, report(3, &one, &changed), ModuleRefusal::NoDouble);
    }
    let none = PayloadHead { proposer: 4, ..one.clone() };
    refuse(&mut net, report(3, &none, &other(&none)), ModuleRefusal::NoDouble);
    let unborn = PayloadHead { term: 7, ..one.clone() };
    refuse(&mut net, report(3, &unborn, &other(&unborn)), ModuleRefusal::NoDouble);
    let genesis = PayloadHead { view: 0, ..one.clone() };
    refuse(&mut net, report(3, &genesis, &other(&genesis)), ModuleRefusal::NoDouble);
    let mut ahead = one.clone();
    ahead.executed.height = 1_000;
    refuse(&mut net, report(3, &one, &ahead), ModuleRefusal::HeadOld);
    let mut fork = one.clone();
    fork.executed.block_hash = Digest([1; 32]);
    refuse(&mut net, report(3, &one, &fork), ModuleRefusal::HeadForeign);
    refuse(&mut net, report(3, &one, &PayloadHead { chain_id: 1, ..two }), ModuleRefusal::HeadForeign);
    assert_eq!((net.state_of(3), net.bonded()), (ValidatorState::Active, U256::from(4 * BOND)));
}

/// A network with the same chain id and the same identities is another one: its heads prove nothing here.
#[test]
fn heads_of_a_twin_network_prove_nothing() {
    let mut net = Net::new();
    let mut twin = genesis_of(&FOUNDERS);
    twin.timestamp_ms += 1_000;
    let mut twin = Net::of(twin);
    for net in [&mut net, &mut twin] {
        net.chain.block(vec![]);
    }
    let (here, there) = (head(&net, 3, 5), head(&twin, 3, 5));
    assert_ne!(here, there);
    assert_refused(net.send(9, report(3, &here, &there), 0), ModuleRefusal::HeadForeign);
    assert_eq!(net.chain.balance(&address(&key(9))), net.balance(9));
}
