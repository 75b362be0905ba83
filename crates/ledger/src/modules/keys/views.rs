//! Reading grants, contexts and generations, and counting grants.

use alloy_primitives::{B256, Bytes, U256};
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    AppId,
    entries::{EntryKind, GrantEntry},
};

use super::super::{
    entries::{IndexKind, is_live, load, load_bytes, load_ids, load_instance},
    refusal::ModuleRefusal,
};
use crate::state::to_address;

/// Canonical bytes of an entry, which must exist.
pub(super) fn entry(ctx: &mut ModuleContext<'_>, kind: EntryKind, id: &[u8]) -> Result<Bytes, ModuleFailure> {
    let bytes = load_bytes(ctx, kind, id)?.ok_or(ModuleRefusal::Unknown)?;
    Ok(bytes.into())
}

pub(super) fn grants(ctx: &mut ModuleContext<'_>, instance: B256) -> Result<Vec<B256>, ModuleFailure> {
    let ids = load_ids(ctx, IndexKind::Grants, instance.as_slice())?;
    Ok(ids.into_iter().map(|id| id.0.into()).collect())
}

/// How many grants were ever made for an app, and how many of them validators serve now.
pub(super) fn count(ctx: &mut ModuleContext<'_>, app: &AppId) -> Result<(u64, u64), ModuleFailure> {
    let made = ctx.sload(to_address(&slots::KEYS), &slots::grants_made_slot(app))?;
    let now = ctx.environment().parent_time_unix_s;
    let mut live = 0;
    for instance in load_ids(ctx, IndexKind::Instances, app.as_bytes())? {
        let Some(found) = load_instance(ctx, &instance)? else { continue };
        if !is_live(ctx, &found)? {
            continue;
        }
        for id in load_ids(ctx, IndexKind::Grants, instance.as_bytes())? {
            let grant: Option<GrantEntry> = load(ctx, EntryKind::Grant, id.as_bytes())?;
            live += u64::from(grant.is_some_and(|grant| grant.closed_at.is_none() && now < grant.until));
        }
    }
    Ok((U256::from_be_bytes(made.0).saturating_to(), live))
}
