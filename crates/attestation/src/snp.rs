//! AMD SEV-SNP: attestation reports of versions 2 to 5 from Milan, Genoa and Turin, signed by VCEKs and VLEKs.
//!
//! Evidence is the report (1184 bytes) and behind it the DER certificate of the key that signed it. Two steps, as for
//! every kind: [`claims`] establishes what the evidence says, over the raw bytes and under a pinned root (ARK);
//! [`judge`] applies a policy. Turin, reports of versions 4 and 5 and revocation lists have met only emulated evidence
//! here; what has met hardware's stands in `tests/snp.rs`.

mod collateral;
mod endorsement;
mod policy;
mod report;
mod table;

use freehold_primitives::{Digest, SnpMeasurement, SnpProduct, TrustDomain, TrustRoot, UnixSeconds};
use sha2::{Digest as _, Sha256};

use self::endorsement::{Endorsement, Holder};
pub use self::{
    collateral::{SNP_COLLATERAL_BYTES_MAX, SnpCollateralDocument, VerifiedSnpCollateral},
    policy::{
        SNP_GUEST_CIPHERTEXT_HIDING, SNP_GUEST_CXL_ALLOW, SNP_GUEST_DEBUG, SNP_GUEST_MEM_AES_256_XTS,
        SNP_GUEST_MIGRATE_MA, SNP_GUEST_PAGE_SWAP_DISABLE, SNP_GUEST_RAPL_DIS, SNP_GUEST_SINGLE_SOCKET, SNP_GUEST_SMT,
        SNP_PLATFORM_ALIAS_CHECK, SNP_PLATFORM_CIPHERTEXT_HIDING, SNP_PLATFORM_ECC, SNP_PLATFORM_RAPL_DIS,
        SNP_PLATFORM_SMT, SNP_PLATFORM_TIO, SNP_PLATFORM_TSME, judge, snp_default_policy,
    },
    report::{SNP_REPORT_BYTES, SnpCpu, SnpFirmware, SnpReport},
    table::{SNP_TABLE_BYTES_MAX, SnpCertificateTable},
};
use crate::{
    certificate::{CERTIFICATE_BYTES_MAX, Certificate, PublicKey, Revocation, Signatures},
    refusal::Refusal,
};

/// Longest evidence, in bytes.
pub const SNP_EVIDENCE_BYTES_MAX: usize = SNP_REPORT_BYTES + CERTIFICATE_BYTES_MAX;

/// Evidence in canonical form; nothing in it is verified.
struct Canonical<'a> {
    report: SnpReport,
    certificate: Certificate<'a>,
}

fn read(evidence: &[u8]) -> Result<Canonical<'_>, Refusal> {
    let (report, certificate) = split(evidence)?;
    Ok(Canonical {
        report: SnpReport::read(report)?,
        certificate: Certificate::read(certificate).ok_or(Refusal::SnpEndorsement)?,
    })
}

fn split(evidence: &[u8]) -> Result<(&[u8; SNP_REPORT_BYTES], &[u8]), Refusal> {
    if evidence.len() > SNP_EVIDENCE_BYTES_MAX {
        return Err(Refusal::EvidenceTooLong);
    }
    match evidence.split_first_chunk::<SNP_REPORT_BYTES>() {
        Some((report, certificate)) if !certificate.is_empty() => Ok((report, certificate)),
        _ => Err(Refusal::EvidenceTruncated),
    }
}

/// Brings a report as the firmware gives it, and the certificate of its key, into canonical evidence: `s` of the
/// signature in its lower half. What was signed does not change.
///
/// # Errors
/// Refusals of class invalid where there is no canonical form.
pub fn canonicalise(report: &[u8], certificate: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut evidence = match report.len().cmp(&SNP_REPORT_BYTES) {
        core::cmp::Ordering::Less => return Err(Refusal::EvidenceTruncated),
        core::cmp::Ordering::Greater => return Err(Refusal::EvidenceTrailing),
        core::cmp::Ordering::Equal => report.to_vec(),
    };
    if let Some(report) = evidence.first_chunk_mut::<SNP_REPORT_BYTES>() {
        report::canonicalise(report)?;
    }
    evidence.extend(certificate);
    read(&evidence)?;
    Ok(evidence)
}

/// Checks the form of a report whose certificate is not known.
pub(crate) fn check_report(report: &[u8]) -> Result<(), Refusal> {
    let mut bytes: [u8; SNP_REPORT_BYTES] = report.try_into().map_err(|_| {
        if report.len() < SNP_REPORT_BYTES { Refusal::EvidenceTruncated } else { Refusal::EvidenceTrailing }
    })?;
    report::canonicalise(&mut bytes)?;
    SnpReport::read(&bytes).map(|_| ())
}

/// What canonical evidence *says*, before anything in it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedSnp {
    report: SnpReport,
    product: SnpProduct,
    platform: Digest,
}

impl UnverifiedSnp {
    /// Reads evidence in canonical form.
    ///
    /// # Errors
    /// Refusals of class invalid.
    pub fn read(evidence: &[u8]) -> Result<Self, Refusal> {
        let Canonical { report, certificate } = read(evidence)?;
        let endorsement = Endorsement::read(&certificate, report.signing_key())?;
        let platform = platform(&report, &endorsement.holder);
        Ok(Self { report, product: endorsement.product, platform })
    }

    /// The report that it claims to be.
    pub const fn report(&self) -> &SnpReport {
        &self.report
    }

    /// The 64 bytes that it claims to bind.
    pub fn report_data(&self) -> [u8; 64] {
        self.report.report_data()
    }

    /// The product that its certificate claims.
    pub const fn product(&self) -> SnpProduct {
        self.product
    }

    /// Platform family that names the collateral: product, kind of key, four zeros.
    pub const fn family(&self) -> [u8; 6] {
        [self.product as u8, self.report.signing_key() as u8, 0, 0, 0, 0]
    }

    /// The platform that it claims to be of.
    pub const fn platform(&self) -> Digest {
        self.platform
    }

    /// SHA-256 of the signed part.
    pub fn signed_part_digest(&self) -> Digest {
        self.report.signed_part_digest()
    }
}

/// SHA-256 of the chip id; under a VLEK whose platform hides the id, of the cloud's.
fn platform(report: &SnpReport, holder: &Holder) -> Digest {
    let chip_id = report.chip_id();
    match holder {
        Holder::Cloud(id) if chip_id.iter().all(|byte| *byte == 0) => Digest(Sha256::digest(id).into()),
        _ => Digest(Sha256::digest(chip_id).into()),
    }
}

/// What verified SEV-SNP evidence says. Only [`claims`] and [`claims_accepted`] make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnpClaims {
    trust_domain: TrustDomain,
    report: SnpReport,
    product: SnpProduct,
    platform: Digest,
    cloud: Option<String>,
    expires_at: UnixSeconds,
    revocation: Revocation,
}

/// Verifies evidence under collateral that is verified with it: the whole chain, without any policy.
///
/// # Errors
/// Any [`Refusal`]; of class policy only [`Refusal::PolicyDebug`].
pub fn claims(
    evidence: &[u8],
    collateral: &[u8],
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
) -> Result<SnpClaims, Refusal> {
    let canonical = read(evidence)?;
    let collateral = VerifiedSnpCollateral::verify(collateral, roots, now_unix_s)?;
    verify(canonical, &collateral, now_unix_s)
}

/// As [`claims`], the same verdict, for collateral that consensus accepted before under the same roots: its signatures
/// are not checked again.
///
/// # Errors
/// As [`claims`].
pub fn claims_accepted(
    evidence: &[u8],
    collateral: &[u8],
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
) -> Result<SnpClaims, Refusal> {
    let canonical = read(evidence)?;
    let collateral = VerifiedSnpCollateral::read(collateral, roots, now_unix_s, Signatures::AcceptedBefore)?;
    verify(canonical, &collateral, now_unix_s)
}

fn verify(
    Canonical { report, certificate }: Canonical<'_>,
    collateral: &VerifiedSnpCollateral,
    now_unix_s: UnixSeconds,
) -> Result<SnpClaims, Refusal> {
    let endorsement = Endorsement::read(&certificate, report.signing_key())?;
    if (endorsement.product, report.signing_key()) != (collateral.product(), collateral.signing_key()) {
        return Err(Refusal::PlatformFamily);
    }
    collateral.check_issued(&certificate)?;
    certificate.check_end_entity()?;
    certificate.check_dates(now_unix_s)?;
    endorsement.check_names(&report)?;
    let key = certificate.public_key().filter(|key| matches!(key, PublicKey::P384(_)));
    if !key.ok_or(Refusal::SnpEndorsement)?.signed(report.signed_part(), &report.signature()) {
        return Err(Refusal::SnpSignature);
    }
    if report.guest_policy() & SNP_GUEST_DEBUG != 0 {
        return Err(Refusal::PolicyDebug);
    }
    let platform = platform(&report, &endorsement.holder);
    let cloud = match endorsement.holder {
        Holder::Chip(_) => None,
        Holder::Cloud(id) => Some(id),
    };
    Ok(SnpClaims {
        trust_domain: collateral.trust_domain(),
        product: endorsement.product,
        platform,
        cloud,
        expires_at: collateral.expires_at().min(certificate.not_after()),
        revocation: collateral.revocation(),
        report,
    })
}

impl SnpClaims {
    /// Trust domain of the root under which the evidence verified.
    pub const fn trust_domain(&self) -> TrustDomain {
        self.trust_domain
    }

    /// The verified report.
    pub const fn report(&self) -> &SnpReport {
        &self.report
    }

    /// The launch, as a policy names it.
    pub fn measurement(&self) -> SnpMeasurement {
        SnpMeasurement { measurement: self.report.measurement(), host_data: Some(self.report.host_data()) }
    }

    /// The product.
    pub const fn product(&self) -> SnpProduct {
        self.product
    }

    /// Platform family: product, kind of key, four zeros.
    pub const fn family(&self) -> [u8; 6] {
        [self.product as u8, self.report.signing_key() as u8, 0, 0, 0, 0]
    }

    /// SHA-256 of the 64 bytes of the chip id; under a VLEK whose platform hides the id, of the cloud's id.
    pub const fn platform(&self) -> Digest {
        self.platform
    }

    /// AMD's name for the cloud that the VLEK was given to.
    pub fn cloud(&self) -> Option<&str> {
        self.cloud.as_deref()
    }

    /// Unix seconds of the earliest end of validity of anything used: the first second at which the claims no longer count.
    pub const fn expires_at(&self) -> UnixSeconds {
        self.expires_at
    }

    /// Whether the root's revocation list answered for the intermediate.
    pub const fn revocation(&self) -> Revocation {
        self.revocation
    }

    /// SHA-256 of the signed part: the evidence's single-use identity.
    pub fn signed_part_digest(&self) -> Digest {
        self.report.signed_part_digest()
    }
}
