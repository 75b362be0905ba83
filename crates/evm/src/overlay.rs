//! What a block has changed so far, over the state of its parent.
//!
//! Reads are remembered, so that a write that changes nothing leaves no trace. All maps that reach an output are
//! ordered.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256};
use freehold_crypto::slots;
use freehold_primitives::Digest;
use revm::{
    Database, DatabaseCommit,
    bytecode::Bytecode,
    primitives::AddressMap,
    state::{Account, AccountInfo, EvmStorage},
};

use crate::{
    outcome::Changes,
    view::{AccountState, StateView, ViewError, Visibility},
};

/// Blocks that `BLOCKHASH` reaches back.
const BLOCKHASH_WINDOW: u64 = 256;
/// The module in whose storage a constructor marks its contract public.
pub(crate) const VISIBILITY_MODULE: Address = Address::new(slots::VISIBILITY.0);

/// Slot of the visibility module in which the contract at this address is marked.
pub(crate) fn mark_slot(contract: Address) -> U256 {
    U256::from_be_bytes(contract.into_word().0)
}

/// What marks a contract public in a transaction. A mark of any other transaction counts for nothing, so that a contract
/// made again at the same address chooses again.
pub(crate) fn mark_value(height: u64, tx_index: u32) -> U256 {
    (U256::from(height) << 32) | U256::from(u64::from(tx_index) + 1)
}

pub(crate) struct Overlay<'a> {
    view: &'a dyn StateView,
    height: u64,
    /// Index of the running transaction.
    pub(crate) tx_index: u32,
    before: BTreeMap<Address, Option<AccountState>>,
    accounts: BTreeMap<Address, Option<AccountState>>,
    storage_before: BTreeMap<(Address, U256), U256>,
    storage: BTreeMap<(Address, U256), U256>,
    code: BTreeMap<B256, Bytes>,
    content: BTreeMap<Digest, Vec<u8>>,
    /// Documents of the running transaction.
    pending: BTreeMap<Digest, Vec<u8>>,
    /// First failure of the store, kept because the machine's own error type is text.
    pub(crate) fault: Option<ViewError>,
    /// Whether a confidential slot was read in the running transaction.
    pub(crate) secret_read: bool,
}

impl<'a> Overlay<'a> {
    pub(crate) fn new(view: &'a dyn StateView, height: u64) -> Self {
        Self {
            view,
            height,
            tx_index: 0,
            before: BTreeMap::new(),
            accounts: BTreeMap::new(),
            storage_before: BTreeMap::new(),
            storage: BTreeMap::new(),
            code: BTreeMap::new(),
            content: BTreeMap::new(),
            pending: BTreeMap::new(),
            fault: None,
            secret_read: false,
        }
    }

    pub(crate) const fn view(&self) -> &'a dyn StateView {
        self.view
    }

    /// Keeps a document; it stays only if the transaction succeeds.
    pub(crate) fn put(&mut self, digest: Digest, bytes: Vec<u8>) {
        self.pending.insert(digest, bytes);
    }

    pub(crate) fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ViewError> {
        match self.pending.get(digest).or_else(|| self.content.get(digest)) {
            Some(bytes) => Ok(Some(bytes.clone())),
            None => self.view.content(digest),
        }
    }

    /// Ends a transaction: its documents join the block's, or are dropped.
    pub(crate) fn end_transaction(&mut self, success: bool) {
        let pending = std::mem::take(&mut self.pending);
        if success {
            self.content.extend(pending);
        }
    }

    fn account(&mut self, address: Address) -> Result<Option<AccountState>, ViewError> {
        if let Some(account) = self.accounts.get(&address) {
            return Ok(*account);
        }
        if let Some(account) = self.before.get(&address) {
            return Ok(*account);
        }
        let account = self.view.account(&address)?;
        self.before.insert(address, account);
        Ok(account)
    }

    /// Writes an entry in the name of the chain itself: a document, and its digest in a slot of a module.
    pub(crate) fn write_entry(
        &mut self,
        module: Address,
        slot: U256,
        entry: (Digest, Vec<u8>),
    ) -> Result<(), ViewError> {
        self.storage(module, slot)?;
        self.storage.insert((module, slot), U256::from_be_bytes(entry.0.0));
        self.content.insert(entry.0, entry.1);
        Ok(())
    }

    /// The account before the running transaction.
    pub(crate) fn peek(&self, address: &Address) -> Result<Option<AccountState>, ViewError> {
        match self.accounts.get(address).or_else(|| self.before.get(address)) {
            Some(account) => Ok(*account),
            None => self.view.account(address),
        }
    }

    /// Code, as of before the running transaction.
    pub(crate) fn peek_code(&self, hash: &B256) -> Result<Bytecode, ViewError> {
        let code = self.code.get(hash).cloned().map_or_else(|| self.view.code(hash), Ok)?;
        Bytecode::new_raw_checked(code).map_err(|_| ViewError::Malformed)
    }

    /// Whether code at this address, from before the running transaction, keeps its storage confidential. One that cannot
    /// be read counts as such.
    pub(crate) fn is_confidential_contract(&mut self, address: Address) -> bool {
        let account = self.account(address);
        account.map_or(true, |account| {
            account.is_some_and(|account| {
                account.visibility == Visibility::Confidential && account.code_hash != KECCAK256_EMPTY
            })
        })
    }

    /// Visibility of an account before the running transaction.
    pub(crate) fn account_visibility(&mut self, address: Address) -> Result<Visibility, ViewError> {
        Ok(self.account(address)?.unwrap_or_default().visibility)
    }

    /// Visibility of an account that the block has read or written; accounts that are not there yet are confidential.
    fn visibility(&self, address: &Address) -> Visibility {
        let account = self.accounts.get(address).or_else(|| self.before.get(address)).copied().flatten();
        account.unwrap_or_default().visibility
    }

    /// Marks of the visibility module behind a transaction.
    pub(crate) fn marks(changes: &AddressMap<Account>) -> EvmStorage {
        changes.get(&VISIBILITY_MODULE).map(|module| module.storage.clone()).unwrap_or_default()
    }

    /// Visibility of an account behind the running transaction.
    pub(crate) fn visibility_after(&self, address: &Address, account: &Account, marks: &EvmStorage) -> Visibility {
        let mark = mark_value(self.height, self.tx_index);
        let marked = || marks.get(&mark_slot(*address)).is_some_and(|slot| slot.present_value() == mark);
        match account.is_created() {
            true if marked() => Visibility::Public,
            true => Visibility::Confidential,
            false => self.visibility(address),
        }
    }

    /// What differs from the parent's state.
    pub(crate) fn into_changes(self) -> Changes {
        let changed = self.storage.iter().filter(|(key, value)| self.storage_before.get(key) != Some(value));
        let (storage, confidential): (BTreeMap<_, _>, BTreeMap<_, _>) = changed
            .map(|(key, value)| (*key, *value))
            .partition(|((address, _), _)| self.visibility(address) == Visibility::Public);
        let Self { before, accounts, code, content, .. } = self;
        let accounts = accounts.into_iter().filter(|(address, account)| before.get(address) != Some(account)).collect();
        Changes { accounts, storage, confidential, code, content }
    }
}

impl Database for Overlay<'_> {
    type Error = ViewError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ViewError> {
        Ok(self.account(address)?.map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            code: None,
            ..AccountInfo::default()
        }))
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, ViewError> {
        self.peek_code(&code_hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, ViewError> {
        let key = (address, slot);
        let visibility = self.account_visibility(address)?;
        self.secret_read |= visibility == Visibility::Confidential;
        if let Some(value) = self.storage.get(&key).or_else(|| self.storage_before.get(&key)) {
            return Ok(*value);
        }
        let value = self.view.storage(&address, &slot, visibility)?;
        self.storage_before.insert(key, value);
        Ok(value)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ViewError> {
        if number >= self.height || self.height - number > BLOCKHASH_WINDOW {
            return Ok(B256::ZERO);
        }
        Ok(self.view.moment(number)?.map_or(B256::ZERO, |moment| B256::from(moment.block_hash.0)))
    }
}

impl DatabaseCommit for Overlay<'_> {
    // The order of the map has no influence: every write lands in an ordered map under its own key.
    fn commit(&mut self, changes: AddressMap<Account>) {
        let marks = Self::marks(&changes);
        for (address, account) in changes {
            if !account.is_touched() {
                continue;
            }
            if account.is_selfdestructed() {
                // Only an account made in this very transaction dies (EIP-6780): nothing of it was there before.
                self.accounts.insert(address, None);
                continue;
            }
            let info = &account.info;
            let is_new = |code: &&Bytecode| !code.is_empty() && (account.is_created() || code.is_eip7702());
            if let Some(code) = info.code.as_ref().filter(is_new) {
                self.code.insert(info.code_hash, code.original_bytes());
            }
            let visibility = self.visibility_after(&address, &account, &marks);
            let state =
                AccountState { nonce: info.nonce, balance: info.balance, code_hash: info.code_hash, visibility };
            self.accounts.insert(address, if state.is_empty() { None } else { Some(state) });
            for (slot, value) in &account.storage {
                if value.is_changed() {
                    self.storage.insert((address, *slot), value.present_value());
                }
            }
        }
    }
}
