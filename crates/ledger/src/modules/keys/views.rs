//! Reading grants and generations.

use alloy_primitives::{B256, Bytes};
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::entries::EntryKind;

use super::super::{
    entries::{IndexKind, load_bytes, load_ids},
    refusal::ModuleRefusal,
};

/// Canonical bytes of an entry, which must exist.
pub(super) fn entry(ctx: &mut ModuleContext<'_>, kind: EntryKind, id: &[u8]) -> Result<Bytes, ModuleFailure> {
    let bytes = load_bytes(ctx, kind, id)?.ok_or(ModuleRefusal::Unknown)?;
    Ok(bytes.into())
}

pub(super) fn grants(ctx: &mut ModuleContext<'_>, instance: B256) -> Result<Vec<B256>, ModuleFailure> {
    let ids = load_ids(ctx, IndexKind::Grants, instance.as_slice())?;
    Ok(ids.into_iter().map(|id| id.0.into()).collect())
}
