//! The authenticated store as the ledger sees it, and what stands under its keys (`spec/block.md` §5).

use std::{collections::BTreeMap, ops::Bound};

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256};
use freehold_crypto::slots;
use freehold_evm::{AccountState, StateView, ViewError, Visibility};
use freehold_primitives::{Account, BlockMoment, Digest, Height};

use crate::{confidential::Keyring, error::StateError};

/// Length of an account's value: nonce, balance, code hash, visibility.
pub const ACCOUNT_VALUE_BYTES: usize = 8 + 32 + 32 + 1;
/// Longest value of the tree, in bytes.
pub const VALUE_BYTES_MAX: usize = 96;

/// One write: a key of the tree, and its new value or `None` where it ceases to exist.
pub type Write = (Digest, Option<Vec<u8>>);

/// The authenticated store: one tree, changed once a block. Synchronous; `node` runs it on its own thread.
pub trait StateTree {
    /// The value of a key.
    ///
    /// # Errors
    /// [`StateError::Store`].
    fn get(&self, key: &Digest) -> Result<Option<Vec<u8>>, StateError>;

    /// Applies the writes of the block at `height`, sorted by key, each key once; returns the new root. Durable when it
    /// returns.
    ///
    /// # Errors
    /// Any [`StateError`]; the store is then as before.
    fn apply(&mut self, height: Height, writes: &[Write]) -> Result<Digest, StateError>;

    /// Proof of a key's value or absence under the newest root (`spec/state-proof.md`).
    ///
    /// # Errors
    /// [`StateError::Store`].
    fn prove(&self, key: &Digest) -> Result<Vec<u8>, StateError>;

    /// The first `limit` keys behind `after` that have values, in order, with their values.
    ///
    /// # Errors
    /// [`StateError::Store`].
    fn leaves(&self, after: &Digest, limit: usize) -> Result<Vec<(Digest, Vec<u8>)>, StateError>;

    /// Newest root.
    fn root(&self) -> Digest;

    /// Height of the newest root; `None` before genesis.
    fn height(&self) -> Option<Height>;
}

/// Code by keccak-256 and documents by content digest, kept outside the tree.
pub trait Content {
    /// The bytes, `None` where they are not kept.
    fn get(&self, digest: &Digest) -> Option<Vec<u8>>;
}

/// Headers of earlier blocks. It must answer for the newest 8,191 heights.
pub trait BlockHashes {
    /// The header at a height, `None` where there is none.
    fn header(&self, height: Height) -> Option<Header>;

    /// Height, hash and time of a block. Override it where that is cheaper than hashing a header.
    fn moment(&self, height: Height) -> Option<BlockMoment> {
        let header = self.header(height)?;
        Some(BlockMoment { height, block_hash: Digest(header.hash_slow().0), time_unix_s: header.timestamp })
    }
}

/// An account's value in the tree.
pub fn account_value(account: &AccountState) -> Vec<u8> {
    let mut value = Vec::with_capacity(ACCOUNT_VALUE_BYTES);
    value.extend_from_slice(&account.nonce.to_be_bytes());
    value.extend_from_slice(&account.balance.to_be_bytes::<32>());
    value.extend_from_slice(account.code_hash.as_slice());
    value.push(account.visibility.as_byte());
    value
}

/// Reads an account's value; `None` where it is malformed.
pub fn read_account_value(value: &[u8]) -> Option<AccountState> {
    let value: &[u8; ACCOUNT_VALUE_BYTES] = value.try_into().ok()?;
    let (nonce, rest) = value.split_first_chunk::<8>()?;
    let (balance, rest) = rest.split_first_chunk::<32>()?;
    let (code_hash, visibility) = rest.split_first_chunk::<32>()?;
    Some(AccountState {
        nonce: u64::from_be_bytes(*nonce),
        balance: U256::from_be_bytes(*balance),
        code_hash: B256::from(*code_hash),
        visibility: Visibility::from_byte(*visibility.first()?)?,
    })
}

/// The account at an address, empty where there is none.
///
/// # Errors
/// [`ViewError::Store`], [`ViewError::Malformed`].
pub fn read_account(state: &dyn StateTree, address: &Address) -> Result<AccountState, ViewError> {
    let value = state.get(&slots::account_key(&to_account(address)))?;
    value.map_or(Ok(AccountState::default()), |value| read_account_value(&value).ok_or(ViewError::Malformed))
}

/// A slot of a public account's storage, zero where there is none. Slots of confidential accounts stand under other keys:
/// here they are all zero.
///
/// # Errors
/// [`ViewError::Store`], [`ViewError::Malformed`].
pub fn read_storage(state: &dyn StateTree, address: &Address, slot: &U256) -> Result<U256, ViewError> {
    let key = slots::storage_key(&to_account(address), &slot.to_be_bytes());
    match state.get(&key)? {
        None => Ok(U256::ZERO),
        Some(value) => Ok(U256::from_be_bytes::<32>(value.try_into().map_err(|_| ViewError::Malformed)?)),
    }
}

/// An address in our own noun.
pub fn to_account(address: &Address) -> Account {
    Account(address.0.0)
}

/// An account in Ethereum's noun.
pub fn to_address(account: &Account) -> Address {
    Address::from(account.0)
}

/// The store, the documents and the headers as the machine reads them.
pub(crate) struct TreeView<'a> {
    pub(crate) state: &'a dyn StateTree,
    pub(crate) content: &'a dyn Content,
    pub(crate) hashes: &'a dyn BlockHashes,
    /// `None` on a follower.
    pub(crate) keyring: Option<&'a Keyring>,
}

impl StateView for TreeView<'_> {
    fn account(&self, address: &Address) -> Result<Option<AccountState>, ViewError> {
        let account = read_account(self.state, address)?;
        Ok(if account.is_empty() { None } else { Some(account) })
    }

    fn code(&self, hash: &B256) -> Result<Bytes, ViewError> {
        let code = self.content.get(&Digest(hash.0)).ok_or(ViewError::CodeMissing(*hash))?;
        Ok(code.into())
    }

    fn storage(&self, address: &Address, slot: &U256, visibility: Visibility) -> Result<U256, ViewError> {
        match visibility {
            Visibility::Public => read_storage(self.state, address, slot),
            Visibility::Confidential => self.keyring.ok_or(ViewError::KeysMissing)?.read(self.state, address, slot),
        }
    }

    fn moment(&self, height: u64) -> Result<Option<BlockMoment>, ViewError> {
        Ok(self.hashes.moment(height))
    }

    fn content(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ViewError> {
        Ok(self.content.get(digest))
    }
}

/// A tree in memory for tests: its root is a hash over the sorted map, and it proves nothing. No node uses it.
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    values: BTreeMap<Digest, Vec<u8>>,
    height: Option<Height>,
}

impl StateTree for MemoryTree {
    fn get(&self, key: &Digest) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.values.get(key).cloned())
    }

    fn apply(&mut self, height: Height, writes: &[Write]) -> Result<Digest, StateError> {
        let next = self.height.map_or(0, |height| height + 1);
        if height != next {
            return Err(StateError::Height { at: next.saturating_sub(1), found: height });
        }
        if !writes.is_sorted_by(|left, right| left.0 < right.0) {
            return Err(StateError::Unsorted);
        }
        if let Some(length) =
            writes.iter().filter_map(|write| Some(write.1.as_ref()?.len())).find(|l| *l > VALUE_BYTES_MAX)
        {
            return Err(StateError::ValueTooLong(length));
        }
        for (key, value) in writes {
            match value {
                Some(value) => self.values.insert(*key, value.clone()),
                None => self.values.remove(key),
            };
        }
        self.height = Some(height);
        Ok(self.root())
    }

    fn prove(&self, _key: &Digest) -> Result<Vec<u8>, StateError> {
        Ok(Vec::new())
    }

    fn leaves(&self, after: &Digest, limit: usize) -> Result<Vec<(Digest, Vec<u8>)>, StateError> {
        let behind = (Bound::Excluded(after), Bound::Unbounded);
        let leaves = self.values.range::<Digest, _>(behind).take(limit);
        Ok(leaves.map(|(key, value)| (*key, value.clone())).collect())
    }

    fn root(&self) -> Digest {
        let mut bytes = Vec::new();
        for (key, value) in &self.values {
            bytes.extend_from_slice(key.as_bytes());
            bytes.extend_from_slice(&(value.len() as u32).to_be_bytes());
            bytes.extend_from_slice(value);
        }
        freehold_crypto::hash("freehold memory tree", &[&bytes])
    }

    fn height(&self) -> Option<Height> {
        self.height
    }
}

impl Content for BTreeMap<Digest, Vec<u8>> {
    fn get(&self, digest: &Digest) -> Option<Vec<u8>> {
        Self::get(self, digest).cloned()
    }
}

impl BlockHashes for BTreeMap<Height, Header> {
    fn header(&self, height: Height) -> Option<Header> {
        self.get(&height).cloned()
    }
}
