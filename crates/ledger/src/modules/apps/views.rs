//! Reading the registry.

use alloy_primitives::{Address, B256, Bytes};
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{AppId, entries::EntryKind};

use super::{
    super::{
        abi::IApps::{deniedCall, instancesReturn},
        entries::{IndexKind, live_instance_of, load_app, load_bytes, load_ids},
        refusal::ModuleRefusal,
    },
    INSTANCES_PAGE, app_id,
    owner::subject_kind,
};

pub(super) fn app(ctx: &mut ModuleContext<'_>, id: &AppId) -> Result<Bytes, ModuleFailure> {
    let bytes = load_bytes(ctx, EntryKind::App, id.as_bytes())?.ok_or(ModuleRefusal::AppUnknown)?;
    Ok(bytes.into())
}

pub(super) fn instance(ctx: &mut ModuleContext<'_>, id: B256) -> Result<Bytes, ModuleFailure> {
    let bytes = load_bytes(ctx, EntryKind::Instance, id.as_slice())?.ok_or(ModuleRefusal::InstanceUnknown)?;
    Ok(bytes.into())
}

pub(super) fn instances(
    ctx: &mut ModuleContext<'_>,
    id: &AppId,
    cursor: u64,
) -> Result<instancesReturn, ModuleFailure> {
    let all = load_ids(ctx, IndexKind::Instances, id.as_bytes())?;
    let start = usize::try_from(cursor).unwrap_or(usize::MAX).min(all.len());
    let end = (start + INSTANCES_PAGE).min(all.len());
    let ids = all[start..end].iter().map(|id| id.0.into()).collect();
    Ok(instancesReturn { ids, next: if end < all.len() { end as u64 } else { 0 } })
}

/// Takes effect in the very next call after a revocation, a denial, a change of policy or the end of a lease.
pub(super) fn is_authorized(ctx: &mut ModuleContext<'_>, id: &AppId, caller: &Address) -> Result<bool, ModuleFailure> {
    let Some(instance) = live_instance_of(ctx, caller)?.filter(|instance| instance.app_id == *id) else {
        return Ok(false);
    };
    Ok(load_app(ctx, &instance.app_id)?.is_some_and(|app| app.closed_at.is_none()))
}

pub(super) fn denied(ctx: &mut ModuleContext<'_>, args: &deniedCall) -> Result<Bytes, ModuleFailure> {
    let kind = subject_kind(args.kind, &args.subject)?;
    let id = slots::deny_id(&app_id(args.id)?, kind, &args.subject);
    let bytes = load_bytes(ctx, EntryKind::Deny, &id)?.ok_or(ModuleRefusal::Unknown)?;
    Ok(bytes.into())
}
