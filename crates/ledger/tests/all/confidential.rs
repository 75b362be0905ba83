//! Confidential state from outside: who is confidential, what stands in the tree, followers, wrong keys, generations.
#![allow(clippy::unwrap_used)]

use crate::common::{
    Chain, Fields, account, address, delegate, genesis, key,
    machine::{Op, confidential, constructor, make_public, public, runtime},
};
use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use freehold_crypto::{AccountKey, SEALED_SLOT_BYTES, StateKeys, StateRootKey, sealed_generation, slots};
use freehold_ledger::{
    CallError, CallRequest, ExecutedBlock, LedgerError, ModuleRefusal, StateTree as _, Status, Visibility, call,
    call_data_secret, read_entry, read_storage, to_address,
};
use freehold_primitives::{
    Canonical, Digest, G1Point, KeyCeremony,
    entries::{CallDataKeyEntry, EntryKind, StateKeyEntry},
};
use zeroize::Zeroizing;

const SECRET: U256 = U256::from_limbs([0xfeed_1234_5678_9abc, 0xbeef_1234, 0xcafe_1234, 0xf00d_cafe_1234_5678]);

fn chain() -> Chain {
    Chain::new(genesis(Vec::new()))
}

fn send(chain: &mut Chain, from: &AccountKey, to: Option<Address>, data: Bytes) -> ExecutedBlock {
    let fields = Fields { to, data, nonce: chain.nonce(from), ..Fields::default() };
    let block = chain.block(vec![chain.sign_with(from, fields)]);
    assert_eq!(block.skipped, vec![]);
    block
}

fn deploy(chain: &mut Chain, code: Bytes) -> Address {
    let block = send(chain, &key(1), None, code);
    assert!(block.receipts[0].envelope.status());
    block.receipts[0].contract_address.unwrap()
}

fn run(chain: &mut Chain, to: Address, op: &Op) -> ExecutedBlock {
    send(chain, &key(1), Some(to), op.data())
}

fn store(chain: &mut Chain, to: Address, slot: u64, value: U256) {
    assert!(run(chain, to, &Op::Store(U256::from(slot), value)).receipts[0].envelope.status());
}

fn read(chain: &Chain, to: Address, slot: u64) -> U256 {
    let outcome = chain.call(address(&key(2)), to, Op::Read(U256::from(slot)).data());
    assert_eq!(outcome.status, Status::Success);
    U256::from_be_slice(&outcome.output)
}

fn entry<T: Canonical>(chain: &Chain, kind: EntryKind, id: &[u8]) -> Option<T> {
    read_entry(kind, id, &chain.state, &chain.content).unwrap()
}

fn sealed(chain: &Chain, generation: u32, contract: &Address, slot: u64) -> Option<Vec<u8>> {
    let place = chain.contract_cipher(generation, contract).tree_key(&U256::from(slot).to_be_bytes());
    chain.state.get(&place).unwrap()
}

#[test]
fn a_contract_is_confidential_unless_its_constructor_asks() {
    let mut chain = chain();
    let (secret, open) = (deploy(&mut chain, confidential()), deploy(&mut chain, public()));
    assert_eq!(chain.visibility(&secret), Visibility::Confidential);
    assert_eq!(chain.visibility(&open), Visibility::Public);
    for contract in [secret, open] {
        store(&mut chain, contract, 3, SECRET);
        assert_eq!(read(&chain, contract, 3), SECRET);
        assert_eq!(chain.storage(&contract, 3), SECRET);
    }
    // In the tree the one stands plain under its slot, the other sealed under a place that says nothing.
    let plain = |contract| read_storage(&chain.state, contract, &U256::from(3)).unwrap();
    assert_eq!((plain(&open), plain(&secret)), (SECRET, U256::ZERO));
    let sealed = sealed(&chain, 0, &secret, 3).unwrap();
    assert_eq!(sealed.len(), SEALED_SLOT_BYTES);
    assert_eq!(sealed_generation(&sealed), Ok(0));
    assert!(!sealed.windows(4).any(|window| window == &SECRET.to_be_bytes::<32>()[..4]));
    // Later it is too late, also for the one that chose.
    for contract in [secret, open] {
        let late = make_public_call();
        let block = run(&mut chain, contract, &Op::Call(to_address(&slots::VISIBILITY), late.clone()));
        assert!(block.receipts[0].envelope.status(), "the machine ignores what it calls");
        assert_eq!(refusal(&chain, contract, &late), Some(ModuleRefusal::VisibilityEnded));
    }
    assert_eq!(chain.visibility(&secret), Visibility::Confidential);
    assert_eq!(chain.visibility(&to_address(&slots::APPS)), Visibility::Public);
    assert_eq!(chain.visibility(&address(&key(1))), Visibility::Confidential);
    let asked = |account: Address| {
        let data = [&keccak256("visibilityOf(address)")[..4], account.into_word().as_slice()].concat();
        U256::from_be_slice(&chain.call(Address::ZERO, to_address(&slots::VISIBILITY), data).output)
    };
    assert_eq!((asked(open), asked(secret)), (U256::from(1), U256::from(2)));
}

fn make_public_call() -> Bytes {
    keccak256("makePublic()")[..4].to_vec().into()
}

/// Why `Visibility` refuses a call from an address.
fn refusal(chain: &Chain, from: Address, data: &Bytes) -> Option<ModuleRefusal> {
    let outcome = chain.call(from, to_address(&slots::VISIBILITY), data.clone());
    Some(ModuleRefusal::from_revert(&outcome.output)?.0)
}

#[test]
fn a_constructor_that_has_written_is_refused() {
    let mut chain = chain();
    // Slot 0 ← 1, asks, slot 1 ← whether it was let.
    let before = [&hex!("60015f55")[..], &make_public(), &hex!("600155")].concat();
    let contract = deploy(&mut chain, constructor(&before, &runtime()));
    assert_eq!(chain.visibility(&contract), Visibility::Confidential);
    assert_eq!((read(&chain, contract, 0), read(&chain, contract, 1)), (U256::from(1), U256::ZERO));
    // Asks, then writes.
    let before = [&make_public(), &hex!("600155")[..]].concat();
    let contract = deploy(&mut chain, constructor(&before, &runtime()));
    assert_eq!(chain.visibility(&contract), Visibility::Public);
    assert_eq!(chain.storage(&contract, 1), U256::from(1));
    // Asks twice: the second time changes nothing.
    let before = [make_public(), vec![0x50], make_public(), hex!("600155").to_vec()].concat();
    let contract = deploy(&mut chain, constructor(&before, &runtime()));
    assert_eq!((chain.visibility(&contract), chain.storage(&contract, 1)), (Visibility::Public, U256::from(1)));
}

#[test]
fn contracts_made_by_contracts_choose_for_themselves() {
    let mut chain = chain();
    for parent in [deploy(&mut chain, public()), deploy(&mut chain, confidential())] {
        for (nonce, code, expected) in
            [(1, confidential(), Visibility::Confidential), (2, public(), Visibility::Public)]
        {
            run(&mut chain, parent, &Op::Create(code));
            assert_eq!(chain.visibility(&parent.create(nonce)), expected);
        }
    }
}

#[test]
fn a_choice_counts_for_one_life() {
    let mut chain = chain();
    let parent = deploy(&mut chain, confidential());
    let child = |code: &Bytes| parent.create2(B256::from(U256::from(7)), keccak256(code));
    // The constructor asks and destroys itself: nothing is left, and the address is free again.
    let short = Bytes::from([make_public(), hex!("5033ff").to_vec()].concat());
    run(&mut chain, parent, &Op::Create2(U256::from(7), short.clone()));
    assert_eq!(chain.visibility(&child(&short)), Visibility::Confidential);
    // A mark of another transaction is no mark of this one: value sent there makes a plain account.
    let block = chain.block(vec![chain.sign(&key(1), child(&short), 5, Bytes::new())]);
    assert!(block.receipts[0].envelope.status());
    assert_eq!(chain.visibility(&child(&short)), Visibility::Confidential);
}

#[test]
fn a_reverted_choice_is_none() {
    let mut chain = chain();
    // The constructor creates a child that asks and reverts, then one of the same code path that does not ask.
    let parent = deploy(&mut chain, confidential());
    let reverting = Bytes::from([make_public(), hex!("505f5ffd").to_vec()].concat());
    run(&mut chain, parent, &Op::Create(reverting));
    assert_eq!(chain.visibility(&parent.create(1)), Visibility::Confidential);
    let mark = U256::from_be_bytes(parent.create(1).into_word().0);
    assert_eq!(read_storage(&chain.state, &to_address(&slots::VISIBILITY), &mark).unwrap(), U256::ZERO);
}

#[test]
fn a_zero_is_sealed_like_any_value() {
    let mut chain = chain();
    let contract = deploy(&mut chain, confidential());
    store(&mut chain, contract, 1, SECRET);
    let before = sealed(&chain, 0, &contract, 1).unwrap();
    store(&mut chain, contract, 1, U256::ZERO);
    let zero = sealed(&chain, 0, &contract, 1).unwrap();
    assert_eq!(zero.len(), before.len());
    assert_eq!(read(&chain, contract, 1), U256::ZERO);
    store(&mut chain, contract, 1, SECRET);
    assert_ne!(sealed(&chain, 0, &contract, 1).unwrap(), before, "the same value looks otherwise at another height");
    // A slot that ends a block as it began leaves no trace.
    let one = key(1);
    let nonce = chain.nonce(&one);
    let transactions = [U256::ZERO, SECRET].into_iter().zip(nonce..).map(|(value, nonce)| {
        let data = Op::Store(U256::from(1), value).data();
        chain.sign_with(&one, Fields { to: Some(contract), data, nonce, ..Fields::default() })
    });
    let transactions = transactions.collect();
    let block = chain.block(transactions);
    assert!(block.writes.iter().all(|(_, value)| value.as_ref().is_none_or(|v| v.len() != SEALED_SLOT_BYTES)));
}

#[test]
fn code_taken_on_by_an_account_writes_sealed() {
    let mut chain = chain();
    let contract = deploy(&mut chain, public());
    let (one, two) = (key(1), key(2));
    chain.block(vec![delegate(&one, chain.nonce(&one), &two, 0, contract)]);
    store(&mut chain, address(&two), 4, SECRET);
    assert_eq!(read_storage(&chain.state, &address(&two), &U256::from(4)).unwrap(), U256::ZERO);
    assert_eq!(chain.storage(&address(&two), 4), SECRET);
}

#[test]
fn a_follower_executes_nothing_and_answers_public_calls() {
    let mut chain = chain();
    let (secret, open) = (deploy(&mut chain, confidential()), deploy(&mut chain, public()));
    store(&mut chain, open, 1, SECRET);
    store(&mut chain, secret, 1, SECRET);
    chain.keys = None;
    assert_eq!(read(&chain, open, 1), SECRET);
    let request = CallRequest { to: Some(secret), data: Op::Read(U256::from(1)).data(), ..CallRequest::default() };
    let refused = call(&chain.ctx, chain.parent(), &chain.state, &request);
    assert!(matches!(refused, Err(CallError::Follower)));
    let root = chain.root();
    assert!(matches!(chain.try_block(vec![]), Err(LedgerError::KeysMissing)));
    assert_eq!(chain.root(), root);
}

#[test]
fn wrong_and_missing_keys_are_named() {
    let mut chain = chain();
    let contract = deploy(&mut chain, confidential());
    store(&mut chain, contract, 1, SECRET);
    chain.keys = Some(StateKeys::development(Zeroizing::new([1; 32])));
    assert!(matches!(chain.try_block(vec![]), Err(LedgerError::WrongKey(0))));
    let request = CallRequest { to: Some(contract), data: Op::Read(U256::from(1)).data(), ..CallRequest::default() };
    let refused = call(&chain.ctx, chain.parent(), &chain.state, &request);
    assert!(matches!(refused, Err(CallError::Ledger(LedgerError::WrongKey(0)))));
    chain.keys = Some(StateKeys::from_quorum([StateRootKey::new(1, Zeroizing::new([1; 32]))]));
    assert!(matches!(chain.try_block(vec![]), Err(LedgerError::GenerationMissing(0))));
    chain.keys = Some(crate::common::state_keys());
    // A leaf that was tampered with is a broken store, not a value.
    let place = chain.contract_cipher(0, &contract).tree_key(&U256::from(1).to_be_bytes());
    let mut value = chain.state.get(&place).unwrap().unwrap();
    value[40] ^= 1;
    let height = chain.state.height().unwrap() + 1;
    chain.state.apply(height, &[(place, Some(value))]).unwrap();
    let refused = call(&chain.ctx, chain.parent(), &chain.state, &request);
    assert!(matches!(refused, Err(CallError::Ledger(LedgerError::Evm(_)))));
}

#[test]
fn production_refuses_development_keys() {
    let mut production = genesis(Vec::new());
    production.purpose = freehold_primitives::Purpose::Production;
    production.key_ceremony = KeyCeremony::Distributed;
    production.membership.app = Some(freehold_primitives::AppId::new([7; 20]));
    let mut chain = Chain::new(production);
    assert!(matches!(chain.try_block(vec![]), Err(LedgerError::DevelopmentKeys)));
    chain.keys = Some(StateKeys::from_quorum([StateRootKey::new(0, Zeroizing::new([1; 32]))]));
    chain.try_block(vec![]).unwrap();
}

#[test]
fn commitments_and_call_data_keys_stand_in_state() {
    let mut chain = chain();
    let first = chain.block(vec![]);
    let keys = crate::common::state_keys();
    let generation: StateKeyEntry = entry(&chain, EntryKind::StateKey, &slots::state_key_id(0)).unwrap();
    assert_eq!(generation.commitment, keys.get(0).unwrap().commitment());
    assert_eq!((generation.opened_at, generation.closed_at), (1, None));
    let epoch = first.header.timestamp / 600;
    let at = |chain: &Chain, epoch| {
        entry::<CallDataKeyEntry>(chain, EntryKind::CallDataKey, &slots::call_data_key_id(epoch))
    };
    let known = at(&chain, epoch).unwrap();
    assert_eq!((known.epoch, known.generation, known.opened_at), (epoch, 0, 1));
    let secret = call_data_secret(&chain.ctx, &keys, epoch, (&chain.state, &chain.content)).unwrap().unwrap();
    assert_eq!(secret.public(), known.public_key);
    assert!(at(&chain, epoch + 1).is_none());
    // A block writes the key of its epoch once.
    let root = chain.block(vec![]);
    assert_eq!(at(&chain, epoch), Some(known));
    assert_eq!(root.content, vec![]);
    chain.time_ms += 600_000;
    let block = chain.block(vec![]);
    let next = at(&chain, epoch + 1).unwrap();
    assert_eq!(next.opened_at, block.header.number);
    assert_ne!(next.public_key, known.public_key);
    let gone = call_data_secret(&chain.ctx, &keys, epoch + 9, (&chain.state, &chain.content)).unwrap();
    assert!(gone.is_none());
}

fn rotate(chain: &mut Chain, from: u8) -> Result<(), ModuleRefusal> {
    let data = Bytes::copy_from_slice(&keccak256("rotateStateKey()")[..4]);
    let block = send(chain, &key(from), Some(to_address(&slots::KEYS)), data);
    let receipt = &block.receipts[0];
    if receipt.envelope.status() { Ok(()) } else { Err(ModuleRefusal::from_revert(&receipt.output).unwrap().0) }
}

/// Leaves sealed under a generation.
fn leaves_of(chain: &Chain, generation: u32) -> usize {
    let leaves = chain.state.leaves(&Digest::ZERO, usize::MAX).unwrap();
    leaves.iter().filter(|(_, value)| sealed_generation(value) == Ok(generation)).count()
}

#[test]
fn generations_turn_while_the_chain_runs() {
    let mut chain = chain();
    let contracts = [deploy(&mut chain, confidential()), deploy(&mut chain, confidential())];
    // More values than one block moves.
    for (number, contract) in contracts.iter().enumerate() {
        for part in 0..8_u64 {
            let nonce = chain.nonce(&key(1));
            let stores = (0..25).map(|at| {
                let (slot, value) = (part * 25 + at, SECRET + U256::from(number));
                let data = Op::Store(U256::from(slot), value).data();
                let fields = Fields { to: Some(*contract), data, nonce: nonce + at, gas: 100_000, ..Fields::default() };
                chain.sign_with(&key(1), fields)
            });
            let stores = stores.collect();
            assert_eq!(chain.block(stores).skipped, vec![]);
        }
    }
    assert_eq!(leaves_of(&chain, 0), 400);
    assert_eq!(rotate(&mut chain, 2), Err(ModuleRefusal::RotationCaller));
    rotate(&mut chain, 1).unwrap();
    assert_eq!(chain.state_key_status().newest, 0);
    // The next block begins the generation; a second request is refused while values are left.
    assert_eq!(rotate(&mut chain, 1), Err(ModuleRefusal::RotationRuns));
    let status = chain.state_key_status();
    assert_eq!((status.newest, status.previous), (1, Some(0)));
    assert!(leaves_of(&chain, 1) > 0 && leaves_of(&chain, 0) > 0);
    for (number, contract) in contracts.iter().enumerate() {
        for slot in 0..200 {
            assert_eq!(read(&chain, *contract, slot), SECRET + U256::from(number), "readable throughout");
        }
    }
    // A write meanwhile takes its value along.
    store(&mut chain, contracts[0], 7, U256::from(77));
    let mut blocks = 0;
    while chain.state_key_status().previous.is_some() {
        chain.block(vec![]);
        blocks += 1;
        assert!(blocks < 10, "re-encryption ends");
    }
    assert_eq!((leaves_of(&chain, 0), leaves_of(&chain, 1)), (0, 400));
    assert_eq!(
        (read(&chain, contracts[0], 7), read(&chain, contracts[1], 7)),
        (U256::from(77), SECRET + U256::from(1))
    );
    let old: StateKeyEntry = entry(&chain, EntryKind::StateKey, &slots::state_key_id(0)).unwrap();
    let new: StateKeyEntry = entry(&chain, EntryKind::StateKey, &slots::state_key_id(1)).unwrap();
    assert!(old.closed_at.is_some_and(|closed| closed > new.opened_at) && new.closed_at.is_none());
    // The old key is of no use any more.
    chain.keys = Some(StateKeys::from_quorum([crate::common::state_keys().get(1).unwrap()]));
    assert_eq!(read(&chain, contracts[0], 8), SECRET);
    chain.keys = Some(crate::common::state_keys());
    rotate(&mut chain, 1).unwrap();
}

#[test]
fn a_contract_is_reached_under_its_own_key() {
    let mut chain = chain();
    let (one, two) = (deploy(&mut chain, confidential()), deploy(&mut chain, confidential()));
    store(&mut chain, one, 0, SECRET);
    store(&mut chain, two, 0, SECRET);
    assert_ne!(sealed(&chain, 0, &one, 0).unwrap()[12..], sealed(&chain, 0, &two, 0).unwrap()[12..]);
    assert_ne!(account(&one), account(&two));
    // Delegating writes to the storage of the one that delegates.
    run(&mut chain, one, &Op::Delegate(two, Op::Store(U256::from(5), U256::from(6)).data()));
    assert_eq!((read(&chain, one, 5), read(&chain, two, 5)), (U256::from(6), U256::ZERO));
}

#[test]
fn randomness_of_a_block_hangs_on_the_seed() {
    let keys = crate::common::state_keys();
    let root = keys.get(0).unwrap();
    let chain = chain();
    let hash = chain.ctx.genesis_hash();
    let (one, two) = (G1Point([1; 48]), G1Point([2; 48]));
    assert_ne!(*root.block_randomness(&hash, 1, Some(&one)), *root.block_randomness(&hash, 1, Some(&two)));
}
