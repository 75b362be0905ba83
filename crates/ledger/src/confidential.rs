//! Confidential state under a block (`spec/confidential-state.md`): reading and sealing slots under the generations that are
//! in use.
//!
//! A slot is sought under the newest generation, then under the one before while re-encryption runs; it is written under
//! the newest alone. What a block does about generations and epochs before its first transaction stands in `turn`.

mod sweep;
mod turn;

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use alloy_primitives::{Address, U256};
use freehold_crypto::{CallDataSecret, ContractCipher, StateCipher, StateKeyOrigin, StateKeys, StateRootKey, slots};
use freehold_evm::{CallDataKey, ViewError};
use freehold_primitives::{
    Account, Digest, Generation, Height,
    entries::{CallDataKeyEntry, EntryKind, StateKeyEntry, StateKeyStatus},
};

pub use turn::call_data_key;
pub(crate) use turn::{Turn, epoch_of, query_context, turn};

use crate::{
    context::ChainContext,
    error::LedgerError,
    read::read_entry,
    state::{Content, StateTree, to_account},
};

/// Writes to the tree, by key.
pub(crate) type Writes = BTreeMap<Digest, Option<Vec<u8>>>;

/// The generations that are in use, and the keys of the contracts that were touched.
pub(crate) struct Keyring {
    newest: StateCipher,
    previous: Option<StateCipher>,
    contracts: RefCell<BTreeMap<(Generation, Account), Rc<ContractCipher>>>,
}

impl Keyring {
    /// The generations that a status names.
    fn open(ctx: &ChainContext, keys: &StateKeys, status: &StateKeyStatus) -> Result<Self, LedgerError> {
        if ctx.genesis().is_production() && keys.origin() == StateKeyOrigin::Development {
            return Err(LedgerError::DevelopmentKeys);
        }
        let cipher = |generation| {
            let root = keys.get(generation).ok_or(LedgerError::GenerationMissing(generation))?;
            Ok::<_, LedgerError>(StateCipher::new(root, ctx.genesis_hash()))
        };
        Ok(Self {
            newest: cipher(status.newest)?,
            previous: status.previous.map(cipher).transpose()?,
            contracts: RefCell::default(),
        })
    }

    /// The newest state root key.
    pub(crate) fn root(&self) -> &StateRootKey {
        self.newest.root()
    }

    /// Refuses keys whose commitment is not the one in state: with them, every slot would seem empty.
    fn check(&self, state: &dyn StateTree, content: &dyn Content) -> Result<(), LedgerError> {
        for cipher in [Some(&self.newest), self.previous.as_ref()].into_iter().flatten() {
            let generation = cipher.root().generation();
            let id = slots::state_key_id(generation);
            let entry: Option<StateKeyEntry> = read_entry(EntryKind::StateKey, &id, state, content)?;
            if entry.is_some_and(|entry| entry.commitment != cipher.root().commitment()) {
                return Err(LedgerError::WrongKey(generation));
            }
        }
        Ok(())
    }

    fn contract(&self, cipher: &StateCipher, account: &Account) -> Rc<ContractCipher> {
        let key = (cipher.root().generation(), *account);
        let mut contracts = self.contracts.borrow_mut();
        Rc::clone(contracts.entry(key).or_insert_with(|| Rc::new(cipher.contract(account))))
    }

    /// The value of a confidential slot, zero where there is none.
    pub(crate) fn read(&self, state: &dyn StateTree, address: &Address, slot: &U256) -> Result<U256, ViewError> {
        let (account, slot) = (to_account(address), slot.to_be_bytes());
        for cipher in [Some(&self.newest), self.previous.as_ref()].into_iter().flatten() {
            let contract = self.contract(cipher, &account);
            let key = contract.tree_key(&slot);
            if let Some(sealed) = state.get(&key)? {
                return Ok(U256::from_be_bytes(contract.open(&key, &slot, &sealed)?));
            }
        }
        Ok(U256::ZERO)
    }

    /// Adds the write of a confidential slot, zero sealed like any value, and takes away what stands under the generation
    /// before.
    pub(crate) fn write(&self, writes: &mut Writes, (address, slot): (&Address, &U256), value: &U256, height: Height) {
        let (account, slot) = (to_account(address), slot.to_be_bytes());
        let contract = self.contract(&self.newest, &account);
        let key = contract.tree_key(&slot);
        writes.insert(key, Some(contract.seal(&key, &slot, height, &value.to_be_bytes()).to_vec()));
        if let Some(previous) = &self.previous {
            writes.insert(self.contract(previous, &account).tree_key(&slot), None);
        }
    }
}

/// Which generations are in use; the default before block 1.
pub(crate) fn read_status(state: &dyn StateTree, content: &dyn Content) -> Result<Option<StateKeyStatus>, LedgerError> {
    Ok(read_entry(EntryKind::StateKeyStatus, &slots::STATE_KEY_STATUS_ID, state, content)?)
}

/// The call-data key of an epoch as state holds it, for [`freehold_evm::SapphireContext`].
fn published(entry: &CallDataKeyEntry, commitment: Digest) -> CallDataKey {
    CallDataKey {
        public_key: entry.public_key.0,
        // In place of a key manager's policy stands the generation's commitment; the proof is a state proof of the entry,
        // so there is no signature.
        checksum: commitment.0,
        signature: [0; 64],
        epoch: entry.epoch,
    }
}

/// The secret to which call data of an epoch is encrypted; `None` where the chain knows no key of that epoch, or these
/// keys do not hold its generation.
///
/// # Errors
/// [`ViewError::Store`], [`ViewError::Malformed`], [`ViewError::ContentMissing`].
pub fn call_data_secret(
    ctx: &ChainContext,
    keys: &StateKeys,
    epoch: u64,
    (state, content): (&dyn StateTree, &dyn Content),
) -> Result<Option<CallDataSecret>, ViewError> {
    let id = slots::call_data_key_id(epoch);
    let entry: Option<CallDataKeyEntry> = read_entry(EntryKind::CallDataKey, &id, state, content)?;
    let root = entry.and_then(|entry| keys.get(entry.generation));
    Ok(root.map(|root| root.call_data_secret(&ctx.genesis_hash(), epoch)))
}
