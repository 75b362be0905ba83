//! What verified evidence of one GPU says, and how it is verified (`spec/gpu.md` §1).

use freehold_primitives::{
    Digest, GPU_MEASUREMENTS, GpuArchitecture, GpuMode, Register, TrustDomain, TrustRoot, UnixSeconds,
};
use p384::ecdsa::signature::Verifier as _;
use sha2::{Digest as _, Sha256};

use super::{
    certificate,
    collateral::{self, AUTHORITIES, VerifiedNvidiaCollateral, domain_of, read_collateral},
    evidence::{self, CanonicalEvidence, DEVICE, PROVISIONER, ROOT, sha256},
    opaque::Opaque,
    tcb_info,
};
use crate::{certificate::Signatures, refusal::Refusal};

/// What verified evidence says about one GPU. Only this module makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NvidiaClaims {
    trust_domain: TrustDomain,
    architecture: GpuArchitecture,
    model: String,
    platform: Digest,
    nonce: [u8; 32],
    opaque: Opaque,
    debug: bool,
    measurements: [Register; GPU_MEASUREMENTS],
    revocation_issued_at: Option<UnixSeconds>,
    expires_at: UnixSeconds,
    signed_part_digest: Digest,
}

impl NvidiaClaims {
    /// Trust domain of the root under which the evidence verified.
    pub const fn trust_domain(&self) -> TrustDomain {
        self.trust_domain
    }

    /// Architecture, by the model that NVIDIA's certificate names.
    pub const fn architecture(&self) -> GpuArchitecture {
        self.architecture
    }

    /// Model, such as `GH100`.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Chip, such as `GB202`, where the report says it.
    pub fn chip(&self) -> Option<&str> {
        self.opaque.chip.as_deref()
    }

    /// Platform family: the architecture's number and five zeros.
    pub const fn family(&self) -> [u8; 6] {
        [self.architecture as u8, 0, 0, 0, 0, 0]
    }

    /// SHA-256 of the device identity key (`SubjectPublicKeyInfo`), which firmware cannot change.
    pub const fn platform(&self) -> Digest {
        self.platform
    }

    /// The 32 bytes that the GPU was asked to sign.
    pub const fn nonce(&self) -> &[u8; 32] {
        &self.nonce
    }

    /// Driver version, such as `550.90.07`.
    pub fn driver_version(&self) -> &str {
        &self.opaque.driver_version
    }

    /// VBIOS version, such as `96.00.9F.00.01`.
    pub fn vbios_version(&self) -> &str {
        &self.opaque.vbios_version
    }

    /// Project, project SKU and chip SKU, which name the firmware's RIM file: `1010_0200_882`.
    pub fn board(&self) -> &str {
        &self.opaque.board
    }

    /// How the GPU is shared and connected.
    pub const fn mode(&self) -> GpuMode {
        self.opaque.mode
    }

    /// SHA-384 of the firmware that holds the attestation key, equal in certificate and report.
    pub const fn fwid(&self) -> &[u8; 48] {
        &self.opaque.fwid
    }

    /// Whether the leaf certificate's flags say debug, recovery or not secure. Hopper's certificates have no flags: there
    /// only the measurements tell.
    pub const fn is_debug(&self) -> bool {
        self.debug
    }

    /// Measurements by index, 0 to 63.
    pub const fn measurements(&self) -> &[Register; GPU_MEASUREMENTS] {
        &self.measurements
    }

    /// Unix seconds of the older issue date of the root's and the model's revocation list; `None` unless both were used.
    pub const fn revocation_issued_at(&self) -> Option<UnixSeconds> {
        self.revocation_issued_at
    }

    /// First unix second at which the claims no longer count.
    pub const fn expires_at(&self) -> UnixSeconds {
        self.expires_at
    }

    /// SHA-256 of request and response: the evidence's single-use identity.
    pub const fn signed_part_digest(&self) -> Digest {
        self.signed_part_digest
    }
}

/// Verifies evidence of one GPU at `now_unix_s`. `collateral` is a canonical document, verified whole, or empty: then
/// the chain in the evidence is verified whole and nothing is known about revocation.
///
/// # Errors
/// Refusals of the classes invalid, untrusted and expired.
pub fn claims(
    evidence: &[u8],
    collateral: &[u8],
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
) -> Result<NvidiaClaims, Refusal> {
    if collateral.is_empty() {
        return claims_with(evidence, None, roots, now_unix_s);
    }
    let collateral = read_collateral(collateral, roots, now_unix_s)?;
    claims_with(evidence, Some(&collateral), roots, now_unix_s)
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
) -> Result<NvidiaClaims, Refusal> {
    if collateral.is_empty() {
        return claims_with(evidence, None, roots, now_unix_s);
    }
    let collateral = collateral::read(collateral, roots, now_unix_s, Signatures::AcceptedBefore)?;
    claims_with(evidence, Some(&collateral), roots, now_unix_s)
}

/// With verified collateral only leaf, device and report cost a signature check.
fn claims_with(
    evidence: &[u8],
    collateral: Option<&VerifiedNvidiaCollateral>,
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
) -> Result<NvidiaClaims, Refusal> {
    let evidence = CanonicalEvidence::read(evidence)?;
    let report = evidence.report()?;
    let chain = &evidence.chain;
    let trust_domain = domain_of(chain[ROOT].der(), roots)?;
    if collateral.is_some_and(|collateral| !collateral.is_above(&chain[PROVISIONER..])) {
        return Err(Refusal::PlatformFamily);
    }
    let known = if collateral.is_some() { AUTHORITIES } else { 1 };
    let mut expires_at = certificate::check_path(chain, tcb_info::IDS, known, now_unix_s)?;
    if let Some(collateral) = collateral {
        collateral.check_dates(now_unix_s)?;
        if collateral.revokes_device(chain[DEVICE].serial()) {
            return Err(Refusal::CertificateRevoked);
        }
        expires_at = expires_at.min(collateral.expires_at());
    }
    let (model, architecture) = evidence::model(chain)?;
    let chip = report.opaque.chip.as_deref().unwrap_or(&model);
    if evidence::architecture_of(chip) != Some(architecture) {
        return Err(Refusal::GpuModel);
    }
    chain[0].key().verify(report.signed, &report.signature).map_err(|_| Refusal::GpuReportSignature)?;
    let tcb = tcb_info::read(&chain[0], &chain[DEVICE])?;
    if tcb.fwid != report.opaque.fwid {
        return Err(Refusal::GpuFirmwareIdentity);
    }
    Ok(NvidiaClaims {
        trust_domain,
        architecture,
        model,
        platform: sha256(chain[DEVICE].key_info()),
        nonce: report.nonce,
        debug: tcb.debug,
        measurements: report.measurements,
        revocation_issued_at: collateral.and_then(VerifiedNvidiaCollateral::revocation_issued_at),
        expires_at,
        signed_part_digest: sha256(report.signed),
        opaque: report.opaque,
    })
}

/// The nonce that the GPUs of a bundle must sign: SHA-256 over a domain and the report data of the CPU's evidence.
pub fn gpu_nonce(report_data: &[u8; 64]) -> [u8; 32] {
    Sha256::new().chain_update(b"freehold gpu nonce\n").chain_update(report_data).finalize().into()
}

/// Checks that a GPU signed this nonce.
///
/// # Errors
/// [`Refusal::GpuNonce`].
pub fn check_nonce(claims: &NvidiaClaims, nonce: &[u8; 32]) -> Result<(), Refusal> {
    if claims.nonce == *nonce { Ok(()) } else { Err(Refusal::GpuNonce) }
}
