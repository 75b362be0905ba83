//! Reading entries of the system modules from state, for node, host and RPC (`spec/entries.md`).

use freehold_crypto::slots;
use freehold_evm::ViewError;
use freehold_primitives::{Canonical, Digest, entries::EntryKind};

use crate::state::{Content, StateTree};

/// Key in the tree of the slot that holds an entry's digest.
pub fn entry_key(kind: EntryKind, id: &[u8]) -> Digest {
    slots::storage_key(&slots::entry_module(kind), &slots::entry_slot(kind, id))
}

/// Canonical bytes of an entry, `None` where there is none.
///
/// # Errors
/// [`ViewError::Store`], [`ViewError::Malformed`], [`ViewError::ContentMissing`].
pub fn read_entry_bytes(
    kind: EntryKind,
    id: &[u8],
    state: &dyn StateTree,
    content: &dyn Content,
) -> Result<Option<Vec<u8>>, ViewError> {
    let Some(value) = state.get(&entry_key(kind, id))? else { return Ok(None) };
    let digest = Digest(value.try_into().map_err(|_| ViewError::Malformed)?);
    content.get(&digest).map(Some).ok_or(ViewError::ContentMissing(digest))
}

/// An entry, `None` where there is none.
///
/// # Errors
/// As [`read_entry_bytes`].
pub fn read_entry<T: Canonical>(
    kind: EntryKind,
    id: &[u8],
    state: &dyn StateTree,
    content: &dyn Content,
) -> Result<Option<T>, ViewError> {
    match read_entry_bytes(kind, id, state, content)? {
        None => Ok(None),
        Some(bytes) => T::from_canonical(&bytes).map(Some).map_err(|_| ViewError::Malformed),
    }
}
