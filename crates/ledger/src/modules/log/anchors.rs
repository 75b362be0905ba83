//! Anchoring.

use alloy_primitives::Address;
use alloy_sol_types::SolEvent as _;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    Digest,
    entries::{AnchorEntry, EntryKind, LogEntry},
};

use super::super::{
    abi::ILog::{Anchored, anchorCall},
    entries::{is_live, live_instance_of, load, load_instance, store},
    refusal::ModuleRefusal,
};
use crate::state::to_address;

/// Anchors a root; returns its index.
pub(super) fn anchor(ctx: &mut ModuleContext<'_>, caller: &Address, args: &anchorCall) -> Result<u64, ModuleFailure> {
    let instance_id = Digest(args.instance.0);
    let by = live_instance_of(ctx, caller)?.ok_or(ModuleRefusal::NotLive)?;
    if by.instance_id != instance_id {
        let owner = load_instance(ctx, &instance_id)?.ok_or(ModuleRefusal::InstanceUnknown)?;
        if owner.app_id != by.app_id || is_live(ctx, &owner)? {
            return Err(ModuleRefusal::LogForeign.into());
        }
    }
    let before: Option<LogEntry> = load(ctx, EntryKind::Log, instance_id.as_bytes())?;
    let (index, size) = before.map_or((0, 0), |log| (log.anchors, log.size));
    if args.size <= size {
        return Err(ModuleRefusal::LogSize.into());
    }
    let root = Digest(args.root.0);
    let environment = *ctx.environment();
    let entry = AnchorEntry {
        instance_id,
        index,
        size: args.size,
        root,
        anchored_by: by.instance_id,
        height: environment.height,
        time_unix_s: environment.time_unix_s,
    };
    store(ctx, EntryKind::Anchor, &slots::anchor_id(&instance_id, index), &entry)?;
    let log = LogEntry { anchors: index + 1, size: args.size, root };
    store(ctx, EntryKind::Log, instance_id.as_bytes(), &log)?;
    let event = Anchored {
        instance: args.instance,
        index,
        size: args.size,
        root: args.root,
        anchoredBy: by.instance_id.0.into(),
    };
    ctx.log(to_address(&slots::LOG), event.encode_log_data())?;
    Ok(index)
}
