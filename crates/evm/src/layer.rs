//! State as a simulation sees it: what overrides say, and what simulated blocks changed, over the state of the chain.
//!
//! Invariant: under a layer no confidential slot of the chain is read. Whoever can make up a balance, a clock or a contract
//! that others trust can make a confidential contract tell what it would not tell otherwise, so a simulation that comes to
//! such a read is refused ([`ViewError::Withheld`]). Contracts that only the simulation made are read freely.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use freehold_primitives::{BlockMoment, Digest};
use thiserror::Error;

use crate::{
    outcome::Changes,
    provider::PrecompileMoves,
    view::{AccountState, StateView, ViewError, Visibility},
};

#[cfg(test)]
mod tests;

/// What an account's storage is said to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum StorageOverride {
    /// As it is.
    #[default]
    Kept,
    /// These slots, and zero in all others.
    Replaced(BTreeMap<U256, U256>),
    /// These slots, and all others as they are.
    Patched(BTreeMap<U256, U256>),
}

/// What an account is said to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountOverride {
    /// Balance in units of 10⁻¹⁸.
    pub balance: Option<U256>,
    /// Nonce.
    pub nonce: Option<u64>,
    /// Code; on a precompile it takes the precompile's place.
    pub code: Option<Bytes>,
    /// Storage.
    pub storage: StorageOverride,
    /// Where the precompile at this address goes.
    pub precompile_to: Option<Address>,
}

/// What accounts are said to be.
pub type StateOverrides = BTreeMap<Address, AccountOverride>;

/// Why overrides are refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OverrideRefusal {
    /// Code or storage of a confidential contract.
    #[error("code and storage of {0} cannot be overridden: it is a confidential contract")]
    Confidential(Address),
    /// There is no precompile of Ethereum's at the address.
    #[error("{0} is no precompile of Ethereum's: it cannot be moved")]
    NoPrecompile(Address),
    /// A precompile is moved to itself.
    #[error("the precompile {0} is moved to itself")]
    SelfReference(Address),
    /// Two precompiles go to one address, or one goes where an account is overridden.
    #[error("{0} is overridden more than once")]
    Twice(Address),
    /// State could not be read.
    #[error(transparent)]
    View(#[from] ViewError),
}

/// State with layers on it.
pub struct Layers<'a> {
    base: &'a dyn StateView,
    accounts: BTreeMap<Address, Option<AccountState>>,
    code: BTreeMap<B256, Bytes>,
    storage: BTreeMap<(Address, U256), U256>,
    /// Accounts whose storage below the layers counts for nothing.
    replaced: BTreeSet<Address>,
    content: BTreeMap<Digest, Vec<u8>>,
    moments: BTreeMap<u64, BlockMoment>,
    moves: PrecompileMoves,
}

impl<'a> Layers<'a> {
    /// No layer yet.
    pub const fn new(base: &'a dyn StateView) -> Self {
        Self {
            base,
            accounts: BTreeMap::new(),
            code: BTreeMap::new(),
            storage: BTreeMap::new(),
            replaced: BTreeSet::new(),
            content: BTreeMap::new(),
            moments: BTreeMap::new(),
            moves: PrecompileMoves::new(),
        }
    }

    /// Puts overrides on top.
    ///
    /// # Errors
    /// Any [`OverrideRefusal`].
    pub fn put(&mut self, overrides: &StateOverrides) -> Result<(), OverrideRefusal> {
        for (address, said) in overrides {
            if let Some(to) = said.precompile_to {
                if to == *address {
                    return Err(OverrideRefusal::SelfReference(to));
                }
                if overrides.contains_key(&to) || !self.moves.put(*address, to) {
                    return Err(OverrideRefusal::Twice(to));
                }
                if !PrecompileMoves::may_move(address) {
                    return Err(OverrideRefusal::NoPrecompile(*address));
                }
            }
            self.put_account(*address, said)?;
        }
        Ok(())
    }

    fn put_account(&mut self, address: Address, said: &AccountOverride) -> Result<(), OverrideRefusal> {
        let mut account = self.account(&address)?.unwrap_or_default();
        if said.code.is_some() || said.storage != StorageOverride::Kept {
            if self.is_confidential_below(&address)? {
                return Err(OverrideRefusal::Confidential(address));
            }
            if account.code_hash == KECCAK256_EMPTY {
                // What the request itself says is no secret: such an account is a public one.
                account.visibility = Visibility::Public;
            }
        }
        if let Some(code) = &said.code {
            self.moves.hide(address);
            account.code_hash = keccak256(code);
            self.code.insert(account.code_hash, code.clone());
        }
        account.balance = said.balance.unwrap_or(account.balance);
        account.nonce = said.nonce.unwrap_or(account.nonce);
        self.accounts.insert(address, Some(account));
        let slots = match &said.storage {
            StorageOverride::Kept => return Ok(()),
            StorageOverride::Patched(slots) => slots,
            StorageOverride::Replaced(slots) => {
                self.replaced.insert(address);
                self.storage.retain(|(owner, _), _| *owner != address);
                slots
            }
        };
        self.storage.extend(slots.iter().map(|(slot, value)| ((address, *slot), *value)));
        Ok(())
    }

    /// Puts what a simulated block changed on top.
    pub fn apply(&mut self, changes: Changes) {
        let Changes { accounts, storage, confidential, code, content } = changes;
        self.accounts.extend(accounts);
        self.storage.extend(storage);
        self.storage.extend(confidential);
        self.code.extend(code);
        self.content.extend(content);
    }

    /// Records a simulated block, or what a block's hash is said to be.
    pub fn record(&mut self, moment: BlockMoment) {
        self.moments.insert(moment.height, moment);
    }

    pub(crate) fn moves(&self) -> PrecompileMoves {
        self.moves.clone()
    }

    /// Whether the chain has a confidential contract at this address.
    fn is_confidential_below(&self, address: &Address) -> Result<bool, ViewError> {
        let account = self.base.account(address)?;
        Ok(account.is_some_and(|account| {
            account.visibility == Visibility::Confidential && account.code_hash != KECCAK256_EMPTY
        }))
    }
}

impl StateView for Layers<'_> {
    fn account(&self, address: &Address) -> Result<Option<AccountState>, ViewError> {
        self.accounts.get(address).map_or_else(|| self.base.account(address), |account| Ok(*account))
    }

    fn code(&self, hash: &B256) -> Result<Bytes, ViewError> {
        self.code.get(hash).cloned().map_or_else(|| self.base.code(hash), Ok)
    }

    fn storage(&self, address: &Address, slot: &U256, visibility: Visibility) -> Result<U256, ViewError> {
        if visibility == Visibility::Confidential && self.is_confidential_below(address)? {
            // Before anything else, so that not even what was written is told from what was not.
            return Err(ViewError::Withheld(*address));
        }
        if let Some(value) = self.storage.get(&(*address, *slot)) {
            return Ok(*value);
        }
        if self.replaced.contains(address) {
            return Ok(U256::ZERO);
        }
        match (visibility, self.base.account(address)?) {
            (Visibility::Public, _) => self.base.storage(address, slot, visibility),
            // An account that has signed may once have had code and sealed storage (EIP-7702).
            (Visibility::Confidential, Some(account)) if account.nonce > 0 => Err(ViewError::Withheld(*address)),
            (Visibility::Confidential, _) => Ok(U256::ZERO),
        }
    }

    fn moment(&self, height: u64) -> Result<Option<BlockMoment>, ViewError> {
        self.moments.get(&height).map_or_else(|| self.base.moment(height), |moment| Ok(Some(*moment)))
    }

    fn content(&self, digest: &Digest) -> Result<Option<Vec<u8>>, ViewError> {
        self.content.get(digest).map_or_else(|| self.base.content(digest), |bytes| Ok(Some(bytes.clone())))
    }
}
