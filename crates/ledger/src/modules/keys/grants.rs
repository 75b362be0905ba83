//! Granting, prolonging and closing.

use alloy_primitives::{Address, U256};
use alloy_sol_types::SolEvent as _;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    AppId, AppPolicy, Digest, Generation, UnixSeconds,
    entries::{EntryKind, GrantEntry, InstanceEntry, KeyContextEntry},
};

use super::{
    super::{
        abi::IKeys::{GrantClosed, Granted},
        entries::{IndexKind, live_instance_of, load, load_app, load_ids, store, store_ids},
        refusal::ModuleRefusal,
    },
    contexts,
};
use crate::state::to_address;

/// Grants, or prolongs, a key for the calling instance; the id is that of the newest generation.
pub(super) fn request(ctx: &mut ModuleContext<'_>, caller: &Address, context: &str) -> Result<Digest, ModuleFailure> {
    let instance = live_instance_of(ctx, caller)?.ok_or(ModuleRefusal::NotLive)?;
    let app = load_app(ctx, &instance.app_id)?.ok_or(ModuleRefusal::AppUnknown)?;
    if !app.policy.boot_contexts.iter().any(|listed| listed == context) {
        return Err(ModuleRefusal::Context.into());
    }
    let mut held = Held::load(ctx, &instance)?;
    let id = held.take(ctx, &instance, context)?;
    held.store(ctx, &instance)?;
    Ok(id)
}

/// Grants every boot context of the policy to an instance, and prolongs what it was granted before.
pub(in super::super) fn grant_boot_contexts(
    ctx: &mut ModuleContext<'_>,
    instance: &InstanceEntry,
    policy: &AppPolicy,
) -> Result<(), ModuleFailure> {
    let mut held = Held::load(ctx, instance)?;
    for context in &policy.boot_contexts {
        held.take(ctx, instance, context)?;
    }
    held.store(ctx, instance)
}

/// The ids of an instance's grants, as they were and as they become.
struct Held {
    before: Vec<Digest>,
    ids: Vec<Digest>,
}

impl Held {
    fn load(ctx: &mut ModuleContext<'_>, instance: &InstanceEntry) -> Result<Self, ModuleFailure> {
        let before = load_ids(ctx, IndexKind::Grants, instance.instance_id.as_bytes())?;
        Ok(Self { ids: before.clone(), before })
    }

    /// Grants what is served of a context: the newest generation, whose grant's id is returned, and the one before while
    /// it is kept.
    fn take(
        &mut self,
        ctx: &mut ModuleContext<'_>,
        instance: &InstanceEntry,
        context: &str,
    ) -> Result<Digest, ModuleFailure> {
        let served = contexts::served(ctx, &instance.app_id, context)?;
        let now = ctx.environment().parent_time_unix_s;
        if let Some(generation) = served.previous(now) {
            let until = instance.expires_at.min(served.previous_until);
            let id = grant(ctx, instance, &Granting { context, generation, until })?;
            self.add(id);
        }
        let newest = Granting { context, generation: served.generation, until: instance.expires_at };
        let id = grant(ctx, instance, &newest)?;
        if self.add(id) && served.generation > 0 {
            self.drop_replaced(ctx, &served)?;
        }
        Ok(id)
    }

    fn add(&mut self, id: Digest) -> bool {
        let is_new = !self.ids.contains(&id);
        if is_new {
            self.ids.push(id);
        }
        is_new
    }

    /// Closes grants of the context whose generation is served no more, and keeps them in the list no longer.
    fn drop_replaced(&mut self, ctx: &mut ModuleContext<'_>, served: &KeyContextEntry) -> Result<(), ModuleFailure> {
        let now = ctx.environment().parent_time_unix_s;
        for id in std::mem::take(&mut self.ids) {
            let found: Option<GrantEntry> = load(ctx, EntryKind::Grant, id.as_bytes())?;
            match found {
                Some(grant) if grant.context == served.context && !served.serves(grant.generation, now) => {
                    close(ctx, grant)?;
                }
                _ => self.ids.push(id),
            }
        }
        Ok(())
    }

    fn store(self, ctx: &mut ModuleContext<'_>, instance: &InstanceEntry) -> Result<(), ModuleFailure> {
        if self.ids == self.before {
            return Ok(());
        }
        store_ids(ctx, IndexKind::Grants, instance.instance_id.as_bytes(), &self.ids)
    }
}

/// What is to be granted.
struct Granting<'a> {
    context: &'a str,
    generation: Generation,
    until: UnixSeconds,
}

fn grant(
    ctx: &mut ModuleContext<'_>,
    instance: &InstanceEntry,
    granting: &Granting<'_>,
) -> Result<Digest, ModuleFailure> {
    let Granting { context, generation, until } = *granting;
    let id = slots::grant_id(&instance.instance_id, context, generation);
    let before: Option<GrantEntry> = load(ctx, EntryKind::Grant, id.as_bytes())?;
    if before.as_ref().is_some_and(|grant| grant.until == until && grant.closed_at.is_none()) {
        return Ok(id);
    }
    if before.is_none() {
        count(ctx, &instance.app_id)?;
    }
    let entry = GrantEntry {
        grant_id: id,
        app_id: instance.app_id,
        instance_id: instance.instance_id,
        context: context.to_owned(),
        generation,
        transport_key: instance.transport_key,
        granted_at: before.map_or(ctx.environment().height, |grant| grant.granted_at),
        until,
        closed_at: None,
    };
    store(ctx, EntryKind::Grant, id.as_bytes(), &entry)?;
    let event = Granted {
        grant: id.0.into(),
        app: (*instance.app_id.as_bytes()).into(),
        instance: instance.instance_id.0.into(),
        context: entry.context,
        generation,
        transportKey: instance.transport_key.0.to_vec().into(),
        until,
    };
    ctx.log(to_address(&slots::KEYS), event.encode_log_data())?;
    Ok(id)
}

/// Counts a grant that was never made before.
fn count(ctx: &mut ModuleContext<'_>, app: &AppId) -> Result<(), ModuleFailure> {
    let (module, slot) = (to_address(&slots::KEYS), slots::grants_made_slot(app));
    let made = U256::from_be_bytes(ctx.sload(module, &slot)?.0).saturating_add(U256::from(1));
    ctx.sstore(module, &slot, made.into())
}

/// Closes every grant of an instance.
pub(in super::super) fn close_all(ctx: &mut ModuleContext<'_>, instance: &Digest) -> Result<(), ModuleFailure> {
    for id in load_ids(ctx, IndexKind::Grants, instance.as_bytes())? {
        if let Some(grant) = load(ctx, EntryKind::Grant, id.as_bytes())? {
            close(ctx, grant)?;
        }
    }
    Ok(())
}

/// Closes an instance's grants of contexts that a policy does not list.
pub(in super::super) fn close_unlisted(
    ctx: &mut ModuleContext<'_>,
    instance: &Digest,
    policy: &AppPolicy,
) -> Result<(), ModuleFailure> {
    let before = load_ids(ctx, IndexKind::Grants, instance.as_bytes())?;
    let mut kept = Vec::with_capacity(before.len());
    for id in &before {
        let grant: Option<GrantEntry> = load(ctx, EntryKind::Grant, id.as_bytes())?;
        match grant {
            Some(grant) if !policy.boot_contexts.contains(&grant.context) => close(ctx, grant)?,
            _ => kept.push(*id),
        }
    }
    if kept != before {
        store_ids(ctx, IndexKind::Grants, instance.as_bytes(), &kept)?;
    }
    Ok(())
}

fn close(ctx: &mut ModuleContext<'_>, mut grant: GrantEntry) -> Result<(), ModuleFailure> {
    if grant.closed_at.is_some() {
        return Ok(());
    }
    grant.closed_at = Some(ctx.environment().height);
    store(ctx, EntryKind::Grant, grant.grant_id.as_bytes(), &grant)?;
    ctx.log(to_address(&slots::KEYS), GrantClosed { grant: grant.grant_id.0.into() }.encode_log_data())
}
