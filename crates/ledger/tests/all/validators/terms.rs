//! Joining, leaving, jail and pay, from term to term.

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall as _, SolEvent as _};
use freehold_ledger::{ModuleRefusal, read_peers};
use freehold_primitives::{
    Dispute,
    entries::{TurnAct, ValidatorState},
};

use crate::{
    common::{Fields, GWEI, Round, address, key},
    registry::{IValidators, assert_refused},
    validators::net::{BOND, FOUNDERS, Net, TERM, acts, genesis_of, identities, identity, validators},
};

#[test]
fn block_0_holds_the_first_validators_and_their_bonds() {
    let net = Net::new();
    assert_eq!((net.committee().members, net.players()), (identities(&FOUNDERS), identities(&FOUNDERS)));
    assert_eq!((net.roster().term, net.roster().candidates), (0, vec![]));
    assert_eq!((net.bonded(), net.held()), (U256::from(4 * BOND), U256::from(4 * BOND)));
    let one = net.validator(1);
    assert_eq!((one.state, one.account, one.payee), (ValidatorState::Active, key(1).account(), key(1).account()));
    let peers = read_peers(&net.chain.state, &net.chain.content).unwrap();
    assert_eq!(peers.iter().find(|peer| peer.identity == identity(3)).unwrap().address, "10.0.0.3:9000");
}

#[test]
fn candidate_takes_the_seat_of_who_leaves_and_the_bond_comes_back() {
    let mut net = Net::new();
    net.join(5, 5).unwrap();
    assert_eq!(net.state_of(5), ValidatorState::Candidate);
    let turn = net.next_term();
    assert!(turn.events.iter().all(|event| event.act == TurnAct::Rewarded), "nobody leaves, and one more is no step");
    net.resign(2, 2).unwrap();
    assert_eq!(net.state_of(2), ValidatorState::Leaving);
    assert_refused(net.resign(2, 2), ModuleRefusal::ValidatorLeft);
    let turn = net.next_term();
    assert_eq!((acts(&turn, 2), acts(&turn, 5)), (vec![TurnAct::Left], vec![TurnAct::Seated]));
    assert_eq!(net.players(), identities(&[1, 3, 4, 5]));
    assert_eq!(net.committee().members, identities(&FOUNDERS), "the keys move with the round, a term later");
    assert_eq!((net.state_of(2), net.state_of(5)), (ValidatorState::Left, ValidatorState::Active));
    assert_refused(net.withdraw(2, 2), ModuleRefusal::BondLocked);
    net.next_term();
    assert_eq!(net.committee().members, identities(&[1, 3, 4, 5]));
    // Term 2 was its last; two more must pass.
    while net.roster().term < 5 {
        assert_refused(net.withdraw(2, 2), ModuleRefusal::BondLocked);
        net.next_term();
    }
    let before = net.balance(2);
    let block = net.withdraw(2, 2).unwrap();
    let fee = U256::from(block.receipts[0].effective_gas_price) * U256::from(block.receipts[0].gas_used);
    assert_eq!(net.balance(2), before + U256::from(BOND) - fee);
    assert_refused(net.withdraw(2, 2), ModuleRefusal::BondEmpty);
    assert_eq!(net.bonded(), U256::from(4 * BOND));
    // And it may come back.
    net.join(2, 2).unwrap();
    assert_eq!(net.roster().candidates, vec![identity(2)]);
}

#[test]
fn without_a_candidate_who_leaves_stays() {
    let mut net = Net::new();
    net.resign(2, 2).unwrap();
    for _ in 0..3 {
        net.next_term();
        assert_eq!((net.players(), net.state_of(2)), (identities(&FOUNDERS), ValidatorState::Leaving));
    }
    net.join(5, 5).unwrap();
    net.next_term();
    assert_eq!((net.players(), net.state_of(2)), (identities(&[1, 3, 4, 5]), ValidatorState::Left));
}

#[test]
fn three_candidates_make_a_step() {
    let mut net = Net::with_terms_of(56);
    for seed in [5, 6] {
        net.join(seed, seed).unwrap();
    }
    net.next_term();
    assert_eq!(net.players().len(), 4);
    net.join(7, 7).unwrap();
    net.next_term();
    assert_eq!(net.players(), identities(&[1, 2, 3, 4, 5, 6, 7]));
    net.next_term();
    assert_eq!(net.committee().members.len(), 7);
}

#[test]
fn silent_dealer_is_jailed_and_replaced_and_comes_back() {
    let mut net = Net::new();
    net.chain.round = Round { failed: true, silent: vec![identity(3)], disputes: vec![] };
    let turn = net.next_term();
    assert_eq!(acts(&turn, 3), vec![TurnAct::Jailed]);
    assert_eq!((net.players(), net.state_of(3)), (identities(&FOUNDERS), ValidatorState::Jailed), "nobody waits");
    assert_refused(net.unjail(3, 3), ModuleRefusal::JailRuns);
    net.join(5, 5).unwrap();
    let turn = net.next_term();
    assert_eq!((acts(&turn, 3), acts(&turn, 5)), (vec![TurnAct::Unseated], vec![TurnAct::Seated]));
    net.next_term();
    assert_refused(net.unjail(3, 4), ModuleRefusal::ValidatorCaller);
    net.unjail(3, 3).unwrap();
    assert_eq!((net.state_of(3), net.roster().candidates), (ValidatorState::Candidate, vec![identity(3)]));
    assert_refused(net.unjail(3, 3), ModuleRefusal::NotJailed);
}

#[test]
fn jailed_validator_that_nobody_replaced_keeps_its_seat() {
    let mut net = Net::new();
    net.chain.round = Round { failed: true, silent: vec![identity(3)], disputes: vec![] };
    net.next_term();
    net.next_term();
    net.next_term();
    net.unjail(3, 3).unwrap();
    assert_eq!((net.state_of(3), net.players()), (ValidatorState::Active, identities(&FOUNDERS)));
}

#[test]
fn disputing_pair_goes_whole_and_waits_again() {
    let mut net = Net::new();
    for seed in [5, 6] {
        net.join(seed, seed).unwrap();
    }
    let dispute = Dispute { dealer: identity(1), player: identity(2) };
    net.chain.round = Round { failed: true, silent: vec![], disputes: vec![dispute] };
    let turn = net.next_term();
    assert_eq!((acts(&turn, 1), acts(&turn, 2)), (vec![TurnAct::Disputed], vec![TurnAct::Disputed]));
    assert_eq!((net.players(), net.roster().candidates.len()), (identities(&[3, 4, 5, 6]), 2));
    assert_eq!(net.state_of(1), ValidatorState::Candidate);
}

#[test]
fn failed_round_puts_everybody_back() {
    let mut net = Net::new();
    for seed in [5, 6] {
        net.join(seed, seed).unwrap();
    }
    net.resign(1, 1).unwrap();
    net.next_term();
    assert_eq!((net.players(), net.state_of(1)), (identities(&[2, 3, 4, 5]), ValidatorState::Left));
    // The newcomer blocks the round: it goes to jail, and who left is asked on until another takes the seat.
    let disputes = identities(&[1, 2, 3, 4]).into_iter().map(|dealer| Dispute { dealer, player: identity(5) });
    net.chain.round = Round { failed: true, silent: vec![], disputes: disputes.collect() };
    let turn = net.next_term();
    assert_eq!(acts(&turn, 5), vec![TurnAct::Jailed, TurnAct::Unseated]);
    assert_eq!((net.players(), net.state_of(5)), (identities(&[2, 3, 4, 6]), ValidatorState::Jailed));
    assert_eq!(net.committee().members, identities(&FOUNDERS));
    assert_refused(net.withdraw(1, 1), ModuleRefusal::BondLocked);
    // Another failure without anybody who waits: it has its seat again.
    net.chain.round = Round { failed: true, silent: vec![identity(6)], disputes: vec![] };
    net.next_term();
    assert_eq!((net.players(), net.state_of(1)), (identities(&FOUNDERS), ValidatorState::Leaving));
    assert_eq!(net.state_of(6), ValidatorState::Jailed);
}

#[test]
fn growth_that_fails_is_tried_with_others() {
    let mut net = Net::with_terms_of(56);
    for seed in [5, 6, 7] {
        net.join(seed, seed).unwrap();
    }
    net.next_term();
    assert_eq!(net.players().len(), 7);
    let silent_player = identities(&FOUNDERS).into_iter().map(|dealer| Dispute { dealer, player: identity(7) });
    net.chain.round = Round { failed: true, silent: vec![], disputes: silent_player.collect() };
    net.next_term();
    assert_eq!((net.players(), net.roster().candidates), (identities(&FOUNDERS), vec![identity(5), identity(6)]));
    net.join(8, 8).unwrap();
    net.next_term();
    assert_eq!(net.players(), identities(&[1, 2, 3, 4, 5, 6, 8]));
}

#[test]
fn fees_of_a_term_are_shared_equally_and_no_coin_is_lost() {
    let mut net = Net::new();
    net.chain.round = Round { failed: true, silent: vec![identity(4)], disputes: vec![] };
    net.next_term();
    let payee = Address::repeat_byte(0x77);
    net.send(2, IValidators::setPayeeCall { identity: identity(2).0.into(), payee }, 0).unwrap();
    let (mut burnt, before) = (U256::ZERO, net.coins());
    let mut fees = net.held() - net.bonded();
    let block = |net: &mut Net| {
        let transfer = net.chain.sign_with(
            &key(9),
            Fields { nonce: net.chain.nonce(&key(9)), to: Some(payee), value: 5, gas: 21_000, ..Fields::default() },
        );
        let block = net.chain.block(vec![transfer]);
        let gas = U256::from(block.header.gas_used);
        (gas * U256::from(block.header.base_fee_per_gas.unwrap()), gas * U256::from(GWEI / 10))
    };
    while !(net.chain.head.height + 1).is_multiple_of(TERM) {
        let (base, priority) = block(&mut net);
        (burnt, fees) = (burnt + base, fees + priority);
    }
    assert_eq!((net.held() - net.bonded(), net.chain.tip().beneficiary), (fees, validators()));
    let balances = [1, 3, 4].map(|seed| net.balance(seed));
    let paid = net.chain.balance(&payee);
    let turn = net.next_term();
    let each = fees / U256::from(4);
    assert_eq!(U256::from_be_bytes(turn.reward), each);
    assert_eq!([1, 3, 4].map(|seed| net.balance(seed)), [balances[0] + each, balances[1] + each, balances[2]]);
    assert_eq!(net.chain.balance(&payee), paid + each);
    assert_eq!(net.held() - net.bonded(), fees - each * U256::from(3), "the jailed one's part stays");
    assert_eq!(net.coins() + burnt, before);
}

#[test]
fn joining_is_refused_by_name() {
    let mut net = Net::new();
    let good = net.joining(5, 5);
    let of = |change: &dyn Fn(&mut IValidators::joinCall)| {
        let mut call = good.clone();
        change(&mut call);
        call
    };
    assert_refused(net.send(5, good.clone(), BOND - 1), ModuleRefusal::Bond);
    assert_refused(net.send(6, good.clone(), BOND), ModuleRefusal::Possession);
    assert_refused(
        net.send(5, of(&|call| call.possession = Bytes::from(vec![1; 63])), BOND),
        ModuleRefusal::Possession,
    );
    assert_refused(net.send(5, of(&|call| call.identity = identity(6).0.into()), BOND), ModuleRefusal::Possession);
    for text in ["", "10.0.0.5", "10.0.0.5:0", "010.0.0.5:9000", "example.org:9000", "10.0.0.5:09000", "[::1]:70000"] {
        assert_refused(net.send(5, of(&|call| call.reachedAt = text.to_owned()), BOND), ModuleRefusal::PeerAddress);
    }
    assert_refused(net.join(1, 1), ModuleRefusal::ValidatorExists);
    net.send(5, good.clone(), BOND).unwrap();
    assert_refused(net.send(5, good.clone(), BOND), ModuleRefusal::ValidatorExists);
    let id = identity(5).0.into();
    assert_refused(net.send(6, IValidators::resignCall { identity: id }, 0), ModuleRefusal::ValidatorCaller);
    assert_refused(
        net.send(6, IValidators::bondCall { identity: identity(99).0.into() }, 1),
        ModuleRefusal::ValidatorUnknown,
    );
    let payee = Address::ZERO;
    assert_refused(net.send(5, IValidators::setPayeeCall { identity: id, payee }, 0), ModuleRefusal::PayeeZero);
    assert_refused(net.send(5, IValidators::resignCall { identity: id }, 1), ModuleRefusal::Value);
    assert_refused(
        net.send(5, IValidators::attestCall { identity: id, possession: good.possession }, 0),
        ModuleRefusal::ValidatorsOpen,
    );
    // A stranger may add to a bond; a candidate that resigns has left at once.
    net.send(6, IValidators::bondCall { identity: id }, 7).unwrap();
    assert_eq!(U256::from_be_bytes(net.validator(5).bond), U256::from(BOND + 7));
    let block = net.resign(5, 5).unwrap();
    let left = IValidators::Left::decode_log(&logs(&block)[0]).unwrap();
    assert_eq!((net.state_of(5), left.lockedUntil), (ValidatorState::Left, net.validator(5).locked_until));
    assert_refused(net.send(6, IValidators::bondCall { identity: id }, 7), ModuleRefusal::ValidatorLeft);
    assert_eq!(net.bonded(), U256::from(5 * BOND + 7));
}

fn logs(block: &freehold_ledger::ExecutedBlock) -> Vec<alloy_primitives::Log> {
    block.receipts[0].envelope.logs().to_vec()
}

#[test]
fn address_and_views_are_read_back() {
    let mut net = Net::new();
    let reached = "[2001:db8::1]:9000".to_owned();
    let call = IValidators::setAddressCall { identity: identity(1).0.into(), reachedAt: reached.clone() };
    let block = net.send(1, call, 0).unwrap();
    assert_eq!(IValidators::Moved::decode_log(&logs(&block)[0]).unwrap().reachedAt, reached);
    net.next_term();
    let peers = read_peers(&net.chain.state, &net.chain.content).unwrap();
    assert!(peers.iter().any(|peer| peer.address == reached));
    let view = |data: Vec<u8>| net.chain.call(address(&key(9)), validators(), data);
    for data in [
        IValidators::validatorCall { identity: identity(1).0.into() }.abi_encode(),
        IValidators::committeeCall { term: 1 }.abi_encode(),
        IValidators::playersCall { term: 0 }.abi_encode(),
        IValidators::rosterCall {}.abi_encode(),
        IValidators::turnOfCall { term: 1 }.abi_encode(),
        IValidators::bondedCall {}.abi_encode(),
    ] {
        assert!(view(data).is_success());
    }
    let none = view(IValidators::turnOfCall { term: 9 }.abi_encode());
    assert_eq!(ModuleRefusal::from_revert(&none.output).unwrap().0, ModuleRefusal::Unknown);
}

#[test]
fn at_most_64_wait() {
    let mut net = Net::with_terms_of(104);
    for batch in (10..74).collect::<Vec<u8>>().chunks(8) {
        let transactions = batch.iter().enumerate().map(|(index, seed)| {
            let owner = key(5);
            let call = net.joining(*seed, 5);
            net.chain.sign_with(
                &owner,
                Fields {
                    nonce: net.chain.nonce(&owner) + index as u64,
                    to: Some(validators()),
                    value: BOND,
                    gas: 1_000_000,
                    data: call.abi_encode().into(),
                    ..Fields::default()
                },
            )
        });
        let transactions = transactions.collect();
        let block = net.chain.block(transactions);
        assert!(block.receipts.iter().all(|receipt| receipt.envelope.status()));
    }
    assert_eq!(net.roster().candidates.len(), 64);
    assert_refused(net.join(80, 6), ModuleRefusal::CandidatesFull);
    // One operator never comes to a threshold, however many of its own wait.
    for _ in 0..3 {
        net.next_term();
    }
    let owned = |net: &Net| {
        let operated = net.players().into_iter().filter(|seat| net.entry(seat).operator == key(5).account());
        (net.players().len(), operated.count())
    };
    assert_eq!(owned(&net), (10, 6), "seven shares of ten make a key, and nine of thirteen");
    net.join(80, 6).unwrap();
    net.join(81, 7).unwrap();
    net.next_term();
    assert_eq!(owned(&net), (13, 8), "two that came first, and then none but others fit");
}

#[test]
fn genesis_is_refused_where_its_membership_may_not_be() {
    use freehold_ledger::{ChainContext, LedgerError, MembershipFault};
    use freehold_primitives::Genesis;
    let check = |change: &dyn Fn(&mut Genesis), fault: MembershipFault| {
        let mut genesis = genesis_of(&FOUNDERS);
        change(&mut genesis);
        match ChainContext::new(genesis) {
            Err(LedgerError::Membership(found)) => assert_eq!(found, fault),
            other => panic!("not {fault}: {other:?}"),
        }
    };
    check(&|genesis| drop(genesis.membership.seats.pop()), MembershipFault::Seats);
    check(&|genesis| genesis.membership.seats[1].address = "host".to_owned(), MembershipFault::Address(1));
    check(&|genesis| genesis.membership.seats[2].bond = [0; 32], MembershipFault::Bond(2));
    check(
        &|genesis| genesis.membership.seats.iter_mut().for_each(|seat| seat.bond = [255; 32]),
        MembershipFault::BondSum,
    );
    let one_owner = |genesis: &mut Genesis| {
        let first = genesis.membership.seats[0].account;
        genesis.membership.seats[1..3].iter_mut().for_each(|seat| seat.account = first);
    };
    check(&one_owner, MembershipFault::Diversity);
    check(&|genesis| genesis.membership.seats.clear(), MembershipFault::Diversity);
    let production = |genesis: &mut Genesis| {
        genesis.purpose = freehold_primitives::Purpose::Production;
        genesis.key_ceremony = freehold_primitives::KeyCeremony::Distributed;
    };
    check(&production, MembershipFault::AppMissing);
}
