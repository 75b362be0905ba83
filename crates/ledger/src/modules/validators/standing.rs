//! Reading and writing validators, the roster and the sum of all bonds.

use alloy_primitives::{Address, B256, FixedBytes, U256};
use alloy_sol_types::SolEvent;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure, ViewError};
use freehold_primitives::{
    Account, AppId, Ed25519Key, Height,
    entries::{CommitteeEntry, EntryKind, RosterEntry, ValidatorEntry, ValidatorState},
};

use super::{
    super::{
        entries::{is_live, load, load_instance, store},
        refusal::ModuleRefusal,
    },
    rules::Standing,
};
use crate::state::{to_account, to_address};

pub(super) fn identity(bytes: &FixedBytes<32>) -> Ed25519Key {
    Ed25519Key(bytes.0)
}

/// A validator, `None` where it never joined.
pub(super) fn find(
    ctx: &mut ModuleContext<'_>,
    identity: &Ed25519Key,
) -> Result<Option<ValidatorEntry>, ModuleFailure> {
    load(ctx, EntryKind::Validator, identity.as_bytes())
}

/// A validator that must be there.
pub(super) fn validator(ctx: &mut ModuleContext<'_>, identity: &Ed25519Key) -> Result<ValidatorEntry, ModuleFailure> {
    Ok(find(ctx, identity)?.ok_or(ModuleRefusal::ValidatorUnknown)?)
}

/// A validator for which the caller may act.
pub(super) fn own(
    ctx: &mut ModuleContext<'_>,
    caller: &Address,
    of: &FixedBytes<32>,
) -> Result<ValidatorEntry, ModuleFailure> {
    let entry = validator(ctx, &identity(of))?;
    let caller = to_account(caller);
    if caller == entry.account || caller == entry.operator {
        Ok(entry)
    } else {
        Err(ModuleRefusal::ValidatorCaller.into())
    }
}

pub(super) fn keep(ctx: &mut ModuleContext<'_>, entry: &ValidatorEntry) -> Result<(), ModuleFailure> {
    store(ctx, EntryKind::Validator, entry.identity.as_bytes(), entry).map(|_| ())
}

/// Stands elsewhere from this height on.
pub(super) fn moved(entry: &mut ValidatorEntry, state: ValidatorState, height: Height) {
    if entry.state != state {
        (entry.state, entry.since) = (state, height);
    }
}

/// Block 0 wrote it.
pub(super) fn roster(ctx: &mut ModuleContext<'_>) -> Result<RosterEntry, ModuleFailure> {
    let roster = load(ctx, EntryKind::Roster, &slots::ROSTER_ID)?;
    Ok(roster.ok_or(ViewError::Malformed)?)
}

pub(super) fn keep_roster(ctx: &mut ModuleContext<'_>, roster: &RosterEntry) -> Result<(), ModuleFailure> {
    store(ctx, EntryKind::Roster, &slots::ROSTER_ID, roster).map(|_| ())
}

/// Who signs in a term, `None` where it has not begun.
pub(super) fn committee(ctx: &mut ModuleContext<'_>, term: u64) -> Result<Option<CommitteeEntry>, ModuleFailure> {
    load(ctx, EntryKind::Committee, &slots::term_id(term))
}

/// The sum of all bonds.
pub(super) fn bonded(ctx: &mut ModuleContext<'_>) -> Result<U256, ModuleFailure> {
    Ok(ctx.sload(to_address(&slots::VALIDATORS), &slots::bonded_slot())?.into())
}

pub(super) fn set_bonded(ctx: &mut ModuleContext<'_>, sum: U256) -> Result<(), ModuleFailure> {
    ctx.sstore(to_address(&slots::VALIDATORS), &slots::bonded_slot(), B256::from(sum))
}

/// Adds to a bond what already stands in the module's balance.
pub(super) fn add_bond(
    ctx: &mut ModuleContext<'_>,
    entry: &mut ValidatorEntry,
    value: U256,
) -> Result<(), ModuleFailure> {
    // No more coins exist than a genesis allocates, and those have a sum.
    let sum = bonded(ctx)?.checked_add(value).ok_or(ModuleRefusal::Bond)?;
    set_bonded(ctx, sum)?;
    let bond = U256::from_be_bytes(entry.bond).checked_add(value).ok_or(ModuleRefusal::Bond)?;
    entry.bond = bond.to_be_bytes();
    Ok(())
}

/// Takes the whole bond of a validator; gives what it was.
pub(super) fn take_bond(ctx: &mut ModuleContext<'_>, entry: &mut ValidatorEntry) -> Result<U256, ModuleFailure> {
    let bond = U256::from_be_bytes(entry.bond);
    let sum = bonded(ctx)?.checked_sub(bond).ok_or(ModuleRefusal::Unpaid)?;
    set_bonded(ctx, sum)?;
    entry.bond = [0; 32];
    Ok(bond)
}

/// Pays from the module's balance. On the chain it is never less than the sum of all bonds; in a call over other state it
/// may be.
pub(super) fn pay(ctx: &mut ModuleContext<'_>, payee: Address, amount: U256) -> Result<(), ModuleFailure> {
    if ctx.transfer(payee, amount)? { Ok(()) } else { Err(ModuleRefusal::Unpaid.into()) }
}

/// Whether the instance that a validator runs in is live, and one of this app.
pub(super) fn is_attested(
    ctx: &mut ModuleContext<'_>,
    entry: &ValidatorEntry,
    app: &AppId,
) -> Result<bool, ModuleFailure> {
    let Some(id) = &entry.instance_id else { return Ok(false) };
    match load_instance(ctx, id)? {
        Some(instance) if instance.app_id == *app => is_live(ctx, &instance),
        _ => Ok(false),
    }
}

/// What the rules know of a validator.
pub(super) fn standing(entry: &ValidatorEntry) -> Standing {
    let operator = Some(entry.operator).filter(|operator| *operator != Account::ZERO);
    Standing { identity: entry.identity, operator, vendor: entry.vendor }
}

pub(super) fn log(ctx: &mut ModuleContext<'_>, event: &impl SolEvent) -> Result<(), ModuleFailure> {
    ctx.log(to_address(&slots::VALIDATORS), event.encode_log_data())
}
