//! Leases that the instances of an app compete for (`spec/leases.md`, design D11).
//!
//! Invariant: at most one live instance holds a lease, and each taking has a fence above all before it. A holder that is
//! closed, denied or past its own lease holds nothing from the next call on.

use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolEvent as _;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    AppId,
    entries::{EntryKind, InstanceEntry, LeaseEntry, NAMED_LEASE_S_RANGE, is_lease_name},
};

use super::super::{
    abi::IApps::{LeaseHolder, LeaseReleased, LeaseTaken, acquireLeaseReturn},
    entries::{is_live, live_instance_of, load, load_bytes, load_instance, store},
    refusal::ModuleRefusal,
};
use crate::state::to_address;

fn check_name(name: &str) -> Result<(), ModuleFailure> {
    if is_lease_name(name) { Ok(()) } else { Err(ModuleRefusal::LeaseName.into()) }
}

fn lease(ctx: &mut ModuleContext<'_>, app: &AppId, name: &str) -> Result<Option<LeaseEntry>, ModuleFailure> {
    check_name(name)?;
    load(ctx, EntryKind::Lease, &slots::lease_id(app, name))
}

/// Takes or renews a lease for the calling instance.
pub(super) fn acquire(
    ctx: &mut ModuleContext<'_>,
    caller: &Address,
    name: &str,
    length_s: u64,
) -> Result<acquireLeaseReturn, ModuleFailure> {
    check_name(name)?;
    if !NAMED_LEASE_S_RANGE.contains(&length_s) {
        return Err(ModuleRefusal::LeaseLength.into());
    }
    let instance = live_instance_of(ctx, caller)?.ok_or(ModuleRefusal::NotLive)?;
    let before = lease(ctx, &instance.app_id, name)?;
    let environment = *ctx.environment();
    let holds = match &before {
        Some(before) => is_held(ctx, before)?,
        None => false,
    };
    let expires_at = environment.parent_time_unix_s.saturating_add(length_s).min(instance.expires_at);
    let entry = match before {
        Some(before) if holds && before.instance_id == instance.instance_id => {
            // A renewal asks for no less than there is.
            let expires_at = expires_at.max(before.expires_at);
            LeaseEntry { renewed_at: environment.height, expires_at, ..before }
        }
        Some(_) if holds => return Err(ModuleRefusal::LeaseHeld.into()),
        before => LeaseEntry {
            app_id: instance.app_id,
            name: name.to_owned(),
            fence: before.map_or(0, |before| before.fence) + 1,
            instance_id: instance.instance_id,
            account: instance.account,
            taken_at: environment.height,
            renewed_at: environment.height,
            expires_at,
            released_at: None,
        },
    };
    store(ctx, EntryKind::Lease, &slots::lease_id(&entry.app_id, name), &entry)?;
    if !holds {
        let event = LeaseTaken {
            app: (*entry.app_id.as_bytes()).into(),
            instance: entry.instance_id.0.into(),
            name: name.to_owned(),
            fence: entry.fence,
            expiresAt: entry.expires_at,
        };
        ctx.log(to_address(&slots::APPS), event.encode_log_data())?;
    }
    Ok(acquireLeaseReturn { fence: entry.fence, expiresAt: entry.expires_at })
}

/// Lets a lease go.
pub(super) fn release(
    ctx: &mut ModuleContext<'_>,
    caller: &Address,
    name: &str,
    fence: u64,
) -> Result<(), ModuleFailure> {
    let (_, mut entry) = require_held(ctx, caller, name, fence)?;
    entry.released_at = Some(ctx.environment().height);
    store(ctx, EntryKind::Lease, &slots::lease_id(&entry.app_id, name), &entry)?;
    let event = LeaseReleased {
        app: (*entry.app_id.as_bytes()).into(),
        instance: entry.instance_id.0.into(),
        name: entry.name,
        fence,
    };
    ctx.log(to_address(&slots::APPS), event.encode_log_data())
}

/// The calling instance and its lease, which it holds under this fence.
pub(in super::super) fn require_held(
    ctx: &mut ModuleContext<'_>,
    caller: &Address,
    name: &str,
    fence: u64,
) -> Result<(InstanceEntry, LeaseEntry), ModuleFailure> {
    check_name(name)?;
    let instance = live_instance_of(ctx, caller)?.ok_or(ModuleRefusal::NotLive)?;
    let now = ctx.environment().parent_time_unix_s;
    let own =
        |entry: &LeaseEntry| entry.instance_id == instance.instance_id && entry.fence == fence && entry.stands(now);
    let entry = lease(ctx, &instance.app_id, name)?.filter(own).ok_or(ModuleRefusal::LeaseFence)?;
    Ok((instance, entry))
}

/// Whether anyone holds the lease now: it stands, and its holder is live.
fn is_held(ctx: &mut ModuleContext<'_>, entry: &LeaseEntry) -> Result<bool, ModuleFailure> {
    if !entry.stands(ctx.environment().parent_time_unix_s) {
        return Ok(false);
    }
    match load_instance(ctx, &entry.instance_id)? {
        Some(instance) => is_live(ctx, &instance),
        None => Ok(false),
    }
}

pub(super) fn entry_bytes(ctx: &mut ModuleContext<'_>, app: &AppId, name: &str) -> Result<Bytes, ModuleFailure> {
    check_name(name)?;
    let bytes = load_bytes(ctx, EntryKind::Lease, &slots::lease_id(app, name))?.ok_or(ModuleRefusal::Unknown)?;
    Ok(bytes.into())
}

pub(super) fn holder(ctx: &mut ModuleContext<'_>, app: &AppId, name: &str) -> Result<LeaseHolder, ModuleFailure> {
    let nobody = LeaseHolder { instance: B256::ZERO, account: Address::ZERO, fence: 0, expiresAt: 0 };
    let Some(entry) = lease(ctx, app, name)? else { return Ok(nobody) };
    if !is_held(ctx, &entry)? {
        return Ok(LeaseHolder { fence: entry.fence, ..nobody });
    }
    Ok(LeaseHolder {
        instance: entry.instance_id.0.into(),
        account: to_address(&entry.account),
        fence: entry.fence,
        expiresAt: entry.expires_at,
    })
}
