//! Overrides, simulations, access lists and traces from outside: what they do, and that none reads a secret.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use crate::common::{
    Chain, Fields, GWEI, address, genesis, key,
    machine::{self, Op},
};
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use freehold_crypto::{FailureForm, seal_call};
use freehold_ledger::{
    AccountOverride, BlockOverrides, BlockRequest, CallError, CallRequest, Invalid, OverrideRefusal, Overrides,
    QueryRules, Selection, Sight, SimulatedBlock, Simulation, SimulationError, StateOverrides, Status, StorageOverride,
    Trace, TraceKind, TracePlan, Transfers, access_list, call, call_data_key, estimate_gas, simulate, trace_call,
    trace_payload,
};
use freehold_primitives::{Payload, Purpose, X25519Key};
use rand::{SeedableRng as _, rngs::StdRng};

const SECRET: U256 = U256::from_limbs([0xfeed_1234_5678_9abc, 0xbeef_1234, 0xcafe_1234, 0xf00d_cafe_1234_5678]);
/// Answers slot 0.
const READER: &[u8] = &hex!("5f545f5260205ff3");
/// Answers the block's time.
const CLOCK: &[u8] = &hex!("425f5260205ff3");
/// Answers slot 0 from block time 4 · 10⁹ on: what an auction does.
const SEALED_BID: &[u8] = &hex!("4263ee6b280010600d575f5ffd5b5f545f5260205ff3");

fn new_chain() -> Chain {
    let mut chain = Chain::new(genesis(Vec::new()));
    chain.block(vec![]);
    chain
}

fn deploy(chain: &mut Chain, init_code: Bytes) -> Address {
    let nonce = chain.nonce(&key(1));
    let tx = chain.sign_with(&key(1), Fields { data: init_code, nonce, ..Fields::default() });
    let block = chain.block(vec![tx]);
    assert!(block.receipts[0].envelope.status());
    block.receipts[0].contract_address.unwrap()
}

/// A machine with a secret in slot 7, and one whose slot 7 anyone may read.
fn vaults(chain: &mut Chain) -> (Address, Address) {
    let (secret, open) = (deploy(chain, machine::confidential()), deploy(chain, machine::public()));
    for contract in [secret, open] {
        let tx = chain.sign(&key(1), contract, 0, Op::Store(U256::from(7), SECRET).data());
        assert!(chain.block(vec![tx]).receipts[0].envelope.status());
    }
    (secret, open)
}

fn read_request(to: Address) -> CallRequest {
    CallRequest { from: address(&key(2)), to: Some(to), data: Op::Read(U256::from(7)).data(), ..CallRequest::default() }
}

fn with(request: &CallRequest, state: StateOverrides, block: BlockOverrides) -> CallRequest {
    CallRequest { overrides: Overrides { state, block }, ..request.clone() }
}

fn one(address: Address, said: AccountOverride) -> StateOverrides {
    StateOverrides::from([(address, said)])
}

fn code(code: &[u8]) -> AccountOverride {
    AccountOverride { code: Some(Bytes::copy_from_slice(code)), ..AccountOverride::default() }
}

fn ask(chain: &Chain, request: &CallRequest) -> Result<Bytes, CallError> {
    let outcome = call(&chain.ctx, chain.parent(), &chain.state, request)?;
    assert_eq!(outcome.status, Status::Success);
    Ok(outcome.output)
}

fn word(bytes: &Bytes) -> U256 {
    U256::from_be_slice(bytes)
}

#[test]
fn overrides_of_public_accounts_and_of_the_block_take_effect() {
    let mut chain = new_chain();
    let (_, open) = vaults(&mut chain);
    let request = read_request(open);
    assert_eq!(word(&ask(&chain, &request).unwrap()), SECRET);
    let slots = BTreeMap::from([(U256::from(7), U256::from(1))]);
    let patched = AccountOverride { storage: StorageOverride::Patched(slots), ..AccountOverride::default() };
    assert_eq!(
        word(&ask(&chain, &with(&request, one(open, patched), BlockOverrides::default())).unwrap()),
        U256::from(1)
    );
    let replaced =
        AccountOverride { storage: StorageOverride::Replaced(BTreeMap::new()), ..AccountOverride::default() };
    assert_eq!(
        word(&ask(&chain, &with(&request, one(open, replaced), BlockOverrides::default())).unwrap()),
        U256::ZERO
    );
    let time = BlockOverrides { time_unix_s: Some(77), ..BlockOverrides::default() };
    assert_eq!(word(&ask(&chain, &with(&request, one(open, code(CLOCK)), time)).unwrap()), U256::from(77));
    // An account that is nowhere, with money that it does not have.
    let nobody = Address::repeat_byte(0x77);
    let rich = AccountOverride { balance: Some(U256::from(100)), ..AccountOverride::default() };
    let state = StateOverrides::from([(nobody, rich), (Address::repeat_byte(0x78), code(&hex!("345f5260205ff3")))]);
    let paid = CallRequest {
        from: nobody,
        to: Some(Address::repeat_byte(0x78)),
        value: U256::from(60),
        ..CallRequest::default()
    };
    assert_eq!(word(&ask(&chain, &with(&paid, state.clone(), BlockOverrides::default())).unwrap()), U256::from(60));
    assert!(matches!(ask(&chain, &paid), Err(CallError::Invalid(Invalid::LackOfFundForMaxFee { .. }))));
    let estimated = with(&paid, state, BlockOverrides::default());
    assert!(estimate_gas(&chain.ctx, chain.parent(), &chain.state, &estimated).unwrap() > 21_000);
}

#[test]
fn a_moved_precompile_answers_where_it_went() {
    let mut chain = new_chain();
    let (identity, place) = (Address::with_last_byte(4), Address::repeat_byte(0x44));
    let moved = AccountOverride { precompile_to: Some(place), ..code(&hex!("600960005260206000f3")) };
    let ask_at = |to| CallRequest { to: Some(to), data: vec![5; 3].into(), ..CallRequest::default() };
    let state = one(identity, moved);
    assert_eq!(ask(&chain, &with(&ask_at(place), state.clone(), BlockOverrides::default())).unwrap(), vec![5; 3]);
    assert_eq!(word(&ask(&chain, &with(&ask_at(identity), state, BlockOverrides::default())).unwrap()), U256::from(9));
    chain.block(vec![]);
}

/// Whatever is made up, the secret stays: the sender's money, the clock, code and slots of others.
#[test]
fn no_override_reads_confidential_storage() {
    let mut chain = new_chain();
    let (secret, open) = vaults(&mut chain);
    let auction = deploy(&mut chain, machine::constructor(&[], SEALED_BID));
    let request = read_request(secret);
    assert_eq!(word(&ask(&chain, &request).unwrap()), SECRET, "the contract itself tells it to anyone");
    let rich = AccountOverride { balance: Some(U256::MAX >> 1), ..AccountOverride::default() };
    let later = BlockOverrides { time_unix_s: Some(5_000_000_000), ..BlockOverrides::default() };
    let withheld = |request: &CallRequest| match ask(&chain, request) {
        Err(CallError::Withheld(address)) => address,
        other => panic!("{other:?}"),
    };
    assert_eq!(withheld(&with(&request, one(address(&key(2)), rich), BlockOverrides::default())), secret);
    assert_eq!(withheld(&with(&request, one(open, code(READER)), BlockOverrides::default())), secret);
    assert_eq!(withheld(&with(&request, StateOverrides::new(), later.clone())), secret);
    let bid = CallRequest { to: Some(auction), ..CallRequest::default() };
    assert_eq!(withheld(&with(&bid, StateOverrides::new(), later)), auction);
    for said in [
        code(READER),
        AccountOverride { storage: StorageOverride::Patched(BTreeMap::new()), ..AccountOverride::default() },
    ] {
        let refused = ask(&chain, &with(&request, one(secret, said), BlockOverrides::default()));
        assert!(matches!(refused, Err(CallError::Overrides(OverrideRefusal::Confidential(of))) if of == secret));
    }
    // Through a public contract whose code is replaced by one that asks the vault.
    let asks = [&hex!("60085f52600760205260205f60405f5f73")[..], secret.as_slice(), &hex!("5af15060205ff3")].concat();
    let through = CallRequest { to: Some(open), ..CallRequest::default() };
    assert_eq!(withheld(&with(&through, one(open, code(&asks)), BlockOverrides::default())), secret);
    let placed = Address::repeat_byte(0x55);
    let through = CallRequest { to: Some(placed), ..CallRequest::default() };
    assert_eq!(withheld(&with(&through, one(placed, code(&asks)), BlockOverrides::default())), secret);
}

#[test]
fn sealed_call_data_is_not_opened_under_overrides() {
    let chain = new_chain();
    let known = call_data_key(&chain.ctx, chain.parent(), &chain.state).unwrap().unwrap();
    let sealing = (&X25519Key(known.public_key), known.epoch);
    let (sent, _) = seal_call(sealing, b"bid", FailureForm::Plain, &mut StdRng::seed_from_u64(1));
    let request = CallRequest { to: Some(Address::repeat_byte(1)), data: sent.into(), ..CallRequest::default() };
    let state = one(Address::repeat_byte(1), code(&hex!("365f5f37365ffd")));
    let refused = ask(&chain, &with(&request, state.clone(), BlockOverrides::default()));
    assert!(matches!(refused, Err(CallError::Sealed)));
    let simulation = simulation(vec![BlockRequest { state, calls: vec![request], ..BlockRequest::default() }]);
    let refused = simulate(&chain.ctx, chain.parent(), &chain.state, &simulation);
    assert!(matches!(refused, Err(SimulationError::Sealed)));
}

fn simulation(blocks: Vec<BlockRequest>) -> Simulation {
    Simulation { blocks, rules: QueryRules::Lenient, transfers: Transfers::Unlogged, entropy: B256::repeat_byte(5) }
}

fn run(chain: &Chain, simulation: &Simulation) -> Result<Vec<SimulatedBlock>, SimulationError> {
    simulate(&chain.ctx, chain.parent(), &chain.state, simulation)
}

fn block_of(calls: Vec<CallRequest>) -> BlockRequest {
    BlockRequest { calls, ..BlockRequest::default() }
}

#[test]
fn simulated_blocks_stand_on_each_other_and_leave_nothing() {
    let mut chain = new_chain();
    let (_, open) = vaults(&mut chain);
    let tip = chain.tip().clone();
    let root = chain.root();
    let write = CallRequest {
        from: address(&key(2)),
        to: Some(open),
        data: Op::Store(U256::from(7), U256::from(1)).data(),
        ..CallRequest::default()
    };
    let pay = CallRequest {
        from: address(&key(2)),
        to: Some(address(&key(3))),
        value: U256::from(9),
        ..CallRequest::default()
    };
    let later = BlockOverrides {
        height: Some(tip.number + 4),
        time_unix_s: Some(tip.timestamp + 50),
        ..BlockOverrides::default()
    };
    let blocks = vec![
        block_of(vec![read_request(open), write, pay]),
        BlockRequest { block: later, calls: vec![read_request(open)], ..BlockRequest::default() },
    ];
    let done = run(&chain, &Simulation { transfers: Transfers::Logged, ..simulation(blocks) }).unwrap();
    assert_eq!(done.iter().map(|block| block.header.number - tip.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(done[0].header.parent_hash, tip.hash_slow());
    for pair in done.windows(2) {
        assert_eq!(pair[1].header.parent_hash, pair[0].hash);
        assert!(pair[1].header.timestamp > pair[0].header.timestamp);
    }
    let answer = |block: usize, at: usize| word(&done[block].calls[at].outcome.output);
    assert_eq!((answer(0, 0), answer(3, 0)), (SECRET, U256::from(1)));
    assert_eq!(done[0].calls[2].outcome.logs.len(), 1, "the transfer is told");
    assert_eq!(done[0].header.gas_used, done[0].calls.iter().map(|call| call.outcome.gas_used).sum::<u64>());
    let nonces: Vec<u64> =
        done[0].calls.iter().map(|call| alloy_consensus::Transaction::nonce(&call.transaction)).collect();
    assert_eq!(nonces, [0, 1, 2], "nonces are counted on");
    assert_eq!((chain.root(), chain.storage(&open, 7)), (root, SECRET), "nothing stays");
}

#[test]
fn a_simulation_reads_no_confidential_storage_but_its_own() {
    let mut chain = new_chain();
    let (secret, _) = vaults(&mut chain);
    let refused = run(&chain, &simulation(vec![block_of(vec![read_request(secret)])]));
    assert!(matches!(refused, Err(SimulationError::Withheld(of)) if of == secret));
    // A contract that the simulation itself makes is confidential by default, and its own.
    let from = address(&key(5));
    let create = CallRequest { from, data: machine::confidential(), ..CallRequest::default() };
    let made = from.create(0);
    let write = CallRequest {
        from,
        to: Some(made),
        data: Op::Store(U256::from(7), U256::from(3)).data(),
        ..CallRequest::default()
    };
    let done =
        run(&chain, &simulation(vec![block_of(vec![create, write]), block_of(vec![read_request(made)])])).unwrap();
    assert_eq!(done[0].calls[0].outcome.created, Some(made));
    assert_eq!(word(&done[1].calls[0].outcome.output), U256::from(3));
}

#[test]
fn what_a_simulation_may_not_be_is_named() {
    let chain = new_chain();
    let number = chain.tip().number;
    let at = |height, time_unix_s| BlockRequest {
        block: BlockOverrides { height, time_unix_s, ..BlockOverrides::default() },
        ..BlockRequest::default()
    };
    assert!(matches!(run(&chain, &simulation(vec![at(Some(number), None)])), Err(SimulationError::Number { .. })));
    assert!(matches!(run(&chain, &simulation(vec![at(None, Some(1))])), Err(SimulationError::Time { .. })));
    assert!(matches!(run(&chain, &simulation(vec![at(Some(number + 257), None)])), Err(SimulationError::Blocks)));
    assert_eq!(run(&chain, &simulation(vec![at(Some(number + 256), None)])).unwrap().len(), 256);
    assert!(matches!(run(&chain, &simulation(vec![at(Some(u64::MAX), None)])), Err(SimulationError::Blocks)));
    let many = block_of(vec![CallRequest::default(); 1_025]);
    assert!(matches!(run(&chain, &simulation(vec![many])), Err(SimulationError::Calls)));
    let hungry = CallRequest { gas: Some(60_000_001), to: Some(Address::ZERO), ..CallRequest::default() };
    assert!(matches!(run(&chain, &simulation(vec![block_of(vec![hungry])])), Err(SimulationError::BlockGas { .. })));
    let strict = |request: CallRequest| match run(
        &chain,
        &Simulation { rules: QueryRules::Strict, ..simulation(vec![block_of(vec![request])]) },
    ) {
        Err(SimulationError::Invalid { invalid, .. }) => invalid,
        other => panic!("{other:?}"),
    };
    let base = CallRequest {
        from: address(&key(2)),
        to: Some(Address::ZERO),
        gas: Some(21_000),
        gas_price: Some(2 * GWEI),
        ..CallRequest::default()
    };
    assert!(matches!(strict(CallRequest { nonce: Some(5), ..base.clone() }), Invalid::NonceTooHigh { .. }));
    assert!(matches!(strict(CallRequest { gas_price: Some(1), ..base.clone() }), Invalid::GasPriceLessThanBasefee));
    assert!(matches!(
        strict(CallRequest { gas: Some(20_000), ..base.clone() }),
        Invalid::CallGasCostMoreThanGasLimit { .. }
    ));
    assert!(matches!(
        strict(CallRequest { value: U256::MAX >> 1, ..base.clone() }),
        Invalid::LackOfFundForMaxFee { .. }
    ));
    let fine = Simulation { rules: QueryRules::Strict, ..simulation(vec![block_of(vec![base.clone(), base])]) };
    assert_eq!(run(&chain, &fine).unwrap()[0].header.base_fee_per_gas, Some(GWEI as u64));
}

#[test]
fn an_access_list_holds_public_slots_alone() {
    let mut chain = new_chain();
    let (secret, open) = vaults(&mut chain);
    let through = deploy(&mut chain, machine::public());
    let list = |to, data: Bytes| {
        let request = CallRequest { from: address(&key(2)), to: Some(to), data, ..CallRequest::default() };
        access_list(&chain.ctx, chain.parent(), &chain.state, &request).unwrap()
    };
    let read = Op::Read(U256::from(7)).data();
    let seen = list(open, read.clone());
    assert_eq!(seen.list.0.len(), 1);
    assert_eq!(seen.list.0[0].storage_keys, [B256::from(U256::from(7))]);
    assert!(seen.gas_used > 21_000 && seen.status == Status::Success);
    assert!(list(secret, read.clone()).list.is_empty());
    let told = list(through, Op::Call(secret, read.clone()).data()).list;
    assert_eq!((told.0.len(), told.0[0].storage_keys.len()), (1, 0), "{told:?}");
    assert_eq!(list(through, Op::Call(open, read).data()).list.0[0].storage_keys.len(), 1);
}

fn calls(sight: Sight) -> TracePlan {
    let options = serde_json::json!({ "tracer": "callTracer" });
    let kind = TraceKind::Geth(Box::new(serde_json::from_value(options).unwrap()));
    TracePlan { kind, sight, block_hash: None, tx_hash: None }
}

fn shown(trace: &Trace) -> serde_json::Value {
    let Trace::Geth(trace) = trace else { panic!("{trace:?}") };
    serde_json::to_value(trace).unwrap()
}

#[test]
fn past_transactions_are_traced_as_they_ran() {
    let mut chain = new_chain();
    let (secret, open) = vaults(&mut chain);
    let through = deploy(&mut chain, machine::public());
    let read = Op::Load(U256::from(7)).data();
    let to = |contract: Address| Op::Call(contract, read.clone()).data();
    let nonce = chain.nonce(&key(1));
    let send =
        |data: Bytes, nonce| chain.sign_with(&key(1), Fields { to: Some(through), data, nonce, ..Fields::default() });
    let transactions = vec![send(to(open), nonce), send(to(secret), nonce + 1), send(to(open), nonce + 2)];
    let before = Chain {
        headers: chain.headers.clone(),
        content: chain.content.clone(),
        state: chain.state.clone(),
        ctx: chain.ctx.clone(),
        head: chain.head.clone(),
        keys: Some(crate::common::state_keys()),
        ..new_chain()
    };
    let payload: Payload = {
        chain.time_ms += 1000;
        chain.payload(transactions.clone())
    };
    let block = chain.block_now(transactions);
    let trace = |selection, sight| {
        trace_payload(&before.ctx, before.parent(), (&payload, None), &before.state, (selection, &calls(sight)))
            .unwrap()
    };
    let all = trace(Selection::All, Sight::Public);
    for (traced, receipt) in all.iter().zip(&block.receipts) {
        assert_eq!(traced.gas_used, receipt.gas_used);
        let value = shown(&traced.traced.as_ref().unwrap().trace);
        assert_eq!(value["gasUsed"], serde_json::json!(format!("{:#x}", receipt.gas_used)));
        assert_eq!(value["calls"].as_array().unwrap().len(), 1);
    }
    let ends: Vec<Option<usize>> = all.iter().map(|traced| traced.traced.as_ref().unwrap().closed).collect();
    assert_eq!(ends, [None, Some(2), None], "each is judged for itself");
    let one = trace(Selection::One(all[1].hash), Sight::Everything);
    assert_eq!((one.len(), one[0].index, one[0].traced.as_ref().unwrap().closed), (1, 1, None));
    let call = CallRequest { from: address(&key(2)), to: Some(through), data: to(secret), ..CallRequest::default() };
    let (_, traced) = trace_call(&chain.ctx, chain.parent(), &chain.state, (&call, &calls(Sight::Public))).unwrap();
    assert_eq!(traced.closed, Some(2));
}

#[test]
fn only_a_genesis_for_development_opens_traces() {
    let sight = |purpose| {
        let mut genesis = genesis(Vec::new());
        genesis.purpose = purpose;
        Chain::new(genesis).ctx.sight()
    };
    assert_eq!(sight(Purpose::Development), Sight::Public);
    assert_eq!(sight(Purpose::DevelopmentTraces), Sight::Everything);
}
