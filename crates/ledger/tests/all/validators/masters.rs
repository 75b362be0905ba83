//! Masters of the derivation key as the ledger keeps them: who may ask, what stands in each term, and turns that name one.

use alloy_sol_types::{SolCall as _, SolEvent as _};
use freehold_crypto::StateKeys;
use freehold_ledger::{ModuleRefusal, PayloadRefusal, TurnFault, check_payload, read_master, read_masters};
use freehold_primitives::{
    Canonical as _, Generation, KeyCeremony, LiveMaster, MASTER_KEEP_S_MIN, NetworkKey, Purpose, Term, TermTurn,
    entries::{MasterEntry, MasterRound, MastersEntry},
};

use crate::{
    common::state_keys,
    registry::{IValidators, Refused, assert_refused},
    validators::{
        net::{FOUNDERS, Net, TERM, genesis_of, validators},
        succession::{GOVERNOR, execute, to_end, with_turn},
    },
};

/// Seconds for which the master before serves on. A block of the test is a second.
const KEEP_S: u64 = 10;

fn ask(net: &mut Net, from: u8, keep_s: u64) -> Result<freehold_ledger::ExecutedBlock, Refused> {
    net.send(from, IValidators::succeedMasterCall { keepS: keep_s }, 0)
}

fn entry(net: &Net, term: Term) -> Option<MastersEntry> {
    read_masters(term, &net.chain.state, &net.chain.content).unwrap()
}

fn master(net: &Net, generation: Generation) -> Option<MasterEntry> {
    read_master(generation, &net.chain.state, &net.chain.content).unwrap()
}

/// A master as the members of a term would have made it.
pub(crate) fn made(generation: u8) -> LiveMaster {
    LiveMaster { generation: generation.into(), polynomial: vec![NetworkKey([0xb0 + generation; 96])] }
}

/// The turn to the next term with this master beside those that are reshared.
fn turn_with(net: &mut Net, master: LiveMaster) -> Result<(), TurnFault> {
    let term = net.roster().term;
    to_end(net, term);
    net.chain.block(vec![]);
    let mut turn = net.chain.turn(term + 1);
    turn.masters.push(master);
    let payload = with_turn(net, turn);
    execute(net, payload)
}

/// Asks for a master, and has it made: its term is the second from now.
fn succeed(net: &mut Net, generation: u8) {
    ask(net, GOVERNOR, KEEP_S).unwrap();
    net.next_term();
    turn_with(net, made(generation)).unwrap();
}

#[test]
fn only_the_governor_asks_and_once_at_a_time() {
    let mut net = Net::new();
    net.chain.block(vec![]);
    assert_refused(ask(&mut net, 2, KEEP_S), ModuleRefusal::NotGovernor);
    assert_eq!(entry(&net, 1), None);
    let block = ask(&mut net, GOVERNOR, KEEP_S).unwrap();
    let log = IValidators::MasterAsked::decode_log(&block.receipts[0].envelope.logs()[0]).unwrap();
    assert_eq!((log.term, log.generation), (1, 1));
    let round = MasterRound { generation: 1, asked_at: block.header.number, keep_s: KEEP_S };
    let asked = MastersEntry { term: 1, round: Some(round), live: vec![], reshared: vec![] };
    assert_eq!(entry(&net, 1), Some(asked.clone()));
    let answer = net.chain.call(validators(), validators(), IValidators::mastersCall { term: 1 }.abi_encode());
    let bytes = IValidators::mastersCall::abi_decode_returns(&answer.output).unwrap();
    assert_eq!(MastersEntry::from_canonical(&bytes), Ok(asked));
    // While it is asked for, while it is made, and while the one before serves.
    assert_refused(ask(&mut net, GOVERNOR, KEEP_S), ModuleRefusal::MasterRuns);
    net.next_term();
    assert_refused(ask(&mut net, GOVERNOR, KEEP_S), ModuleRefusal::MasterRuns);
    turn_with(&mut net, made(1)).unwrap();
    assert_refused(ask(&mut net, GOVERNOR, KEEP_S), ModuleRefusal::MasterRuns);
    while net.chain.tip().timestamp < master(&net, 0).unwrap().ends_at.unwrap() {
        net.chain.block(vec![]);
    }
    ask(&mut net, GOVERNOR, KEEP_S).unwrap();
    // The codes are those of the specification.
    let codes = [ModuleRefusal::MasterRuns, ModuleRefusal::MasterKeep, ModuleRefusal::MastersSpent];
    assert_eq!(codes.map(ModuleRefusal::code), [248, 249, 250]);
}

#[test]
fn a_chain_of_one_term_keeps_its_master_and_production_gives_notice() {
    let mut genesis = genesis_of(&FOUNDERS);
    genesis.membership.term_blocks = 0;
    let mut net = Net::of(genesis);
    net.chain.block(vec![]);
    assert_refused(ask(&mut net, GOVERNOR, KEEP_S), ModuleRefusal::TermsNone);
    let mut genesis = genesis_of(&FOUNDERS);
    (genesis.purpose, genesis.key_ceremony) = (Purpose::Production, KeyCeremony::Distributed);
    genesis.membership.app = Some(freehold_primitives::AppId::new([9; 20]));
    let mut net = Net::of(genesis);
    net.chain.keys = Some(StateKeys::from_quorum(state_keys().get(0)));
    net.chain.block(vec![]);
    assert_refused(ask(&mut net, GOVERNOR, MASTER_KEEP_S_MIN - 1), ModuleRefusal::MasterKeep);
    ask(&mut net, GOVERNOR, MASTER_KEEP_S_MIN).unwrap();
}

#[test]
fn a_master_that_was_made_begins_and_the_one_before_has_an_end() {
    let mut net = Net::new();
    net.chain.block(vec![]);
    assert_eq!((master(&net, 0), master(&net, 1)), (None, None));
    succeed(&mut net, 1);
    let begun_at = net.chain.tip().timestamp - 1;
    let (first, second) = (master(&net, 0).unwrap(), master(&net, 1).unwrap());
    assert_eq!(first.public_key, net.chain.ctx.genesis().derivation_polynomial[0]);
    assert_eq!((first.first_term, first.ends_at), (0, Some(begun_at + KEEP_S)));
    let wanted =
        MasterEntry { generation: 1, public_key: made(1).polynomial[0], first_term: 2, begun_at, ends_at: None };
    assert_eq!(second, wanted);
    let live = MastersEntry { term: 2, round: None, live: vec![made(1)], reshared: vec![1] };
    assert_eq!(entry(&net, 2), Some(live));
    net.next_term();
    assert_eq!(entry(&net, 3).unwrap().reshared, [1]);
}

#[test]
fn a_master_that_has_ended_is_reshared_no_more_and_then_gone() {
    let mut net = Net::new();
    net.chain.block(vec![]);
    succeed(&mut net, 1);
    while master(&net, 0).unwrap().serves(net.chain.tip().timestamp) {
        net.chain.block(vec![]);
    }
    succeed(&mut net, 2);
    let term = net.roster().term;
    assert_eq!(entry(&net, term).unwrap().reshared, [1, 2]);
    // Its end comes within the next terms; from the turn after that on only the newest is held.
    while entry(&net, net.roster().term).unwrap().reshared == [1, 2] {
        assert!(net.roster().term < term + 5, "the master before is reshared for ever");
        net.next_term();
    }
    let last = entry(&net, net.roster().term).unwrap();
    assert_eq!((last.live.len(), &last.reshared[..]), (2, &[2][..]));
    assert!(!master(&net, 1).unwrap().serves(net.chain.tip().timestamp));
    // A turn that still has it, or has none, does not follow.
    let term = net.roster().term;
    to_end(&mut net, term);
    net.chain.block(vec![]);
    let right = net.chain.turn(term + 1);
    assert_eq!(right.masters, [made(2)]);
    for masters in [vec![made(1), made(2)], vec![], vec![made(1)]] {
        let payload = with_turn(&net, TermTurn { masters, ..right.clone() });
        assert_eq!(execute(&mut net, payload), Err(TurnFault::Masters));
    }
    let payload = with_turn(&net, right);
    execute(&mut net, payload).unwrap();
    assert_eq!(entry(&net, term + 1).unwrap().live, [made(2)]);
}

#[test]
fn a_turn_has_a_master_only_after_a_round_that_succeeded_and_under_its_own_key() {
    // Nobody asked.
    let mut net = Net::new();
    assert_eq!(turn_with(&mut net, made(1)), Err(TurnFault::Masters));
    // Asked for in this term, so that the round is the next one's.
    let mut net = Net::new();
    ask(&mut net, GOVERNOR, KEEP_S).unwrap();
    assert_eq!(turn_with(&mut net, made(1)), Err(TurnFault::Masters));
    // Another generation, and no resharing.
    let mut net = Net::new();
    ask(&mut net, GOVERNOR, KEEP_S).unwrap();
    net.next_term();
    let term = net.roster().term;
    to_end(&mut net, term);
    net.chain.block(vec![]);
    let turn = net.chain.turn(2);
    let payload = with_turn(&net, TermTurn { masters: vec![made(2)], ..turn.clone() });
    assert_eq!(execute(&mut net, payload), Err(TurnFault::Masters));
    net.chain.round.failed = true;
    let payload = with_turn(&net, TermTurn { masters: vec![made(1)], ..net.chain.turn(2) });
    assert_eq!(execute(&mut net, payload), Err(TurnFault::Masters));
    net.chain.round.failed = false;
    // Out of bounds before the vote.
    let forms: [(Vec<LiveMaster>, TurnFault); 4] = [
        (vec![LiveMaster { polynomial: vec![NetworkKey([1; 96]); 65], ..made(1) }], TurnFault::Polynomials),
        (vec![LiveMaster { polynomial: vec![], ..made(1) }], TurnFault::Polynomials),
        (vec![made(1), made(2), made(3)], TurnFault::Masters),
        (vec![made(2), made(1)], TurnFault::Masters),
    ];
    for (masters, fault) in forms {
        let payload = with_turn(&net, TermTurn { masters, ..turn.clone() });
        assert_eq!(check_payload(&net.chain.ctx, &payload), Err(PayloadRefusal::Turn(fault)));
    }
    let payload = with_turn(&net, TermTurn { masters: vec![made(1)], ..turn });
    execute(&mut net, payload).unwrap();
    // From then on its public key stays.
    to_end(&mut net, 2);
    net.chain.block(vec![]);
    let other = LiveMaster { polynomial: vec![NetworkKey([5; 96])], ..made(1) };
    let payload = with_turn(&net, TermTurn { masters: vec![other], ..net.chain.turn(3) });
    assert_eq!(execute(&mut net, payload), Err(TurnFault::Masters));
}

#[test]
fn a_round_that_made_no_master_is_repeated_in_the_next_term() {
    let mut net = Net::new();
    let asked_at = ask(&mut net, GOVERNOR, KEEP_S).unwrap().header.number;
    net.next_term();
    // The resharing fails, then the round for the master alone.
    net.chain.round.failed = true;
    net.next_term();
    net.next_term();
    net.chain.round.failed = false;
    let round = Some(MasterRound { generation: 1, asked_at, keep_s: KEEP_S });
    for term in [1, 2, 3] {
        assert_eq!(entry(&net, term).unwrap().round, round);
    }
    assert_refused(ask(&mut net, GOVERNOR, KEEP_S), ModuleRefusal::MasterRuns);
    turn_with(&mut net, made(1)).unwrap();
    assert_eq!(entry(&net, 4).unwrap().round, None);
    assert_eq!(master(&net, 1).unwrap().first_term, 4);
    assert_eq!(TERM, 4, "the ends of the tests above are counted in terms of four seconds");
}
