//! Generations of contexts: by hand, or by age (`spec/key-service.md` §7).
//!
//! One generation before the newest is served for as long as the rule says, so that what is under it can be written
//! anew; a further rotation waits until that one is over or retired. So no data is cut off by two rotations in a row. A
//! context that is not under the newest master is due, and waits no longer than its own master serves (§9).

use alloy_primitives::Address;
use alloy_sol_types::SolEvent as _;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    AppId, Generation, UnixSeconds,
    entries::{AppEntry, EntryKind, KeyContextEntry, MasterEntry},
};

use super::super::{
    abi::IKeys::{ContextRetired, ContextRotated, ContextRule},
    entries::{load, load_app, store},
    refusal::ModuleRefusal,
    validators::{master, newest_master},
};
use crate::state::{to_account, to_address};

/// When a context's generation is replaced, and how long the one before stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    /// Age in seconds; 0: by hand only.
    pub(super) max_age_s: UnixSeconds,
    /// Seconds.
    pub(super) keep_s: UnixSeconds,
}

/// A context of an app, and who calls for it.
type Called<'a> = (&'a Address, &'a AppId, &'a str);

/// Sets the rule of a context.
pub(super) fn set_rule(ctx: &mut ModuleContext<'_>, called: Called<'_>, rule: Rule) -> Result<(), ModuleFailure> {
    let (caller, app, context) = called;
    let found = listed(ctx, app, context)?;
    require_owner(&found, caller)?;
    let before = current(ctx, app, context)?;
    let entry = KeyContextEntry { max_age_s: rule.max_age_s, keep_s: rule.keep_s, ..before };
    save(ctx, &entry)?;
    let event = ContextRule {
        app: (*app.as_bytes()).into(),
        context: context.to_owned(),
        maxAgeS: rule.max_age_s,
        keepS: rule.keep_s,
    };
    ctx.log(to_address(&slots::KEYS), event.encode_log_data())
}

/// Begins a new generation: by hand, or because the newest one is due.
pub(super) fn rotate(ctx: &mut ModuleContext<'_>, called: Called<'_>) -> Result<Generation, ModuleFailure> {
    let (caller, app, context) = called;
    let found = listed(ctx, app, context)?;
    let before = current(ctx, app, context)?;
    let now = ctx.environment().parent_time_unix_s;
    let masters = Masters::read(ctx, &before)?;
    if !before.is_due(now) && !masters.are_behind(&before) {
        require_owner(&found, caller)?;
    }
    next(ctx, before, &masters).map(|entry| entry.generation)
}

/// Ends the generation before the newest one.
pub(super) fn retire(ctx: &mut ModuleContext<'_>, called: Called<'_>) -> Result<(), ModuleFailure> {
    let (caller, app, context) = called;
    let found = load_app(ctx, app)?.ok_or(ModuleRefusal::AppUnknown)?;
    require_owner(&found, caller)?;
    let before = current(ctx, app, context)?;
    let now = ctx.environment().parent_time_unix_s;
    let generation = before.previous(now).ok_or(ModuleRefusal::Unknown)?;
    save(ctx, &KeyContextEntry { previous_until: 0, ..before })?;
    let event = ContextRetired { app: (*app.as_bytes()).into(), context: context.to_owned(), generation };
    ctx.log(to_address(&slots::KEYS), event.encode_log_data())
}

/// The generations that instances receive now; a generation that is due is replaced first.
pub(super) fn served(
    ctx: &mut ModuleContext<'_>,
    app: &AppId,
    context: &str,
) -> Result<KeyContextEntry, ModuleFailure> {
    let entry = current(ctx, app, context)?;
    let now = ctx.environment().parent_time_unix_s;
    let masters = Masters::read(ctx, &entry)?;
    let may = entry.previous(now).is_none() || masters.have_ended(now);
    if may && (entry.is_due(now) || masters.are_behind(&entry)) { next(ctx, entry, &masters) } else { Ok(entry) }
}

/// The masters that matter to a context.
struct Masters {
    /// Generation of the newest.
    newest: Generation,
    /// When the context's own ends; `None` where it is the newest.
    ends_at: Option<UnixSeconds>,
}

impl Masters {
    fn read(ctx: &mut ModuleContext<'_>, entry: &KeyContextEntry) -> Result<Self, ModuleFailure> {
        let newest = newest_master(ctx)?;
        let own: Option<MasterEntry> = if entry.master == newest { None } else { master(ctx, entry.master)? };
        Ok(Self { newest, ends_at: own.and_then(|own| own.ends_at) })
    }

    const fn are_behind(&self, entry: &KeyContextEntry) -> bool {
        entry.master < self.newest
    }

    fn have_ended(&self, now: UnixSeconds) -> bool {
        self.ends_at.is_some_and(|end| end <= now)
    }

    /// Until when the generation that is replaced now is served: as the context's rule says, and no longer than its master;
    /// without a rule as long as its master, for the owner did not ask to have it replaced.
    fn previous_until(&self, keep_s: UnixSeconds, now: UnixSeconds) -> UnixSeconds {
        let kept = now.saturating_add(keep_s);
        let until = match (self.ends_at, keep_s) {
            (None, 0) => 0,
            (None, _) => kept,
            (Some(end), 0) => end,
            (Some(end), _) => kept.min(end),
        };
        if until > now { until } else { 0 }
    }
}

/// The entry of a context, or what counts where there is none.
fn current(ctx: &mut ModuleContext<'_>, app: &AppId, context: &str) -> Result<KeyContextEntry, ModuleFailure> {
    let found = load(ctx, EntryKind::KeyContext, &slots::key_context_id(app, context))?;
    let now = ctx.environment().parent_time_unix_s;
    Ok(found.unwrap_or_else(|| KeyContextEntry::first(*app, context.to_owned(), now)))
}

fn next(
    ctx: &mut ModuleContext<'_>,
    before: KeyContextEntry,
    masters: &Masters,
) -> Result<KeyContextEntry, ModuleFailure> {
    let now = ctx.environment().parent_time_unix_s;
    let generation =
        before.generation.checked_add(1).filter(|_| before.previous(now).is_none() || masters.have_ended(now));
    let generation = generation.ok_or(ModuleRefusal::ContextRotationRuns)?;
    let previous_until = masters.previous_until(before.keep_s, now);
    let (master, previous_master) = (masters.newest, before.master);
    let entry = KeyContextEntry { generation, begun_at: now, previous_until, master, previous_master, ..before };
    save(ctx, &entry)?;
    let event = ContextRotated {
        app: (*entry.app_id.as_bytes()).into(),
        context: entry.context.clone(),
        generation,
        previousUntil: previous_until,
    };
    ctx.log(to_address(&slots::KEYS), event.encode_log_data())?;
    Ok(entry)
}

fn save(ctx: &mut ModuleContext<'_>, entry: &KeyContextEntry) -> Result<(), ModuleFailure> {
    let id = slots::key_context_id(&entry.app_id, &entry.context);
    store(ctx, EntryKind::KeyContext, &id, entry).map(|_| ())
}

/// An open app whose policy lists the context.
fn listed(ctx: &mut ModuleContext<'_>, app: &AppId, context: &str) -> Result<AppEntry, ModuleFailure> {
    let found = load_app(ctx, app)?.ok_or(ModuleRefusal::AppUnknown)?;
    if found.closed_at.is_some() {
        return Err(ModuleRefusal::AppClosed.into());
    }
    if found.policy.boot_contexts.iter().any(|listed| listed == context) {
        Ok(found)
    } else {
        Err(ModuleRefusal::Context.into())
    }
}

fn require_owner(app: &AppEntry, caller: &Address) -> Result<(), ModuleFailure> {
    if app.owner == to_account(caller) { Ok(()) } else { Err(ModuleRefusal::NotOwner.into()) }
}
