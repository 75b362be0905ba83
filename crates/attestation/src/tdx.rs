//! Intel TDX: quotes of version 4 and DCAP collateral.
//!
//! Two steps: [`claims`] establishes what the evidence says, by our own canonical reading of its bytes and by
//! `dcap-qvl` (RustCrypto backend named, no policy of its own); [`judge`](crate::judge) applies our policy. Quotes of
//! version 5, SGX and other vendors are not here yet.

mod chain;
mod collateral;
mod fault;
mod json;
mod quote;
mod scalar;

use dcap_qvl::{PckCertFlag, QuoteClaims, QuotePolicy, configs::RustCryptoConfig, verify::QuoteVerifier};
use freehold_primitives::{Digest, EvidencePolicy, Register, TcbStatus, TrustDomain, TrustRoot, UnixSeconds};
use sha2::{Digest as _, Sha256};

pub use self::{
    collateral::{
        CERTIFICATE_CHAIN_BYTES_MAX, COLLATERAL_BYTES_MAX, COLLATERAL_JSON_BYTES_MAX, CollateralDocument,
        REVOCATION_LIST_BYTES_MAX, VerifiedCollateral, read_collateral,
    },
    quote::{UnverifiedQuote, canonicalise},
};
use crate::{claims::VerifiedClaims, policy::judge, refusal::Refusal};

/// Verifies a quote and judges it: [`claims`], then [`judge`].
///
/// `evidence` is a quote in canonical form, `collateral` a [`CollateralDocument`], `now_unix_s` the parent block's time.
///
/// # Errors
/// Any [`Refusal`].
pub fn verify_tdx(
    evidence: &[u8],
    collateral: &[u8],
    roots: &[TrustRoot],
    policy: &EvidencePolicy,
    now_unix_s: UnixSeconds,
) -> Result<VerifiedClaims, Refusal> {
    let claims = claims(evidence, collateral, roots, now_unix_s)?;
    judge(&claims, policy, now_unix_s)?;
    Ok(claims)
}

/// Verifies a quote under the root that its chain ends in, without any policy.
///
/// A TD that can be debugged or profiled, is migratable, is bound to service TDs, sets reserved bits or leaves
/// `SEPT_VE_DISABLE` clear is refused here already, whatever a policy says.
///
/// # Errors
/// Any [`Refusal`]; of class policy only [`Refusal::PolicyDebug`] and [`Refusal::PolicyTdAttributes`].
pub fn claims(
    evidence: &[u8],
    collateral: &[u8],
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
) -> Result<VerifiedClaims, Refusal> {
    let quote = quote::read(evidence)?;
    let root = root_of(&quote.chain[2], roots)?;
    let document = CollateralDocument::read(collateral)?;
    let verified = QuoteVerifier::<RustCryptoConfig>::new_with_config(root.certificate.0.clone())
        .verify_with_policy(evidence, document.into_dcap(), now_unix_s, &QuotePolicy::claims_only(now_unix_s))
        .map_err(|error| {
            let texts: Vec<String> = error.chain().map(ToString::to_string).collect();
            fault::refusal(&texts, error.downcast_ref::<webpki::Error>())
        })?;
    // Dates end inclusively here and exclusively there in what was checked; ours end before the earliest of them.
    if now_unix_s >= verified.earliest_expiration_date {
        return Err(Refusal::CollateralExpired);
    }
    to_claims(&verified, root.domain, quote.signed_part())
}

/// The root of trust for TDX evidence that is this very certificate.
fn root_of<'a>(certificate: &[u8], roots: &'a [TrustRoot]) -> Result<&'a TrustRoot, Refusal> {
    roots
        .iter()
        .filter(|root| matches!(root.domain, TrustDomain::Intel | TrustDomain::Emulated))
        .find(|root| root.certificate.0 == certificate)
        .ok_or(Refusal::UnknownRoot)
}

fn to_claims(verified: &QuoteClaims, domain: TrustDomain, signed_part: &[u8]) -> Result<VerifiedClaims, Refusal> {
    let report = verified.report.as_td10().ok_or(Refusal::QuoteFormat)?;
    let pck = &verified.platform.pck;
    let mut tcb_date_unix_s = verified.platform.tcb_date_tag;
    if verified.qe.tcb_level.tcb_status != dcap_qvl::TcbStatus::UpToDate {
        let date = json::unix_seconds(&verified.qe.tcb_level.tcb_date).ok_or(Refusal::CollateralJson)?;
        tcb_date_unix_s = tcb_date_unix_s.min(date);
    }
    Ok(VerifiedClaims {
        trust_domain: domain,
        measurement: quote::measurement(report),
        tcb_status: status(verified.tcb.status),
        tcb_date_unix_s,
        advisories: verified.tcb.advisory_ids.clone(),
        platform: Digest(Sha256::digest(&pck.ppid).into()),
        fmspc: pck.fmspc,
        report_data: report.report_data,
        td_attributes: u64::from_le_bytes(report.td_attributes),
        xfam: u64::from_le_bytes(report.xfam),
        mr_seam: Register(report.mr_seam),
        expires_at: verified.earliest_expiration_date,
        tcb_evaluation_data_number: verified.tcb.eval_data_number,
        signed_part_digest: Digest(Sha256::digest(signed_part).into()),
        multi_package: [pck.dynamic_platform, pck.cached_keys, pck.smt_enabled].contains(&PckCertFlag::True),
    })
}

const fn status(status: dcap_qvl::TcbStatus) -> TcbStatus {
    use dcap_qvl::TcbStatus as Dcap;
    match status {
        Dcap::UpToDate => TcbStatus::UpToDate,
        Dcap::SWHardeningNeeded => TcbStatus::SwHardeningNeeded,
        Dcap::ConfigurationNeeded => TcbStatus::ConfigurationNeeded,
        Dcap::ConfigurationAndSWHardeningNeeded => TcbStatus::ConfigurationAndSwHardeningNeeded,
        Dcap::OutOfDate => TcbStatus::OutOfDate,
        Dcap::OutOfDateConfigurationNeeded => TcbStatus::OutOfDateConfigurationNeeded,
        Dcap::Revoked => TcbStatus::Revoked,
        Dcap::TDRelaunchAdvised => TcbStatus::TdRelaunchAdvised,
        Dcap::TDRelaunchAdvisedConfigurationNeeded => TcbStatus::TdRelaunchAdvisedConfigurationNeeded,
    }
}
