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

/// What every block of a chain is executed under.
#[derive(Debug, Clone)]
pub struct ChainContext {
    genesis: Arc<Genesis>,
    genesis_hash: Digest,
    modules: ModuleSet,
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
        Ok(Self { genesis, genesis_hash, modules })
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
