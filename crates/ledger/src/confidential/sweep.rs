//! Re-encryption: values under the generation before are moved to the newest, in order of their tree keys, a bounded number
//! with each block.
//!
//! A value that a transaction writes moves by itself, so the sweep meets what is left. It reads the tree as the parent
//! block left it and is the same for every executor.

use freehold_crypto::{SEALED_SLOT_BYTES, sealed_generation};
use freehold_primitives::{Digest, Height};

use super::{Keyring, Writes};
use crate::{error::LedgerError, state::StateTree};

/// Leaves of the tree that a block looks at.
pub(crate) const SWEEP_LEAVES: usize = 2_048;
/// Values that a block moves.
pub(crate) const SWEEP_VALUES: usize = 256;

/// What one block re-encrypts.
pub(super) struct Sweep {
    /// Writes: each value under its new key, and nothing under its old one.
    pub(super) writes: Writes,
    /// Tree key up to which all is done; `None` where nothing is left.
    pub(super) cursor: Option<Digest>,
}

impl Keyring {
    /// Moves values behind `cursor`. Nothing is left where there is no generation before.
    pub(super) fn sweep(
        &self,
        state: &dyn StateTree,
        mut cursor: Digest,
        height: Height,
    ) -> Result<Sweep, LedgerError> {
        let mut writes = Writes::new();
        let Some(previous) = &self.previous else { return Ok(Sweep { writes, cursor: None }) };
        let leaves = state.leaves(&cursor, SWEEP_LEAVES)?;
        let is_last = leaves.len() < SWEEP_LEAVES;
        let mut moved = 0;
        for (key, value) in leaves {
            if value.len() == SEALED_SLOT_BYTES && sealed_generation(&value) == Ok(previous.root().generation()) {
                if moved == SWEEP_VALUES {
                    return Ok(Sweep { writes, cursor: Some(cursor) });
                }
                moved += 1;
                let account = previous.account_of(&key, &value).map_err(sealed)?;
                let old = self.contract(previous, &account);
                let slot = old.slot_at(&key);
                let plain = old.open(&key, &slot, &value).map_err(sealed)?;
                let new = self.contract(&self.newest, &account);
                let place = new.tree_key(&slot);
                writes.insert(key, None);
                writes.insert(place, Some(new.seal(&place, &slot, height, &plain).to_vec()));
            }
            cursor = key;
        }
        Ok(Sweep { writes, cursor: if is_last { None } else { Some(cursor) } })
    }
}

fn sealed(error: freehold_crypto::SealError) -> LedgerError {
    LedgerError::View(error.into())
}
