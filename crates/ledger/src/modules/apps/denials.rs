//! Denials: by an app's owner for the app, by the governor for the whole chain (`spec/apps.md` §7).
//!
//! An app's own closes its instances that match, which are few. The chain's closes none, however many match: it counts
//! wherever something asks whether an instance is live.

use alloy_primitives::{Address, Bytes};
use alloy_sol_types::SolEvent as _;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    AppId, Blob,
    entries::{ClosedCode, DENIALS_MAX, Denial, DenyEntry, DenySubject, EntryKind, NamedSubject},
};

use super::{
    super::{
        abi::IApps::{DenialLifted, Denied, denyCall, liftCall},
        entries::{load, store},
        refusal::ModuleRefusal,
    },
    governor::require_governor,
    instances::{Closing, close as close_instances, open_instances},
    owner::Owned,
};
use crate::state::to_address;

/// Denies a subject for the app of the call, or for the chain.
pub(super) fn deny(
    ctx: &mut ModuleContext<'_>,
    caller: &Address,
    app: AppId,
    args: &denyCall,
) -> Result<(), ModuleFailure> {
    if app == AppId::CHAIN {
        require_governor(ctx, caller)?;
    } else {
        Owned { app, caller }.open(ctx)?;
    }
    let subject = named(args.kind, &args.subject)?;
    add(ctx, &app, &subject, args.reason)?;
    let event = Denied { app: args.app, kind: args.kind, subject: args.subject.clone(), reason: args.reason };
    ctx.log(to_address(&slots::APPS), event.encode_log_data())?;
    if app == AppId::CHAIN {
        return Ok(());
    }
    let mut matching = open_instances(ctx, &app)?;
    matching.retain(|instance| subject.names(instance));
    close_instances(ctx, &app, matching, Closing { code: ClosedCode::Denied, reason: args.reason })
}

/// Writes a denial beside those that the subject's entry holds.
fn add(ctx: &mut ModuleContext<'_>, app_id: &AppId, subject: &NamedSubject, reason: u8) -> Result<(), ModuleFailure> {
    let id = slots::deny_id(app_id, subject.kind(), subject.key());
    let entry: Option<DenyEntry> = load(ctx, EntryKind::Deny, &id)?;
    let mut entry = entry.unwrap_or_else(|| DenyEntry {
        app_id: *app_id,
        subject_kind: subject.kind(),
        subject: Blob(subject.key().to_vec()),
        denials: Vec::new(),
    });
    let level = subject.level().copied();
    if entry.denials.iter().any(|denial| denial.lifted_at.is_none() && denial.level == level) {
        return Err(ModuleRefusal::AlreadyDenied.into());
    }
    if entry.denials.len() >= DENIALS_MAX {
        return Err(ModuleRefusal::DenialsFull.into());
    }
    entry.denials.push(Denial { level, reason, since: ctx.environment().height, lifted_at: None });
    store(ctx, EntryKind::Deny, &id, &entry)?;
    Ok(())
}

/// Ends a denial by the chain: its entry says from when to when it counted.
pub(super) fn lift(ctx: &mut ModuleContext<'_>, caller: &Address, args: &liftCall) -> Result<(), ModuleFailure> {
    require_governor(ctx, caller)?;
    let subject = named(args.kind, &args.subject)?;
    let id = slots::deny_id(&AppId::CHAIN, subject.kind(), subject.key());
    let mut entry: DenyEntry = load(ctx, EntryKind::Deny, &id)?.ok_or(ModuleRefusal::NotDenied)?;
    let level = subject.level().copied();
    let height = ctx.environment().height;
    let denial = entry.denials.iter_mut().find(|denial| denial.lifted_at.is_none() && denial.level == level);
    denial.ok_or(ModuleRefusal::NotDenied)?.lifted_at = Some(height);
    store(ctx, EntryKind::Deny, &id, &entry)?;
    let event = DenialLifted { kind: args.kind, subject: args.subject.clone() };
    ctx.log(to_address(&slots::APPS), event.encode_log_data())
}

/// A subject, if its kind is known and it has the kind's form.
pub(super) fn named(kind: u8, subject: &Bytes) -> Result<NamedSubject, ModuleFailure> {
    let subject = DenySubject::from_tag(kind).and_then(|kind| NamedSubject::read(kind, subject));
    subject.ok_or(ModuleRefusal::Subject.into())
}
