//! Reading entries of the system modules from state, for node, host and RPC (`spec/entries.md`).

mod validators;

use alloy_primitives::U256;
use freehold_crypto::slots;
use freehold_evm::ViewError;
use freehold_primitives::{
    AppId, Canonical, Digest, UnixSeconds,
    entries::{DenyEntry, DenySubject, EntryKind, InstanceEntry, NamedSubject, ProtocolSchedule},
};
use thiserror::Error;

use crate::{
    modules::{SHADOW_PAGE, grants_slot, protocol_schedule},
    state::{Content, StateTree, read_storage, to_address},
};

pub use validators::{
    read_committee, read_master, read_masters, read_peers, read_players, read_roster, read_succession, read_turn,
    read_validator,
};

/// Key in the tree of the slot that holds an entry's digest.
pub fn entry_key(kind: EntryKind, id: &[u8]) -> Digest {
    slots::storage_key(&slots::entry_module(kind), &slots::entry_slot(kind, id))
}

/// Canonical bytes of an entry, `None` where there is none.
///
/// # Errors
/// [`ViewError::Store`], [`ViewError::Malformed`], [`ViewError::ContentMissing`].
pub fn read_entry_bytes(
    kind: EntryKind,
    id: &[u8],
    state: &dyn StateTree,
    content: &dyn Content,
) -> Result<Option<Vec<u8>>, ViewError> {
    let Some(value) = state.get(&entry_key(kind, id))? else { return Ok(None) };
    let digest = Digest(value.try_into().map_err(|_| ViewError::Malformed)?);
    content.get(&digest).map(Some).ok_or(ViewError::ContentMissing(digest))
}

/// An entry, `None` where there is none.
///
/// # Errors
/// As [`read_entry_bytes`].
pub fn read_entry<T: Canonical>(
    kind: EntryKind,
    id: &[u8],
    state: &dyn StateTree,
    content: &dyn Content,
) -> Result<Option<T>, ViewError> {
    match read_entry_bytes(kind, id, state, content)? {
        None => Ok(None),
        Some(bytes) => T::from_canonical(&bytes).map(Some).map_err(|_| ViewError::Malformed),
    }
}

/// Which version of the protocol rules which height, as far as it is announced.
///
/// # Errors
/// As [`read_entry_bytes`].
pub fn read_protocol(state: &dyn StateTree, content: &dyn Content) -> Result<ProtocolSchedule, ViewError> {
    protocol_schedule(state, content)
}

/// Whether an app, or the chain ([`AppId::CHAIN`]), denies now what an instance stands on.
///
/// # Errors
/// As [`read_entry_bytes`].
pub fn is_denied(
    by: &AppId,
    instance: &InstanceEntry,
    state: &dyn StateTree,
    content: &dyn Content,
) -> Result<bool, ViewError> {
    for (kind, key) in instance.deny_subjects() {
        let entry: Option<DenyEntry> = read_entry(EntryKind::Deny, &slots::deny_id(by, kind, &key), state, content)?;
        if entry.is_some_and(|entry| entry.stands(instance.tcb_level.as_ref())) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Why an instance is no executor: it may hold no state root key, and nobody counts its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExecutorRefusal {
    /// The genesis names no app whose instances are validators and executors.
    #[error("the genesis names no app for validators and executors")]
    NoApp,
    /// There is no such instance.
    #[error("no such instance is registered")]
    Unknown,
    /// It is an instance of another app.
    #[error("the instance belongs to another app than that of validators and executors")]
    OtherApp,
    /// It was closed.
    #[error("the instance was closed")]
    Closed,
    /// Its lease has ended.
    #[error("the instance's lease has ended")]
    Expired,
    /// The chain denies what it stands on.
    #[error("the chain denies what the instance stands on")]
    Denied,
}

/// The entry of an executor, a live and undenied instance of `app`, the one that the genesis names for validators; `now_s` is
/// the time of the newest header, in Unix seconds.
///
/// # Errors
/// As [`read_entry_bytes`].
pub fn read_executor(
    (app, instance): (Option<&AppId>, &Digest),
    now_s: UnixSeconds,
    state: &dyn StateTree,
    content: &dyn Content,
) -> Result<Result<InstanceEntry, ExecutorRefusal>, ViewError> {
    let Some(app) = app else { return Ok(Err(ExecutorRefusal::NoApp)) };
    let entry: Option<InstanceEntry> = read_entry(EntryKind::Instance, instance.as_bytes(), state, content)?;
    let Some(entry) = entry else { return Ok(Err(ExecutorRefusal::Unknown)) };
    Ok(if entry.app_id != *app {
        Err(ExecutorRefusal::OtherApp)
    } else if entry.closed_at.is_some() {
        Err(ExecutorRefusal::Closed)
    } else if entry.expires_at <= now_s {
        Err(ExecutorRefusal::Expired)
    } else if is_denied(&AppId::CHAIN, &entry, state, content)? {
        Err(ExecutorRefusal::Denied)
    } else {
        Ok(entry)
    })
}

/// A page of a subject's shadow (`spec/apps.md` §8).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShadowPage {
    /// Instances that ever stood on the subject, oldest first.
    pub instances: Vec<InstanceEntry>,
    /// Cursor of the next page; `None` at the end.
    pub next: Option<u64>,
}

/// Reads a page of a subject's shadow, from a cursor that starts at 0.
///
/// # Errors
/// As [`read_entry_bytes`].
pub fn read_shadow(
    subject: &NamedSubject,
    cursor: u64,
    state: &dyn StateTree,
    content: &dyn Content,
) -> Result<ShadowPage, ViewError> {
    let entry = |id: &[u8]| read_entry::<InstanceEntry>(EntryKind::Instance, id, state, content);
    if subject.kind() == DenySubject::Instance {
        let instances = if cursor == 0 { entry(subject.key())?.into_iter().collect() } else { Vec::new() };
        return Ok(ShadowPage { instances, next: None });
    }
    let (kind, key) = shadow_index(subject);
    let apps = to_address(&slots::APPS);
    let slot = |slot: [u8; 32]| read_storage(state, &apps, &U256::from_be_bytes(slot));
    let count: u64 = slot(slots::shadow_count_slot(kind, &key))?.saturating_to();
    let end = cursor.saturating_add(SHADOW_PAGE).min(count);
    let mut instances = Vec::new();
    for place in cursor..end {
        let id = slot(slots::shadow_slot(kind, &key, place))?.to_be_bytes::<32>();
        let instance = entry(&id)?.ok_or(ViewError::Malformed)?;
        if kind == subject.kind() || subject.shadows(&instance) {
            instances.push(instance);
        }
    }
    Ok(ShadowPage { instances, next: (end < count).then_some(end) })
}

/// Under what the shadow of a subject is kept: that of a TCB level under its family.
pub(crate) fn shadow_index(subject: &NamedSubject) -> (DenySubject, Vec<u8>) {
    match subject.tcb_family() {
        Some(family) => (DenySubject::Family, family.0.to_vec()),
        None => (subject.kind(), subject.key().to_vec()),
    }
}

/// Ids of an instance's grants.
///
/// # Errors
/// As [`read_entry_bytes`].
pub fn read_grant_ids(
    instance: &Digest,
    state: &dyn StateTree,
    content: &dyn Content,
) -> Result<Vec<Digest>, ViewError> {
    let slot = U256::from_be_bytes(grants_slot(instance));
    let digest = read_storage(state, &to_address(&slots::KEYS), &slot)?;
    if digest.is_zero() {
        return Ok(Vec::new());
    }
    let digest = Digest(digest.to_be_bytes());
    let bytes = content.get(&digest).ok_or(ViewError::ContentMissing(digest))?;
    Vec::from_canonical(&bytes).map_err(|_| ViewError::Malformed)
}
