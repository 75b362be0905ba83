//! Granting, prolonging and closing.

use alloy_primitives::Address;
use alloy_sol_types::SolEvent as _;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    AppPolicy, Digest, Generation,
    entries::{EntryKind, GrantEntry, InstanceEntry},
};

use super::super::{
    abi::IKeys::{GrantClosed, Granted},
    entries::{IndexKind, live_instance_of, load, load_app, load_ids, store, store_ids},
    refusal::ModuleRefusal,
};
use crate::state::to_address;

/// Generation of every context, until contexts can be rotated.
const GENERATION: Generation = 0;

/// Grants, or prolongs, a key for the calling instance.
pub(super) fn request(ctx: &mut ModuleContext<'_>, caller: &Address, context: &str) -> Result<Digest, ModuleFailure> {
    let instance = live_instance_of(ctx, caller)?.ok_or(ModuleRefusal::NotLive)?;
    let app = load_app(ctx, &instance.app_id)?.ok_or(ModuleRefusal::AppUnknown)?;
    if !app.policy.boot_contexts.iter().any(|listed| listed == context) {
        return Err(ModuleRefusal::Context.into());
    }
    let mut ids = load_ids(ctx, IndexKind::Grants, instance.instance_id.as_bytes())?;
    let id = grant(ctx, &instance, context)?;
    if !ids.contains(&id) {
        ids.push(id);
        store_ids(ctx, IndexKind::Grants, instance.instance_id.as_bytes(), &ids)?;
    }
    Ok(id)
}

/// Grants every boot context of the policy to an instance, and prolongs what it was granted before.
pub(in super::super) fn grant_boot_contexts(
    ctx: &mut ModuleContext<'_>,
    instance: &InstanceEntry,
    policy: &AppPolicy,
) -> Result<(), ModuleFailure> {
    let before = load_ids(ctx, IndexKind::Grants, instance.instance_id.as_bytes())?;
    let mut ids = before.clone();
    for context in &policy.boot_contexts {
        let id = grant(ctx, instance, context)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    if ids != before {
        store_ids(ctx, IndexKind::Grants, instance.instance_id.as_bytes(), &ids)?;
    }
    Ok(())
}

fn grant(ctx: &mut ModuleContext<'_>, instance: &InstanceEntry, context: &str) -> Result<Digest, ModuleFailure> {
    let id = slots::grant_id(&instance.instance_id, context, GENERATION);
    let before: Option<GrantEntry> = load(ctx, EntryKind::Grant, id.as_bytes())?;
    if before.as_ref().is_some_and(|grant| grant.until == instance.expires_at && grant.closed_at.is_none()) {
        return Ok(id);
    }
    let entry = GrantEntry {
        grant_id: id,
        app_id: instance.app_id,
        instance_id: instance.instance_id,
        context: context.to_owned(),
        generation: GENERATION,
        transport_key: instance.transport_key,
        granted_at: before.map_or(ctx.environment().height, |grant| grant.granted_at),
        until: instance.expires_at,
        closed_at: None,
    };
    store(ctx, EntryKind::Grant, id.as_bytes(), &entry)?;
    let event = Granted {
        grant: id.0.into(),
        app: (*instance.app_id.as_bytes()).into(),
        instance: instance.instance_id.0.into(),
        context: entry.context,
        generation: GENERATION,
        transportKey: instance.transport_key.0.to_vec().into(),
        until: instance.expires_at,
    };
    ctx.log(to_address(&slots::KEYS), event.encode_log_data())?;
    Ok(id)
}

/// Closes every grant of an instance.
pub(in super::super) fn close_all(ctx: &mut ModuleContext<'_>, instance: &Digest) -> Result<(), ModuleFailure> {
    for id in load_ids(ctx, IndexKind::Grants, instance.as_bytes())? {
        if let Some(grant) = load(ctx, EntryKind::Grant, id.as_bytes())? {
            close(ctx, grant)?;
        }
    }
    Ok(())
}

/// Closes an instance's grants of contexts that a policy does not list.
pub(in super::super) fn close_unlisted(
    ctx: &mut ModuleContext<'_>,
    instance: &Digest,
    policy: &AppPolicy,
) -> Result<(), ModuleFailure> {
    let before = load_ids(ctx, IndexKind::Grants, instance.as_bytes())?;
    let mut kept = Vec::with_capacity(before.len());
    for id in &before {
        let grant: Option<GrantEntry> = load(ctx, EntryKind::Grant, id.as_bytes())?;
        match grant {
            Some(grant) if !policy.boot_contexts.contains(&grant.context) => close(ctx, grant)?,
            _ => kept.push(*id),
        }
    }
    if kept != before {
        store_ids(ctx, IndexKind::Grants, instance.as_bytes(), &kept)?;
    }
    Ok(())
}

fn close(ctx: &mut ModuleContext<'_>, mut grant: GrantEntry) -> Result<(), ModuleFailure> {
    if grant.closed_at.is_some() {
        return Ok(());
    }
    grant.closed_at = Some(ctx.environment().height);
    store(ctx, EntryKind::Grant, grant.grant_id.as_bytes(), &grant)?;
    ctx.log(to_address(&slots::KEYS), GrantClosed { grant: grant.grant_id.0.into() }.encode_log_data())
}
