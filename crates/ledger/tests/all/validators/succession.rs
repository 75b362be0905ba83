//! Another network key as the ledger keeps it: who may ask, what stands in each term, and payloads that name a key.

use alloy_sol_types::{SolCall as _, SolEvent as _};
use freehold_crypto::body_digest;
use freehold_ledger::{
    LedgerError, ModuleRefusal, PayloadRefusal, TurnFault, check_payload, execute_payload, read_succession,
};
use freehold_primitives::{
    Blob, Canonical as _, NetworkKey, Payload, PayloadBody, Term, TermOutcome, TermTurn, WaitingKey,
    entries::SuccessionEntry, succession_body,
};

use crate::{
    registry::{IValidators, assert_refused},
    validators::net::{FOUNDERS, Net, TERM, genesis_of, identities, validators},
};

/// Seed of the account that governs: the first of the genesis.
pub(crate) const GOVERNOR: u8 = 1;

fn entry(net: &Net, term: Term) -> Option<SuccessionEntry> {
    read_succession(term, &net.chain.state, &net.chain.content).unwrap()
}

fn made() -> WaitingKey {
    WaitingKey { network_key: NetworkKey([0xa7; 96]), polynomial: Blob(vec![0xa7; 96]) }
}

fn ask(net: &mut Net, from: u8) -> Result<freehold_ledger::ExecutedBlock, crate::registry::Refused> {
    net.send(from, IValidators::succeedNetworkKeyCall {}, 0)
}

/// Goes on until the next payload is the last of this term.
pub(crate) fn to_end(net: &mut Net, of: Term) {
    while net.chain.head.height + 1 < (of + 1) * TERM - 1 {
        net.chain.block(vec![]);
    }
}

/// The next payload with this body.
fn with_body(net: &Net, body: Vec<u8>) -> Payload {
    let mut payload = net.chain.payload(vec![]);
    payload.body = Blob(body);
    payload.head.body = body_digest(&payload.body.0);
    payload
}

pub(crate) fn with_turn(net: &Net, turn: TermTurn) -> Payload {
    with_body(net, PayloadBody { turn: Some(turn), ..PayloadBody::default() }.to_canonical())
}

fn naming(net: &Net, key: &NetworkKey) -> Payload {
    with_body(net, succession_body(key))
}

/// Executes a payload in the place of the one that the chain would make.
pub(crate) fn execute(net: &mut Net, payload: Payload) -> Result<(), TurnFault> {
    net.chain.time_ms += 1000;
    let mut payload = payload;
    payload.head.timestamp_ms = net.chain.time_ms;
    let chain = &mut net.chain;
    let header = chain.headers.last_key_value().unwrap().1;
    let parent =
        freehold_ledger::Parent { header, content: &chain.content, hashes: &chain.headers, keys: chain.keys.as_ref() };
    let block = match execute_payload(&chain.ctx, parent, &payload, None, &mut chain.state) {
        Ok(block) => block,
        Err(LedgerError::Turn(fault)) => return Err(fault),
        Err(other) => panic!("{other:?}"),
    };
    chain.head = payload.head;
    chain.content.extend(block.content);
    chain.headers.insert(block.header.number, block.header);
    Ok(())
}

/// A chain in whose term 2 the key of [`made`] waits: asked for in term 0, made in term 1.
fn waits() -> Net {
    let mut net = Net::new();
    net.chain.block(vec![]);
    ask(&mut net, GOVERNOR).unwrap();
    net.next_term();
    to_end(&mut net, 1);
    net.chain.block(vec![]);
    let turn = TermTurn { waiting: Some(made()), ..net.chain.turn(2) };
    let payload = with_turn(&net, turn);
    execute(&mut net, payload).unwrap();
    net
}

#[test]
fn only_the_governor_asks_and_once_at_a_time() {
    let mut net = Net::new();
    net.chain.block(vec![]);
    assert_refused(ask(&mut net, 2), ModuleRefusal::NotGovernor);
    assert_eq!(entry(&net, 1), None);
    let block = ask(&mut net, GOVERNOR).unwrap();
    let asked_at = block.header.number;
    let log = IValidators::SuccessionAsked::decode_log(&block.receipts[0].envelope.logs()[0]).unwrap();
    assert_eq!(log.term, 1);
    let wanted = SuccessionEntry { term: 1, asked_at, waiting: None };
    assert_eq!(entry(&net, 1), Some(wanted.clone()));
    let answer = net.chain.call(validators(), validators(), IValidators::successionCall { term: 1 }.abi_encode());
    let bytes = IValidators::successionCall::abi_decode_returns(&answer.output).unwrap();
    assert_eq!(SuccessionEntry::from_canonical(&bytes), Ok(wanted));
    // While it is asked for, while it is made, and while it waits.
    assert_refused(ask(&mut net, GOVERNOR), ModuleRefusal::SuccessionRuns);
    let mut net = waits();
    assert_eq!((entry(&net, 1).unwrap().waiting, entry(&net, 2).unwrap().waiting), (None, Some(made())));
    assert_refused(ask(&mut net, GOVERNOR), ModuleRefusal::SuccessionRuns);
    // The codes are those of the specification.
    assert_eq!((ModuleRefusal::SuccessionRuns.code(), ModuleRefusal::TermsNone.code()), (246, 247));
}

#[test]
fn a_chain_of_one_term_keeps_its_key() {
    let mut genesis = genesis_of(&FOUNDERS);
    genesis.membership.term_blocks = 0;
    let mut net = Net::of(genesis);
    net.chain.block(vec![]);
    assert_refused(ask(&mut net, GOVERNOR), ModuleRefusal::TermsNone);
    let named = naming(&net, &made().network_key);
    assert_eq!(check_payload(&net.chain.ctx, &named), Err(PayloadRefusal::Turn(TurnFault::Succession)));
    assert_eq!(execute(&mut net, named), Err(TurnFault::Succession));
}

#[test]
fn a_key_is_named_by_the_last_payload_of_the_term_in_which_it_waits() {
    let mut net = waits();
    // Not in the middle of the term.
    let early = naming(&net, &made().network_key);
    assert_eq!(check_payload(&net.chain.ctx, &early), Err(PayloadRefusal::Turn(TurnFault::Succession)));
    assert_eq!(execute(&mut net, early), Err(TurnFault::Succession));
    to_end(&mut net, 2);
    // The last names that key, and not another one or none.
    let root = net.chain.root();
    for payload in [naming(&net, &NetworkKey([0xa8; 96])), net.chain.payload(vec![])] {
        assert_eq!(check_payload(&net.chain.ctx, &payload), Ok(()), "what waits is not known before the vote");
        assert_eq!(execute(&mut net, payload), Err(TurnFault::Succession));
    }
    assert_eq!(net.chain.root(), root);
    let cut = with_body(&net, succession_body(&made().network_key)[..96].to_vec());
    assert_eq!(check_payload(&net.chain.ctx, &cut), Err(PayloadRefusal::Body));
    let named = naming(&net, &made().network_key);
    assert_eq!(check_payload(&net.chain.ctx, &named), Ok(()));
    execute(&mut net, named).unwrap();
    // The term after has nothing to do about the key, and the governor may ask again.
    net.next_term();
    assert_eq!(entry(&net, 3), None);
    ask(&mut net, GOVERNOR).unwrap();
    assert!(entry(&net, 4).is_some());
}

#[test]
fn a_turn_has_a_key_that_waits_only_after_a_round_that_succeeded() {
    // Nobody asked.
    let mut net = Net::new();
    to_end(&mut net, 0);
    net.chain.block(vec![]);
    let turn = TermTurn { waiting: Some(made()), ..net.chain.turn(1) };
    let payload = with_turn(&net, turn);
    assert_eq!(execute(&mut net, payload), Err(TurnFault::Succession));
    // Asked, and no resharing; too large; and where one waits already.
    let mut net = Net::new();
    ask(&mut net, GOVERNOR).unwrap();
    net.next_term();
    to_end(&mut net, 1);
    net.chain.block(vec![]);
    net.chain.round.failed = true;
    let kept = TermTurn { waiting: Some(made()), ..net.chain.turn(2) };
    assert_eq!(kept.outcome, TermOutcome::Kept);
    let payload = with_turn(&net, kept);
    assert_eq!(execute(&mut net, payload), Err(TurnFault::Succession));
    net.chain.round.failed = false;
    let waiting = WaitingKey { polynomial: Blob(vec![0; 96 * 65]), ..made() };
    let large = with_turn(&net, TermTurn { waiting: Some(waiting), ..net.chain.turn(2) });
    assert_eq!(check_payload(&net.chain.ctx, &large), Err(PayloadRefusal::Turn(TurnFault::Polynomials)));
    let mut net = waits();
    to_end(&mut net, 2);
    let named = naming(&net, &made().network_key);
    execute(&mut net, named).unwrap();
    let again = with_turn(&net, TermTurn { waiting: Some(made()), ..net.chain.turn(3) });
    assert_eq!(execute(&mut net, again), Err(TurnFault::Succession));
}

#[test]
fn a_round_that_made_no_key_is_repeated_in_the_next_term() {
    let mut net = Net::new();
    let asked_at = ask(&mut net, GOVERNOR).unwrap().header.number;
    net.next_term();
    // The resharing fails, then the round for the key alone.
    net.chain.round.failed = true;
    net.next_term();
    net.next_term();
    for term in [1, 2, 3] {
        assert_eq!(entry(&net, term), Some(SuccessionEntry { term, asked_at, waiting: None }));
    }
    assert_eq!(net.committee().members, identities(&FOUNDERS));
    assert_refused(ask(&mut net, GOVERNOR), ModuleRefusal::SuccessionRuns);
    to_end(&mut net, 3);
    net.chain.block(vec![]);
    let payload = with_turn(&net, TermTurn { waiting: Some(made()), ..net.chain.turn(4) });
    execute(&mut net, payload).unwrap();
    assert_eq!(entry(&net, 4), Some(SuccessionEntry { term: 4, asked_at, waiting: Some(made()) }));
}
