//! Closing instances, and the list of those that are not closed.

use alloy_primitives::Address;
use alloy_sol_types::SolEvent as _;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    Digest,
    entries::{ClosedCode, EntryKind, InstanceEntry},
};

use super::{
    super::{
        abi::IApps::InstanceClosed,
        entries::{IndexKind, is_live, load_ids, load_instance, store, store_ids},
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

/// Closes an instance and all its grants.
pub(super) fn close(
    ctx: &mut ModuleContext<'_>,
    mut instance: InstanceEntry,
    closing: Closing,
) -> Result<(), ModuleFailure> {
    instance.closed_at = Some(ctx.environment().height);
    instance.closed_code = Some(closing.code);
    let id = instance.instance_id;
    store(ctx, EntryKind::Instance, id.as_bytes(), &instance)?;
    keys::close_all(ctx, &id)?;
    let mut open = load_ids(ctx, IndexKind::Instances, instance.app_id.as_bytes())?;
    open.retain(|other| *other != id);
    store_ids(ctx, IndexKind::Instances, instance.app_id.as_bytes(), &open)?;
    let event = InstanceClosed {
        app: (*instance.app_id.as_bytes()).into(),
        instance: id.0.into(),
        code: closing.code as u8,
        reason: closing.reason,
    };
    ctx.log(to_address(&slots::APPS), event.encode_log_data())
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
    close(ctx, instance, Closing { code: ClosedCode::Instance, reason: 0 })
}

/// Adds an instance to its app's list. Where the list is full, those whose lease has ended leave it first.
pub(super) fn enlist(ctx: &mut ModuleContext<'_>, instance: &InstanceEntry) -> Result<(), ModuleFailure> {
    let app = instance.app_id.as_bytes();
    let mut open = load_ids(ctx, IndexKind::Instances, app)?;
    if open.contains(&instance.instance_id) {
        return Ok(());
    }
    if open.len() >= INSTANCES_MAX {
        let mut live = Vec::with_capacity(open.len());
        for id in open {
            if load_instance(ctx, &id)?.is_some_and(|other| is_live(ctx, &other)) {
                live.push(id);
            }
        }
        open = live;
    }
    if open.len() >= INSTANCES_MAX {
        return Err(ModuleRefusal::InstancesFull.into());
    }
    open.push(instance.instance_id);
    store_ids(ctx, IndexKind::Instances, app, &open)
}
