//! Bonds, leaving, and the way out of the jail.

use alloy_primitives::{Address, FixedBytes, U256};
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    Ed25519Key, Membership,
    entries::{RosterEntry, ValidatorEntry, ValidatorState},
};

use super::{
    super::{
        abi::IValidators::{Bonded, Leaving, Left, Unjailed, Withdrawn},
        refusal::ModuleRefusal,
    },
    join::{check_bond, enqueue},
    standing::{
        add_bond, committee, is_attested, keep, keep_roster, log, moved, own, pay, roster, take_bond, validator,
    },
};
use crate::state::to_address;

/// Anyone adds to a bond; of one that has left it would only come back.
pub(super) fn add(ctx: &mut ModuleContext<'_>, identity: &Ed25519Key, value: U256) -> Result<(), ModuleFailure> {
    let mut entry = validator(ctx, identity)?;
    if entry.state == ValidatorState::Left {
        return Err(ModuleRefusal::ValidatorLeft.into());
    }
    add_bond(ctx, &mut entry, value)?;
    keep(ctx, &entry)?;
    log(ctx, &Bonded { identity: identity.0.into(), amount: value, bond: U256::from_be_bytes(entry.bond) })
}

/// Asks to leave; without a seat and without keys it has left at once.
pub(super) fn resign(
    ctx: &mut ModuleContext<'_>,
    caller: &Address,
    identity: &FixedBytes<32>,
    rules: &Membership,
) -> Result<(), ModuleFailure> {
    let mut entry = own(ctx, caller, identity)?;
    if matches!(entry.state, ValidatorState::Left | ValidatorState::Leaving) {
        return Err(ModuleRefusal::ValidatorLeft.into());
    }
    let mut roster = roster(ctx)?;
    let height = ctx.environment().height;
    if roster.seats.contains(&entry.identity) {
        moved(&mut entry, ValidatorState::Leaving, height);
        keep(ctx, &entry)?;
        return log(ctx, &Leaving { identity: *identity });
    }
    leave(&mut entry, &mut roster, height, rules);
    keep(ctx, &entry)?;
    keep_roster(ctx, &roster)?;
    log(ctx, &Left { identity: *identity, lockedUntil: entry.locked_until })
}

/// Has left, while the term of `roster` runs; its bond stays for the terms that the genesis names.
pub(super) fn leave(entry: &mut ValidatorEntry, roster: &mut RosterEntry, height: u64, rules: &Membership) {
    moved(entry, ValidatorState::Left, height);
    entry.locked_until = roster.term.saturating_add(1).saturating_add(rules.unbond_terms.into());
    roster.candidates.retain(|candidate| *candidate != entry.identity);
}

/// Pays the whole bond to the payee.
pub(super) fn withdraw(
    ctx: &mut ModuleContext<'_>,
    caller: &Address,
    identity: &FixedBytes<32>,
) -> Result<(), ModuleFailure> {
    let mut entry = own(ctx, caller, identity)?;
    let term = roster(ctx)?.term;
    if entry.state != ValidatorState::Left {
        return Err(ModuleRefusal::BondLocked.into());
    }
    // Who still signs answers for it with the bond, however long rounds fail.
    let signs = committee(ctx, term)?.is_some_and(|committee| committee.members.contains(&entry.identity));
    if term < entry.locked_until || signs {
        return Err(ModuleRefusal::BondLocked.into());
    }
    let amount = take_bond(ctx, &mut entry)?;
    if amount.is_zero() {
        return Err(ModuleRefusal::BondEmpty.into());
    }
    keep(ctx, &entry)?;
    let payee = to_address(&entry.payee);
    pay(ctx, payee, amount)?;
    log(ctx, &Withdrawn { identity: *identity, payee, amount })
}

/// Leaves the jail: back on its seat, or among those who wait.
pub(super) fn unjail(
    ctx: &mut ModuleContext<'_>,
    caller: &Address,
    identity: &FixedBytes<32>,
    rules: &Membership,
) -> Result<(), ModuleFailure> {
    let mut entry = own(ctx, caller, identity)?;
    if entry.state != ValidatorState::Jailed {
        return Err(ModuleRefusal::NotJailed.into());
    }
    let roster = roster(ctx)?;
    if roster.term < entry.jailed_until {
        return Err(ModuleRefusal::JailRuns.into());
    }
    check_bond(&entry, &rules.bond_min)?;
    if let Some(app) = &rules.app
        && !is_attested(ctx, &entry, app)?
    {
        return Err(ModuleRefusal::NotLive.into());
    }
    if roster.seats.contains(&entry.identity) {
        let height = ctx.environment().height;
        moved(&mut entry, ValidatorState::Active, height);
    } else {
        enqueue(ctx, &mut entry)?;
    }
    keep(ctx, &entry)?;
    log(ctx, &Unjailed { identity: *identity })
}
