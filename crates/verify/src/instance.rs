//! A live instance: whether it may be asked, before anything secret is said to it.
//!
//! The same rules as the links `keyset`, `quote` and `registration` of a proof, with a nonce of the caller's instead of a
//! block's hash, and the app's policy as it is now. Whether the header is recent is the caller's to judge.

use freehold_attestation::{Evidence, Refusal, verify};
use freehold_crypto::{content_digest, keyset_digest, report_data};
use freehold_primitives::{
    AppId, Digest, Ed25519Key, Genesis, Keyset, TrustDomain, UnixSeconds, X25519Key,
    entries::{AppEntry, DenyEntry, DenySubject, InstanceEntry},
};
use thiserror::Error;

use crate::light::VerifiedHeader;

/// What is known of an instance that is to be asked.
#[derive(Debug, Clone, Copy)]
pub struct InstanceClaim<'a> {
    /// Its keyset, as it says.
    pub keyset: &'a Keyset,
    /// Its quote for [`InstanceClaim::nonce`].
    pub quote: &'a [u8],
    /// The caller's nonce.
    pub nonce: &'a Digest,
    /// The collateral documents that the entry names, in its order.
    pub collateral: &'a [&'a [u8]],
    /// The genesis whose hash the header's certificate covers.
    pub genesis: &'a Genesis,
    /// The header under which both entries were proven.
    pub header: &'a VerifiedHeader,
    /// The instance entry.
    pub instance: &'a InstanceEntry,
    /// The entry of its app, as it is now.
    pub app: &'a AppEntry,
    /// The chain's own deny entries that name what the instance stands on, as far as there are any.
    pub denied: &'a [DenyEntry],
}

/// Why an instance is not to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InstanceError {
    /// A text or list of the keyset is outside its bounds.
    #[error("the instance's keyset is not well-formed")]
    KeysetForm,
    /// The chain recorded another keyset for this instance.
    #[error("the chain recorded another keyset for this instance")]
    OtherKeyset,
    /// The entries do not belong together.
    #[error("the entry of another app was given")]
    OtherApp,
    /// The registration was closed.
    #[error("the instance's registration was closed at height {0}")]
    Closed(u64),
    /// The app was closed.
    #[error("the app was closed at height {0}")]
    AppClosed(u64),
    /// The chain denies what the instance stands on.
    #[error("the chain denies what the instance stands on: its {0}")]
    Denied(DenySubject),
    /// The lease or the keyset has ended.
    #[error("the instance's lease or keyset ended at {0}")]
    Expired(UnixSeconds),
    /// The chain judged by other collateral.
    #[error("the collateral is not the one that the chain judged by")]
    OtherCollateral,
    /// The evidence is refused.
    #[error("the instance's evidence is refused with code {code}: {0}", code = .0.code())]
    Evidence(Refusal),
    /// The quote is for another keyset or another nonce.
    #[error("the instance's quote binds another keyset or another nonce")]
    ReportData,
    /// The quote shows other code than the chain recorded.
    #[error("the instance's quote shows another measurement than the chain recorded")]
    OtherMeasurement,
}

/// An instance that may be asked; made only by [`verify_instance`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedInstance {
    instance_id: Digest,
    app_id: AppId,
    trust_domain: TrustDomain,
    tier: u8,
    hpke_key: X25519Key,
    receipt_key: Ed25519Key,
    keyset_digest: Digest,
    expires_at: UnixSeconds,
}

impl VerifiedInstance {
    /// Its id.
    pub const fn instance_id(&self) -> Digest {
        self.instance_id
    }
    /// App it is an instance of.
    pub const fn app_id(&self) -> AppId {
        self.app_id
    }
    /// Trust domain of its evidence.
    pub const fn trust_domain(&self) -> TrustDomain {
        self.trust_domain
    }
    /// Highest tier of the chain that its evidence satisfied at registration; 0 for none.
    pub const fn tier(&self) -> u8 {
        self.tier
    }
    /// Key to encrypt to.
    pub const fn hpke_key(&self) -> X25519Key {
        self.hpke_key
    }
    /// Key that signs its receipts.
    pub const fn receipt_key(&self) -> Ed25519Key {
        self.receipt_key
    }
    /// Digest of its keyset, which its receipts name.
    pub const fn keyset_digest(&self) -> Digest {
        self.keyset_digest
    }
    /// Unix seconds at which its lease ends.
    pub const fn expires_at(&self) -> UnixSeconds {
        self.expires_at
    }
}

/// Judges an instance as of a header.
///
/// # Errors
/// Every [`InstanceError`].
pub fn verify_instance(claim: &InstanceClaim<'_>) -> Result<VerifiedInstance, InstanceError> {
    let InstanceClaim { keyset, instance, app, header, .. } = claim;
    if !keyset.is_well_formed() {
        return Err(InstanceError::KeysetForm);
    }
    let keyset_digest = keyset_digest(keyset);
    if (instance.instance_id, instance.keyset_digest) != (keyset.subject, keyset_digest) {
        return Err(InstanceError::OtherKeyset);
    }
    if app.app_id != instance.app_id {
        return Err(InstanceError::OtherApp);
    }
    if let Some(height) = instance.closed_at {
        return Err(InstanceError::Closed(height));
    }
    if let Some(height) = app.closed_at {
        return Err(InstanceError::AppClosed(height));
    }
    if let Some(entry) = claim.denied.iter().find(|entry| entry.stands(instance.tcb_level.as_ref())) {
        return Err(InstanceError::Denied(entry.subject_kind));
    }
    let ends = instance.expires_at.min(keyset.not_after);
    if header.time_unix_s() > ends {
        return Err(InstanceError::Expired(ends));
    }
    let collateral = claim.collateral.iter().map(|document| content_digest(document));
    if !collateral.eq(instance.collateral_digests.iter().copied()) {
        return Err(InstanceError::OtherCollateral);
    }
    let roots = &claim.genesis.trust_roots;
    let policy = &app.policy.evidence;
    let evidence = Evidence { kind: instance.evidence_kind, bytes: claim.quote, collateral: claim.collateral };
    let claims = verify(&evidence, roots, policy, header.time_unix_s()).map_err(InstanceError::Evidence)?;
    if *claims.report_data() != report_data(&keyset_digest, Some(claim.nonce)) {
        return Err(InstanceError::ReportData);
    }
    if *claims.measurement() != instance.measurement || claims.trust_domain() != instance.trust_domain {
        return Err(InstanceError::OtherMeasurement);
    }
    Ok(VerifiedInstance {
        instance_id: instance.instance_id,
        app_id: instance.app_id,
        trust_domain: claims.trust_domain(),
        tier: instance.tier,
        hpke_key: keyset.hpke_key,
        receipt_key: keyset.receipt_key,
        keyset_digest,
        expires_at: ends,
    })
}
