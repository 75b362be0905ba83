//! Intel TDX: quotes of version 4 and 5 (TD 1.0, 1.5 and 1.5ex bodies).
//!
//! [`claims`] establishes what the evidence says, by our own canonical reading of its bytes and by `dcap-qvl`;
//! [`judge`] applies our policy.

mod policy;

use freehold_primitives::{Digest, PlatformFamily, Register, TdxForm, TdxMeasurement, TrustRoot, UnixSeconds};

pub use self::policy::judge;
pub(crate) use self::policy::within;
pub use crate::dcap::{VerifiedDcapCollateral, canonicalise};
use crate::{
    claims::claims_struct,
    dcap::{self, CanonicalQuote, DcapClaims, Form, Outline, Tee},
    refusal::Refusal,
};

claims_struct! {
    /// What a verified TD says.
    pub struct TdxClaims {
        /// Version and body of the quote.
        copy form: TdxForm,
        /// TD attributes; bit 0 is DEBUG.
        copy attributes: u64,
        /// XFAM, the TD's extended features.
        copy xfam: u64,
        /// SVNs of the TDX module and its loader, as the TD was launched.
        copy tee_tcb_svn: [u8; 16],
        /// MRSEAM, measurement of the TDX module.
        copy mr_seam: Register,
        /// MRSIGNERSEAM, signer of the TDX module; zero is Intel.
        copy mr_signer_seam: Register,
        /// MRCONFIGID.
        copy mr_config_id: Register,
        /// MROWNER.
        copy mr_owner: Register,
        /// MROWNERCONFIG.
        copy mr_owner_config: Register,
        /// MRSERVICETD: hash of the service TDs bound at creation; `None` in a TD 1.0 body, which has none.
        copy mr_service_td: Option<Register>,
        /// Hash of the service TDs bound now; `None` but in a TD 1.5ex body.
        copy service_td_hash: Option<Register>,
        /// The TD's own id, kept across migration; `None` but in a TD 1.5ex body.
        copy td_id: Option<Digest>,
        /// SHA-256 of header and body.
        copy signed_part_digest: Digest,
        --
        /// The platform.
        whole platform: DcapClaims,
        /// The TD's registers; every optional one is present.
        whole measurement: TdxMeasurement,
        /// The 64 bytes that the TD asked to be signed.
        whole report_data: [u8; 64],
    }
}

/// Verifies a quote under the root that its chain ends in, without any policy.
///
/// A TD that can be debugged or profiled, is migratable, sets reserved bits or leaves `SEPT_VE_DISABLE` clear is refused
/// here already, whatever a policy says.
///
/// # Errors
/// Any [`Refusal`]; of class policy only [`Refusal::PolicyDebug`] and [`Refusal::PolicyTdAttributes`].
pub fn claims(
    evidence: &[u8],
    collateral: &[u8],
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
) -> Result<TdxClaims, Refusal> {
    let (quote, form) = read(evidence)?;
    let verified = dcap::verify(&quote, collateral, roots, now_unix_s)?;
    let report = verified.report.as_td10().ok_or(Refusal::KindMismatch)?;
    let td15ex = verified.report.as_td15_ex();
    Ok(TdxClaims {
        form,
        attributes: u64::from_le_bytes(report.td_attributes),
        xfam: u64::from_le_bytes(report.xfam),
        tee_tcb_svn: report.tee_tcb_svn,
        mr_seam: Register(report.mr_seam),
        mr_signer_seam: Register(report.mr_signer_seam),
        mr_config_id: Register(report.mr_config_id),
        mr_owner: Register(report.mr_owner),
        mr_owner_config: Register(report.mr_owner_config),
        mr_service_td: verified.report.as_td15().map(|report| Register(report.mr_service_td)),
        service_td_hash: td15ex.map(|report| Register(report.cur_service_td_hash)),
        td_id: td15ex.map(|report| Digest(report.td_id)),
        signed_part_digest: quote.signed_part_digest(),
        measurement: measurement(&quote),
        report_data: report.report_data,
        platform: verified.platform,
    })
}

/// Verifies DCAP collateral for TDX, without a quote.
///
/// # Errors
/// Any [`Refusal`] but those of evidence and policy.
pub fn read_collateral(
    document: &[u8],
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
) -> Result<VerifiedDcapCollateral, Refusal> {
    dcap::read_collateral(Tee::Tdx, document, roots, now_unix_s)
}

fn read(evidence: &[u8]) -> Result<(CanonicalQuote<'_>, TdxForm), Refusal> {
    let quote = dcap::read(evidence)?;
    match quote.form() {
        Form::Tdx(form) => Ok((quote, form)),
        Form::Sgx => Err(Refusal::KindMismatch),
    }
}

/// The registers that a quote shows, all present.
fn measurement(quote: &CanonicalQuote<'_>) -> TdxMeasurement {
    TdxMeasurement {
        mrtd: quote.register(136),
        rtmr0: Some(quote.register(328)),
        rtmr1: Some(quote.register(376)),
        rtmr2: Some(quote.register(424)),
        rtmr3: Some(quote.register(472)),
    }
}

claims_struct! {
    /// What a quote in canonical form says of itself; nothing of it is verified.
    pub struct UnverifiedTdx {
        /// Version and body of the quote.
        copy form: TdxForm,
        /// FMSPC that it claims.
        copy family: PlatformFamily,
        /// SHA-256 of the PPID that it claims.
        copy platform: Digest,
        /// SHA-256 of header and body.
        copy signed_part_digest: Digest,
        --
        /// The registers that it claims, all present.
        whole measurement: TdxMeasurement,
        /// The 64 bytes that it claims to bind.
        whole report_data: [u8; 64],
        /// The root certificate that its chain ends in, DER.
        whole root_certificate: Vec<u8>,
    }
}

impl UnverifiedTdx {
    /// Reads a quote in canonical form.
    ///
    /// # Errors
    /// Refusals of class invalid.
    pub fn read(evidence: &[u8]) -> Result<Self, Refusal> {
        let (quote, form) = read(evidence)?;
        let Outline { family, platform } = quote.outline()?;
        Ok(Self {
            form,
            family,
            platform,
            signed_part_digest: quote.signed_part_digest(),
            measurement: measurement(&quote),
            report_data: quote.field(520),
            root_certificate: quote.chain[2].clone(),
        })
    }
}
