//! What is fixed for a chain: genesis, its digest, the modules, and the constants of blocks (`spec/block.md`).

use std::sync::Arc;

use alloy_primitives::{Address, address};
use freehold_crypto::slots;
use freehold_evm::ModuleSet;
use freehold_primitives::{Digest, Genesis, KeyCeremony};

use crate::{error::LedgerError, modules};

/// Gas of a block, counted by gas limits before execution and by gas used in the header.
pub const BLOCK_GAS_MAX: u64 = 60_000_000;
/// Least base fee per gas, and that of block 0: 1 gwei.
pub const BASE_FEE_MIN: u64 = 1_000_000_000;
/// Who receives priority fees: the module `Validators`, which pays them out at the end of a term.
pub const BENEFICIARY: Address = Address::new(slots::VALIDATORS.0);
/// The contract that keeps block hashes (EIP-2935).
pub const HISTORY_CONTRACT: Address = address!("0x0000F90827F1C53a10cb7A02335B175320002935");
/// The contract that keeps payload digests (EIP-4788).
pub const PAYLOAD_ROOTS_CONTRACT: Address = address!("0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02");
/// The market for machines (`contracts/genesis/Market.sol`, `spec/market.md`).
pub const MARKET: Address = address!("0x0000000000000000000000000000000000F4Ee10");

/// Newest version of the protocol that this program knows (`spec/protocol.md`).
pub const PROTOCOL_NEWEST: u32 = 1;

/// What every block of a chain is executed under.
#[derive(Debug, Clone)]
pub struct ChainContext {
    genesis: Arc<Genesis>,
    genesis_hash: Digest,
    modules: ModuleSet,
    protocol_newest: u32,
}

impl ChainContext {
    /// The context of the chain that `genesis` opens.
    ///
    /// # Errors
    /// [`LedgerError::Roots`], [`LedgerError::Ceremony`], [`LedgerError::Membership`].
    pub fn new(genesis: Genesis) -> Result<Self, LedgerError> {
        freehold_attestation::check_roots(&genesis)?;
        if genesis.is_production() && genesis.key_ceremony == KeyCeremony::TrustedDealer {
            return Err(LedgerError::Ceremony);
        }
        modules::check_membership(&genesis)?;
        let genesis_hash = freehold_crypto::genesis_hash(&genesis);
        let genesis = Arc::new(genesis);
        let modules = ModuleSet::new(modules::all(&genesis, genesis_hash))?
            .with_subcalls(modules::subcalls(&genesis, genesis_hash));
        Ok(Self { genesis, genesis_hash, modules, protocol_newest: PROTOCOL_NEWEST })
    }

    /// The same, of a program that knows versions of the protocol up to another one; they rule alike. Rehearses an
    /// upgrade in tests.
    #[doc(hidden)]
    #[must_use]
    pub const fn knowing(mut self, protocol_newest: u32) -> Self {
        self.protocol_newest = protocol_newest;
        self
    }

    /// Newest version of the protocol that this program knows.
    pub const fn protocol_newest(&self) -> u32 {
        self.protocol_newest
    }

    /// The genesis.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// Its digest.
    pub const fn genesis_hash(&self) -> Digest {
        self.genesis_hash
    }

    /// Chain id of EIP-155.
    pub fn chain_id(&self) -> u64 {
        self.genesis.chain_id
    }

    /// The system modules.
    pub const fn modules(&self) -> &ModuleSet {
        &self.modules
    }
}
