//! System modules: code of the chain itself at a fixed address, called like any contract (design D1).
//!
//! A module's state is storage at a module's address through the machine's journal, so a revert, a static call or a
//! lack of gas has the effect it has on any contract. Documents that slots name go into a side buffer that lives and
//! dies with the transaction. A module keeps nothing between calls.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256};
use freehold_primitives::{BlockMoment, Digest};
use revm::context_interface::journaled_state::JournalCheckpoint;
use thiserror::Error;

use crate::{
    overlay::VISIBILITY_MODULE,
    sapphire::SubcallHandler,
    view::{ViewError, Visibility},
};

/// Gas of keeping one byte of a document.
pub const CONTENT_GAS_PER_BYTE: u64 = 16;
/// Gas of a warm access (EIP-2929).
const WARM_GAS: u64 = 100;
/// Gas that a first access to a slot adds (EIP-2929).
const COLD_SLOT_GAS: u64 = 2_100;
/// Gas of a first access to an account (EIP-2929).
const COLD_ACCOUNT_GAS: u64 = 2_600;
/// Gas of filling an empty slot (EIP-2200).
const SLOT_SET_GAS: u64 = 20_000;
/// Gas of changing a slot (EIP-2929).
const SLOT_CHANGE_GAS: u64 = 2_900;
/// Gas of reading one word of a document.
const CONTENT_READ_GAS_PER_WORD: u64 = 3;
/// Gas of moving value (EIP-150), and of making the account that receives it (EIP-161).
const TRANSFER_GAS: u64 = 9_000;
const NEW_ACCOUNT_GAS: u64 = 25_000;
/// Gas of a log, of a topic, and of a byte of its data.
const LOG_GAS: u64 = 375;
const LOG_BYTE_GAS: u64 = 8;

/// Code of the chain itself at an address.
pub trait Module: Send + Sync {
    /// Where it stands.
    fn address(&self) -> Address;

    /// Answers a call.
    ///
    /// # Errors
    /// A [`ModuleFailure`]; all that the call changed is undone.
    fn call(&self, call: &ModuleCall, ctx: &mut ModuleContext<'_>) -> Result<Bytes, ModuleFailure>;
}

/// Why a module's call failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModuleFailure {
    /// Refused with ABI-encoded revert data; gas that is left goes back.
    #[error("the module reverted")]
    Revert(Bytes),
    /// Gas ran out.
    #[error("out of gas")]
    OutOfGas,
    /// A static call tried to change state.
    #[error("state change in a static call")]
    StaticCall,
    /// State could not be read: the block cannot be executed.
    #[error(transparent)]
    View(#[from] ViewError),
}

/// A call to a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleCall {
    /// Call data: selector and arguments.
    pub input: Bytes,
    /// Who calls.
    pub caller: Address,
    /// Value that came with the call; it already stands in the module's balance.
    pub value: U256,
}

/// What surrounds a module's call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModuleEnvironment {
    /// Chain id.
    pub chain_id: u64,
    /// Height of this block.
    pub height: u64,
    /// Header time of this block.
    pub time_unix_s: u64,
    /// Header time of the parent: the `now` of everything that expires.
    pub parent_time_unix_s: u64,
    /// Who signed the transaction.
    pub origin: Address,
    /// The transaction's own nonce.
    pub origin_nonce: u64,
    /// Index of the transaction in the block.
    pub tx_index: u32,
}

/// Whether a contract may still choose its visibility.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Construction {
    /// Its constructor runs, and no slot of it holds a value yet.
    Open,
    /// Its constructor runs, and has written storage.
    Written,
    /// Its constructor has ended, or it never had one.
    Ended,
}

/// A slot as it was written.
pub(crate) struct SlotWrite {
    pub(crate) original: U256,
    pub(crate) present: U256,
    pub(crate) cold: bool,
}

/// What the machine lends a module. Object-safe, so that modules know nothing of the machine's types.
pub(crate) trait Journal {
    fn sload(&mut self, address: Address, slot: U256) -> Result<(U256, bool), ViewError>;
    fn sstore(&mut self, address: Address, slot: U256, value: U256) -> Result<SlotWrite, ViewError>;
    fn is_new_account(&mut self, address: Address) -> Result<bool, ViewError>;
    /// `false` where the balance does not suffice.
    fn transfer(&mut self, from: Address, to: Address, value: U256) -> Result<bool, ViewError>;
    fn log(&mut self, log: Log);
    fn put(&mut self, digest: Digest, bytes: Vec<u8>);
    fn content(&mut self, digest: &Digest) -> Result<Option<Vec<u8>>, ViewError>;
    fn moment(&mut self, height: u64) -> Result<Option<BlockMoment>, ViewError>;
    fn construction(&mut self, contract: Address) -> Result<Construction, ViewError>;
    fn visibility(&mut self, address: Address) -> Result<Visibility, ViewError>;
    /// Slot and value that mark a contract public until the transaction ends.
    fn mark(&self, contract: Address) -> (U256, U256);
    /// Begins what can be undone by itself.
    fn checkpoint(&mut self) -> JournalCheckpoint;
    fn checkpoint_commit(&mut self);
    fn checkpoint_revert(&mut self, checkpoint: JournalCheckpoint);
}

/// What a module may do during a call; every act is paid for in gas.
pub struct ModuleContext<'a> {
    pub(crate) journal: &'a mut dyn Journal,
    pub(crate) environment: ModuleEnvironment,
    pub(crate) module: Address,
    pub(crate) addresses: &'a [Address],
    pub(crate) is_static: bool,
    pub(crate) gas_left: u64,
}

impl ModuleContext<'_> {
    /// What surrounds the call.
    pub const fn environment(&self) -> &ModuleEnvironment {
        &self.environment
    }

    /// Gas that is left.
    pub const fn gas_left(&self) -> u64 {
        self.gas_left
    }

    /// Takes gas.
    ///
    /// # Errors
    /// [`ModuleFailure::OutOfGas`].
    pub fn charge(&mut self, gas: u64) -> Result<(), ModuleFailure> {
        self.gas_left = self.gas_left.checked_sub(gas).ok_or(ModuleFailure::OutOfGas)?;
        Ok(())
    }

    /// Refuses to go on in a static call.
    ///
    /// # Errors
    /// [`ModuleFailure::StaticCall`].
    pub const fn require_mutable(&self) -> Result<(), ModuleFailure> {
        if self.is_static { Err(ModuleFailure::StaticCall) } else { Ok(()) }
    }

    /// Reads a slot of a module's storage.
    ///
    /// # Errors
    /// [`ModuleFailure::OutOfGas`], [`ModuleFailure::View`].
    ///
    /// # Panics
    /// When `module` is no module.
    pub fn sload(&mut self, module: Address, slot: &[u8; 32]) -> Result<B256, ModuleFailure> {
        self.assert_module(module);
        self.charge(WARM_GAS)?;
        let (value, cold) = self.journal.sload(module, U256::from_be_bytes(*slot))?;
        if cold {
            self.charge(COLD_SLOT_GAS)?;
        }
        Ok(B256::from(value))
    }

    /// Writes a slot of a module's storage, at Ethereum's price without refunds.
    ///
    /// # Errors
    /// [`ModuleFailure::StaticCall`], [`ModuleFailure::OutOfGas`], [`ModuleFailure::View`].
    ///
    /// # Panics
    /// When `module` is no module.
    pub fn sstore(&mut self, module: Address, slot: &[u8; 32], value: B256) -> Result<(), ModuleFailure> {
        self.assert_module(module);
        self.require_mutable()?;
        let value = U256::from_be_bytes(value.0);
        let write = self.journal.sstore(module, U256::from_be_bytes(*slot), value)?;
        let cost = if value == write.present || write.original != write.present {
            WARM_GAS
        } else if write.original.is_zero() {
            SLOT_SET_GAS
        } else {
            SLOT_CHANGE_GAS
        };
        self.charge(cost + if write.cold { COLD_SLOT_GAS } else { 0 })
    }

    /// Moves value from the called module's balance. `false` where it does not suffice.
    ///
    /// # Errors
    /// [`ModuleFailure::StaticCall`], [`ModuleFailure::OutOfGas`], [`ModuleFailure::View`].
    pub fn transfer(&mut self, to: Address, value: U256) -> Result<bool, ModuleFailure> {
        self.require_mutable()?;
        self.charge(TRANSFER_GAS)?;
        if self.journal.is_new_account(to)? {
            self.charge(NEW_ACCOUNT_GAS)?;
        }
        Ok(self.journal.transfer(self.module, to, value)?)
    }

    /// Emits a log in a module's name.
    ///
    /// # Errors
    /// [`ModuleFailure::StaticCall`], [`ModuleFailure::OutOfGas`].
    ///
    /// # Panics
    /// When `module` is no module.
    pub fn log(&mut self, module: Address, data: LogData) -> Result<(), ModuleFailure> {
        self.assert_module(module);
        self.require_mutable()?;
        self.charge(LOG_GAS * (1 + data.topics().len() as u64) + LOG_BYTE_GAS * data.data.len() as u64)?;
        self.journal.log(Log { address: module, data });
        Ok(())
    }

    /// Keeps a document under its digest (computed by the caller; `freehold_crypto::content_digest`).
    ///
    /// # Errors
    /// [`ModuleFailure::StaticCall`], [`ModuleFailure::OutOfGas`].
    pub fn put(&mut self, digest: Digest, bytes: Vec<u8>) -> Result<(), ModuleFailure> {
        self.require_mutable()?;
        self.charge(CONTENT_GAS_PER_BYTE * bytes.len() as u64)?;
        self.journal.put(digest, bytes);
        Ok(())
    }

    /// A kept document, from this transaction, this block or before.
    ///
    /// # Errors
    /// [`ModuleFailure::OutOfGas`], [`ModuleFailure::View`] with [`ViewError::ContentMissing`] where it is not kept.
    pub fn content(&mut self, digest: &Digest) -> Result<Vec<u8>, ModuleFailure> {
        let bytes = self.journal.content(digest)?.ok_or(ViewError::ContentMissing(*digest))?;
        self.charge(WARM_GAS + CONTENT_READ_GAS_PER_WORD * (bytes.len() as u64).div_ceil(32))?;
        Ok(bytes)
    }

    /// Height, hash and time of an earlier block, `None` where it is not known.
    ///
    /// # Errors
    /// [`ModuleFailure::OutOfGas`], [`ModuleFailure::View`].
    pub fn moment(&mut self, height: u64) -> Result<Option<BlockMoment>, ModuleFailure> {
        self.charge(COLD_SLOT_GAS)?;
        Ok(self.journal.moment(height)?)
    }

    /// Whether the constructor of a contract runs.
    ///
    /// # Errors
    /// [`ModuleFailure::OutOfGas`], [`ModuleFailure::View`].
    pub fn construction(&mut self, contract: Address) -> Result<Construction, ModuleFailure> {
        self.charge(WARM_GAS)?;
        Ok(self.journal.construction(contract)?)
    }

    /// Visibility of an account as the block found it; one that is not there yet is confidential.
    ///
    /// # Errors
    /// [`ModuleFailure::OutOfGas`], [`ModuleFailure::View`].
    pub fn visibility(&mut self, address: Address) -> Result<Visibility, ModuleFailure> {
        self.charge(COLD_ACCOUNT_GAS)?;
        Ok(self.journal.visibility(address)?)
    }

    /// Marks a contract whose constructor runs: unless that is undone, it is public from now on.
    ///
    /// # Errors
    /// [`ModuleFailure::StaticCall`], [`ModuleFailure::OutOfGas`], [`ModuleFailure::View`].
    pub fn mark_public(&mut self, contract: Address) -> Result<(), ModuleFailure> {
        let (slot, value) = self.journal.mark(contract);
        self.sstore(VISIBILITY_MODULE, &slot.to_be_bytes(), B256::from(value))
    }

    fn assert_module(&self, address: Address) {
        assert!(self.addresses.contains(&address), "a module reaches only into the storage of modules");
    }
}

/// Two modules at one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("two modules stand at {0}")]
pub struct ModuleSetError(pub Address);

/// The modules of a chain, by address, and who answers subcalls for them.
#[derive(Clone, Default)]
pub struct ModuleSet {
    modules: BTreeMap<Address, Arc<dyn Module>>,
    addresses: Vec<Address>,
    subcalls: Option<Arc<dyn SubcallHandler>>,
}

impl ModuleSet {
    /// The set of these modules.
    ///
    /// # Errors
    /// [`ModuleSetError`].
    pub fn new(modules: impl IntoIterator<Item = Arc<dyn Module>>) -> Result<Self, ModuleSetError> {
        let mut set = Self::default();
        for module in modules {
            let address = module.address();
            if set.modules.insert(address, module).is_some() {
                return Err(ModuleSetError(address));
            }
        }
        set.addresses = set.modules.keys().copied().collect();
        Ok(set)
    }

    /// The same set, with subcalls that the machine does not answer itself going to `handler`.
    #[must_use]
    pub fn with_subcalls(self, handler: Arc<dyn SubcallHandler>) -> Self {
        Self { subcalls: Some(handler), ..self }
    }

    pub(crate) fn subcalls(&self) -> Option<&dyn SubcallHandler> {
        self.subcalls.as_deref()
    }

    /// Their addresses, in order.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    pub(crate) fn get(&self, address: &Address) -> Option<&dyn Module> {
        self.modules.get(address).map(AsRef::as_ref)
    }
}

impl core::fmt::Debug for ModuleSet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(&self.addresses).finish()
    }
}
