//! Sapphire's precompiles as contracts meet them: through every kind of call, with gas, reverts and queries.
#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, sync::Arc};

use alloy_primitives::{Address, Bytes, TxKind, U256, address, hex};
use freehold_evm::{
    BlockContext, BlockRandomness, CallDataKey, Evm, Halt, MemoryView, ModuleContext, ModuleSet, Outcome,
    SapphireContext, Status, Subcall, SubcallFailure, SubcallHandler, SubcallRefusal, TxEnv, simulate,
};
use freehold_primitives::CborValue;
use zeroize::Zeroizing;

const SENDER: Address = address!("0x1111111111111111111111111111111111111111");
const CONTRACT: Address = address!("0xcccccccccccccccccccccccccccccccccccccccc");
const OUTER: Address = address!("0xdddddddddddddddddddddddddddddddddddddddd");
const RANDOM_BYTES: Address = address!("0x0100000000000000000000000000000000000001");
const GAS_USED: Address = address!("0x0100000000000000000000000000000000000009");
const PAD_GAS: Address = address!("0x010000000000000000000000000000000000000a");
const SHA512: Address = address!("0x0100000000000000000000000000000000000102");
const SUBCALL: Address = address!("0x0100000000000000000000000000000000000103");
const P256VERIFY: Address = address!("0x0000000000000000000000000000000000000100");
const CALL: u8 = 0xf1;
const CALLCODE: u8 = 0xf2;
const DELEGATECALL: u8 = 0xf4;
const STATICCALL: u8 = 0xfa;
/// Gas of a word that the contract of [`forward`] copies in and out again, and of its other steps, is not our subject.
const GAS: u64 = 2_000_000;

/// Code that calls `target` with its own call data and gives back what came, or reverts with it.
fn forward(kind: u8, target: Address) -> Bytes {
    let value: &[u8] = if matches!(kind, CALL | CALLCODE) { &[0x5f] } else { &[] };
    let mut code = hex!("365f5f37 5f5f365f").to_vec();
    code.extend_from_slice(value);
    code.push(0x73);
    code.extend_from_slice(target.as_slice());
    code.extend([0x5a, kind]);
    code.extend(hex!("3d5f5f3e"));
    let end = code.len() as u8 + 7;
    code.extend([0x60, end, 0x57, 0x3d, 0x5f, 0xfd, 0xfe]);
    code.extend(hex!("5b3d5ff3"));
    code.into()
}

/// Code that calls `inner` with its own call data, undone or not, and then gives back 32 random bytes.
fn then_draw(inner: Address) -> Bytes {
    let mut code = hex!("365f5f37 5f5f365f5f 73").to_vec();
    code.extend_from_slice(inner.as_slice());
    // Ignore how it ended; at memory 0: abi(uint256 32, bytes "").
    code.extend(hex!("5af150 60205f52 60406020 52 5f604052 60205f 60605f 73"));
    code.extend_from_slice(RANDOM_BYTES.as_slice());
    code.extend(hex!("5afa50 60205ff3"));
    code.into()
}

/// Code that draws 32 bytes and reverts with them.
fn draw_and_revert() -> Bytes {
    let mut code = hex!("60205f52 6040602052 5f604052 60205f 60605f 73").to_vec();
    code.extend_from_slice(RANDOM_BYTES.as_slice());
    code.extend(hex!("5afa50 60205ffd"));
    code.into()
}

fn sapphire() -> SapphireContext {
    SapphireContext {
        epoch: 7,
        randomness: Some(BlockRandomness::new(Zeroizing::new([3; 32]))),
        call_data_key: Some(CallDataKey { public_key: [1; 32], checksum: [2; 32], signature: [3; 64], epoch: 6 }),
        query_entropy: [0; 32],
    }
}

fn block() -> BlockContext {
    BlockContext {
        chain_id: 1,
        height: 5,
        time_unix_s: 50,
        parent_time_unix_s: 49,
        gas_limit: 60_000_000,
        sapphire: sapphire(),
        ..BlockContext::default()
    }
}

fn view(contracts: &[(Address, Bytes)]) -> MemoryView {
    let mut view = MemoryView::default();
    view.fund(SENDER, U256::from(10).pow(U256::from(20)));
    for (address, code) in contracts {
        view.deploy(*address, code.clone());
    }
    view
}

fn tx(nonce: u64, to: Address, input: impl Into<Bytes>) -> TxEnv {
    TxEnv {
        caller: SENDER,
        kind: TxKind::Call(to),
        nonce,
        gas_limit: GAS,
        chain_id: Some(1),
        data: input.into(),
        ..TxEnv::default()
    }
}

/// Runs one transaction.
fn run_tx(view: &MemoryView, modules: &ModuleSet, tx: TxEnv) -> Outcome {
    Evm::new(block(), modules, view).transact(tx, 0).unwrap()
}

fn word(value: u64) -> Vec<u8> {
    U256::from(value).to_be_bytes::<32>().to_vec()
}

/// `abi.encode` of byte strings.
fn encode(items: &[&[u8]]) -> Vec<u8> {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    for item in items {
        head.extend(word((items.len() * 32 + tail.len()) as u64));
        tail.extend(word(item.len() as u64));
        tail.extend_from_slice(item);
        tail.resize(tail.len().next_multiple_of(32), 0);
    }
    [head, tail].concat()
}

fn draw(count: u64) -> Vec<u8> {
    [word(count), word(64), word(0)].concat()
}

/// Reads `abi(uint64, bytes)`.
fn decode(output: &[u8]) -> (u64, Vec<u8>) {
    let number = |at: usize| u64::from_be_bytes(output[at + 24..at + 32].try_into().unwrap());
    assert_eq!(number(32), 64);
    let length = number(64) as usize;
    assert_eq!(output.len(), 96 + length.next_multiple_of(32));
    (number(0), output[96..96 + length].to_vec())
}

fn method(view: &MemoryView, modules: &ModuleSet, name: &str, body: &[u8]) -> (u64, Vec<u8>) {
    let outcome = run_tx(view, modules, tx(0, CONTRACT, encode(&[name.as_bytes(), body])));
    assert!(outcome.is_success(), "{name}: {:?}", outcome.status);
    decode(&outcome.output)
}

#[test]
fn precompiles_answer_every_kind_of_call() {
    for kind in [CALL, CALLCODE, DELEGATECALL, STATICCALL] {
        let view = view(&[(CONTRACT, forward(kind, SHA512))]);
        let outcome = run_tx(&view, &ModuleSet::default(), tx(0, CONTRACT, b"abc".to_vec()));
        assert!(outcome.is_success());
        let expect = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                      2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        assert_eq!(hex::encode(&outcome.output), expect);
    }
}

#[test]
fn a_refusal_spends_what_was_sent_along() {
    let view = view(&[(CONTRACT, forward(STATICCALL, RANDOM_BYTES))]);
    let outcome = run_tx(&view, &ModuleSet::default(), tx(0, CONTRACT, b"".to_vec()));
    assert_eq!((outcome.status, outcome.output.len()), (Status::Revert, 0));
    assert!(outcome.gas_used > GAS - GAS / 32, "only the 64th that the caller kept is left");
}

#[test]
fn who_calls_directly_hears_why() {
    let view = view(&[]);
    let outcome = run_tx(&view, &ModuleSet::default(), tx(0, RANDOM_BYTES, b"".to_vec()));
    let Status::Halt(Halt::PrecompileErrorWithContext(text)) = outcome.status else { panic!("{:?}", outcome.status) };
    assert_eq!(text, "input is malformed");
    let without = BlockContext { sapphire: SapphireContext::default(), ..block() };
    let outcome = simulate(without, &ModuleSet::default(), &view, tx(0, RANDOM_BYTES, draw(32))).unwrap();
    assert!(
        matches!(outcome.status, Status::Halt(Halt::PrecompileErrorWithContext(text)) if text.contains("state keys"))
    );
}

#[test]
fn every_transaction_and_every_call_draws_anew() {
    let view = view(&[(CONTRACT, forward(STATICCALL, RANDOM_BYTES)), (OUTER, then_draw(CONTRACT))]);
    let modules = ModuleSet::default();
    let mut evm = Evm::new(block(), &modules, &view);
    let mut seen = BTreeSet::new();
    for index in 0..4 {
        // The first of a transaction, and the second after a first within.
        let to = if index % 2 == 0 { CONTRACT } else { OUTER };
        let outcome = evm.transact(tx(index, to, draw(32)), index.try_into().unwrap()).unwrap();
        assert_eq!(outcome.output.len(), 32);
        assert!(seen.insert(outcome.output));
    }
    // Every executor draws the same.
    let mut again = Evm::new(block(), &modules, &view);
    assert!(seen.contains(&again.transact(tx(0, CONTRACT, draw(32)), 0).unwrap().output));
}

#[test]
fn a_revert_does_not_take_a_draw_back() {
    let view = view(&[
        (CONTRACT, draw_and_revert()),
        (OUTER, then_draw(CONTRACT)),
        (address!("0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"), then_draw(Address::ZERO)),
    ]);
    let modules = ModuleSet::default();
    let reverted = run_tx(&view, &modules, tx(0, CONTRACT, b"".to_vec()));
    assert_eq!((reverted.status, reverted.output.len()), (Status::Revert, 32));
    let after = run_tx(&view, &modules, tx(0, OUTER, b"".to_vec())).output;
    let first = run_tx(&view, &modules, tx(0, address!("0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"), b"".to_vec()));
    assert_eq!(first.output, reverted.output, "the first draw of transaction 0");
    assert_ne!(after, reverted.output, "what was seen and undone does not come again");
}

#[test]
fn queries_never_show_what_a_transaction_would_draw() {
    let view = view(&[(CONTRACT, forward(STATICCALL, RANDOM_BYTES))]);
    let modules = ModuleSet::default();
    let drawn = run_tx(&view, &modules, tx(0, CONTRACT, draw(32))).output;
    let query = |entropy: [u8; 32]| {
        let block = BlockContext { sapphire: SapphireContext { query_entropy: entropy, ..sapphire() }, ..block() };
        simulate(block, &modules, &view, tx(0, CONTRACT, draw(32))).unwrap().output
    };
    assert_ne!(query([0; 32]), drawn);
    assert_ne!(query([0; 32]), query([1; 32]));
    assert_eq!(query([1; 32]), query([1; 32]));
}

#[test]
fn gas_used_counts_the_whole_transaction() {
    // Two contracts deep: what both callers keep must not seem to be used.
    let view = view(&[(OUTER, forward(STATICCALL, CONTRACT)), (CONTRACT, forward(STATICCALL, GAS_USED))]);
    let outcome = run_tx(&view, &ModuleSet::default(), tx(0, OUTER, b"".to_vec()));
    let told = U256::from_be_slice(&outcome.output).to::<u64>();
    // After it: copies of 32 bytes out of two frames, and their ends.
    assert!(told < outcome.gas_used && outcome.gas_used - told < 100, "{told} of {}", outcome.gas_used);
    assert!(told > 21_000);
    let direct = run_tx(&view, &ModuleSet::default(), tx(0, GAS_USED, b"".to_vec()));
    assert_eq!(U256::from_be_slice(&direct.output).to::<u64>(), 21_010);
}

#[test]
fn padding_hides_what_was_done_before() {
    let view = view(&[(OUTER, forward(STATICCALL, CONTRACT)), (CONTRACT, forward(STATICCALL, PAD_GAS))]);
    let modules = ModuleSet::default();
    let short = run_tx(&view, &modules, tx(0, CONTRACT, word(100_000)));
    let long = run_tx(&view, &modules, tx(0, OUTER, word(100_000)));
    assert!(short.is_success() && long.is_success());
    assert!((100_000..100_100).contains(&short.gas_used), "{}", short.gas_used);
    assert!((100_000..100_100).contains(&long.gas_used), "{}", long.gas_used);
    assert_eq!(run_tx(&view, &modules, tx(0, CONTRACT, word(21_000))).status, Status::Revert);
    assert_eq!(run_tx(&view, &modules, tx(0, CONTRACT, word(GAS))).status, Status::Revert);
}

/// EIP-7951 with the example of RFC 6979 A.2.5.
#[test]
fn p256verify_still_stands() {
    let input = hex!(
        "af2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf"
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
        "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
        "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
        "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
    );
    let view = view(&[]);
    let outcome = run_tx(&view, &ModuleSet::default(), tx(0, P256VERIFY, input.to_vec()));
    assert_eq!(outcome.output.to_vec(), word(1));
}

/// Answers `test.*`, and shows what a subcall may and may not do.
struct Handler;

impl SubcallHandler for Handler {
    fn call(&self, subcall: &Subcall<'_>, ctx: &mut ModuleContext<'_>) -> Result<Vec<u8>, SubcallFailure> {
        match subcall.method {
            "test.Caller" => Ok(CborValue::Bytes(subcall.caller.as_slice()).to_vec()),
            "test.Mutable" => {
                ctx.require_mutable()?;
                Ok(CborValue::Null.to_vec())
            }
            "test.Spend" => {
                ctx.charge(subcall.body.unsigned()?)?;
                Ok(CborValue::Null.to_vec())
            }
            "test.TransferThenRefuse" => {
                ctx.transfer(Address::repeat_byte(9), U256::ZERO)?;
                Err(SubcallRefusal { module: "test", code: 9 }.into())
            }
            _ => Err(SubcallRefusal::INVALID_METHOD.into()),
        }
    }
}

fn modules() -> ModuleSet {
    ModuleSet::default().with_subcalls(Arc::new(Handler))
}

fn subcaller() -> MemoryView {
    let mut view = view(&[(CONTRACT, forward(CALL, SUBCALL))]);
    view.fund(CONTRACT, U256::from(1_000));
    view
}

/// The very call data of the JavaScript client, sent to `SUBCALL` itself in a plain `eth_call`.
#[test]
fn the_call_data_key_is_answered_plainly() {
    let input = hex!(
        "0000000000000000000000000000000000000000000000000000000000000040"
        "0000000000000000000000000000000000000000000000000000000000000080"
        "0000000000000000000000000000000000000000000000000000000000000016"
        "636f72652e43616c6c446174615075626c69634b657900000000000000000000"
        "0000000000000000000000000000000000000000000000000000000000000001"
        "f600000000000000000000000000000000000000000000000000000000000000"
    );
    let outcome = simulate(block(), &ModuleSet::default(), &view(&[]), tx(0, SUBCALL, input.to_vec())).unwrap();
    let (code, answer) = decode(&outcome.output);
    let key = format!("636b65795820{}68636865636b73756d5820{}", "01".repeat(32), "02".repeat(32));
    let rest = format!("697369676e61747572655840{}6a65787069726174696f6e0b", "03".repeat(64));
    let expect = format!("a26565706f6368066a7075626c69635f6b6579a4{key}{rest}");
    assert_eq!((code, hex::encode(answer)), (0, expect));
    let without = BlockContext { sapphire: SapphireContext::default(), ..block() };
    let outcome = simulate(without, &ModuleSet::default(), &view(&[]), tx(0, SUBCALL, input.to_vec())).unwrap();
    assert_eq!(decode(&outcome.output), (10, b"core".to_vec()));
}

#[test]
fn without_a_handler_its_methods_are_unknown() {
    let (view, modules) = (subcaller(), ModuleSet::default());
    assert_eq!(method(&view, &modules, "test.Caller", &[0xf6]), (3, b"core".to_vec()));
}

fn transfer_body(to: &[u8], amount: u128, denomination: &[u8]) -> Vec<u8> {
    let amount = amount.to_be_bytes();
    let tokens = CborValue::Array(vec![CborValue::Bytes(&amount), CborValue::Bytes(denomination)]);
    CborValue::map([("to", CborValue::Bytes(to)), ("amount", tokens)]).to_vec()
}

#[test]
fn transfers_move_the_contracts_balance() {
    let (view, modules) = (subcaller(), modules());
    let to = Address::repeat_byte(0xbb);
    let wire = [&[0][..], to.as_slice()].concat();
    // As `Subcall.sol` packs it.
    let body = [&hex!("a262746f55")[..], &wire, &hex!("66616d6f756e748250"), &400_u128.to_be_bytes(), &[0x40]].concat();
    assert_eq!(body, transfer_body(&wire, 400, b""));
    let mut evm = Evm::new(block(), &modules, &view);
    let outcome = evm.transact(tx(0, CONTRACT, encode(&[b"accounts.Transfer", &body])), 0).unwrap();
    assert_eq!(decode(&outcome.output), (0, vec![0xf6]));
    let too_much = transfer_body(&wire, 601, b"");
    let outcome = evm.transact(tx(1, CONTRACT, encode(&[b"accounts.Transfer", &too_much])), 1).unwrap();
    assert_eq!(decode(&outcome.output), (2, b"accounts".to_vec()));
    let changes = evm.finish();
    assert_eq!(changes.accounts[&to].unwrap().balance, U256::from(400));
    assert_eq!(changes.accounts[&CONTRACT].unwrap().balance, U256::from(600));
}

#[test]
fn static_calls_change_nothing() {
    let mut view = view(&[(CONTRACT, forward(STATICCALL, SUBCALL))]);
    view.fund(OUTER, U256::from(1));
    let modules = modules();
    let body = transfer_body(&[0; 21], 0, b"");
    assert_eq!(method(&view, &modules, "accounts.Transfer", &body), (25, b"core".to_vec()));
    assert_eq!(method(&view, &modules, "test.Mutable", &[0xf6]), (25, b"core".to_vec()));
    assert_eq!(method(&view, &modules, "core.CurrentEpoch", &[0xf6]), (0, vec![7]));
    // A static call further up counts too.
    let mut view = subcaller();
    view.deploy(OUTER, forward(STATICCALL, CONTRACT));
    let input = encode(&[b"test.Mutable", &[0xf6]]);
    assert_eq!(decode(&run_tx(&view, &modules, tx(0, OUTER, input)).output), (25, b"core".to_vec()));
}

/// Code that calls `target` with its own call data and exactly this much gas, and gives back what came; whether the
/// call succeeded stands in front of it.
fn forward_gas(kind: u8, target: Address, gas: u32) -> Bytes {
    let value: &[u8] = if kind == CALL { &[0x5f] } else { &[] };
    let mut code = hex!("365f5f37 5f5f365f").to_vec();
    code.extend_from_slice(value);
    code.push(0x73);
    code.extend_from_slice(target.as_slice());
    code.push(0x63);
    code.extend(gas.to_be_bytes());
    // Success into the first word; what came behind it.
    code.extend([kind]);
    code.extend(hex!("5f52 3d5f60203e 3d602001 5ff3"));
    code.into()
}

/// Each method with exactly its gas, and with one less: then the method has run out of gas, or the whole call has.
#[test]
fn subcalls_match_their_vectors() {
    let vectors: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("../../../spec/vectors/sapphire/subcalls.json")).unwrap();
    for vector in vectors {
        let field = |name: &str| hex::decode(vector[name].as_str().unwrap()).unwrap();
        let number = |name: &str| vector[name].as_u64().unwrap();
        let kind = if vector["static"].as_bool().unwrap() { STATICCALL } else { CALL };
        let run = |gas: u64| {
            let mut view = view(&[(CONTRACT, forward_gas(kind, SUBCALL, gas.try_into().unwrap()))]);
            view.fund(CONTRACT, U256::from(1_000));
            let outcome = run_tx(&view, &modules(), tx(0, CONTRACT, encode(&[&field("method"), &field("body")])));
            assert!(outcome.is_success(), "{}", vector["name"]);
            let success = outcome.output[31] == 1;
            success.then(|| decode(&outcome.output[32..]))
        };
        if vector["fails"].is_string() {
            assert_eq!(run(1_000_000), None, "{}", vector["name"]);
            continue;
        }
        let expect = Some((number("code"), field("answer")));
        assert_eq!(run(number("gas")), expect, "{}", vector["name"]);
        assert_eq!(run(number("gas") + 1_000), expect, "{}", vector["name"]);
        let ran_out = if number("inner") > 0 { Some((12, b"core".to_vec())) } else { None };
        assert_eq!(run(number("gas") - 1), ran_out, "{}", vector["name"]);
    }
}

#[test]
fn malformed_arguments_are_refused() {
    let (view, modules) = (subcaller(), modules());
    let mut inputs = vec![encode(&[b"core.CurrentEpoch"]), Vec::new()];
    let mut cut = encode(&[b"core.CurrentEpoch", &[0xf6]]);
    cut.truncate(cut.len() - 32);
    inputs.push(cut);
    for input in inputs {
        let outcome = run_tx(&view, &modules, tx(0, CONTRACT, input.clone()));
        assert_eq!((outcome.status, outcome.output.len()), (Status::Revert, 0), "{}", hex::encode(&input));
        assert!(outcome.gas_used > GAS - GAS / 32);
    }
}

#[test]
fn subcalls_are_plain_calls_without_value() {
    let input = encode(&[b"core.CurrentEpoch", &[0xf6]]);
    for kind in [DELEGATECALL, CALLCODE] {
        let view = view(&[(CONTRACT, forward(kind, SUBCALL))]);
        assert_eq!(run_tx(&view, &modules(), tx(0, CONTRACT, input.clone())).status, Status::Revert);
    }
    let with_value = TxEnv { value: U256::from(1), ..tx(0, SUBCALL, input) };
    let (modules, view) = (modules(), view(&[]));
    let mut evm = Evm::new(block(), &modules, &view);
    assert!(matches!(evm.transact(with_value, 0).unwrap().status, Status::Halt(_)));
    assert!(!evm.finish().accounts.contains_key(&SUBCALL), "the value went back");
}

#[test]
fn handlers_see_the_calling_contract_and_spend_its_gas() {
    let (view, modules) = (subcaller(), modules());
    let caller = [&[0x54][..], CONTRACT.as_slice()].concat();
    assert_eq!(method(&view, &modules, "test.Caller", &[0xf6]), (0, caller));
    assert_eq!(method(&view, &modules, "test.TransferThenRefuse", &[0xf6]), (9, b"test".to_vec()));
    let spend = |gas: u64| {
        let input = encode(&[b"test.Spend", &CborValue::Unsigned(gas).to_vec()]);
        run_tx(&view, &modules, tx(0, CONTRACT, input))
    };
    // Both bodies have four bytes of argument, so only the charge differs.
    let (less, more) = (spend(100_000), spend(150_000));
    assert_eq!(more.gas_used - less.gas_used, 50_000);
    let (code, module) = decode(&spend(GAS).output);
    assert_eq!((code, module), (12, b"core".to_vec()), "a method that runs out of gas leaves what it did not take");
}
