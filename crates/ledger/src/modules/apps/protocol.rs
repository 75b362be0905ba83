//! Which version of the protocol rules a block, by height (`spec/protocol.md`).
//!
//! Invariant: a block is executed under the version that the state of its parent names for its height, or not at all: a
//! program that does not know that version stops before the block, with its stores as they were. Not here: what differs
//! between versions, which is asked of the context where it differs.

use alloy_primitives::Address;
use alloy_sol_types::SolEvent as _;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure, ViewError};
use freehold_primitives::{
    Genesis, Height,
    entries::{EntryKind, ProtocolSchedule},
};

use super::{
    super::{
        abi::IApps::{ProtocolScheduled, protocolReturn, scheduleProtocolCall},
        entries::{load, store},
        refusal::ModuleRefusal,
    },
    governor::require_governor,
};
use crate::{
    context::ChainContext,
    error::LedgerError,
    read::read_entry,
    state::{Content, StateTree, to_address},
};

/// Least blocks between an announcement and its version: half a day of the fastest blocks, a week of idle ones.
const NOTICE_BLOCKS: Height = 604_800;
/// The same on a development network.
const NOTICE_BLOCKS_DEVELOPMENT: Height = 10;

/// The schedule that stands in a state.
pub(crate) fn protocol_schedule(state: &dyn StateTree, content: &dyn Content) -> Result<ProtocolSchedule, ViewError> {
    let schedule = read_entry(EntryKind::Protocol, &slots::PROTOCOL_ID, state, content)?;
    Ok(schedule.unwrap_or(ProtocolSchedule::FIRST))
}

/// Checks that this program knows the version that rules the block at `height`.
///
/// # Errors
/// [`LedgerError::ProtocolUnknown`], [`LedgerError::View`].
pub(crate) fn check_protocol(
    ctx: &ChainContext,
    height: Height,
    (state, content): (&dyn StateTree, &dyn Content),
) -> Result<(), LedgerError> {
    let schedule = protocol_schedule(state, content)?;
    let version = schedule.at(height);
    if version > ctx.protocol_newest() {
        return Err(LedgerError::ProtocolUnknown { height, version, release: schedule.release });
    }
    Ok(())
}

fn schedule(ctx: &mut ModuleContext<'_>) -> Result<ProtocolSchedule, ModuleFailure> {
    Ok(load(ctx, EntryKind::Protocol, &slots::PROTOCOL_ID)?.unwrap_or(ProtocolSchedule::FIRST))
}

/// Announces the next version. One that is announced and not yet in force is replaced.
pub(super) fn announce(
    ctx: &mut ModuleContext<'_>,
    genesis: &Genesis,
    caller: &Address,
    args: &scheduleProtocolCall,
) -> Result<(), ModuleFailure> {
    require_governor(ctx, caller)?;
    let height = ctx.environment().height;
    let current = schedule(ctx)?.at(height);
    // Blocks were made under it: a version is never taken back.
    if args.version <= current {
        return Err(ModuleRefusal::ProtocolOld.into());
    }
    let notice = if genesis.is_production() { NOTICE_BLOCKS } else { NOTICE_BLOCKS_DEVELOPMENT };
    if args.fromHeight < height.saturating_add(notice) {
        return Err(ModuleRefusal::ProtocolNotice.into());
    }
    if !ProtocolSchedule::is_release(&args.release) {
        return Err(ModuleRefusal::ProtocolRelease.into());
    }
    let release = args.release.clone();
    let entry = ProtocolSchedule { current, next: args.version, next_from: args.fromHeight, release };
    store(ctx, EntryKind::Protocol, &slots::PROTOCOL_ID, &entry)?;
    let event = ProtocolScheduled { version: entry.next, fromHeight: entry.next_from, release: entry.release };
    ctx.log(to_address(&slots::APPS), event.encode_log_data())
}

/// The version in force, and the one that was announced last with its height and its release.
pub(super) fn view(ctx: &mut ModuleContext<'_>) -> Result<protocolReturn, ModuleFailure> {
    let schedule = schedule(ctx)?;
    let current = schedule.at(ctx.environment().height);
    Ok(protocolReturn { current, next: schedule.next, fromHeight: schedule.next_from, release: schedule.release })
}
