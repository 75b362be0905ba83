//! Entries of the system modules under a verified header: slot proof → digest → content → typed entry.

use freehold_crypto::{
    content_digest,
    slots::{
        GOVERNOR_ID, STATE_KEY_STATUS_ID, anchor_id, app_version_id, audit_id, call_data_key_id, collateral_id,
        deny_id, entry_module, entry_slot, key_context_id, lease_id, master_id, term_id, tier_id,
    },
};
use freehold_primitives::{
    Account, AppId, Canonical, CodecError, Digest, Generation, Term,
    entries::{CollateralKind, DenySubject, EntryKind},
};
use thiserror::Error;

use super::{
    header::VerifiedHeader,
    state::{StateError, verify_storage},
};

/// Why an entry is not proven.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EntryError {
    /// Its slot is not proven.
    #[error(transparent)]
    State(#[from] StateError),
    /// The state is proven to hold no such entry.
    #[error("the state holds no such entry")]
    Absent,
    /// The state holds an entry where its absence was claimed.
    #[error("the state holds an entry here, and the proof says that there is none")]
    Present,
    /// The content is not what the slot names.
    #[error("the content is not what the entry's slot names")]
    Content,
    /// The content is named by the slot and is no entry of the kind.
    #[error("the content is no entry of its kind: {0}")]
    Codec(#[from] CodecError),
}

/// Names one entry: module, kind and id.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryKey {
    /// An app as it is now.
    App(AppId),
    /// One version of an app.
    AppVersion(AppId, u32),
    /// An instance, by its id.
    Instance(Digest),
    /// Evidence that was used, by the SHA-256 of its signed part.
    UsedEvidence(Digest),
    /// Which instance an account belongs to.
    Account(Account),
    /// A subject that an app denies, or the chain ([`AppId::CHAIN`]); the bytes are the subject without a level.
    Deny(AppId, DenySubject, Vec<u8>),
    /// A grant, by its id.
    Grant(Digest),
    /// An anchor of an instance's log, by its index.
    Anchor(Digest, u64),
    /// The newest state of an instance's log.
    Log(Digest),
    /// Collateral; the bytes are the key within the kind.
    Collateral(CollateralKind, Vec<u8>),
    /// The public key that call data of an epoch is encrypted to.
    CallDataKey(u64),
    /// Which generations of the state root key are in use.
    StateKeyStatus,
    /// Who governs the chain.
    Governor,
    /// A tier, by its number.
    Tier(u8),
    /// Which generations of a context an app's instances receive.
    KeyContext(AppId, String),
    /// Who signs in a term, and under which polynomials.
    Committee(Term),
    /// What a term does about masters of the derivation key, and under which polynomials.
    Masters(Term),
    /// A master of the derivation key, by its generation.
    Master(Generation),
    /// A lease that an app's instances compete for, by its name.
    Lease(AppId, String),
    /// All counters under a lease of an app.
    Counters(AppId, String),
    /// What an app's owner set for its instances.
    Settings(AppId),
    /// What an app promises about its upgrades, and what is announced.
    Upgrade(AppId),
    /// What an account says of a policy of an app, by the policy's content digest.
    Audit(Account, AppId, Digest),
    /// What an instance says of itself.
    Metadata(Digest),
}

impl EntryKey {
    /// Address of the module that keeps the entry.
    pub const fn module(&self) -> Account {
        entry_module(self.kind())
    }

    /// Kind of the entry.
    pub const fn kind(&self) -> EntryKind {
        match self {
            Self::App(_) => EntryKind::App,
            Self::AppVersion(..) => EntryKind::AppVersion,
            Self::Instance(_) => EntryKind::Instance,
            Self::UsedEvidence(_) => EntryKind::UsedEvidence,
            Self::Account(_) => EntryKind::Account,
            Self::Deny(..) => EntryKind::Deny,
            Self::Grant(_) => EntryKind::Grant,
            Self::Anchor(..) => EntryKind::Anchor,
            Self::Log(_) => EntryKind::Log,
            Self::Collateral(..) => EntryKind::Collateral,
            Self::CallDataKey(_) => EntryKind::CallDataKey,
            Self::StateKeyStatus => EntryKind::StateKeyStatus,
            Self::Governor => EntryKind::Governor,
            Self::Tier(_) => EntryKind::Tier,
            Self::KeyContext(..) => EntryKind::KeyContext,
            Self::Committee(_) => EntryKind::Committee,
            Self::Masters(_) => EntryKind::Masters,
            Self::Master(_) => EntryKind::Master,
            Self::Lease(..) => EntryKind::Lease,
            Self::Counters(..) => EntryKind::Counters,
            Self::Settings(_) => EntryKind::Settings,
            Self::Upgrade(_) => EntryKind::Upgrade,
            Self::Audit(..) => EntryKind::Audit,
            Self::Metadata(_) => EntryKind::Metadata,
        }
    }

    /// Id of the entry within its kind (`spec/entries.md`).
    pub fn id(&self) -> Vec<u8> {
        match self {
            Self::App(app) | Self::Settings(app) | Self::Upgrade(app) => app.as_bytes().to_vec(),
            Self::Audit(auditor, app, policy) => audit_id(auditor, app, policy).to_vec(),
            Self::AppVersion(app, version) => app_version_id(app, *version).to_vec(),
            Self::Instance(id) | Self::UsedEvidence(id) | Self::Grant(id) | Self::Log(id) | Self::Metadata(id) => {
                id.0.to_vec()
            }
            Self::Account(account) => account.0.to_vec(),
            Self::Deny(app, kind, subject) => deny_id(app, *kind, subject),
            Self::Anchor(instance, index) => anchor_id(instance, *index).to_vec(),
            Self::Collateral(kind, key) => collateral_id(*kind, key),
            Self::CallDataKey(epoch) => call_data_key_id(*epoch).to_vec(),
            Self::StateKeyStatus => STATE_KEY_STATUS_ID.to_vec(),
            Self::Governor => GOVERNOR_ID.to_vec(),
            Self::Tier(tier) => tier_id(*tier).to_vec(),
            Self::KeyContext(app, context) => key_context_id(app, context),
            Self::Master(generation) => master_id(*generation).to_vec(),
            Self::Committee(term) | Self::Masters(term) => term_id(*term).to_vec(),
            Self::Lease(app, name) | Self::Counters(app, name) => lease_id(app, name),
        }
    }

    /// Storage slot of the entry in its module.
    pub fn slot(&self) -> [u8; 32] {
        entry_slot(self.kind(), &self.id())
    }
}

/// Checks that the state under `header` holds the entry `content` at `key`, and decodes it.
///
/// # Errors
/// Every [`EntryError`] but [`EntryError::Present`].
pub fn verify_entry<T: Canonical>(
    header: &VerifiedHeader,
    key: &EntryKey,
    proof: &[u8],
    content: &[u8],
) -> Result<T, EntryError> {
    let digest = verify_storage(header, &key.module(), &key.slot(), proof)?.ok_or(EntryError::Absent)?;
    check_content(&digest, content)?;
    Ok(T::from_canonical(content)?)
}

/// Checks that the state under `header` holds no entry at `key`.
///
/// # Errors
/// [`EntryError::State`], [`EntryError::Present`].
pub fn verify_absent_entry(header: &VerifiedHeader, key: &EntryKey, proof: &[u8]) -> Result<(), EntryError> {
    match verify_storage(header, &key.module(), &key.slot(), proof)? {
        None => Ok(()),
        Some(_) => Err(EntryError::Present),
    }
}

/// Checks content against the digest that names it.
pub(crate) fn check_content(digest: &Digest, content: &[u8]) -> Result<(), EntryError> {
    if content_digest(content) == *digest { Ok(()) } else { Err(EntryError::Content) }
}
