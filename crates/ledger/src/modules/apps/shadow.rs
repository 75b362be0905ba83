//! The shadow of a subject: which instances ever stood on it, so that a denial's reach can be told (`spec/apps.md` §8).
//!
//! For each subject a counter and one slot per instance, written at registration. No list is rewritten, so that the cost
//! does not grow. No verifier reads this.

use std::collections::BTreeSet;

use alloy_primitives::{B256, U256};
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    Digest,
    entries::{DenySubject, InstanceEntry, NamedSubject},
};

use super::{
    super::{abi::IApps::shadowReturn, entries::load_instance},
    SHADOW_PAGE,
};
use crate::{read::shadow_index, state::to_address};

/// Puts an instance into the shadow of everything that it stands on; of a renewal, of what it did not stand on before.
pub(super) fn cast(
    ctx: &mut ModuleContext<'_>,
    instance: &InstanceEntry,
    before: Option<&InstanceEntry>,
) -> Result<(), ModuleFailure> {
    let before = before.map(InstanceEntry::deny_subjects).unwrap_or_default();
    let mut subjects: BTreeSet<(DenySubject, Vec<u8>)> = instance.deny_subjects().into_iter().collect();
    // An instance is its own shadow, and that of a TCB level is found through the family.
    subjects.retain(|subject| {
        !matches!(subject.0, DenySubject::Instance | DenySubject::TcbLevel) && !before.contains(subject)
    });
    let apps = to_address(&slots::APPS);
    for (kind, key) in subjects {
        let count_slot = slots::shadow_count_slot(kind, &key);
        let count = to_count(ctx.sload(apps, &count_slot)?);
        ctx.sstore(apps, &slots::shadow_slot(kind, &key, count), B256::from(instance.instance_id.0))?;
        ctx.sstore(apps, &count_slot, B256::from(U256::from(count + 1)))?;
    }
    Ok(())
}

/// A page of a subject's shadow. Of a TCB level a page can be short, even empty, before the end.
pub(super) fn page(
    ctx: &mut ModuleContext<'_>,
    subject: &NamedSubject,
    cursor: u64,
) -> Result<shadowReturn, ModuleFailure> {
    if subject.kind() == DenySubject::Instance {
        let id = Digest(subject.key().try_into().expect("an instance's id has 32 bytes"));
        let known = cursor == 0 && load_instance(ctx, &id)?.is_some();
        return Ok(shadowReturn { instances: known.then(|| id.0.into()).into_iter().collect(), next: 0 });
    }
    let apps = to_address(&slots::APPS);
    let (kind, key) = shadow_index(subject);
    let count = to_count(ctx.sload(apps, &slots::shadow_count_slot(kind, &key))?);
    let end = cursor.saturating_add(SHADOW_PAGE).min(count);
    let mut instances = Vec::new();
    for place in cursor..end {
        let id = ctx.sload(apps, &slots::shadow_slot(kind, &key, place))?;
        let shadowed = match subject.kind() {
            DenySubject::TcbLevel => {
                load_instance(ctx, &Digest(id.0))?.is_some_and(|instance| subject.shadows(&instance))
            }
            _ => true,
        };
        if shadowed {
            instances.push(id);
        }
    }
    Ok(shadowReturn { instances, next: if end < count { end } else { 0 } })
}

/// A counter that this module alone writes, one up at a time.
fn to_count(slot: B256) -> u64 {
    U256::from_be_bytes(slot.0).saturating_to()
}
