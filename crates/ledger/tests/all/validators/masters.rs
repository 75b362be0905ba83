//! Masters of the derivation key as the ledger keeps them: who may ask, what stands in each term, and turns that name one.

use alloy_sol_types::{SolCall as _, SolEvent as _};
use freehold_crypto::{StateKeys, slots};
use freehold_ledger::{ModuleRefusal, PayloadRefusal, TurnFault, check_payload, read_master, read_masters};
use freehold_primitives::{
    AppPolicy, Canonical as _, Generation, KeyCeremony, LiveMaster, MASTER_KEEP_S_MIN, NetworkKey, Purpose, Term,
    TermTurn,
    entries::{EntryKind, GrantEntry, KeyContextEntry, MasterEntry, MasterRound, MastersEntry},
};

use crate::{
    common::{Chain, state_keys},
    registry::{
        Draft, IKeys, INSTANCE, IValidators, OWNER, Refused, Registry, assert_refused, emulated_chain, module, policy,
    },
    validators::{
        net::{FOUNDERS, Net, TERM, genesis_of, validators},
        succession::{GOVERNOR, execute, to_end, with_turn},
    },
};

/// An account without a part in anything.
const NOBODY: u8 = 7;
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
fn succeed(net: &mut Net, generation: u8, keep_s: u64) {
    ask(net, GOVERNOR, keep_s).unwrap();
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
    succeed(&mut net, 1, KEEP_S);
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
    succeed(&mut net, 1, KEEP_S);
    while master(&net, 0).unwrap().serves(net.chain.tip().timestamp) {
        net.chain.block(vec![]);
    }
    succeed(&mut net, 2, KEEP_S);
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

/// An app with the context `root` and an instance of it, on a chain with terms.
struct Keyed {
    registry: Registry,
    draft: Draft,
}

impl Keyed {
    fn new() -> Self {
        let mut genesis = genesis_of(&FOUNDERS);
        genesis.trust_roots = emulated_chain().ctx.genesis().trust_roots.clone();
        genesis.membership.term_blocks = 16;
        let policy = AppPolicy { boot_contexts: vec!["root".to_owned()], ..policy() };
        let mut registry = Registry::on(Chain::new(genesis), policy);
        let draft = Draft { value: 10_u128.pow(18), ..registry.draft(INSTANCE) };
        registry.register(&draft).unwrap();
        Self { registry, draft }
    }

    /// Has a master made.
    fn succeed(&mut self, generation: u8, keep_s: u64) {
        let chain = std::mem::replace(&mut self.registry.chain, Chain::new(genesis_of(&FOUNDERS)));
        let mut net = Net { chain };
        ask(&mut net, GOVERNOR, keep_s).unwrap();
        net.next_term();
        while net.chain.head.height % 16 != 15 {
            net.chain.block(vec![]);
        }
        let term = net.roster().term + 1;
        let mut turn = net.chain.turn(term);
        turn.masters.push(made(generation));
        let payload = with_turn(&net, turn);
        execute(&mut net, payload).unwrap();
        self.registry.chain = net.chain;
    }

    fn keys(&mut self, from: u8, call: impl alloy_sol_types::SolCall) -> Result<(), Refused> {
        self.registry.send(from, module(slots::KEYS), call, 0).map(|_| ())
    }

    fn rule(&mut self, keep_s: u64) {
        let app = self.registry.app.as_bytes().into();
        let call = IKeys::setContextCall { app, context: "root".to_owned(), maxAgeS: 0, keepS: keep_s };
        self.keys(OWNER, call).unwrap();
    }

    fn rotate(&mut self, from: u8) -> Result<(), Refused> {
        let app = self.registry.app.as_bytes().into();
        self.keys(from, IKeys::rotateCall { app, context: "root".to_owned() })
    }

    fn request(&mut self) {
        self.keys(INSTANCE, IKeys::requestCall { context: "root".to_owned() }).unwrap();
    }

    fn pass(&mut self, seconds: u64) {
        self.registry.chain.time_ms += seconds * 1_000;
        self.registry.chain.block(vec![]);
    }

    /// The context: generation and master of the newest, and of the one before, and until when that is served.
    fn context(&self) -> ([u32; 2], [u32; 2], u64) {
        let id = slots::key_context_id(&self.registry.app, "root");
        let entry: KeyContextEntry = self.registry.entry(EntryKind::KeyContext, &id).unwrap();
        let before = [entry.generation.saturating_sub(1), entry.master_of(entry.generation.saturating_sub(1))];
        ([entry.generation, entry.master_of(entry.generation)], before, entry.previous_until)
    }

    fn grant(&self, generation: u32) -> Option<GrantEntry> {
        let id = slots::grant_id(&self.draft.instance_id(), "root", generation);
        self.registry.entry(EntryKind::Grant, id.as_bytes())
    }

    fn end(&self, generation: u32) -> u64 {
        let chain = &self.registry.chain;
        read_master(generation, &chain.state, &chain.content).unwrap().unwrap().ends_at.unwrap()
    }
}

#[test]
fn contexts_move_to_the_newest_master_at_their_next_use() {
    // A context without a rule keeps the generation before as long as its master serves: its owner asked for nothing.
    let mut keyed = Keyed::new();
    keyed.request();
    keyed.succeed(1, 100);
    keyed.request();
    let end = keyed.end(0);
    assert_eq!(keyed.context(), ([1, 1], [0, 0], end));
    let (newest, before) = (keyed.grant(1).unwrap(), keyed.grant(0).unwrap());
    assert_eq!((newest.closed_at, before.closed_at, before.until), (None, None, end.min(newest.until)));
    // It is not due again, and not for anybody.
    keyed.request();
    assert_eq!(keyed.context().0, [1, 1]);
    assert_refused(keyed.rotate(NOBODY), ModuleRefusal::NotOwner);
    // Its rule counts where that is shorter, and anybody may move a context that is behind.
    let mut keyed = Keyed::new();
    keyed.rule(7);
    keyed.succeed(1, 100);
    let now = keyed.registry.chain.tip().timestamp;
    keyed.rotate(NOBODY).unwrap();
    assert_eq!(keyed.context(), ([1, 1], [0, 0], now + 7));
    // Where it is longer, no longer than its master.
    let mut keyed = Keyed::new();
    keyed.rule(1_000_000);
    keyed.succeed(1, 100);
    keyed.rotate(NOBODY).unwrap();
    assert_eq!(keyed.context().2, keyed.end(0));
}

#[test]
fn a_context_that_keeps_a_generation_moves_later_and_at_its_masters_end_at_the_latest() {
    for (keep_s, forced) in [(60, false), (1_000, true)] {
        let mut keyed = Keyed::new();
        keyed.rule(keep_s);
        keyed.rotate(OWNER).unwrap();
        assert_eq!(keyed.context().0, [1, 0]);
        keyed.succeed(1, 200);
        keyed.request();
        assert_eq!(keyed.context().0, [1, 0], "the generation before is served still");
        assert_refused(keyed.rotate(NOBODY), ModuleRefusal::ContextRotationRuns);
        keyed.pass(if forced { 201 } else { 61 });
        keyed.request();
        let (newest, before, until) = keyed.context();
        assert_eq!((newest, before), ([2, 1], [1, 0]));
        // After the end of its master nothing of the generation before is served.
        let now = keyed.registry.chain.tip().timestamp;
        assert_eq!(until > now, !forced);
        assert!(until <= keyed.end(0));
        assert_eq!(keyed.grant(1).is_some_and(|grant| grant.closed_at.is_none()), !forced);
    }
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
