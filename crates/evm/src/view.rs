//! How the machine reads state: accounts, code, storage, block hashes and kept documents, as of the parent block.
//!
//! A view is read-only and deterministic; what a block changes stays in the machine's overlay until the block is done.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use freehold_crypto::SealError;
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
    /// A confidential slot is needed, and this node is a follower: it holds no state keys.
    #[error("this node holds no state keys: only an executor reads confidential storage")]
    KeysMissing,
    /// A simulation comes to confidential storage of the chain.
    #[error("the storage of {0} is confidential: a simulation cannot read it")]
    Withheld(Address),
    /// A confidential slot does not open under this node's keys.
    #[error("confidential storage does not open under this node's keys: {0}")]
    Sealed(#[from] SealError),
}

impl revm::database_interface::DBErrorMarker for ViewError {}

/// Who may read an account's storage. It is fixed when the contract is made (`spec/confidential-state.md` §1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Visibility {
    /// Storage is plain and provable.
    Public = 1,
    /// Storage is sealed under the contract's keys; code, balance and nonce are not. Accounts without code count here
    /// too: what code they take on by EIP-7702 writes is sealed.
    #[default]
    Confidential = 2,
}

impl Visibility {
    /// The byte in the account's value.
    pub const fn as_byte(self) -> u8 {
        self as u8
    }

    /// The visibility of a byte, `None` where there is none.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Public),
            2 => Some(Self::Confidential),
            _ => None,
        }
    }
}

/// An account as the tree holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountState {
    /// Transactions sent, or contracts created.
    pub nonce: u64,
    /// Balance in units of 10⁻¹⁸.
    pub balance: U256,
    /// keccak-256 of the code; of nothing where there is none.
    pub code_hash: B256,
    /// Who may read its storage.
    pub visibility: Visibility,
}

impl Default for AccountState {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY, visibility: Visibility::default() }
    }
}

impl AccountState {
    /// Whether the account does not exist (EIP-161).
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && self.code_hash == KECCAK256_EMPTY
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

    /// The value of a slot of an account with this visibility, zero where there is none.
    ///
    /// # Errors
    /// Any [`ViewError`].
    fn storage(&self, address: &Address, slot: &U256, visibility: Visibility) -> Result<U256, ViewError>;

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

    /// Puts code at an address, with public storage.
    pub fn deploy(&mut self, address: Address, code: Bytes) {
        self.deploy_as(Visibility::Public, address, code);
    }

    /// Puts code at an address.
    pub fn deploy_as(&mut self, visibility: Visibility, address: Address, code: Bytes) {
        let hash = keccak256(&code);
        let account = self.accounts.entry(address).or_default();
        account.visibility = visibility;
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
        let slots = changes.storage.iter().chain(&changes.confidential);
        self.storage.extend(slots.map(|(key, value)| (*key, *value)));
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

    fn storage(&self, address: &Address, slot: &U256, _: Visibility) -> Result<U256, ViewError> {
        Ok(self.storage.get(&(*address, *slot)).copied().unwrap_or_default())
    }

    fn moment(&self, height: u64) -> Result<Option<BlockMoment>, ViewError> {
        Ok(self.moments.get(&height).copied())
    }

    fn content(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ViewError> {
        Ok(self.content.get(digest).cloned())
    }
}
