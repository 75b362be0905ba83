//! What the owner of an app does: create, change, hand over, close, revoke. Denying: [`super::denials`].

use std::collections::BTreeSet;

use alloy_primitives::Address;
use alloy_sol_types::SolEvent as _;
use freehold_attestation::{Evidence, claims, judge};
use freehold_crypto::{app_id_from_creator_nonce, app_id_from_creator_round_index, slots};
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    AppId, AppPolicy, Canonical as _, Digest, Genesis, POLICY_LIST_MAX,
    entries::{AppEntry, ClosedCode, EntryKind, InstanceEntry},
};

use super::{
    super::{
        abi::IApps::{AppClosed, AppCreated, AppUpdated, OwnerChanged},
        entries::{load_app, load_instance, store},
        keys,
        refusal::ModuleRefusal,
    },
    BOOT_CONTEXTS_MAX, POLICY_BYTES_MAX,
    instances::{Closing, close as close_instances, open_instances},
    upgrades,
};
use crate::state::{to_account, to_address};

/// Gas of judging an instance's recorded evidence again.
const JUDGE_AGAIN_GAS: u64 = 50_000;
/// Longest context string of a policy, in bytes.
const CONTEXT_BYTES_MAX: usize = 64;

/// An app, and who claims to own it.
pub(super) struct Owned<'a> {
    pub(super) app: AppId,
    pub(super) caller: &'a Address,
}

impl Owned<'_> {
    /// The entry, if the app is open and the caller owns it.
    pub(super) fn open(&self, ctx: &mut ModuleContext<'_>) -> Result<AppEntry, ModuleFailure> {
        let app = load_app(ctx, &self.app)?.ok_or(ModuleRefusal::AppUnknown)?;
        if app.closed_at.is_some() {
            return Err(ModuleRefusal::AppClosed.into());
        }
        if app.owner != to_account(self.caller) {
            return Err(ModuleRefusal::NotOwner.into());
        }
        Ok(app)
    }
}

pub(super) fn create(
    ctx: &mut ModuleContext<'_>,
    caller: &Address,
    scheme: u8,
    policy: &[u8],
) -> Result<AppId, ModuleFailure> {
    let environment = *ctx.environment();
    let owner = to_account(caller);
    let app_id = match scheme {
        0 => app_id_from_creator_round_index(&owner, environment.height, environment.tx_index),
        1 if *caller == environment.origin => app_id_from_creator_nonce(&owner, environment.origin_nonce),
        _ => return Err(ModuleRefusal::Scheme.into()),
    };
    let policy = read_policy(policy)?;
    if load_app(ctx, &app_id)?.is_some() {
        return Err(ModuleRefusal::AppExists.into());
    }
    let height = environment.height;
    let app = AppEntry { app_id, owner, version: 0, policy, opened_at: height, changed_at: height, closed_at: None };
    let entry = store_app(ctx, &app)?;
    let event = AppCreated { app: (*app_id.as_bytes()).into(), owner: *caller, entry: entry.0.into() };
    ctx.log(to_address(&slots::APPS), event.encode_log_data())?;
    Ok(app_id)
}

pub(super) fn update(
    ctx: &mut ModuleContext<'_>,
    genesis: &Genesis,
    owned: &Owned<'_>,
    policy: &[u8],
) -> Result<(), ModuleFailure> {
    let app = owned.open(ctx)?;
    let policy = read_policy(policy)?;
    upgrades::replaced_at_once(ctx, &app, &policy)?;
    put_in_force(ctx, genesis, app, policy)
}

/// Makes the next version of an app with another policy, and closes whom that does not accept. Whether it may come into
/// force was asked before.
pub(super) fn put_in_force(
    ctx: &mut ModuleContext<'_>,
    genesis: &Genesis,
    mut app: AppEntry,
    policy: AppPolicy,
) -> Result<(), ModuleFailure> {
    app.policy = policy;
    app.version += 1;
    app.changed_at = ctx.environment().height;
    let entry = store_app(ctx, &app)?;
    let event = AppUpdated { app: (*app.app_id.as_bytes()).into(), version: app.version, entry: entry.0.into() };
    ctx.log(to_address(&slots::APPS), event.encode_log_data())?;
    let mut refused = Vec::new();
    for instance in open_instances(ctx, &app.app_id)? {
        if still_accepted(ctx, genesis, &instance, &app.policy)? {
            keys::close_unlisted(ctx, &instance.instance_id, &app.policy)?;
        } else {
            refused.push(instance);
        }
    }
    close_instances(ctx, &app.app_id, refused, Closing { code: ClosedCode::Policy, reason: 0 })
}

/// Whether the evidence that an instance showed satisfies a policy now. The evidence is read again from what is kept, at
/// the time at which it was judged, so that all of it counts and not only what its entry repeats.
fn still_accepted(
    ctx: &mut ModuleContext<'_>,
    genesis: &Genesis,
    instance: &InstanceEntry,
    policy: &AppPolicy,
) -> Result<bool, ModuleFailure> {
    ctx.charge(JUDGE_AGAIN_GAS)?;
    let evidence = ctx.content(&instance.evidence_digest)?;
    let mut documents = Vec::with_capacity(instance.collateral_digests.len());
    for digest in &instance.collateral_digests {
        documents.push(ctx.content(digest)?);
    }
    let documents: Vec<&[u8]> = documents.iter().map(|document| document.as_ref()).collect();
    let evidence = Evidence { kind: instance.evidence_kind, bytes: &evidence, collateral: &documents };
    let now = ctx.environment().parent_time_unix_s;
    let claims = claims(&evidence, &genesis.trust_roots, instance.judged_at_unix_s);
    Ok(claims.is_ok_and(|claims| judge(&claims, &policy.evidence, now).is_ok()))
}

pub(super) fn set_owner(
    ctx: &mut ModuleContext<'_>,
    owned: &Owned<'_>,
    new_owner: &Address,
) -> Result<(), ModuleFailure> {
    let mut app = owned.open(ctx)?;
    if new_owner.is_zero() {
        return Err(ModuleRefusal::OwnerZero.into());
    }
    app.owner = to_account(new_owner);
    app.version += 1;
    app.changed_at = ctx.environment().height;
    store_app(ctx, &app)?;
    let event =
        OwnerChanged { app: (*app.app_id.as_bytes()).into(), previousOwner: *owned.caller, newOwner: *new_owner };
    ctx.log(to_address(&slots::APPS), event.encode_log_data())
}

pub(super) fn close(ctx: &mut ModuleContext<'_>, owned: &Owned<'_>) -> Result<(), ModuleFailure> {
    let mut app = owned.open(ctx)?;
    app.version += 1;
    app.changed_at = ctx.environment().height;
    app.closed_at = Some(app.changed_at);
    store_app(ctx, &app)?;
    let event = AppClosed { app: (*app.app_id.as_bytes()).into() };
    ctx.log(to_address(&slots::APPS), event.encode_log_data())?;
    let instances = open_instances(ctx, &app.app_id)?;
    close_instances(ctx, &app.app_id, instances, Closing { code: ClosedCode::AppClosed, reason: 0 })
}

pub(super) fn revoke(
    ctx: &mut ModuleContext<'_>,
    owned: &Owned<'_>,
    instance: &Digest,
    reason: u8,
) -> Result<(), ModuleFailure> {
    let app = owned.open(ctx)?;
    let instance = load_instance(ctx, instance)?.filter(|instance| instance.app_id == app.app_id);
    let instance = instance.ok_or(ModuleRefusal::InstanceUnknown)?;
    if instance.closed_at.is_some() {
        return Err(ModuleRefusal::InstanceClosed.into());
    }
    close_instances(ctx, &app.app_id, vec![instance], Closing { code: ClosedCode::Owner, reason })
}

/// Writes an app under its id and under its version, so that every version stays provable.
fn store_app(ctx: &mut ModuleContext<'_>, app: &AppEntry) -> Result<Digest, ModuleFailure> {
    store(ctx, EntryKind::AppVersion, &slots::app_version_id(&app.app_id, app.version), app)?;
    store(ctx, EntryKind::App, app.app_id.as_bytes(), app)
}

fn read_policy(bytes: &[u8]) -> Result<AppPolicy, ModuleFailure> {
    if bytes.len() > POLICY_BYTES_MAX {
        return Err(ModuleRefusal::Policy.into());
    }
    let policy = AppPolicy::from_canonical(bytes).map_err(|_| ModuleRefusal::Policy)?;
    check_policy(&policy)?;
    Ok(policy)
}

/// Checks the bounds of a policy.
pub(super) fn check_policy(policy: &AppPolicy) -> Result<(), ModuleFailure> {
    let contexts: BTreeSet<&String> = policy.boot_contexts.iter().collect();
    let is_sound = policy.evidence.is_bounded()
        && policy.boot_contexts.len() <= BOOT_CONTEXTS_MAX
        && contexts.len() == policy.boot_contexts.len()
        && contexts.iter().all(|context| is_context(context))
        && policy.models.len() <= POLICY_LIST_MAX
        && policy.to_canonical().len() <= POLICY_BYTES_MAX;
    if is_sound { Ok(()) } else { Err(ModuleRefusal::Policy.into()) }
}

/// Printable ASCII, so that a context looks the same wherever it is shown.
fn is_context(context: &str) -> bool {
    (1..=CONTEXT_BYTES_MAX).contains(&context.len()) && context.bytes().all(|byte| byte.is_ascii_graphic())
}
