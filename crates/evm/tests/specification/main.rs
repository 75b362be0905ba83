//! The machine against Ethereum's executable specification (PyPI `ethereum-execution`, fork Osaka): random programs and
//! transactions of types 0, 1, 2 and 4, the same status, gas, logs and state root for each block.
//!
//! No registry carries the official execution vectors as a package (looked for on crates.io, npm and PyPI); the
//! specification itself is one, and an independent implementation. What does not apply here: blob transactions (type 3,
//! not taken), withdrawals, requests of the execution layer, blob fees, and code between 24 and 64 KiB, which the
//! specification refuses. A failure prints the seed; `FREEHOLD_SPECIFICATION_BLOCKS` runs more blocks.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod generate;
mod oracle;

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_rlp::{Encodable, Header};
use alloy_trie::{HashBuilder, Nibbles};
use freehold_evm::{AccountState, BlockContext, Evm, EvmError, MemoryView, ModuleSet, Outcome, StateView as _};
use freehold_primitives::{BlockMoment, Digest};

use self::{
    generate::{Case, PARENT_HASH},
    oracle::{Oracle, Verdict},
};

/// Blocks of a plain test run; each holds 24 transactions.
const BLOCKS: u64 = 8;

/// What our machine makes of a block.
struct Ours {
    /// Outcomes by index of the transaction; `None` where it may not stand in the block.
    outcomes: Vec<Option<Outcome>>,
    /// Root of the state after it, as Ethereum's tries have it.
    state_root: B256,
    /// Accounts after it, for a useful message.
    accounts: BTreeMap<Address, (AccountState, BTreeMap<U256, U256>)>,
}

fn run(case: &Case) -> Ours {
    let mut view = MemoryView::default();
    let mut addresses: BTreeSet<Address> = BTreeSet::new();
    for (address, account) in &case.alloc {
        if !account.code.is_empty() {
            view.deploy(*address, account.code.clone());
        }
        view.fund(*address, account.balance);
        addresses.insert(*address);
    }
    view.record(BlockMoment { height: 0, block_hash: Digest(PARENT_HASH.0), time_unix_s: case.time_unix_s - 1 });
    let block = BlockContext {
        chain_id: 1,
        height: 1,
        time_unix_s: case.time_unix_s,
        parent_time_unix_s: case.time_unix_s - 1,
        base_fee: case.base_fee,
        gas_limit: generate::BLOCK_GAS,
        beneficiary: generate::BENEFICIARY,
        prev_randao: case.prev_randao,
        ..BlockContext::default()
    };
    let modules = ModuleSet::default();
    let mut evm = Evm::new(block, &modules, &view);
    let mut outcomes = Vec::new();
    for (index, tx) in case.transactions.iter().enumerate() {
        match evm.transact(tx.environment(), u32::try_from(index).unwrap()) {
            Ok(outcome) => outcomes.push(Some(outcome)),
            Err(EvmError::Invalid(_)) => outcomes.push(None),
            Err(error) => panic!("seed {}: transaction {index} broke the machine: {error}", case.seed),
        }
    }
    let changes = evm.finish();
    let mut storage: BTreeMap<Address, BTreeMap<U256, U256>> = BTreeMap::new();
    for ((address, slot), value) in changes.storage.iter().chain(&changes.confidential) {
        if !value.is_zero() {
            storage.entry(*address).or_default().insert(*slot, *value);
        }
    }
    addresses.extend(changes.accounts.keys());
    view.apply(&changes);
    let accounts: BTreeMap<_, _> = addresses
        .iter()
        .filter_map(|address| {
            let account = view.account(address).unwrap().filter(|account| !account.is_empty())?;
            Some((*address, (account, storage.get(address).cloned().unwrap_or_default())))
        })
        .collect();
    Ours { outcomes, state_root: state_root(&accounts), accounts }
}

fn state_root(accounts: &BTreeMap<Address, (AccountState, BTreeMap<U256, U256>)>) -> B256 {
    trie_root(accounts.iter().map(|(address, (account, storage))| {
        let slots = storage.iter().map(|(slot, value)| (keccak256(B256::from(*slot)), alloy_rlp::encode(value)));
        let storage_root = trie_root(slots);
        let fields: [&dyn Encodable; 4] = [&account.nonce, &account.balance, &storage_root, &account.code_hash];
        let mut leaf = Vec::new();
        let payload_length = fields.iter().map(|field| field.length()).sum();
        Header { list: true, payload_length }.encode(&mut leaf);
        fields.iter().for_each(|field| field.encode(&mut leaf));
        (keccak256(address), leaf)
    }))
}

/// Root of Ethereum's trie over leaves by hashed key.
fn trie_root(leaves: impl Iterator<Item = (B256, Vec<u8>)>) -> B256 {
    let sorted: BTreeMap<_, _> = leaves.collect();
    let mut builder = HashBuilder::default();
    for (key, leaf) in sorted {
        builder.add_leaf(Nibbles::unpack(key), &leaf);
    }
    builder.root()
}

fn compare(case: &Case, ours: &Ours, theirs: &Verdict) {
    let seed = case.seed;
    let mut receipts = theirs.receipts.iter();
    let (mut cumulative, mut logs) = (0, Vec::new());
    for (index, outcome) in ours.outcomes.iter().enumerate() {
        let rejected = theirs.rejected.get(&index);
        let tx = &case.transactions[index];
        let Some(outcome) = outcome else {
            assert!(rejected.is_some(), "seed {seed}: only we refuse transaction {index}: {tx:?}");
            continue;
        };
        assert!(rejected.is_none(), "seed {seed}: only we take transaction {index}: {rejected:?} {tx:?}");
        cumulative += outcome.gas_used;
        let receipt = receipts.next().unwrap();
        let wanted = (receipt.succeeded, receipt.gas_cumulative);
        assert_eq!((outcome.is_success(), cumulative), wanted, "seed {seed}: transaction {index}: {outcome:?} {tx:?}");
        logs.extend(outcome.logs.iter().cloned());
    }
    assert!(receipts.next().is_none(), "seed {seed}: they have more receipts");
    assert_eq!(keccak256(alloy_rlp::encode(&logs)), theirs.logs_hash, "seed {seed}: other logs: {logs:?}");
    if ours.state_root != theirs.state_root {
        panic!("seed {seed}: other state.\nours: {:#?}\ntheirs: {:#}", ours.accounts, theirs.alloc);
    }
}

#[test]
fn same_status_gas_logs_and_state_as_the_specification() {
    let Some(oracle) = Oracle::install() else { return };
    let blocks = std::env::var("FREEHOLD_SPECIFICATION_BLOCKS").ok().and_then(|count| count.parse().ok());
    let (mut executed, mut succeeded, mut refused) = (0, 0, 0);
    for seed in 0..blocks.unwrap_or(BLOCKS) {
        let case = Case::generate(seed);
        let ours = run(&case);
        compare(&case, &ours, &oracle.judge(&case));
        executed += ours.outcomes.iter().flatten().count();
        succeeded += ours.outcomes.iter().flatten().filter(|outcome| outcome.is_success()).count();
        refused += ours.outcomes.iter().filter(|outcome| outcome.is_none()).count();
    }
    println!("{executed} transactions executed alike ({succeeded} successful), {refused} refused alike");
    // A generator that only makes failures would prove little.
    assert!(succeeded * 3 > executed, "only {succeeded} of {executed} transactions succeed");
}
