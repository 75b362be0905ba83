//! Block 0, made from the genesis alone (`spec/block.md` §4).

use alloy_consensus::Header;
use alloy_consensus::constants::{EMPTY_RECEIPTS, EMPTY_TRANSACTIONS};
use alloy_eips::{eip2935::HISTORY_STORAGE_CODE, eip4788::BEACON_ROOTS_CODE};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use freehold_attestation::default_tiers;
use freehold_crypto::{content_digest, slots};
use freehold_evm::{AccountState, Changes, Visibility};
use freehold_primitives::{
    Canonical,
    entries::{EntryKind, GovernorEntry, TierEntry},
};

use crate::{
    block::{ExecutedBlock, empty_header, to_writes},
    confidential::Writes,
    context::{BASE_FEE_MIN, ChainContext, HISTORY_CONTRACT, MARKET, PAYLOAD_ROOTS_CONTRACT},
    error::LedgerError,
    modules::{bonded_at_first, first_entries},
    state::{StateTree, to_address},
};

/// Code of a module's account: an invalid instruction, so that its size is not zero and no other machine runs it.
const MODULE_CODE: Bytes = Bytes::from_static(&[0xfe]);
/// Code of the market, as `contracts/compile.mjs` makes it.
const MARKET_CODE: Bytes = Bytes::from_static(include_bytes!("../../../contracts/artifacts/Market.bin"));

/// Writes block 0 into an empty store: allocations, the modules' accounts, the contracts of EIP-2935 and EIP-4788 and the
/// market, all of whose storage is public; governor and tiers; validators, with their bonds.
///
/// # Errors
/// [`LedgerError::NotEmpty`], [`LedgerError::State`].
pub fn genesis_block(ctx: &ChainContext, state: &mut dyn StateTree) -> Result<ExecutedBlock, LedgerError> {
    if state.height().is_some() {
        return Err(LedgerError::NotEmpty);
    }
    let mut changes = Changes::default();
    for allocation in &ctx.genesis().allocations {
        let account = changes.accounts.entry(to_address(&allocation.account)).or_default();
        let account = account.get_or_insert_default();
        account.balance = account.balance.saturating_add(U256::from_be_bytes(allocation.balance));
    }
    for module in ctx.modules().addresses() {
        deploy(&mut changes, *module, MODULE_CODE);
    }
    deploy(&mut changes, HISTORY_CONTRACT, HISTORY_STORAGE_CODE.clone());
    deploy(&mut changes, PAYLOAD_ROOTS_CONTRACT, BEACON_ROOTS_CODE.clone());
    deploy(&mut changes, MARKET, MARKET_CODE);
    govern(&mut changes, ctx);
    seat(&mut changes, ctx);
    let (writes, content) = to_writes(changes, Writes::new(), state)?;
    let root = state.apply(0, &writes)?;
    let header = Header {
        state_root: B256::from(root.0),
        transactions_root: EMPTY_TRANSACTIONS,
        receipts_root: EMPTY_RECEIPTS,
        timestamp: ctx.genesis().timestamp_ms / 1000,
        base_fee_per_gas: Some(BASE_FEE_MIN),
        parent_beacon_block_root: Some(B256::from(ctx.genesis_hash().0)),
        ..empty_header()
    };
    let hash = header.hash_slow();
    let (transactions, receipts, skipped) = (Vec::new(), Vec::new(), Vec::new());
    Ok(ExecutedBlock { header, hash, transactions, receipts, skipped, content, writes })
}

/// Who governs the chain at first, the first account of the genesis, and the tiers that it begins with.
fn govern(changes: &mut Changes, ctx: &ChainContext) {
    if let Some(first) = ctx.genesis().allocations.first() {
        let entry = GovernorEntry { governor: first.account, since: 0 };
        write_entry(changes, EntryKind::Governor, &slots::GOVERNOR_ID, &entry);
    }
    for (tier, (name, policy)) in (1..).zip(default_tiers()) {
        let entry = TierEntry { tier, version: 0, name: name.to_owned(), policy, changed_at: 0 };
        write_entry(changes, EntryKind::Tier, &slots::tier_id(tier), &entry);
    }
}

/// The first validators, who signs in term 0 and who holds the keys after it; the bonds stand in the module's balance.
fn seat(changes: &mut Changes, ctx: &ChainContext) {
    for (kind, id, document) in first_entries(ctx.genesis()) {
        write_document(changes, kind, &id, document);
    }
    let bonded = bonded_at_first(ctx.genesis()).expect("the context checked the sum of the bonds");
    let module = to_address(&slots::VALIDATORS);
    changes.storage.insert((module, U256::from_be_bytes(slots::bonded_slot())), bonded);
    let account: &mut AccountState = changes.accounts.entry(module).or_default().get_or_insert_default();
    account.balance = account.balance.saturating_add(bonded);
}

fn write_entry(changes: &mut Changes, kind: EntryKind, id: &[u8], entry: &impl Canonical) {
    write_document(changes, kind, id, entry.to_canonical());
}

fn write_document(changes: &mut Changes, kind: EntryKind, id: &[u8], bytes: Vec<u8>) {
    let digest = content_digest(&bytes);
    let slot = U256::from_be_bytes(slots::entry_slot(kind, id));
    changes.storage.insert((to_address(&slots::entry_module(kind)), slot), U256::from_be_bytes(digest.0));
    changes.content.insert(digest, bytes);
}

fn deploy(changes: &mut Changes, address: Address, code: Bytes) {
    let code_hash = keccak256(&code);
    let account: &mut AccountState = changes.accounts.entry(address).or_default().get_or_insert_default();
    account.nonce = 1;
    account.code_hash = code_hash;
    account.visibility = Visibility::Public;
    changes.code.insert(code_hash, code);
}
