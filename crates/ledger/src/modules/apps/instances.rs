//! Closing instances, and the list of those that are not closed.

use alloy_primitives::Address;
use alloy_sol_types::SolEvent as _;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    AppId, Digest,
    entries::{ClosedCode, EntryKind, InstanceEntry},
};

use super::{
    super::{
        abi::IApps::InstanceClosed,
        entries::{IndexKind, is_live, is_open, load_ids, load_instance, store, store_ids},
        keys,
        refusal::ModuleRefusal,
    },
    INSTANCES_MAX,
};
use crate::state::{to_account, to_address};

/// Why an instance is closed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Closing {
    pub(super) code: ClosedCode,
    /// The owner's own reason; 0 where there is none.
    pub(super) reason: u8,
}

/// Instances of an app that are open, those too that the chain denies.
pub(super) fn open_instances(ctx: &mut ModuleContext<'_>, app: &AppId) -> Result<Vec<InstanceEntry>, ModuleFailure> {
    let mut instances = Vec::new();
    for id in load_ids(ctx, IndexKind::Instances, app.as_bytes())? {
        let instance = load_instance(ctx, &id)?;
        instances.extend(instance.filter(|instance| is_open(ctx, instance)));
    }
    Ok(instances)
}

/// Instances of an app that are live.
pub(super) fn live_instances(ctx: &mut ModuleContext<'_>, app: &AppId) -> Result<Vec<InstanceEntry>, ModuleFailure> {
    let mut live = Vec::new();
    for instance in open_instances(ctx, app)? {
        if is_live(ctx, &instance)? {
            live.push(instance);
        }
    }
    Ok(live)
}

/// Whether an app has fewer than `max` live instances on an instance's platform that were there before it; 0 sets no
/// limit. The oldest stay when a policy lowers the number.
pub(super) fn platform_has_room(
    ctx: &mut ModuleContext<'_>,
    instance: &InstanceEntry,
    max: u32,
) -> Result<bool, ModuleFailure> {
    if max == 0 {
        return Ok(true);
    }
    let age = |one: &InstanceEntry| (one.opened_at, one.instance_id);
    let before = live_instances(ctx, &instance.app_id)?
        .iter()
        .filter(|other| other.platform == instance.platform && age(other) < age(instance))
        .count();
    Ok(before < max as usize)
}

/// Closes instances of an app with all their grants, and takes them from its list.
pub(super) fn close(
    ctx: &mut ModuleContext<'_>,
    app: &AppId,
    instances: Vec<InstanceEntry>,
    closing: Closing,
) -> Result<(), ModuleFailure> {
    if instances.is_empty() {
        return Ok(());
    }
    let mut open = load_ids(ctx, IndexKind::Instances, app.as_bytes())?;
    open.retain(|id| !instances.iter().any(|instance| instance.instance_id == *id));
    store_ids(ctx, IndexKind::Instances, app.as_bytes(), &open)?;
    for mut instance in instances {
        let id = instance.instance_id;
        instance.closed_at = Some(ctx.environment().height);
        instance.closed_code = Some(closing.code);
        store(ctx, EntryKind::Instance, id.as_bytes(), &instance)?;
        keys::close_all(ctx, &id)?;
        let event = InstanceClosed {
            app: (*app.as_bytes()).into(),
            instance: id.0.into(),
            code: closing.code as u8,
            reason: closing.reason,
        };
        ctx.log(to_address(&slots::APPS), event.encode_log_data())?;
    }
    Ok(())
}

pub(super) fn deregister(ctx: &mut ModuleContext<'_>, caller: &Address, id: &Digest) -> Result<(), ModuleFailure> {
    let instance = load_instance(ctx, id)?.ok_or(ModuleRefusal::InstanceUnknown)?;
    let caller = to_account(caller);
    if caller != instance.account && caller != instance.provider {
        return Err(ModuleRefusal::NotInstance.into());
    }
    if instance.closed_at.is_some() {
        return Err(ModuleRefusal::InstanceClosed.into());
    }
    let app = instance.app_id;
    close(ctx, &app, vec![instance], Closing { code: ClosedCode::Instance, reason: 0 })
}

/// Adds an instance to its app's list. Where the list is full, those whose lease has ended leave it first.
pub(super) fn enlist(ctx: &mut ModuleContext<'_>, instance: &InstanceEntry) -> Result<(), ModuleFailure> {
    let app = instance.app_id.as_bytes();
    let mut open = load_ids(ctx, IndexKind::Instances, app)?;
    if open.contains(&instance.instance_id) {
        return Ok(());
    }
    if open.len() >= INSTANCES_MAX {
        open = live_instances(ctx, &instance.app_id)?.into_iter().map(|live| live.instance_id).collect();
    }
    if open.len() >= INSTANCES_MAX {
        return Err(ModuleRefusal::InstancesFull.into());
    }
    open.push(instance.instance_id);
    store_ids(ctx, IndexKind::Instances, app, &open)
}
