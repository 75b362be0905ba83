//! How the machine reads state: accounts, code, storage, block hashes and kept documents, as of the parent block.
//!
//! A view is read-only and deterministic; what a block changes stays in the machine's overlay until the block is done.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use freehold_primitives::{BlockMoment, Digest};
use thiserror::Error;

/// Why state could not be read. Never the fault of a transaction: execution of the block stops.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The store failed.
    #[error("the state store failed")]
    Store(#[source] Box<dyn core::error::Error + Send + Sync>),
    /// Code that an account names is missing.
    #[error("code {0} is missing")]
    CodeMissing(B256),
    /// A document that a slot names is missing.
    #[error("document {0} is missing")]
    ContentMissing(Digest),
    /// A value in the tree does not have the form that this kind of key demands.
    #[error("a stored value has the wrong form")]
    Malformed,
}

impl revm::database_interface::DBErrorMarker for ViewError {}

/// An account as the tree holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountState {
    /// Transactions sent, or contracts created.
    pub nonce: u64,
    /// Balance in units of 10⁻¹⁸.
    pub balance: U256,
    /// keccak-256 of the code; of nothing where there is none.
    pub code_hash: B256,
}

impl Default for AccountState {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY }
    }
}

impl AccountState {
    /// Whether the account does not exist (EIP-161).
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// State as of the parent block.
pub trait StateView {
    /// The account, `None` where there is none.
    ///
    /// # Errors
    /// Any [`ViewError`].
    fn account(&self, address: &Address) -> Result<Option<AccountState>, ViewError>;

    /// The code with this keccak-256.
    ///
    /// # Errors
    /// Any [`ViewError`].
    fn code(&self, hash: &B256) -> Result<Bytes, ViewError>;

    /// The value of a slot, zero where there is none.
    ///
    /// # Errors
    /// Any [`ViewError`].
    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ViewError>;

    /// Height, hash and time of a block below this one, `None` where it is not known.
    ///
    /// # Errors
    /// Any [`ViewError`].
    fn moment(&self, height: u64) -> Result<Option<BlockMoment>, ViewError>;

    /// A document kept by its digest.
    ///
    /// # Errors
    /// Any [`ViewError`].
    fn content(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ViewError>;
}

/// State in memory, for tests and examples; a node's state is a tree with proofs.
#[derive(Debug, Clone, Default)]
pub struct MemoryView {
    accounts: BTreeMap<Address, AccountState>,
    code: BTreeMap<B256, Bytes>,
    storage: BTreeMap<(Address, U256), U256>,
    moments: BTreeMap<u64, BlockMoment>,
    content: BTreeMap<Digest, Vec<u8>>,
}

impl MemoryView {
    /// Gives an account a balance.
    pub fn fund(&mut self, address: Address, balance: U256) {
        self.accounts.entry(address).or_default().balance = balance;
    }

    /// Puts code at an address.
    pub fn deploy(&mut self, address: Address, code: Bytes) {
        let hash = keccak256(&code);
        let account = self.accounts.entry(address).or_default();
        account.nonce = 1;
        account.code_hash = hash;
        self.code.insert(hash, code);
    }

    /// Records a block.
    pub fn record(&mut self, moment: BlockMoment) {
        self.moments.insert(moment.height, moment);
    }

    /// Applies what a block changed.
    pub fn apply(&mut self, changes: &crate::Changes) {
        for (address, account) in &changes.accounts {
            match account {
                Some(account) => self.accounts.insert(*address, *account),
                None => self.accounts.remove(address),
            };
        }
        self.storage.extend(changes.storage.iter().map(|(key, value)| (*key, *value)));
        self.code.extend(changes.code.iter().map(|(hash, code)| (*hash, code.clone())));
        self.content.extend(changes.content.iter().map(|(digest, bytes)| (*digest, bytes.clone())));
    }
}

impl StateView for MemoryView {
    fn account(&self, address: &Address) -> Result<Option<AccountState>, ViewError> {
        Ok(self.accounts.get(address).copied())
    }

    fn code(&self, hash: &B256) -> Result<Bytes, ViewError> {
        self.code.get(hash).cloned().ok_or(ViewError::CodeMissing(*hash))
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ViewError> {
        Ok(self.storage.get(&(*address, *slot)).copied().unwrap_or_default())
    }

    fn moment(&self, height: u64) -> Result<Option<BlockMoment>, ViewError> {
        Ok(self.moments.get(&height).copied())
    }

    fn content(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ViewError> {
        Ok(self.content.get(digest).cloned())
    }
}
