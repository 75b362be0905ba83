//! What an app's owner sets for its instances (`spec/settings.md`).
//!
//! Invariant: generations follow each other without a gap, so that of two owners' tools that change the same settings one
//! is refused, and no earlier set comes back.

use alloy_primitives::Bytes;
use alloy_sol_types::SolEvent as _;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    AppId, Canonical as _,
    entries::{AppSettings, EntryKind, SETTINGS_BYTES_MAX, SettingsEntry},
};

use super::{
    super::{
        abi::IApps::SettingsChanged,
        entries::{load, load_bytes, store},
        refusal::ModuleRefusal,
    },
    owner::Owned,
};
use crate::state::to_address;

/// Takes the next settings of an open app from its owner.
pub(super) fn set(ctx: &mut ModuleContext<'_>, owned: &Owned<'_>, document: &[u8]) -> Result<(), ModuleFailure> {
    let app_id = owned.open(ctx)?.app_id;
    if document.len() > SETTINGS_BYTES_MAX {
        return Err(ModuleRefusal::Settings.into());
    }
    let settings = AppSettings::from_canonical(document).map_err(|_| ModuleRefusal::Settings)?;
    if !settings.is_sound() {
        return Err(ModuleRefusal::Settings.into());
    }
    let before: Option<SettingsEntry> = load(ctx, EntryKind::Settings, app_id.as_bytes())?;
    let newest = before.map_or(0, |before| before.settings.generation);
    if newest.checked_add(1) != Some(settings.generation) {
        return Err(ModuleRefusal::SettingsGeneration.into());
    }
    let generation = settings.generation;
    let entry = SettingsEntry { app_id, changed_at: ctx.environment().height, settings };
    let digest = store(ctx, EntryKind::Settings, app_id.as_bytes(), &entry)?;
    let event = SettingsChanged { app: (*app_id.as_bytes()).into(), generation, entry: digest.0.into() };
    ctx.log(to_address(&slots::APPS), event.encode_log_data())
}

pub(super) fn entry_bytes(ctx: &mut ModuleContext<'_>, app: &AppId) -> Result<Bytes, ModuleFailure> {
    let bytes = load_bytes(ctx, EntryKind::Settings, app.as_bytes())?.ok_or(ModuleRefusal::Unknown)?;
    Ok(bytes.into())
}
