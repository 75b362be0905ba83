//! What Intel's TEEs have in common: quotes in canonical form, collateral, and the claims about the platform.
//!
//! The formats are verified by `dcap-qvl` (pinned exactly, RustCrypto backend named, no policy of its own); what it
//! leaves open is ours. Here nothing is specific to TDX or SGX: [`crate::tdx`] and [`crate::sgx`] are built on this.

mod chain;
mod collateral;
mod fault;
mod json;
mod policy;
mod quote;

use dcap_qvl::{PckCertFlag, QuoteClaims, QuotePolicy, configs::RustCryptoConfig, verify::QuoteVerifier};
use freehold_primitives::{Digest, PlatformFamily, TcbStatus, TrustDomain, TrustRoot, UnixSeconds};
use sha2::{Digest as _, Sha256};

pub(crate) use self::{
    chain::write as write_pem,
    collateral::{Tee, read as read_collateral},
    json::{repeats_no_name, unix_seconds},
    policy::judge,
    quote::{CanonicalQuote, Form, Outline, read},
};
pub use self::{
    collateral::{
        CERTIFICATE_CHAIN_BYTES_MAX, COLLATERAL_BYTES_MAX, COLLATERAL_JSON_BYTES_MAX, CollateralDocument,
        REVOCATION_LIST_BYTES_MAX, VerifiedDcapCollateral,
    },
    quote::{QUOTE_BYTES_MAX, canonicalise},
};
use crate::{claims::claims_struct, refusal::Refusal};

claims_struct! {
    /// What verified DCAP evidence says about the platform it comes from.
    pub struct DcapClaims {
        /// Trust domain of the root under which the evidence verified.
        copy trust_domain: TrustDomain,
        /// TCB status: platform, TDX module and quoting enclave taken together.
        copy tcb_status: TcbStatus,
        /// Unix seconds of the TCB date that the status counts from: the oldest of the matched levels.
        copy tcb_date_unix_s: UnixSeconds,
        /// SHA-256 of the platform's PPID.
        copy platform: Digest,
        /// FMSPC.
        copy family: PlatformFamily,
        /// SGX type of the PCK certificate: 0 standard, 1 scalable, 2 scalable with integrity.
        copy sgx_type: u8,
        /// Instance id of a platform of several packages.
        copy platform_instance_id: Option<[u8; 16]>,
        /// Whether packages may be added later; `None` where the certificate does not say.
        copy dynamic_platform: Option<bool>,
        /// Whether Intel's registration service caches the platform's root keys; `None` where the certificate does not say.
        copy cached_keys: Option<bool>,
        /// Whether several threads run a core; `None` where the certificate does not say.
        copy smt: Option<bool>,
        /// CPUSVN of the PCK certificate.
        copy cpu_svn: [u8; 16],
        /// PCESVN of the PCK certificate.
        copy pce_svn: u16,
        /// ISVSVN of the quoting enclave.
        copy quoting_enclave_svn: u16,
        /// Smaller TCB evaluation data number of TCB info and QE identity.
        copy tcb_evaluation_data_number: u32,
        /// Number of the root's revocation list.
        copy root_crl_number: u32,
        /// Number of the PCK CA's revocation list.
        copy pck_crl_number: u32,
        /// Unix seconds of the earliest end of validity among all collateral and certificates used.
        copy expires_at: UnixSeconds,
        --
        /// Advisories that the platform still carries.
        whole advisories: Vec<String>,
    }
}

/// `dcap-qvl` alone, without any check of ours: the peer that our own figures are measured against. It judges nothing;
/// whoever wants a verdict takes [`crate::verify`].
pub struct BareDcap {
    root: Vec<u8>,
    collateral: dcap_qvl::QuoteCollateralV3,
}

impl BareDcap {
    /// Takes a collateral document and a root certificate, DER.
    ///
    /// # Errors
    /// Those of [`CollateralDocument::read`].
    pub fn new(collateral: &[u8], root: Vec<u8>) -> Result<Self, Refusal> {
        Ok(Self { root, collateral: CollateralDocument::read(collateral)?.into_dcap() })
    }

    /// Verifies a quote as `dcap-qvl` does with claims only.
    ///
    /// # Errors
    /// [`Refusal::OtherInvalid`], whatever it is.
    pub fn verify(&self, quote: &[u8], now_unix_s: UnixSeconds) -> Result<(), Refusal> {
        QuoteVerifier::<RustCryptoConfig>::new_with_config(self.root.clone())
            .verify_with_policy(quote, self.collateral.clone(), now_unix_s, &QuotePolicy::claims_only(now_unix_s))
            .map(|_| ())
            .map_err(|_| Refusal::OtherInvalid)
    }
}

/// A quote that verified: what it says about the platform, and the signed report.
pub(crate) struct Verified {
    pub(crate) platform: DcapClaims,
    pub(crate) report: dcap_qvl::quote::Report,
}

/// Verifies a canonical quote under the root that its chain ends in, without any policy.
pub(crate) fn verify(
    quote: &CanonicalQuote<'_>,
    collateral: &[u8],
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
) -> Result<Verified, Refusal> {
    let root = root_of(&quote.chain[2], roots)?;
    let document = CollateralDocument::read(collateral)?;
    let verified = QuoteVerifier::<RustCryptoConfig>::new_with_config(root.certificate.0.clone())
        // Service TDs are our policy's to judge: it can name the ones it accepts.
        .allow_service_td(true)
        .verify_with_policy(quote.bytes(), document.into_dcap(), now_unix_s, &QuotePolicy::claims_only(now_unix_s))
        .map_err(|error| {
            let texts: Vec<String> = error.chain().map(ToString::to_string).collect();
            fault::refusal(&texts, error.downcast_ref::<webpki::Error>())
        })?;
    // A revocation list's own date is not looked at there.
    if now_unix_s < verified.latest_issue_date {
        return Err(Refusal::CollateralNotYetValid);
    }
    // Dates end inclusively here and exclusively there in what was checked; ours end before the earliest of them.
    if now_unix_s >= verified.earliest_expiration_date {
        return Err(Refusal::CollateralExpired);
    }
    Ok(Verified { platform: platform_claims(&verified, root.domain)?, report: verified.report })
}

/// The root of trust for DCAP evidence that is this very certificate.
pub(crate) fn root_of<'a>(certificate: &[u8], roots: &'a [TrustRoot]) -> Result<&'a TrustRoot, Refusal> {
    roots
        .iter()
        .filter(|root| matches!(root.domain, TrustDomain::Intel | TrustDomain::Emulated))
        .find(|root| root.certificate.0 == certificate)
        .ok_or(Refusal::UnknownRoot)
}

fn platform_claims(verified: &QuoteClaims, trust_domain: TrustDomain) -> Result<DcapClaims, Refusal> {
    let (platform, pck) = (&verified.platform, &verified.platform.pck);
    let date = |text: &str| json::unix_seconds(text).ok_or(Refusal::CollateralJson);
    let mut tcb_date_unix_s = platform.tcb_date_tag;
    let mut advisories = verified.tcb.advisory_ids.clone();
    if verified.qe.tcb_level.tcb_status != dcap_qvl::TcbStatus::UpToDate {
        tcb_date_unix_s = tcb_date_unix_s.min(date(&verified.qe.tcb_level.tcb_date)?);
    }
    // A TD 1.5 was launched under one level of the module and runs under another: both count.
    if let Some(current) = &platform.current_tcb_level {
        tcb_date_unix_s = tcb_date_unix_s.min(date(&current.tcb_date)?);
        advisories.extend(current.advisory_ids.iter().cloned());
    }
    advisories.sort();
    advisories.dedup();
    Ok(DcapClaims {
        trust_domain,
        tcb_status: status(verified.tcb.status),
        tcb_date_unix_s,
        platform: platform_digest(&pck.ppid),
        family: PlatformFamily(pck.fmspc),
        sgx_type: pck.sgx_type,
        platform_instance_id: pck.platform_instance_id,
        dynamic_platform: flag(pck.dynamic_platform),
        cached_keys: flag(pck.cached_keys),
        smt: flag(pck.smt_enabled),
        cpu_svn: pck.cpu_svn,
        pce_svn: pck.pce_svn,
        quoting_enclave_svn: verified.qe.report.isv_svn,
        tcb_evaluation_data_number: verified.tcb.eval_data_number,
        root_crl_number: platform.root_ca_crl_num,
        pck_crl_number: platform.pck_crl_num,
        expires_at: verified.earliest_expiration_date,
        advisories,
    })
}

/// How entries and policies name a platform.
pub(crate) fn platform_digest(ppid: &[u8]) -> Digest {
    Digest(Sha256::digest(ppid).into())
}

const fn flag(flag: PckCertFlag) -> Option<bool> {
    match flag {
        PckCertFlag::True => Some(true),
        PckCertFlag::False => Some(false),
        PckCertFlag::Undefined => None,
    }
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
