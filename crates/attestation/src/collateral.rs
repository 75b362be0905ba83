//! Collateral of every kind as the chain sees it: verified without evidence, with numbers that may not fall.

use freehold_primitives::{
    PlatformFamily, TrustDomain, TrustRoot, UnixSeconds,
    entries::{CollateralKind, collateral_key},
};

use crate::{
    certificate::Revocation,
    claims::claims_struct,
    nitro::VerifiedNitroCollateral,
    nvidia::{self, VerifiedNvidiaCollateral},
    outline::gpu_collateral_key,
    refusal::Refusal,
    sgx,
    snp::VerifiedSnpCollateral,
    tdx,
};

claims_struct! {
    /// What verified collateral says about itself. Only [`read_collateral`] makes it.
    pub struct VerifiedCollateral {
        /// Trust domain of the root that vouches for it.
        copy trust_domain: TrustDomain,
        /// Unix seconds at which its newest statement was issued.
        copy issued_at: UnixSeconds,
        /// Unix seconds of the earliest end of validity in the document: the first second at which it no longer counts.
        copy expires_at: UnixSeconds,
        --
        /// Key within its kind (`spec/collateral.md`).
        whole key: Vec<u8>,
        /// Numbers that may not fall from one document to the next, in the order of `spec/collateral.md`.
        whole numbers: Vec<u64>,
    }
}

/// Verifies a collateral document at `now_unix_s`, without evidence: chains, revocation, signatures, dates, kinds.
///
/// # Errors
/// Any [`Refusal`] but those of evidence and policy.
pub fn read_collateral(
    kind: CollateralKind,
    document: &[u8],
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
) -> Result<VerifiedCollateral, Refusal> {
    match kind {
        CollateralKind::Dcap => tdx::read_collateral(document, roots, now_unix_s).map(Into::into),
        CollateralKind::SgxDcap => sgx::read_collateral(document, roots, now_unix_s).map(Into::into),
        CollateralKind::Snp => VerifiedSnpCollateral::verify(document, roots, now_unix_s).map(Into::into),
        CollateralKind::Nitro => VerifiedNitroCollateral::verify(document, roots, now_unix_s).map(Into::into),
        CollateralKind::Nvidia => nvidia::read_collateral(document, roots, now_unix_s).map(Into::into),
    }
}

/// A document without revocation lists never follows one that had them.
fn listed(revocation: Revocation) -> u64 {
    u64::from(revocation == Revocation::Checked)
}

impl From<VerifiedSnpCollateral> for VerifiedCollateral {
    fn from(verified: VerifiedSnpCollateral) -> Self {
        Self {
            trust_domain: verified.trust_domain(),
            key: collateral_key(verified.trust_domain(), &PlatformFamily(verified.family())).to_vec(),
            issued_at: verified.issued_at(),
            expires_at: verified.expires_at(),
            numbers: vec![listed(verified.revocation()), verified.revocation_number()],
        }
    }
}

impl From<VerifiedNitroCollateral> for VerifiedCollateral {
    fn from(verified: VerifiedNitroCollateral) -> Self {
        Self {
            trust_domain: verified.trust_domain(),
            key: collateral_key(verified.trust_domain(), &PlatformFamily::ZERO).to_vec(),
            issued_at: verified.issued_at(),
            expires_at: verified.expires_at(),
            numbers: vec![listed(verified.revocation()), verified.revocation_number()],
        }
    }
}

impl From<VerifiedNvidiaCollateral> for VerifiedCollateral {
    fn from(verified: VerifiedNvidiaCollateral) -> Self {
        Self {
            trust_domain: verified.trust_domain(),
            issued_at: verified.issued_at(),
            expires_at: verified.expires_at(),
            key: gpu_collateral_key(verified.trust_domain(), &verified.authority()),
            numbers: verified.revocation_numbers().to_vec(),
        }
    }
}
