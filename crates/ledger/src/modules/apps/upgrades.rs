//! Upgrades with notice and co-signers (`spec/upgrades.md`).
//!
//! Invariant: while an app's rule demands notice or co-signers, no policy comes into force that admits anything new but
//! through [`activate`], or through [`roll_back`] to one that stood within the last notice. What takes trust away stays
//! immediate: denying, revoking, closing, and a policy that only drops measurements.

use alloy_primitives::{Address, Bytes};
use alloy_sol_types::SolEvent as _;
use freehold_crypto::{content_digest, slots};
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    AppId, AppPolicy, Canonical as _, Digest, Genesis,
    entries::{
        AppEntry, EntryKind, PolicyInForce, UpgradeAnnouncement, UpgradeChange, UpgradeEntry, UpgradeRule, UpgradeState,
    },
};

use super::{
    super::{
        abi::IApps::{
            UpgradeAnnounced, UpgradeApproved, UpgradeRuleSet, UpgradeWithdrawn, setUpgradeRuleCall, upgradeRuleReturn,
        },
        entries::{load, load_bytes, store},
        refusal::ModuleRefusal,
    },
    POLICY_BYTES_MAX,
    owner::{Owned, check_policy, put_in_force},
};
use crate::state::{to_account, to_address};

/// Room for a rule beside a policy in the document of a change.
const CHANGE_BYTES_MAX: usize = POLICY_BYTES_MAX + 1_024;

fn read(ctx: &mut ModuleContext<'_>, app: &AppId) -> Result<Option<UpgradeEntry>, ModuleFailure> {
    load(ctx, EntryKind::Upgrade, app.as_bytes())
}

/// The entry of an app, or what stands for one that it does not have: no promise, and a policy that is public from now on.
fn read_or_first(ctx: &mut ModuleContext<'_>, app: &AppEntry) -> Result<UpgradeEntry, ModuleFailure> {
    if let Some(entry) = read(ctx, &app.app_id)? {
        return Ok(entry);
    }
    let environment = ctx.environment();
    Ok(UpgradeEntry {
        app_id: app.app_id,
        changed_at: environment.height,
        rule: UpgradeRule::default(),
        promised_since_unix_s: 0,
        pending: None,
        in_force: PolicyInForce {
            version: app.version,
            policy: policy_digest(&app.policy),
            public_since_unix_s: environment.time_unix_s,
            since_unix_s: environment.time_unix_s,
        },
        stood: Vec::new(),
    })
}

fn write(ctx: &mut ModuleContext<'_>, mut entry: UpgradeEntry) -> Result<Digest, ModuleFailure> {
    entry.changed_at = ctx.environment().height;
    store(ctx, EntryKind::Upgrade, entry.app_id.as_bytes(), &entry)
}

fn policy_digest(policy: &AppPolicy) -> Digest {
    content_digest(&policy.to_canonical())
}

/// Lets the owner replace the policy at once where the app's rule allows it, and remembers that it was replaced.
///
/// # Errors
/// [`ModuleRefusal::UpgradeNotice`] where the rule demands notice or co-signers, and the policy admits anything new.
pub(super) fn replaced_at_once(
    ctx: &mut ModuleContext<'_>,
    app: &AppEntry,
    next: &AppPolicy,
) -> Result<(), ModuleFailure> {
    let Some(mut entry) = read(ctx, &app.app_id)? else { return Ok(()) };
    let only_drops = next.only_drops_from(&app.policy);
    if !entry.rule.is_free() && !only_drops {
        return Err(ModuleRefusal::UpgradeNotice.into());
    }
    let now = ctx.environment().time_unix_s;
    let public_since_unix_s = if only_drops { entry.in_force.public_since_unix_s } else { now };
    let version = app.version.saturating_add(1);
    entry.replace(PolicyInForce { version, policy: policy_digest(next), public_since_unix_s, since_unix_s: now });
    write(ctx, entry).map(drop)
}

/// Sets a rule that protects users as much as the one before.
pub(super) fn set_rule(
    ctx: &mut ModuleContext<'_>,
    owned: &Owned<'_>,
    args: &setUpgradeRuleCall,
) -> Result<(), ModuleFailure> {
    let app = owned.open(ctx)?;
    let rule = UpgradeRule {
        notice_s: args.noticeS,
        cosigners: args.cosigners.iter().map(to_account).collect(),
        cosigners_needed: args.cosignersNeeded,
    };
    if !rule.is_sound() {
        return Err(ModuleRefusal::UpgradeRule.into());
    }
    let mut entry = read_or_first(ctx, &app)?;
    if !rule.protects_as(&entry.rule) {
        return Err(ModuleRefusal::UpgradeWeaker.into());
    }
    let now = ctx.environment().time_unix_s;
    entry.promise(rule, now);
    tell_rule(ctx, entry)
}

/// Writes an entry whose rule is new, and logs it.
fn tell_rule(ctx: &mut ModuleContext<'_>, entry: UpgradeEntry) -> Result<(), ModuleFailure> {
    let (app_id, rule) = (entry.app_id, entry.rule.clone());
    let digest = write(ctx, entry)?;
    let event = UpgradeRuleSet {
        app: (*app_id.as_bytes()).into(),
        noticeS: rule.notice_s,
        cosigners: rule.cosigners.iter().map(to_address).collect(),
        cosignersNeeded: rule.cosigners_needed,
        entry: digest.0.into(),
    };
    ctx.log(to_address(&slots::APPS), event.encode_log_data())
}

/// Announces a change, in place of what is announced. Its notice begins now, and nobody has approved it.
pub(super) fn announce(
    ctx: &mut ModuleContext<'_>,
    owned: &Owned<'_>,
    document: &[u8],
) -> Result<Digest, ModuleFailure> {
    let app = owned.open(ctx)?;
    if document.len() > CHANGE_BYTES_MAX {
        return Err(ModuleRefusal::UpgradeChange.into());
    }
    let change = UpgradeChange::from_canonical(document).map_err(|_| ModuleRefusal::UpgradeChange)?;
    if !change.is_sound() || change.rollback_to.is_some() {
        return Err(ModuleRefusal::UpgradeChange.into());
    }
    if let Some(policy) = &change.policy {
        check_policy(policy)?;
    }
    let entry = read_or_first(ctx, &app)?;
    announced(ctx, entry, change)
}

/// Writes a change as what is announced; its digest.
fn announced(
    ctx: &mut ModuleContext<'_>,
    mut entry: UpgradeEntry,
    change: UpgradeChange,
) -> Result<Digest, ModuleFailure> {
    let environment = *ctx.environment();
    let digest = content_digest(&change.to_canonical());
    entry.pending = Some(UpgradeAnnouncement {
        policy_digest: change.policy.as_ref().map(policy_digest),
        change,
        digest,
        announced_at: environment.height,
        announced_at_unix_s: environment.time_unix_s,
        approvals: Vec::new(),
    });
    let (app, due) = (entry.app_id, environment.time_unix_s.saturating_add(entry.rule.notice_s));
    let stored = write(ctx, entry)?;
    let event =
        UpgradeAnnounced { app: (*app.as_bytes()).into(), change: digest.0.into(), dueAt: due, entry: stored.0.into() };
    ctx.log(to_address(&slots::APPS), event.encode_log_data())?;
    Ok(digest)
}

/// What a co-signer says of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Approval {
    Given,
    TakenBack,
}

/// Takes a co-signer's word on what is announced.
pub(super) fn approve(
    ctx: &mut ModuleContext<'_>,
    caller: &Address,
    (app, change): (&AppId, &Digest),
    approval: Approval,
) -> Result<(), ModuleFailure> {
    let mut entry = read(ctx, app)?.ok_or(ModuleRefusal::UpgradeNone)?;
    let cosigner = to_account(caller);
    if !entry.rule.cosigners.contains(&cosigner) {
        return Err(ModuleRefusal::NotCosigner.into());
    }
    let pending = entry.pending.as_mut().filter(|pending| pending.digest == *change);
    let pending = pending.ok_or(ModuleRefusal::UpgradeNone)?;
    let is_given = pending.approvals.contains(&cosigner);
    if is_given == (approval == Approval::Given) {
        return Err(ModuleRefusal::UpgradeSaid.into());
    }
    match approval {
        Approval::Given => pending.approvals.push(cosigner),
        Approval::TakenBack => pending.approvals.retain(|other| *other != cosigner),
    }
    write(ctx, entry)?;
    let event = UpgradeApproved {
        app: (*app.as_bytes()).into(),
        change: change.0.into(),
        cosigner: *caller,
        approved: approval == Approval::Given,
    };
    ctx.log(to_address(&slots::APPS), event.encode_log_data())
}

/// Withdraws what is announced.
pub(super) fn withdraw(ctx: &mut ModuleContext<'_>, owned: &Owned<'_>) -> Result<(), ModuleFailure> {
    let app = owned.open(ctx)?.app_id;
    let mut entry = read(ctx, &app)?.ok_or(ModuleRefusal::UpgradeNone)?;
    let pending = entry.pending.take().ok_or(ModuleRefusal::UpgradeNone)?;
    write(ctx, entry)?;
    let event = UpgradeWithdrawn { app: (*app.as_bytes()).into(), change: pending.digest.0.into() };
    ctx.log(to_address(&slots::APPS), event.encode_log_data())
}

/// Puts what is announced in force, if notice and co-signers allow it. Time is that of the parent, which is final.
pub(super) fn activate(ctx: &mut ModuleContext<'_>, genesis: &Genesis, owned: &Owned<'_>) -> Result<(), ModuleFailure> {
    let app = owned.open(ctx)?;
    let entry = read(ctx, &app.app_id)?.ok_or(ModuleRefusal::UpgradeNone)?;
    match entry.state(ctx.environment().parent_time_unix_s) {
        None => Err(ModuleRefusal::UpgradeNone.into()),
        Some(UpgradeState::Noticed(_)) => Err(ModuleRefusal::UpgradeEarly.into()),
        Some(UpgradeState::Unapproved(_)) => Err(ModuleRefusal::UpgradeApprovals.into()),
        Some(UpgradeState::Lapsed) => Err(ModuleRefusal::UpgradeLapsed.into()),
        Some(UpgradeState::Ready) => take_effect(ctx, genesis, app, entry),
    }
}

fn take_effect(
    ctx: &mut ModuleContext<'_>,
    genesis: &Genesis,
    app: AppEntry,
    mut entry: UpgradeEntry,
) -> Result<(), ModuleFailure> {
    let now = ctx.environment().time_unix_s;
    let pending = entry.pending.take().ok_or(ModuleRefusal::UpgradeNone)?;
    if let Some(policy) = pending.change.policy {
        let digest = policy_digest(&policy);
        let before = entry.stood.iter().find(|stood| stood.policy == digest);
        let returned = before.filter(|_| pending.change.rollback_to.is_some());
        let public_since_unix_s = returned.map_or(pending.announced_at_unix_s, |stood| stood.public_since_unix_s);
        let version = app.version.saturating_add(1);
        entry.replace(PolicyInForce { version, policy: digest, public_since_unix_s, since_unix_s: now });
        put_in_force(ctx, genesis, app, policy)?;
    }
    match pending.change.rule {
        Some(rule) => {
            entry.promise(rule, now);
            tell_rule(ctx, entry)
        }
        None => write(ctx, entry).map(drop),
    }
}

/// Brings back the policy of a version that was in force until less than one notice ago; whether it is in force.
pub(super) fn roll_back(
    ctx: &mut ModuleContext<'_>,
    genesis: &Genesis,
    owned: &Owned<'_>,
    version: u32,
) -> Result<bool, ModuleFailure> {
    let app = owned.open(ctx)?;
    let id = slots::app_version_id(&app.app_id, version);
    let old: AppEntry = load(ctx, EntryKind::AppVersion, &id)?.ok_or(ModuleRefusal::RollbackVersion)?;
    let digest = policy_digest(&old.policy);
    let entry = read_or_first(ctx, &app)?;
    if digest == entry.in_force.policy {
        return Err(ModuleRefusal::RollbackVersion.into());
    }
    let now = ctx.environment().parent_time_unix_s;
    if !entry.rule.is_free() && !entry.may_return(&digest, now) {
        return Err(ModuleRefusal::RollbackOld.into());
    }
    let change = UpgradeChange { policy: Some(old.policy), rule: None, rollback_to: Some(version) };
    announced(ctx, entry, change)?;
    let entry = read(ctx, &app.app_id)?.ok_or(ModuleRefusal::UpgradeNone)?;
    // Without a rule there is nothing to wait for, and the parent's time is before this block's.
    if entry.rule.is_free() || entry.state(now) == Some(UpgradeState::Ready) {
        take_effect(ctx, genesis, app, entry)?;
        return Ok(true);
    }
    Ok(false)
}

pub(super) fn entry_bytes(ctx: &mut ModuleContext<'_>, app: &AppId) -> Result<Bytes, ModuleFailure> {
    let bytes = load_bytes(ctx, EntryKind::Upgrade, app.as_bytes())?.ok_or(ModuleRefusal::Unknown)?;
    Ok(bytes.into())
}

/// What an app promises, for contracts.
pub(super) fn rule_of(ctx: &mut ModuleContext<'_>, app: &AppId) -> Result<upgradeRuleReturn, ModuleFailure> {
    let Some(entry) = read(ctx, app)? else {
        return Ok(upgradeRuleReturn {
            noticeS: 0,
            cosigners: Vec::new(),
            cosignersNeeded: 0,
            publicSince: 0,
            dueAt: 0,
        });
    };
    let due = entry.due_unix_s().unwrap_or_default();
    Ok(upgradeRuleReturn {
        noticeS: entry.rule.notice_s,
        cosigners: entry.rule.cosigners.iter().map(to_address).collect(),
        cosignersNeeded: entry.rule.cosigners_needed,
        publicSince: entry.in_force.public_since_unix_s,
        dueAt: due,
    })
}
