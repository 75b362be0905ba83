//! Access to entries: canonical bytes kept by digest, the digest in one slot of the entry's module (`spec/entries.md`).
//!
//! Beside entries stand indexes, which no verifier reads: lists of ids.

use alloy_primitives::{Address, B256};
use freehold_crypto::{content_digest, keccak256, slots};
use freehold_evm::{ModuleContext, ModuleFailure, ViewError};
use freehold_primitives::{
    Account, AppId, Canonical, Digest,
    entries::{AccountEntry, AppEntry, DenyEntry, EntryKind, InstanceEntry},
};

use crate::state::{to_account, to_address};

/// Kind byte of an index in its slot; kinds of entries are below 128.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum IndexKind {
    /// In `Apps`, by app id: ids of instances that are not closed.
    Instances = 0x80,
    /// In `Keys`, by instance id: ids of grants.
    Grants = 0x81,
}

impl IndexKind {
    const fn module(self) -> Account {
        match self {
            Self::Instances => slots::APPS,
            Self::Grants => slots::KEYS,
        }
    }

    fn slot(self, id: &[u8]) -> [u8; 32] {
        keccak256(&[&[self as u8], id]).0
    }
}

/// Slot in `Keys` of the list of an instance's grants.
pub(crate) fn grants_slot(instance: &Digest) -> [u8; 32] {
    IndexKind::Grants.slot(instance.as_bytes())
}

/// An entry, `None` where there is none.
pub(super) fn load<T: Canonical>(
    ctx: &mut ModuleContext<'_>,
    kind: EntryKind,
    id: &[u8],
) -> Result<Option<T>, ModuleFailure> {
    let module = to_address(&slots::entry_module(kind));
    load_at(ctx, module, &slots::entry_slot(kind, id))
}

/// Canonical bytes of an entry, `None` where there is none.
pub(super) fn load_bytes(
    ctx: &mut ModuleContext<'_>,
    kind: EntryKind,
    id: &[u8],
) -> Result<Option<Vec<u8>>, ModuleFailure> {
    let module = to_address(&slots::entry_module(kind));
    let digest = ctx.sload(module, &slots::entry_slot(kind, id))?;
    if digest.is_zero() { Ok(None) } else { ctx.content(&Digest(digest.0)).map(Some) }
}

/// Writes an entry; returns its digest.
pub(super) fn store<T: Canonical>(
    ctx: &mut ModuleContext<'_>,
    kind: EntryKind,
    id: &[u8],
    entry: &T,
) -> Result<Digest, ModuleFailure> {
    let module = to_address(&slots::entry_module(kind));
    store_at(ctx, module, &slots::entry_slot(kind, id), entry)
}

/// A list of ids, empty where there is none.
pub(super) fn load_ids(ctx: &mut ModuleContext<'_>, kind: IndexKind, id: &[u8]) -> Result<Vec<Digest>, ModuleFailure> {
    let ids = load_at(ctx, to_address(&kind.module()), &kind.slot(id))?;
    Ok(ids.unwrap_or_default())
}

/// Writes a list of ids.
pub(super) fn store_ids(
    ctx: &mut ModuleContext<'_>,
    kind: IndexKind,
    id: &[u8],
    ids: &Vec<Digest>,
) -> Result<(), ModuleFailure> {
    store_at(ctx, to_address(&kind.module()), &kind.slot(id), ids)?;
    Ok(())
}

fn load_at<T: Canonical>(
    ctx: &mut ModuleContext<'_>,
    module: Address,
    slot: &[u8; 32],
) -> Result<Option<T>, ModuleFailure> {
    let digest = ctx.sload(module, slot)?;
    if digest.is_zero() {
        return Ok(None);
    }
    let bytes = ctx.content(&Digest(digest.0))?;
    let entry = T::from_canonical(&bytes).map_err(|_| ViewError::Malformed)?;
    Ok(Some(entry))
}

fn store_at<T: Canonical>(
    ctx: &mut ModuleContext<'_>,
    module: Address,
    slot: &[u8; 32],
    entry: &T,
) -> Result<Digest, ModuleFailure> {
    let bytes = entry.to_canonical();
    let digest = content_digest(&bytes);
    ctx.put(digest, bytes)?;
    ctx.sstore(module, slot, B256::from(digest.0))?;
    Ok(digest)
}

/// An app.
pub(super) fn load_app(ctx: &mut ModuleContext<'_>, app: &AppId) -> Result<Option<AppEntry>, ModuleFailure> {
    load(ctx, EntryKind::App, app.as_bytes())
}

/// An instance.
pub(super) fn load_instance(ctx: &mut ModuleContext<'_>, id: &Digest) -> Result<Option<InstanceEntry>, ModuleFailure> {
    load(ctx, EntryKind::Instance, id.as_bytes())
}

/// Whether an instance is open: neither closed nor past its lease by the parent's time.
pub(super) fn is_open(ctx: &ModuleContext<'_>, instance: &InstanceEntry) -> bool {
    instance.closed_at.is_none() && ctx.environment().parent_time_unix_s < instance.expires_at
}

/// Whether an instance is live: open, and nothing that it stands on is denied by the chain. A denial closes no instance;
/// it counts here, from the transaction on that made it.
pub(super) fn is_live(ctx: &mut ModuleContext<'_>, instance: &InstanceEntry) -> Result<bool, ModuleFailure> {
    Ok(is_open(ctx, instance) && !is_denied(ctx, &AppId::CHAIN, instance)?)
}

/// Whether an app, or the chain, denies now what an instance stands on.
pub(super) fn is_denied(
    ctx: &mut ModuleContext<'_>,
    by: &AppId,
    instance: &InstanceEntry,
) -> Result<bool, ModuleFailure> {
    for (kind, key) in instance.deny_subjects() {
        let entry: Option<DenyEntry> = load(ctx, EntryKind::Deny, &slots::deny_id(by, kind, &key))?;
        if entry.is_some_and(|entry| entry.stands(instance.tcb_level.as_ref())) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The live instance whose account this is.
pub(super) fn live_instance_of(
    ctx: &mut ModuleContext<'_>,
    account: &Address,
) -> Result<Option<InstanceEntry>, ModuleFailure> {
    let account = to_account(account);
    let Some(entry) = load::<AccountEntry>(ctx, EntryKind::Account, account.as_bytes())? else { return Ok(None) };
    let instance = load_instance(ctx, &entry.instance_id)?.filter(|instance| instance.account == account);
    let Some(instance) = instance else { return Ok(None) };
    Ok(if is_live(ctx, &instance)? { Some(instance) } else { None })
}
