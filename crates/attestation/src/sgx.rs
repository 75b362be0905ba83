//! Intel SGX: quotes of version 3.
//!
//! [`claims`] establishes what the evidence says, by our own canonical reading of its bytes and by `dcap-qvl`;
//! [`judge`] applies our policy. SGX bodies in quotes of version 4 and 5 are refused: `dcap-qvl` verifies none.

mod policy;

use freehold_primitives::{Digest, PlatformFamily, SgxMeasurement, TrustRoot, UnixSeconds};

pub use self::policy::judge;
pub use crate::dcap::{VerifiedDcapCollateral, canonicalise};
use crate::{
    claims::claims_struct,
    dcap::{self, CanonicalQuote, DcapClaims, Form, Outline, Tee},
    refusal::Refusal,
};

claims_struct! {
    /// What a verified enclave says. Offsets are those of an SGX report (Intel 325462, volume 3D, §37.16).
    pub struct SgxClaims {
        /// ATTRIBUTES: flags; bit 1 is DEBUG.
        copy attributes: u64,
        /// ATTRIBUTES: XFRM, the enclave's extended features.
        copy xfrm: u64,
        /// MISCSELECT.
        copy misc_select: u32,
        /// CPUSVN of the report.
        copy cpu_svn: [u8; 16],
        /// CONFIGSVN (KSS).
        copy config_svn: u16,
        /// ISVEXTPRODID (KSS).
        copy isv_ext_prod_id: [u8; 16],
        /// ISVFAMILYID (KSS).
        copy isv_family_id: [u8; 16],
        /// SHA-256 of header and body.
        copy signed_part_digest: Digest,
        --
        /// CONFIGID (KSS).
        whole config_id: [u8; 64],
        /// The platform.
        whole platform: DcapClaims,
        /// The enclave.
        whole measurement: SgxMeasurement,
        /// The 64 bytes that the enclave asked to be signed.
        whole report_data: [u8; 64],
    }
}

/// Verifies a quote under the root that its chain ends in, without any policy. An enclave that can be debugged is refused
/// here already.
///
/// # Errors
/// Any [`Refusal`]; of class policy only [`Refusal::PolicyDebug`].
pub fn claims(
    evidence: &[u8],
    collateral: &[u8],
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
) -> Result<SgxClaims, Refusal> {
    let quote = read(evidence)?;
    let verified = dcap::verify(&quote, collateral, roots, now_unix_s)?;
    verified.report.as_sgx().ok_or(Refusal::KindMismatch)?;
    Ok(SgxClaims {
        attributes: u64::from_le_bytes(quote.field(48)),
        xfrm: u64::from_le_bytes(quote.field(56)),
        misc_select: u32::from_le_bytes(quote.field(16)),
        cpu_svn: quote.field(0),
        config_svn: u16::from_le_bytes(quote.field(260)),
        isv_ext_prod_id: quote.field(32),
        isv_family_id: quote.field(304),
        signed_part_digest: quote.signed_part_digest(),
        config_id: quote.field(192),
        measurement: measurement(&quote),
        report_data: quote.field(320),
        platform: verified.platform,
    })
}

/// Verifies DCAP collateral for SGX, without a quote.
///
/// # Errors
/// Any [`Refusal`] but those of evidence and policy.
pub fn read_collateral(
    document: &[u8],
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
) -> Result<VerifiedDcapCollateral, Refusal> {
    dcap::read_collateral(Tee::Sgx, document, roots, now_unix_s)
}

fn read(evidence: &[u8]) -> Result<CanonicalQuote<'_>, Refusal> {
    let quote = dcap::read(evidence)?;
    if quote.form() == Form::Sgx { Ok(quote) } else { Err(Refusal::KindMismatch) }
}

/// The enclave that a quote shows.
fn measurement(quote: &CanonicalQuote<'_>) -> SgxMeasurement {
    SgxMeasurement {
        mr_enclave: Digest(quote.field(64)),
        mr_signer: Digest(quote.field(128)),
        isv_prod_id: u16::from_le_bytes(quote.field(256)),
        isv_svn: u16::from_le_bytes(quote.field(258)),
    }
}

claims_struct! {
    /// What a quote in canonical form says of itself; nothing of it is verified.
    pub struct UnverifiedSgx {
        /// FMSPC that it claims.
        copy family: PlatformFamily,
        /// SHA-256 of the PPID that it claims.
        copy platform: Digest,
        /// SHA-256 of header and body.
        copy signed_part_digest: Digest,
        --
        /// The enclave that it claims.
        whole measurement: SgxMeasurement,
        /// The 64 bytes that it claims to bind.
        whole report_data: [u8; 64],
        /// The root certificate that its chain ends in, DER.
        whole root_certificate: Vec<u8>,
    }
}

impl UnverifiedSgx {
    /// Reads a quote in canonical form.
    ///
    /// # Errors
    /// Refusals of class invalid.
    pub fn read(evidence: &[u8]) -> Result<Self, Refusal> {
        let quote = read(evidence)?;
        let Outline { family, platform } = quote.outline()?;
        Ok(Self {
            family,
            platform,
            signed_part_digest: quote.signed_part_digest(),
            measurement: measurement(&quote),
            report_data: quote.field(320),
            root_certificate: quote.chain[2].clone(),
        })
    }
}
