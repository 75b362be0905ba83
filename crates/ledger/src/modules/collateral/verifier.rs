//! Which version of the verifier judges evidence, by height (`spec/collateral.md` §4).
//!
//! Invariant: a block is executed under the version that the state of its parent names for its height, or not at all: a
//! program that does not know that version stops before the block, with its stores as they were.

use alloy_primitives::Address;
use alloy_sol_types::SolEvent as _;
use freehold_attestation::VerifierVersion;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    Genesis, Height,
    entries::{EntryKind, VerifierSchedule},
};

use super::super::{
    abi::ICollateral::{VerifierScheduled, scheduleVerifierCall, verifierReturn},
    apps::require_governor,
    entries::{load, store},
    refusal::ModuleRefusal,
};
use crate::{
    error::LedgerError,
    read::read_entry,
    state::{Content, StateTree, to_address},
};

/// Least blocks between an announcement and its version: half a day of the fastest blocks, a week of idle ones.
const NOTICE_BLOCKS: Height = 604_800;
/// The same on a development network.
const NOTICE_BLOCKS_DEVELOPMENT: Height = 10;

/// Checks that this program knows the version that judges the block at `height`.
///
/// # Errors
/// [`LedgerError::VerifierUnknown`], [`LedgerError::View`].
pub(crate) fn check_known(height: Height, (state, content): (&dyn StateTree, &dyn Content)) -> Result<(), LedgerError> {
    let schedule = read_entry(EntryKind::Verifier, &slots::VERIFIER_ID, state, content)?;
    let version = schedule.unwrap_or(VerifierSchedule::FIRST).at(height);
    match VerifierVersion::of(version) {
        Some(_) => Ok(()),
        None => Err(LedgerError::VerifierUnknown { height, version }),
    }
}

/// The version that judges evidence in this block.
pub(in super::super) fn in_force(ctx: &mut ModuleContext<'_>) -> Result<VerifierVersion, ModuleFailure> {
    let number = schedule(ctx)?.at(ctx.environment().height);
    // Blocks never come here with an unknown version; a call over their state may.
    VerifierVersion::of(number).ok_or_else(|| ModuleRefusal::VerifierUnknown.into())
}

fn schedule(ctx: &mut ModuleContext<'_>) -> Result<VerifierSchedule, ModuleFailure> {
    Ok(load(ctx, EntryKind::Verifier, &slots::VERIFIER_ID)?.unwrap_or(VerifierSchedule::FIRST))
}

/// Announces the next version. One that is announced and not yet in force is replaced.
pub(super) fn announce(
    ctx: &mut ModuleContext<'_>,
    genesis: &Genesis,
    caller: &Address,
    args: &scheduleVerifierCall,
) -> Result<(), ModuleFailure> {
    require_governor(ctx, caller)?;
    let height = ctx.environment().height;
    let current = schedule(ctx)?.at(height);
    // A version is never taken back: what one refused for a reason, its successors do not accept again.
    if args.version <= current {
        return Err(ModuleRefusal::VerifierOld.into());
    }
    let notice = if genesis.is_production() { NOTICE_BLOCKS } else { NOTICE_BLOCKS_DEVELOPMENT };
    if args.fromHeight < height.saturating_add(notice) {
        return Err(ModuleRefusal::VerifierNotice.into());
    }
    let entry = VerifierSchedule { current, next: args.version, next_from: args.fromHeight };
    store(ctx, EntryKind::Verifier, &slots::VERIFIER_ID, &entry)?;
    let event = VerifierScheduled { version: args.version, fromHeight: args.fromHeight };
    ctx.log(to_address(&slots::COLLATERAL), event.encode_log_data())
}

/// The version in force, and the one that was announced last with its height.
pub(super) fn view(ctx: &mut ModuleContext<'_>) -> Result<verifierReturn, ModuleFailure> {
    let schedule = schedule(ctx)?;
    let current = schedule.at(ctx.environment().height);
    Ok(verifierReturn { current, next: schedule.next, fromHeight: schedule.next_from })
}
