//! Traces: they change nothing, and end where the first secret enters.
#![allow(clippy::unwrap_used)]

use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, Bytes, TxKind, U256, address, hex, map::HashSet};
use alloy_rpc_types_trace::{geth::GethDebugTracingOptions, parity::TraceType};
use freehold_evm::{
    BlockContext, BlockRandomness, Changes, Evm, FirstInput, MachineTx, MemoryView, ModuleSet, Outcome, QueryRules,
    SapphireContext, Sight, Trace, TraceError, TraceKind, TracePlan, Traced, Transfers, TxEnv, Visibility,
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

const SENDER: Address = address!("0x00000000000000000000000000000000000000aa");
const ROUTER: Address = address!("0x00000000000000000000000000000000000000bb");
const VAULT: Address = address!("0x00000000000000000000000000000000000000cc");
const PLAIN: Address = address!("0x00000000000000000000000000000000000000dd");
const DRAWER: Address = address!("0x00000000000000000000000000000000000000ee");
const SINK: Address = address!("0x00000000000000000000000000000000000000ff");
const RANDOM_BYTES: Address = address!("0x0100000000000000000000000000000000000001");
/// What nobody may see.
const SECRET: &str = "5ec4e7000000000000000000000000000000000000000000000000000c0ffee5";
/// Returns slot 0.
const READER: &[u8] = &hex!("5f545f5260205ff3");

/// Calls PLAIN, then VAULT, then PLAIN with what VAULT said, keeps it in slot 1 and returns it.
fn router() -> Bytes {
    let call = |to: Address| [&hex!("60205f5f5f5f73")[..], to.as_slice(), &hex!("5af150")].concat();
    let send_on = [&hex!("5f5f60205f5f73")[..], PLAIN.as_slice(), &hex!("5af150")].concat();
    let end = hex!("5f5160015560205ff3");
    [call(PLAIN), call(VAULT), send_on, end.to_vec()].concat().into()
}

/// Draws 32 random bytes and returns them.
fn drawer() -> Bytes {
    let ask = hex!("60205f526040602052" "60205f60605f5f73");
    [&ask[..], RANDOM_BYTES.as_slice(), &hex!("5af15060205ff3")].concat().into()
}

fn view() -> MemoryView {
    let mut view = MemoryView::default();
    view.fund(SENDER, U256::from(10).pow(U256::from(20)));
    view.deploy(ROUTER, router());
    view.deploy(PLAIN, READER.into());
    view.deploy(DRAWER, drawer());
    view.deploy_as(Visibility::Confidential, VAULT, READER.into());
    let mut changes = Changes::default();
    changes
        .confidential
        .insert((VAULT, U256::ZERO), U256::from_be_bytes::<32>(hex::decode(SECRET).unwrap().try_into().unwrap()));
    view.apply(&changes);
    view
}

fn block() -> BlockContext {
    let randomness = Some(BlockRandomness::new(Zeroizing::new([3; 32])));
    BlockContext {
        chain_id: 1,
        height: 5,
        time_unix_s: 50,
        parent_time_unix_s: 49,
        gas_limit: 60_000_000,
        sapphire: SapphireContext { randomness, ..SapphireContext::default() },
        ..BlockContext::default()
    }
}

fn tx(to: Address) -> TxEnv {
    TxEnv { caller: SENDER, kind: TxKind::Call(to), gas_limit: 5_000_000, chain_id: Some(1), ..TxEnv::default() }
}

fn geth(options: Value) -> TraceKind {
    TraceKind::Geth(Box::new(serde_json::from_value::<GethDebugTracingOptions>(options).unwrap()))
}

fn everything() -> Vec<TraceKind> {
    let tracers = [
        json!({ "enableMemory": true, "enableReturnData": true }),
        json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } }),
        json!({ "tracer": "flatCallTracer" }),
        json!({ "tracer": "prestateTracer" }),
        json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } }),
        json!({ "tracer": "4byteTracer" }),
        json!({ "tracer": "noopTracer" }),
    ];
    let types = HashSet::from_iter([TraceType::Trace, TraceType::VmTrace, TraceType::StateDiff]);
    let others = [TraceKind::Parity(types), TraceKind::AccessList(AccessList::default())];
    tracers.into_iter().map(geth).chain(others).collect()
}

fn trace(tx: impl Into<MachineTx>, kind: TraceKind, sight: Sight) -> (Outcome, Result<Traced, TraceError>, Changes) {
    let (modules, view) = (ModuleSet::default(), view());
    let mut evm = Evm::new(block(), &modules, &view);
    let plan = TracePlan { kind, sight, block_hash: None, tx_hash: None };
    let (outcome, traced) = evm.trace(tx, 0, &plan).unwrap();
    (outcome, traced, evm.finish())
}

fn text(traced: &Traced) -> String {
    match &traced.trace {
        Trace::Geth(trace) => serde_json::to_string(trace).unwrap(),
        Trace::Parity(results) => serde_json::to_string(results).unwrap(),
        Trace::AccessList(list) => serde_json::to_string(list).unwrap(),
    }
}

fn json_of(traced: &Traced) -> Value {
    serde_json::from_str(&text(traced)).unwrap()
}

#[test]
fn a_trace_changes_nothing() {
    for to in [ROUTER, VAULT, PLAIN, DRAWER] {
        let (modules, view) = (ModuleSet::default(), view());
        let mut evm = Evm::new(block(), &modules, &view);
        let plain = evm.transact(tx(to), 0).unwrap();
        let changes = evm.finish();
        for kind in everything() {
            for sight in [Sight::Public, Sight::Everything] {
                let (outcome, traced, traced_changes) = trace(tx(to), kind.clone(), sight);
                assert_eq!(outcome, plain, "{to} {kind:?}");
                assert!(traced_changes == changes, "{to} {kind:?}");
                traced.unwrap();
            }
        }
    }
}

#[test]
fn what_comes_behind_a_confidential_frame_is_not_shown() {
    for kind in everything() {
        let (outcome, traced, _) = trace(tx(ROUTER), kind.clone(), Sight::Public);
        assert_eq!(hex::encode(&outcome.output), SECRET, "the router does get it");
        let traced = traced.unwrap();
        assert_eq!(traced.closed, Some(2), "{kind:?}: the router's frame and the vault's");
        let shown = text(&traced);
        if !shown.contains("\"post\"") && !matches!(kind, TraceKind::Parity(_)) {
            assert!(!shown.contains(SECRET), "{kind:?}: {shown}");
        }
    }
}

#[test]
fn what_a_public_slot_keeps_is_all_that_state_shows() {
    let kind = geth(json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } }));
    let diff = json_of(&trace(tx(ROUTER), kind, Sight::Public).1.unwrap());
    let members = |part: &str| diff[part].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let router = ROUTER.to_string().to_lowercase();
    assert!(
        diff["post"][&router]["storage"]
            .as_object()
            .unwrap()
            .values()
            .any(|value| value == &json!(format!("0x{SECRET}")))
    );
    assert!(!members("pre").iter().chain(&members("post")).any(|name| *name == VAULT.to_string().to_lowercase()));
    let kind = TraceKind::Parity(HashSet::from_iter([TraceType::Trace, TraceType::VmTrace]));
    assert!(!text(&trace(tx(ROUTER), kind, Sight::Public).1.unwrap()).contains(SECRET));
    let kind = geth(json!({ "tracer": "prestateTracer" }));
    let before = text(&trace(tx(VAULT), kind, Sight::Everything).1.unwrap());
    assert!(before.contains(SECRET), "the test would find it");
}

#[test]
fn frames_before_the_secret_are_shown_whole() {
    let frames = json_of(&trace(tx(ROUTER), geth(json!({ "tracer": "callTracer" })), Sight::Public).1.unwrap());
    let calls = frames["calls"].as_array().unwrap();
    assert_eq!(calls.len(), 2, "{frames}");
    assert_eq!(calls[0]["output"], json!(format!("0x{}", "0".repeat(64))));
    assert!(calls[1].get("output").is_none() && calls[1].get("error").is_none(), "{frames}");
    assert!(frames.get("output").is_none());
    let open = json_of(&trace(tx(ROUTER), geth(json!({ "tracer": "callTracer" })), Sight::Everything).1.unwrap());
    assert_eq!(open["calls"].as_array().unwrap().len(), 3);
    assert_eq!(open["output"], json!(format!("0x{SECRET}")));
    let steps = json_of(&trace(tx(ROUTER), geth(json!({})), Sight::Public).1.unwrap());
    let steps = steps["structLogs"].as_array().unwrap();
    assert_eq!(steps.last().unwrap()["op"], "CALL");
    assert!(steps.iter().all(|step| step["depth"].as_u64().unwrap() < 3));
}

#[test]
fn an_access_list_says_nothing_of_confidential_slots() {
    let list = |to, sight| match trace(tx(to), TraceKind::AccessList(AccessList::default()), sight).1.unwrap().trace {
        Trace::AccessList(list) => list,
        other => panic!("{other:?}"),
    };
    assert!(list(VAULT, Sight::Public).is_empty());
    let seen = list(ROUTER, Sight::Public);
    let of = |list: &AccessList, address| {
        list.iter().find(|item| item.address == address).map(|item| item.storage_keys.len())
    };
    assert_eq!((of(&seen, PLAIN), of(&seen, VAULT), of(&seen, ROUTER)), (Some(1), Some(0), None));
    assert_eq!(of(&list(ROUTER, Sight::Everything), VAULT), Some(1), "the test would find it");
}

#[test]
fn what_was_drawn_is_not_shown() {
    for kind in everything() {
        let (outcome, traced, _) = trace(tx(DRAWER), kind.clone(), Sight::Public);
        let drawn = hex::encode(&outcome.output);
        assert_eq!(drawn.len(), 64);
        let traced = traced.unwrap();
        assert!(traced.closed.is_some(), "{kind:?}");
        assert!(!text(&traced).contains(&drawn), "{kind:?}");
        let open = text(&trace(tx(DRAWER), geth(json!({ "tracer": "callTracer" })), Sight::Everything).1.unwrap());
        assert!(open.contains(&drawn), "the test would find it");
    }
}

#[test]
fn opened_call_data_is_not_shown() {
    let echo = hex!("365f5f37365ff3");
    let mut view = view();
    view.deploy(PLAIN, echo.into());
    let modules = ModuleSet::default();
    for kind in everything() {
        let input = FirstInput::Opened(hex::decode(SECRET).unwrap().into());
        let env = TxEnv { data: vec![0xa1; 40].into(), ..tx(PLAIN) };
        let sent = MachineTx { env, input, opening_gas: 10_000 };
        let mut evm = Evm::new(block(), &modules, &view);
        let plan = TracePlan { kind: kind.clone(), sight: Sight::Public, block_hash: None, tx_hash: None };
        let (outcome, traced) = evm.trace(sent, 0, &plan).unwrap();
        assert_eq!(hex::encode(&outcome.output), SECRET);
        let traced = traced.unwrap();
        assert_eq!(traced.closed, Some(1), "{kind:?}");
        assert!(!text(&traced).contains(SECRET), "{kind:?}");
    }
    let sent = MachineTx { env: tx(PLAIN), input: FirstInput::Refused, opening_gas: 10_000 };
    let kind = geth(json!({ "tracer": "callTracer" }));
    let plan = TracePlan { kind, sight: Sight::Public, block_hash: None, tx_hash: None };
    let (outcome, traced) = Evm::new(block(), &modules, &view).trace(sent, 0, &plan).unwrap();
    assert!(!outcome.is_success());
    assert_eq!(json_of(&traced.unwrap())["to"], json!(PLAIN.to_string().to_lowercase()));
}

#[test]
fn large_traces_are_refused_and_limits_help() {
    // JUMPDEST, then back to it until gas runs out; below it a deep stack.
    let mut code = vec![0x5f; 900];
    code.extend(hex!("5b61038456"));
    let mut view = view();
    view.deploy(PLAIN, code.into());
    let modules = ModuleSet::default();
    let run = |options: Value| {
        let mut evm = Evm::new(block(), &modules, &view);
        let plan = TracePlan { kind: geth(options), sight: Sight::Public, block_hash: None, tx_hash: None };
        evm.trace(TxEnv { gas_limit: 16_000_000, ..tx(PLAIN) }, 0, &plan).unwrap().1
    };
    assert_eq!(run(json!({})).unwrap_err(), TraceError::TooLarge);
    assert!(json_of(&run(json!({ "limit": 950 })).unwrap())["structLogs"].as_array().unwrap().len() <= 950);
    assert!(run(json!({ "tracer": "callTracer" })).is_ok());
}

#[test]
fn tracers_that_are_not_served_are_named() {
    for tracer in ["muxTracer", "{result: function() {}}", "nonsense", "erc7562Tracer"] {
        let (_, traced, _) = trace(tx(PLAIN), geth(json!({ "tracer": tracer })), Sight::Public);
        assert_eq!(traced.unwrap_err(), TraceError::Tracer, "{tracer}");
    }
    let wrong = json!({ "tracer": "callTracer", "tracerConfig": { "onlyTopCall": 7 } });
    assert_eq!(trace(tx(PLAIN), geth(wrong), Sight::Public).1.unwrap_err(), TraceError::Config);
}

#[test]
fn transfers_are_told_in_order_and_go_with_their_frame() {
    // PLAIN sends 1 to SINK; ROUTER sends 2 to SINK and reverts; the sender of both calls is SENDER.
    let pay = |value: u8, end: &[u8]| {
        [&hex!("5f5f5f5f60")[..], &[value, 0x73], SINK.as_slice(), &hex!("5af150"), end].concat()
    };
    let mut view = view();
    view.deploy(PLAIN, pay(1, &[0x00]).into());
    view.deploy(ROUTER, pay(2, &hex!("5f5ffd")).into());
    let modules = ModuleSet::default();
    let mut evm = Evm::query(block(), QueryRules::Lenient, &modules, &view);
    let mut send = |to, index| {
        let env = TxEnv { value: U256::from(5), ..tx(to) };
        evm.transact_noting(env, index, Transfers::Logged).unwrap()
    };
    let logs = send(PLAIN, 0).logs;
    let told: Vec<(Address, U256)> = logs
        .iter()
        .map(|log| (Address::from_word(log.data.topics()[2]), U256::from_be_slice(&log.data.data)))
        .collect();
    assert_eq!(told, [(PLAIN, U256::from(5)), (SINK, U256::from(1))]);
    assert!(send(ROUTER, 1).logs.is_empty(), "what was undone is not told");
}
