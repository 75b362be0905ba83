//! What an instance says of itself, for all to read.
//!
//! Invariant: nobody but a live instance sets its own, and always all of it.

use alloy_primitives::{Address, Bytes};
use alloy_sol_types::SolEvent as _;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    Canonical as _, Digest,
    entries::{EntryKind, METADATA_BYTES_MAX, Metadata, MetadataEntry},
};

use super::super::{
    abi::IApps::MetadataChanged,
    entries::{live_instance_of, load, load_bytes, store},
    refusal::ModuleRefusal,
};
use crate::state::to_address;

/// Puts a document in the place of what the calling instance said before.
pub(super) fn set(ctx: &mut ModuleContext<'_>, caller: &Address, document: &[u8]) -> Result<(), ModuleFailure> {
    let instance = live_instance_of(ctx, caller)?.ok_or(ModuleRefusal::NotLive)?;
    if document.len() > METADATA_BYTES_MAX {
        return Err(ModuleRefusal::Metadata.into());
    }
    let metadata = Metadata::from_canonical(document).map_err(|_| ModuleRefusal::Metadata)?;
    if !metadata.is_sound() {
        return Err(ModuleRefusal::Metadata.into());
    }
    let id = instance.instance_id;
    let entry = MetadataEntry { instance_id: id, changed_at: ctx.environment().height, metadata };
    let digest = store(ctx, EntryKind::Metadata, id.as_bytes(), &entry)?;
    let event =
        MetadataChanged { app: (*instance.app_id.as_bytes()).into(), instance: id.0.into(), entry: digest.0.into() };
    ctx.log(to_address(&slots::APPS), event.encode_log_data())
}

/// What an instance said last; nothing where it said nothing.
pub(super) fn of(ctx: &mut ModuleContext<'_>, instance: &Digest) -> Result<Metadata, ModuleFailure> {
    let entry: Option<MetadataEntry> = load(ctx, EntryKind::Metadata, instance.as_bytes())?;
    Ok(entry.map_or_else(Metadata::default, |entry| entry.metadata))
}

pub(super) fn entry_bytes(ctx: &mut ModuleContext<'_>, instance: &Digest) -> Result<Bytes, ModuleFailure> {
    let bytes = load_bytes(ctx, EntryKind::Metadata, instance.as_bytes())?.ok_or(ModuleRefusal::Unknown)?;
    Ok(bytes.into())
}
