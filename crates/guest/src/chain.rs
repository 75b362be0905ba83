//! What the guest asks the chain, through a relay that it does not trust: its own registration and whether it stands.
//!
//! Every answer here was checked under a certificate of the network key.

use std::time::Duration;

use freehold_crypto::{ThresholdError, content_digest};
use freehold_primitives::{
    AppId, Digest, Generation, Term,
    entries::{DenyEntry, InstanceEntry},
};
use freehold_rpc::{Checked, VerifiedClient, VerifiedError};
use freehold_verify::EntryKey;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::{
    keys::Identity,
    release::{self, Granted},
    sender::SendError,
    state::{LeaseTerms, StopReason},
};

/// Longest wait for a registration to show on the chain.
const REGISTERED_WAIT: Duration = Duration::from_secs(20);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(100);

/// Why the chain gave not what the guest needs.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum ChainError {
    /// No checked answer.
    #[error(transparent)]
    Unverified(#[from] VerifiedError),
    /// The registration did not show in time.
    #[error("the registration did not show on the chain within {REGISTERED_WAIT:?}")]
    NotRegistered,
    /// The transaction was reverted, the relay says.
    #[error("the chain refused the registration in transaction {0}")]
    Refused(Digest),
    /// A transaction of the instance's own account was not made.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The registration is closed, or has other keys.
    #[error("{}", .0.as_str())]
    Lost(StopReason),
    /// There is no live grant of a context's key.
    #[error("the chain grants this instance no key of the context `{0}`: the app's policy must list it")]
    NoGrant(String),
    /// The chain has no committee of the term whose shares came.
    #[error("the chain has no committee of term {0}, whose key shares came")]
    NoCommittee(Term),
    /// The chain has no such master.
    #[error("the chain has no master of the derivation key of generation {0}, under which the root key is")]
    NoMaster(Generation),
    /// Too few shares came, or wrong ones.
    #[error("the validators' key shares give no root key: {0}")]
    Shares(#[from] ThresholdError),
}

/// Compares an entry with the keys of this boot.
pub(crate) fn own_lease(identity: &Identity, entry: &InstanceEntry) -> Result<LeaseTerms, StopReason> {
    let own = entry.instance_id == identity.instance_id
        && entry.keyset_digest == identity.keyset_digest
        && entry.transport_key == identity.subject.transport_key
        && entry.account == identity.subject.account
        && entry.app_id == identity.subject.app_id
        && entry.provider == identity.subject.provider;
    if !own {
        return Err(StopReason::Foreign);
    }
    if entry.closed_at.is_some() {
        return Err(StopReason::Closed);
    }
    Ok(LeaseTerms { started_at: entry.judged_at_unix_s, expires_at: entry.expires_at, renewed_at: entry.renewed_at })
}

/// Looks at the own registration; `None` where the chain has none.
pub(crate) async fn registration(
    chain: &VerifiedClient,
    identity: &Identity,
) -> Result<Option<(LeaseTerms, Digest)>, ChainError> {
    let Checked { entry, .. } = chain.entry::<InstanceEntry>(&EntryKey::Instance(identity.instance_id)).await?;
    let Some(entry) = entry else { return Ok(None) };
    let terms = own_lease(identity, &entry).map_err(ChainError::Lost)?;
    Ok(Some((terms, entry.evidence_digest)))
}

/// Looks at the own registration and its newest evidence, and whether the chain denies what it stands on; `None` where the
/// chain has none.
pub(crate) async fn standing(
    chain: &VerifiedClient,
    identity: &Identity,
) -> Result<Option<(LeaseTerms, Digest)>, ChainError> {
    let Checked { entry, .. } = chain.entry::<InstanceEntry>(&EntryKey::Instance(identity.instance_id)).await?;
    let Some(entry) = entry else { return Ok(None) };
    let terms = own_lease(identity, &entry).map_err(ChainError::Lost)?;
    let subjects = entry.deny_subjects().into_iter();
    let keys: Vec<EntryKey> = subjects.map(|(kind, subject)| EntryKey::Deny(AppId::CHAIN, kind, subject)).collect();
    let (_, denials) = chain.entries::<DenyEntry>(&keys).await?;
    if denials.iter().flatten().any(|denial| denial.stands(entry.tcb_level.as_ref())) {
        return Err(ChainError::Lost(StopReason::Denied));
    }
    Ok(Some((terms, entry.evidence_digest)))
}

/// What the guest sees once its registration stands.
pub(crate) struct Seen {
    pub(crate) terms: LeaseTerms,
    /// The grants of the root key, where the same look showed them.
    pub(crate) granted: Option<Granted>,
}

/// Waits until the chain shows the registration that this evidence made. The relay's word on the transaction says when
/// to look, and nothing more.
pub(crate) async fn wait_for_registration(
    chain: &VerifiedClient,
    identity: &Identity,
    evidence: &[u8],
    tx_hash: &Digest,
) -> Result<Seen, ChainError> {
    let evidence = content_digest(evidence);
    let end = Instant::now() + REGISTERED_WAIT;
    match chain.node().wait_for_receipt(tx_hash, REGISTERED_WAIT).await {
        Ok(receipt) if receipt.status.0 == 0 => return Err(ChainError::Refused(*tx_hash)),
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "no word on the registration's transaction"),
    }
    loop {
        // Both proofs wait for the same certificate.
        let (look, granted) = tokio::join!(registration(chain, identity), release::granted(chain, identity, 0));
        match look {
            Ok(Some((terms, shown))) if shown == evidence => return Ok(Seen { terms, granted: granted.ok() }),
            Ok(_) => {}
            // A relay that stumbles is asked again.
            Err(ChainError::Unverified(error)) => tracing::debug!(%error, "no checked look at the registration"),
            Err(error) => return Err(error),
        }
        if Instant::now() >= end {
            return Err(ChainError::NotRegistered);
        }
        sleep(POLL).await;
    }
}
