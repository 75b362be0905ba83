//! What is decided for the whole chain: who governs, and the tiers by which evidence is named (`spec/apps.md` §7).

use alloy_primitives::Address;
use alloy_sol_types::SolEvent as _;
use freehold_attestation::{VerifiedClaims, judge_tier};
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    Canonical as _, EvidencePolicy,
    entries::{EntryKind, GovernorEntry, TIER_NAME_BYTES_MAX, TIERS_MAX, TierEntry},
};

use super::super::{
    abi::IApps::{GovernorChanged, TierSet, setTierCall, tierReturn},
    entries::{load, store},
    refusal::ModuleRefusal,
};
use crate::state::{to_account, to_address};

/// Longest policy of a tier, in bytes: all of them are judged at every registration.
const TIER_POLICY_BYTES_MAX: usize = 4 * 1024;
/// Gas of judging evidence by one tier.
const JUDGE_TIER_GAS: u64 = 10_000;

/// The account that governs; zero where nobody does.
pub(super) fn governor(ctx: &mut ModuleContext<'_>) -> Result<Address, ModuleFailure> {
    let entry: Option<GovernorEntry> = load(ctx, EntryKind::Governor, &slots::GOVERNOR_ID)?;
    Ok(entry.map_or(Address::ZERO, |entry| to_address(&entry.governor)))
}

/// Refuses everyone but the governor.
pub(in super::super) fn require_governor(ctx: &mut ModuleContext<'_>, caller: &Address) -> Result<(), ModuleFailure> {
    // The zero address, which stands for nobody, sends no transaction and is no contract.
    let governor = governor(ctx)?;
    if governor == *caller && !governor.is_zero() { Ok(()) } else { Err(ModuleRefusal::NotGovernor.into()) }
}

pub(super) fn set_governor(
    ctx: &mut ModuleContext<'_>,
    caller: &Address,
    new_governor: &Address,
) -> Result<(), ModuleFailure> {
    require_governor(ctx, caller)?;
    if new_governor.is_zero() {
        return Err(ModuleRefusal::GovernorZero.into());
    }
    let entry = GovernorEntry { governor: to_account(new_governor), since: ctx.environment().height };
    store(ctx, EntryKind::Governor, &slots::GOVERNOR_ID, &entry)?;
    let event = GovernorChanged { previousGovernor: *caller, newGovernor: *new_governor };
    ctx.log(to_address(&slots::APPS), event.encode_log_data())
}

pub(super) fn set_tier(ctx: &mut ModuleContext<'_>, caller: &Address, args: &setTierCall) -> Result<(), ModuleFailure> {
    require_governor(ctx, caller)?;
    let name = &args.name;
    let named = (1..=TIER_NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    if !named || !(1..=TIERS_MAX).contains(&args.tier) {
        return Err(ModuleRefusal::Tier.into());
    }
    if args.policy.len() > TIER_POLICY_BYTES_MAX {
        return Err(ModuleRefusal::Policy.into());
    }
    let policy = EvidencePolicy::from_canonical(&args.policy).map_err(|_| ModuleRefusal::Policy)?;
    if !policy.is_bounded() {
        return Err(ModuleRefusal::Policy.into());
    }
    let id = slots::tier_id(args.tier);
    let before: Option<TierEntry> = load(ctx, EntryKind::Tier, &id)?;
    let entry = TierEntry {
        tier: args.tier,
        version: before.map_or(0, |before| before.version + 1),
        name: name.clone(),
        policy,
        changed_at: ctx.environment().height,
    };
    let digest = store(ctx, EntryKind::Tier, &id, &entry)?;
    let event = TierSet { tier: args.tier, name: name.clone(), entry: digest.0.into() };
    ctx.log(to_address(&slots::APPS), event.encode_log_data())
}

/// The highest tier whose policy accepts the evidence, 0 where none does.
pub(super) fn highest_tier(ctx: &mut ModuleContext<'_>, claims: &VerifiedClaims) -> Result<u8, ModuleFailure> {
    let now = ctx.environment().parent_time_unix_s;
    for tier in (1..=TIERS_MAX).rev() {
        let Some(entry) = load::<TierEntry>(ctx, EntryKind::Tier, &slots::tier_id(tier))? else { continue };
        ctx.charge(JUDGE_TIER_GAS)?;
        if judge_tier(claims, &entry.policy, now).is_ok() {
            return Ok(tier);
        }
    }
    Ok(0)
}

/// Name and policy of a tier; empty where there is none.
pub(super) fn tier(ctx: &mut ModuleContext<'_>, number: u8) -> Result<tierReturn, ModuleFailure> {
    let entry: Option<TierEntry> = load(ctx, EntryKind::Tier, &slots::tier_id(number))?;
    let (name, policy) = entry.map_or_else(Default::default, |entry| (entry.name, entry.policy.to_canonical()));
    Ok(tierReturn { name, policy: policy.into() })
}
