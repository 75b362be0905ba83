//! A module behaves like a contract: reverts, static calls, gas, logs, value, documents.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, LogData, TxKind, U256, address, hex};
use freehold_evm::{
    BlockContext, CALL_GAS_MAX, Changes, Evm, EvmError, MemoryView, Module, ModuleCall, ModuleContext, ModuleFailure,
    ModuleSet, Outcome, Status, TxEnv, simulate,
};
use freehold_primitives::{BlockMoment, Digest};

const MODULE: Address = address!("0x00000000000000000000000000000000000000f1");
const OTHER: Address = address!("0x00000000000000000000000000000000000000f2");
const SENDER: Address = address!("0x1111111111111111111111111111111111111111");
const DOCUMENT: Digest = Digest([8; 32]);

/// Does what the first byte of its input says.
struct Probe;

impl Module for Probe {
    fn address(&self) -> Address {
        MODULE
    }

    fn call(&self, call: &ModuleCall, ctx: &mut ModuleContext<'_>) -> Result<Bytes, ModuleFailure> {
        let slot = [0; 32];
        match call.input.first().copied() {
            // Writes one to its own slot and to another module's.
            Some(1) => {
                ctx.sstore(MODULE, &slot, B256::with_last_byte(1))?;
                ctx.sstore(OTHER, &slot, B256::with_last_byte(2))?;
                Ok(Bytes::new())
            }
            // Writes, logs, keeps a document, then reverts.
            Some(2) => {
                ctx.sstore(MODULE, &slot, B256::with_last_byte(9))?;
                ctx.log(MODULE, LogData::new_unchecked(vec![], Bytes::from_static(b"gone")))?;
                ctx.put(DOCUMENT, b"gone".to_vec())?;
                Err(ModuleFailure::Revert(Bytes::from_static(b"no")))
            }
            // Keeps a document and logs.
            Some(3) => {
                ctx.put(DOCUMENT, b"kept".to_vec())?;
                ctx.log(MODULE, LogData::new_unchecked(vec![B256::ZERO], Bytes::from_static(b"kept")))?;
                Ok(ctx.content(&DOCUMENT)?.into())
            }
            // Sends what came with the call on.
            Some(4) => {
                let moved = ctx.transfer(Address::repeat_byte(0xbb), call.value)?;
                Ok(vec![u8::from(moved)].into())
            }
            // Spends without end.
            Some(5) => loop {
                ctx.charge(1_000_000)?;
            },
            // Reads a document that nobody kept.
            Some(6) => Ok(ctx.content(&Digest([1; 32]))?.into()),
            // Says where it is.
            Some(7) => {
                let moment = ctx.moment(4)?.map_or(0, |moment| moment.time_unix_s);
                let place = *ctx.environment();
                let here = [place.height, place.parent_time_unix_s, place.origin_nonce, place.tx_index.into(), moment];
                Ok(here.map(u64::to_be_bytes).concat().into())
            }
            _ => Ok(ctx.sload(MODULE, &slot)?.0.to_vec().into()),
        }
    }
}

struct Silent;

impl Module for Silent {
    fn address(&self) -> Address {
        OTHER
    }

    fn call(&self, _call: &ModuleCall, _ctx: &mut ModuleContext<'_>) -> Result<Bytes, ModuleFailure> {
        Ok(Bytes::new())
    }
}

fn modules() -> ModuleSet {
    ModuleSet::new([Arc::new(Probe) as Arc<dyn Module>, Arc::new(Silent)]).unwrap()
}

fn view() -> MemoryView {
    let mut view = MemoryView::default();
    view.fund(SENDER, U256::from(10).pow(U256::from(20)));
    for module in [MODULE, OTHER] {
        view.deploy(module, Bytes::from_static(&[0xfe]));
    }
    view.record(BlockMoment { height: 4, block_hash: Digest([4; 32]), time_unix_s: 44 });
    view
}

fn block() -> BlockContext {
    BlockContext {
        chain_id: 1,
        height: 5,
        time_unix_s: 50,
        parent_time_unix_s: 49,
        gas_limit: 60_000_000,
        ..BlockContext::default()
    }
}

fn tx(nonce: u64, to: Address, input: impl Into<Bytes>, value: u64) -> TxEnv {
    TxEnv {
        caller: SENDER,
        kind: TxKind::Call(to),
        nonce,
        gas_limit: 1_000_000,
        chain_id: Some(1),
        value: U256::from(value),
        data: input.into(),
        ..TxEnv::default()
    }
}

/// Runs calls to the module in one block.
fn run(inputs: &[&[u8]]) -> (Vec<Outcome>, Changes) {
    let (modules, view) = (modules(), view());
    let mut evm = Evm::new(block(), &modules, &view);
    let outcomes = (0_u32..)
        .zip(inputs)
        .map(|(index, input)| evm.transact(tx(index.into(), MODULE, input.to_vec(), 0), index).unwrap())
        .collect();
    (outcomes, evm.finish())
}

#[test]
fn storage_of_modules_persists() {
    let (outcomes, changes) = run(&[&[1], &[0]]);
    assert!(outcomes.iter().all(Outcome::is_success));
    assert_eq!(outcomes[1].output.as_ref(), B256::with_last_byte(1).as_slice());
    assert_eq!(changes.storage[&(MODULE, U256::ZERO)], U256::from(1));
    assert_eq!(changes.storage[&(OTHER, U256::ZERO)], U256::from(2));
    assert!(!changes.accounts.contains_key(&MODULE), "the account itself is as before");
}

#[test]
fn revert_undoes_everything_and_gives_gas_back() {
    let (outcomes, changes) = run(&[&[2]]);
    assert_eq!(outcomes[0].status, Status::Revert);
    assert_eq!(outcomes[0].output.as_ref(), b"no");
    assert!(outcomes[0].gas_used < 100_000);
    assert_eq!((changes.storage.len(), changes.content.len(), outcomes[0].logs.len()), (0, 0, 0));
}

#[test]
fn documents_and_logs_stay_with_success() {
    let (outcomes, changes) = run(&[&[3]]);
    assert_eq!(outcomes[0].output.as_ref(), b"kept");
    assert_eq!(outcomes[0].logs[0].address, MODULE);
    assert_eq!(changes.content[&DOCUMENT], b"kept");
}

#[test]
fn gas_runs_out_in_a_module_as_elsewhere() {
    let (outcomes, changes) = run(&[&[5]]);
    assert!(matches!(outcomes[0].status, Status::Halt(_)));
    assert_eq!(outcomes[0].gas_used, 1_000_000);
    assert_eq!(changes.storage.len(), 0);
}

#[test]
fn value_comes_and_goes() {
    let (modules, view) = (modules(), view());
    let mut evm = Evm::new(block(), &modules, &view);
    let outcome = evm.transact(tx(0, MODULE, vec![4], 7), 0).unwrap();
    assert_eq!(outcome.output.as_ref(), [1]);
    let changes = evm.finish();
    assert_eq!(changes.accounts[&Address::repeat_byte(0xbb)].unwrap().balance, U256::from(7));
    assert!(!changes.accounts.contains_key(&MODULE));
}

#[test]
fn environment_is_the_blocks() {
    let (outcomes, _) = run(&[&[0], &[7]]);
    let wanted = [5_u64, 49, 1, 1, 44].map(u64::to_be_bytes).concat();
    assert_eq!(outcomes[1].output.as_ref(), wanted);
}

#[test]
fn missing_documents_stop_the_block_and_not_the_transaction() {
    let (modules, view) = (modules(), view());
    let mut evm = Evm::new(block(), &modules, &view);
    let error = evm.transact(tx(0, MODULE, vec![6], 0), 0).unwrap_err();
    assert!(matches!(error, EvmError::View(freehold_evm::ViewError::ContentMissing(Digest([1, ..])))));
}

#[test]
fn invalid_transactions_leave_no_trace() {
    let (modules, view) = (modules(), view());
    let mut evm = Evm::new(block(), &modules, &view);
    for bad in [tx(1, MODULE, vec![1], 0), TxEnv { gas_limit: 20_000, ..tx(0, MODULE, vec![1], 0) }] {
        assert!(matches!(evm.transact(bad, 0), Err(EvmError::Invalid(_))));
    }
    let poor = TxEnv { caller: Address::repeat_byte(3), gas_price: 1, ..tx(0, MODULE, vec![1], 0) };
    assert!(matches!(evm.transact(poor, 0), Err(EvmError::Invalid(_))));
    assert!(evm.finish() == Changes::default());
}

/// A contract that passes one byte on to the module by an opcode, then keeps whether that succeeded in slot 0.
fn forwarder(opcode: u8, byte: u8) -> Bytes {
    // byte PUSH0 MSTORE8; out length, out, in length 1, in, [value,] module, gas; opcode; PUSH0 SSTORE STOP
    let mut code = vec![0x60, byte, 0x5f, 0x53, 0x5f, 0x5f, 0x60, 1, 0x5f];
    if matches!(opcode, 0xf1 | 0xf2) {
        code.push(0x5f);
    }
    code.push(0x73);
    code.extend_from_slice(MODULE.as_slice());
    code.extend([0x5a, opcode, 0x5f, 0x55, 0x00]);
    code.into()
}

fn forward(opcode: u8, byte: u8) -> (bool, Changes) {
    let contract = Address::repeat_byte(0xcc);
    let (modules, mut view) = (modules(), view());
    view.deploy(contract, forwarder(opcode, byte));
    let mut evm = Evm::new(block(), &modules, &view);
    assert!(evm.transact(tx(0, contract, vec![], 0), 0).unwrap().is_success());
    let changes = evm.finish();
    (changes.storage.get(&(contract, U256::ZERO)) == Some(&U256::from(1)), changes)
}

#[test]
fn contracts_call_modules_but_never_in_their_own_name() {
    const CALL: u8 = 0xf1;
    const CALLCODE: u8 = 0xf2;
    const DELEGATECALL: u8 = 0xf4;
    const STATICCALL: u8 = 0xfa;
    let (done, changes) = forward(CALL, 1);
    assert!(done);
    assert_eq!(changes.storage[&(MODULE, U256::ZERO)], U256::from(1));
    for (opcode, byte) in [(CALLCODE, 1), (DELEGATECALL, 1), (CALLCODE, 0), (DELEGATECALL, 0), (STATICCALL, 1)] {
        let (done, changes) = forward(opcode, byte);
        assert!(!done, "opcode {opcode:x} with {byte}");
        assert!(!changes.storage.contains_key(&(MODULE, U256::ZERO)));
    }
    assert!(forward(STATICCALL, 0).0, "a static call may read");
    // A module that reverts inside a call undoes its own part only, documents included by the slots that name them.
    let (done, changes) = forward(CALL, 2);
    assert!(!done);
    assert!(!changes.storage.contains_key(&(MODULE, U256::ZERO)));
}

#[test]
fn calls_outside_of_blocks_change_nothing_and_may_use_more_gas() {
    let (modules, view) = (modules(), view());
    let call = TxEnv { gas_limit: u64::MAX, nonce: 77, chain_id: None, ..tx(0, MODULE, vec![1], 0) };
    let outcome = simulate(block(), &modules, &view, call).unwrap();
    assert!(outcome.is_success());
    // GAS PUSH0 MSTORE, PUSH1 32 PUSH0 RETURN
    let contract = Address::repeat_byte(0xcc);
    let mut view = view;
    view.deploy(contract, hex!("5a5f5260205ff3").into());
    let call = TxEnv { gas_limit: u64::MAX, ..tx(0, contract, vec![], 0) };
    let outcome = simulate(block(), &modules, &view, call).unwrap();
    let gas = U256::from_be_slice(&outcome.output);
    assert!(gas > U256::from(CALL_GAS_MAX - 30_000) && gas < U256::from(CALL_GAS_MAX));
}

#[test]
fn two_modules_at_one_address_are_refused() {
    assert!(ModuleSet::new([Arc::new(Probe) as Arc<dyn Module>, Arc::new(Probe)]).is_err());
}

#[test]
fn writes_that_change_nothing_are_dropped() {
    let mut view = view();
    let modules = modules();
    let mut evm = Evm::new(block(), &modules, &view);
    evm.transact(tx(0, MODULE, vec![1], 0), 0).unwrap();
    view.apply(&evm.finish());
    let mut evm = Evm::new(block(), &modules, &view);
    evm.transact(tx(1, MODULE, vec![1], 0), 0).unwrap();
    let changes = evm.finish();
    assert_eq!(changes.storage.len(), 0);
    assert_eq!(changes.accounts.keys().collect::<Vec<_>>(), [&SENDER]);
}
