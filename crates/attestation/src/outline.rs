//! What evidence *says*, before anything in it is verified: for cheap checks that come first, and for whoever needs to
//! find the right collateral.

use freehold_primitives::{
    Digest, EvidenceKind, Measurement, PlatformFamily, SnpMeasurement, TrustDomain,
    entries::{CollateralKind, collateral_key},
};

use crate::{
    claims::claims_struct, evidence::read_bundle, nitro::UnverifiedNitro, nvidia::UnverifiedNvidia, refusal::Refusal,
    sgx::UnverifiedSgx, snp::UnverifiedSnp, tdx::UnverifiedTdx,
};

claims_struct! {
    /// What evidence in canonical form says of itself; nothing of it is verified.
    pub struct UnverifiedEvidence {
        /// Platform family that it claims to be of; of the primary in a bundle.
        copy family: PlatformFamily,
        /// The platform that it claims to be.
        copy platform: Digest,
        /// SHA-256 of the bytes that are said to be signed.
        copy signed_part_digest: Digest,
        --
        /// The 64 bytes that it claims to bind.
        whole report_data: [u8; 64],
        /// What it claims to run.
        whole measurement: Measurement,
        /// The root certificate that its chain ends in, DER; `None` where the evidence does not carry it.
        whole root_certificate: Option<Vec<u8>>,
    }
}

impl UnverifiedEvidence {
    /// Reads evidence of a kind, in canonical form.
    ///
    /// # Errors
    /// Refusals of class invalid.
    pub fn read(kind: EvidenceKind, evidence: &[u8]) -> Result<Self, Refusal> {
        match kind {
            EvidenceKind::Tdx => UnverifiedTdx::read(evidence).map(Into::into),
            EvidenceKind::Sgx => UnverifiedSgx::read(evidence).map(Into::into),
            EvidenceKind::Bundle => {
                let bundle = read_bundle(evidence)?;
                Self::read(bundle.primary_kind, &bundle.primary.0)
            }
            EvidenceKind::Snp => UnverifiedSnp::read(evidence).map(Into::into),
            EvidenceKind::Nitro => Self::read_nitro(evidence),
            EvidenceKind::Nvidia => Err(Refusal::EvidenceKind),
        }
    }

    fn read_nitro(evidence: &[u8]) -> Result<Self, Refusal> {
        let outline = UnverifiedNitro::read(evidence)?;
        Ok(Self {
            family: PlatformFamily(outline.family()),
            platform: outline.platform(),
            signed_part_digest: outline.signed_part_digest(),
            report_data: outline.report_data()?,
            measurement: outline.document().measurement().into(),
            root_certificate: Some(outline.root_certificate().to_vec()),
        })
    }
}

impl From<UnverifiedSnp> for UnverifiedEvidence {
    fn from(outline: UnverifiedSnp) -> Self {
        let report = outline.report();
        let measurement = SnpMeasurement { measurement: report.measurement(), host_data: Some(report.host_data()) };
        Self {
            family: PlatformFamily(outline.family()),
            platform: outline.platform(),
            signed_part_digest: outline.signed_part_digest(),
            report_data: outline.report_data(),
            measurement: measurement.into(),
            root_certificate: None,
        }
    }
}

/// Which collateral judges evidence: kind and key of each document, in the order of
/// [`Evidence::collateral`](crate::Evidence::collateral). `stated` is what the registration says of the primary; its
/// GPUs are of the same world, emulated or hardware.
///
/// # Errors
/// Refusals of class invalid.
pub fn collateral_wanted(
    kind: EvidenceKind,
    evidence: &[u8],
    stated: (TrustDomain, PlatformFamily),
) -> Result<Vec<(CollateralKind, Vec<u8>)>, Refusal> {
    let (domain, family) = stated;
    let key = collateral_key(domain, &family).to_vec();
    if let Some(own) = CollateralKind::of(kind) {
        return Ok(vec![(own, key)]);
    }
    let bundle = read_bundle(evidence)?;
    let own = CollateralKind::of(bundle.primary_kind).ok_or(Refusal::BundleFormat)?;
    let mut wanted = vec![(own, key)];
    for gpu in &bundle.gpus {
        let gpu = UnverifiedNvidia::read(&gpu.0)?;
        let domain = if domain == TrustDomain::Emulated { domain } else { TrustDomain::Nvidia };
        wanted.push((CollateralKind::Nvidia, gpu_collateral_key(domain, &gpu.authority())));
    }
    Ok(wanted)
}

/// Key of collateral for GPUs: trust domain (1 byte), SHA-256 of the provisioner's certificate.
pub(crate) fn gpu_collateral_key(domain: TrustDomain, authority: &Digest) -> Vec<u8> {
    [&[domain as u8][..], authority.as_bytes()].concat()
}

impl From<UnverifiedTdx> for UnverifiedEvidence {
    fn from(outline: UnverifiedTdx) -> Self {
        Self {
            family: outline.family,
            platform: outline.platform,
            signed_part_digest: outline.signed_part_digest,
            report_data: outline.report_data,
            measurement: Measurement::Tdx(outline.measurement),
            root_certificate: Some(outline.root_certificate),
        }
    }
}

impl From<UnverifiedSgx> for UnverifiedEvidence {
    fn from(outline: UnverifiedSgx) -> Self {
        Self {
            family: outline.family,
            platform: outline.platform,
            signed_part_digest: outline.signed_part_digest,
            report_data: outline.report_data,
            measurement: Measurement::Sgx(outline.measurement),
            root_certificate: Some(outline.root_certificate),
        }
    }
}
