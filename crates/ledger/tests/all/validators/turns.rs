//! Turns that do not follow: before a vote, and in execution, where they stop the chain by name and change nothing.

use alloy_primitives::U256;
use alloy_sol_types::SolCall as _;
use freehold_crypto::body_digest;
use freehold_ledger::{LedgerError, ModuleRefusal, PayloadRefusal, TurnFault, check_payload, execute_payload};
use freehold_primitives::{Blob, Canonical as _, Dispute, NetworkKey, Payload, PayloadBody, TermOutcome, TermTurn};

use crate::{
    registry::{IValidators, assert_refused},
    validators::net::{FOUNDERS, Net, TERM, identities, identity},
};

/// A chain whose next payload is the first of term 1.
fn net() -> Net {
    let mut net = Net::new();
    while !(net.chain.head.height + 1).is_multiple_of(TERM) {
        net.chain.block(vec![]);
    }
    net
}

/// The next payload with another turn.
fn payload(net: &Net, turn: Option<TermTurn>) -> Payload {
    let mut payload = net.chain.payload(vec![]);
    payload.body = Blob(PayloadBody { turn, ..PayloadBody::default() }.to_canonical());
    payload.head.body = body_digest(&payload.body.0);
    payload
}

/// The payload is refused before the vote where `before_vote`, and in execution always.
fn check(net: &mut Net, payload: &Payload, fault: TurnFault, before_vote: bool) {
    let judged = check_payload(&net.chain.ctx, payload);
    assert_eq!(judged, if before_vote { Err(PayloadRefusal::Turn(fault)) } else { Ok(()) });
    let root = net.chain.root();
    let chain = &mut net.chain;
    let header = chain.headers.last_key_value().unwrap().1;
    let parent =
        freehold_ledger::Parent { header, content: &chain.content, hashes: &chain.headers, keys: chain.keys.as_ref() };
    match execute_payload(&chain.ctx, parent, payload, None, &mut chain.state) {
        Err(LedgerError::Turn(found)) => assert_eq!(found, fault),
        other => panic!("not {fault}: {other:?}"),
    }
    assert_eq!(net.chain.root(), root);
}

#[test]
fn turn_stands_where_it_must_and_nowhere_else() {
    let mut net = net();
    let missing = payload(&net, None);
    check(&mut net, &missing, TurnFault::Missing, true);
    let turn = net.chain.turn(1);
    let mut early = payload(&net, Some(turn.clone()));
    early.head.term = 0;
    check(&mut net, &early, TurnFault::Term, true);
    net.next_term();
    let again = payload(&net, Some(turn));
    check(&mut net, &again, TurnFault::Misplaced, true);
}

#[test]
fn turn_says_what_follows() {
    let mut net = net();
    let good = net.chain.turn(1);
    assert!(check_payload(&net.chain.ctx, &payload(&net, Some(good.clone()))).is_ok());
    type Change = fn(&mut TermTurn);
    let faults: [(Change, TurnFault, bool); 11] = [
        (|turn| turn.term = 2, TurnFault::Term, true),
        (|turn| turn.members.reverse(), TurnFault::Lists, true),
        (|turn| turn.members.clear(), TurnFault::Lists, true),
        (|turn| turn.members = (0..65).map(identity).collect(), TurnFault::Lists, true),
        (|turn| turn.silent = vec![identity(1); 2], TurnFault::Lists, true),
        (|turn| turn.disputes = vec![Dispute { dealer: identity(1), player: identity(2) }; 2], TurnFault::Lists, true),
        (|turn| turn.consensus_polynomial = Blob(vec![0; 96 * 65]), TurnFault::Polynomials, true),
        (|turn| turn.derivation_polynomial = vec![NetworkKey([8; 96]); 65], TurnFault::Polynomials, true),
        (|turn| turn.derivation_polynomial = vec![NetworkKey([9; 96])], TurnFault::Key, true),
        (|turn| turn.members = identities(&[1, 2, 3, 5]), TurnFault::Members, false),
        (|turn| (turn.members, turn.outcome) = (identities(&[1, 2, 3]), TermOutcome::Kept), TurnFault::Members, false),
    ];
    for (change, fault, before_vote) in faults {
        let mut turn = good.clone();
        change(&mut turn);
        let payload = payload(&net, Some(turn));
        check(&mut net, &payload, fault, before_vote);
    }
    // A head of another term, and then the turn that follows.
    let mut other = payload(&net, Some(good));
    other.head.term = 2;
    check(&mut net, &other, TurnFault::Term, true);
    net.next_term();
    assert_eq!(net.committee().members, identities(&FOUNDERS));
}

#[test]
fn accusations_of_strangers_change_nothing() {
    let mut net = net();
    let stranger = identity(99);
    net.chain.round.failed = true;
    net.chain.round.silent = vec![stranger];
    net.chain.round.disputes = vec![Dispute { dealer: stranger, player: identity(98) }];
    net.next_term();
    assert_eq!(net.players(), identities(&FOUNDERS));
}

#[test]
fn nobody_but_the_chain_turns() {
    let mut net = net();
    let said = net.chain.turn(1).to_canonical();
    let call = IValidators::turnCall { said: said.into(), balance: U256::MAX };
    let transaction = net.sign(1, &call, 0);
    let block = net.chain.block(vec![transaction]);
    assert!(!block.receipts[0].envelope.status());
    let refusal = ModuleRefusal::from_revert(&block.receipts[0].output).unwrap().0;
    assert_eq!(refusal, ModuleRefusal::Call);
    assert_refused(net.send(1, call.clone(), 0), ModuleRefusal::Call);
    // Who asks as the chain gets an answer of which nothing stays, whatever it says.
    let root = net.chain.root();
    let chain = alloy_eips::eip4788::SYSTEM_ADDRESS;
    for data in [call.abi_encode(), IValidators::turnCall { said: vec![1].into(), balance: U256::MAX }.abi_encode()] {
        let _ = net.chain.call(chain, crate::validators::net::validators(), data);
    }
    assert_eq!(net.chain.root(), root);
}

#[test]
fn one_term_without_end_has_no_turn() {
    let mut genesis = crate::validators::net::genesis_of(&FOUNDERS);
    genesis.membership.term_blocks = 0;
    let mut net = Net::of(genesis);
    for _ in 0..10 {
        net.chain.block(vec![]);
    }
    assert_eq!(net.roster().term, 0);
    let turn = net.chain.turn(1);
    let payload = payload(&net, Some(turn));
    check(&mut net, &payload, TurnFault::Misplaced, true);
}
