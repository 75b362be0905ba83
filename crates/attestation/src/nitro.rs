//! AWS Nitro Enclaves: attestation documents, COSE_Sign1 with ES384 under a chain of P-384 certificates.
//!
//! Evidence is the canonical envelope alone: the document carries its chain, whose first certificate must be, byte for
//! byte, a root of trust. The leaf lives for three hours, so that evidence is verified when it is registered and renewed
//! by a fresh document. The 64 bytes of report data stand in `user_data`. What the document cannot prove: that AWS's
//! hypervisor, which is in the trusted computing base, is what AWS says; it is not measured.

mod cbor;
mod collateral;
mod document;
mod policy;

use freehold_primitives::{Digest, TrustDomain, TrustRoot, UnixSeconds};
use sha2::{Digest as _, Sha256};

use self::{collateral::Link, document::Envelope};
pub use self::{
    collateral::{NITRO_COLLATERAL_BYTES_MAX, NitroCollateralDocument, VerifiedNitroCollateral},
    document::{NITRO_EVIDENCE_BYTES_MAX, NitroDocument, canonicalise},
    policy::{judge, nitro_default_policy},
};
use crate::{
    certificate::{Certificate, Revocation, Signatures},
    refusal::Refusal,
};

/// What canonical evidence *says*, before anything in it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedNitro {
    document: NitroDocument,
    signed_part_digest: Digest,
}

impl UnverifiedNitro {
    /// Reads evidence in canonical form.
    ///
    /// # Errors
    /// Refusals of class invalid.
    pub fn read(evidence: &[u8]) -> Result<Self, Refusal> {
        let Canonical { envelope, document } = read(evidence)?;
        document.report_data()?;
        Ok(Self { document, signed_part_digest: document::signed_part_digest(&envelope) })
    }

    /// The document that it claims to be.
    pub const fn document(&self) -> &NitroDocument {
        &self.document
    }

    /// The 64 bytes that it claims to bind.
    ///
    /// # Errors
    /// Never, since [`read`](Self::read) has checked them.
    pub fn report_data(&self) -> Result<[u8; 64], Refusal> {
        self.document.report_data()
    }

    /// Platform family: zeros.
    pub const fn family(&self) -> [u8; 6] {
        [0; 6]
    }

    /// The platform that it claims to be of: SHA-256 of the module id.
    pub fn platform(&self) -> Digest {
        platform(&self.document)
    }

    /// SHA-256 of what was signed.
    pub const fn signed_part_digest(&self) -> Digest {
        self.signed_part_digest
    }

    /// The root certificate that its chain begins with, DER.
    pub fn root_certificate(&self) -> &[u8] {
        self.document.root_certificate()
    }
}

fn platform(document: &NitroDocument) -> Digest {
    Digest(Sha256::digest(document.module_id()).into())
}

/// What verified Nitro evidence says. Only [`claims`] and [`claims_accepted`] make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NitroClaims {
    trust_domain: TrustDomain,
    document: NitroDocument,
    report_data: [u8; 64],
    expires_at: UnixSeconds,
    revocation: Revocation,
    signed_part_digest: Digest,
}

/// Evidence in canonical form; nothing in it is verified.
struct Canonical<'a> {
    envelope: Envelope<'a>,
    document: NitroDocument,
}

fn read(evidence: &[u8]) -> Result<Canonical<'_>, Refusal> {
    let envelope = Envelope::read(evidence)?;
    let document = NitroDocument::read(envelope.payload)?;
    Ok(Canonical { envelope, document })
}

/// Verifies evidence under collateral that is verified with it: the whole chain, without any policy. Collateral may be
/// empty bytes, since the document carries its chain; one of other certificates than this chain's is not looked at
/// further, so that nobody's region can bar another's.
///
/// # Errors
/// Any [`Refusal`]; of class policy only [`Refusal::PolicyDebug`].
pub fn claims(
    evidence: &[u8],
    collateral: &[u8],
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
) -> Result<NitroClaims, Refusal> {
    claims_in(evidence, collateral, roots, now_unix_s, Signatures::Check)
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
) -> Result<NitroClaims, Refusal> {
    claims_in(evidence, collateral, roots, now_unix_s, Signatures::AcceptedBefore)
}

fn claims_in(
    evidence: &[u8],
    collateral: &[u8],
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
    signatures: Signatures,
) -> Result<NitroClaims, Refusal> {
    let canonical = read(evidence)?;
    if collateral.is_empty() || !NitroCollateralDocument::read(collateral)?.covers(canonical.document.intermediates()) {
        return verify(canonical, None, roots, now_unix_s);
    }
    let known = VerifiedNitroCollateral::read(collateral, roots, now_unix_s, signatures)?;
    verify(canonical, Some(&known), roots, now_unix_s)
}

/// Verifies a document whose first certificates are those of `known`, where there is any.
fn verify(
    Canonical { envelope, document }: Canonical<'_>,
    known: Option<&VerifiedNitroCollateral>,
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
) -> Result<NitroClaims, Refusal> {
    let root = collateral::roots_of(roots)
        .find(|root| root.certificate.0 == document.root_certificate())
        .ok_or(Refusal::UnknownRoot)?;
    // Another root of the same name may have vouched for the collateral.
    let known = known.filter(|known| known.root_certificate() == document.root_certificate());
    let leaf = Certificate::read(&document.certificate).ok_or(Refusal::NitroCertificate)?;
    let chain = check_chain(&document, known.map_or(0, VerifiedNitroCollateral::certificates), now_unix_s)?;
    leaf.check_issued_by(&chain.issuer.name, &chain.issuer.key)?;
    leaf.check_end_entity()?;
    leaf.check_dates(now_unix_s)?;
    if !Link::of(&leaf)?.key.signed(&envelope.signed_part(), envelope.signature) {
        return Err(Refusal::NitroSignature);
    }
    check_leaf_names(&document, &leaf)?;
    check_timestamp(&document, &leaf, now_unix_s)?;
    if document.is_debug() {
        return Err(Refusal::PolicyDebug);
    }
    let expires_at = chain.expires_at.min(leaf.not_after());
    Ok(NitroClaims {
        trust_domain: root.domain,
        report_data: document.report_data()?,
        expires_at: known.map_or(expires_at, |known| expires_at.min(known.expires_at())),
        revocation: known.map_or(Revocation::Unknown, VerifiedNitroCollateral::revocation),
        signed_part_digest: document::signed_part_digest(&envelope),
        document,
    })
}

/// What stands above the leaf.
struct Chain {
    issuer: Link,
    expires_at: UnixSeconds,
}

/// Checks root and intermediates; the signatures of the first `covered` intermediates were checked before.
fn check_chain(document: &NitroDocument, covered: usize, now_unix_s: UnixSeconds) -> Result<Chain, Refusal> {
    let root = Certificate::read(document.root_certificate()).ok_or(Refusal::RootMalformed)?;
    let intermediates = document.intermediates();
    root.check_issuer(intermediates.len())?;
    root.check_dates(now_unix_s)?;
    let mut chain = Chain { issuer: Link::of(&root)?, expires_at: root.not_after() };
    for (index, der) in intermediates.iter().enumerate() {
        let certificate = Certificate::read(der).ok_or(Refusal::NitroCertificate)?;
        if index >= covered {
            certificate.check_issued_by(&chain.issuer.name, &chain.issuer.key)?;
        }
        certificate.check_issuer(intermediates.len() - 1 - index)?;
        certificate.check_dates(now_unix_s)?;
        chain.expires_at = chain.expires_at.min(certificate.not_after());
        chain.issuer = Link::of(&certificate)?;
    }
    Ok(chain)
}

/// The leaf is issued to one enclave, whose name its common name begins with.
fn check_leaf_names(document: &NitroDocument, leaf: &Certificate<'_>) -> Result<(), Refusal> {
    let name = leaf.common_name().unwrap_or_default();
    let own = name.strip_prefix(document.module_id()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    if own { Ok(()) } else { Err(Refusal::NitroModule) }
}

/// The hypervisor signs now, not ahead and not before it had the key.
fn check_timestamp(document: &NitroDocument, leaf: &Certificate<'_>, now_unix_s: UnixSeconds) -> Result<(), Refusal> {
    /// Clocks of hypervisor and chain may differ by this.
    const SLACK_S: u64 = 300;
    let signed_at = document.timestamp_ms() / 1000;
    let within = signed_at >= leaf.not_before()
        && signed_at < leaf.not_after()
        && signed_at <= now_unix_s.saturating_add(SLACK_S);
    if within { Ok(()) } else { Err(Refusal::NitroTimestamp) }
}

impl NitroClaims {
    /// Trust domain of the root under which the evidence verified.
    pub const fn trust_domain(&self) -> TrustDomain {
        self.trust_domain
    }

    /// The verified document.
    pub const fn document(&self) -> &NitroDocument {
        &self.document
    }

    /// The 64 bytes that the enclave asked to be signed: its user data.
    pub const fn report_data(&self) -> &[u8; 64] {
        &self.report_data
    }

    /// Platform family: zeros.
    pub const fn family(&self) -> [u8; 6] {
        [0; 6]
    }

    /// SHA-256 of the module id.
    pub fn platform(&self) -> Digest {
        platform(&self.document)
    }

    /// Unix seconds of the earliest end of validity of anything used: the first second at which the claims no longer count.
    pub const fn expires_at(&self) -> UnixSeconds {
        self.expires_at
    }

    /// Whether revocation lists answered for certificates of the chain.
    pub const fn revocation(&self) -> Revocation {
        self.revocation
    }

    /// SHA-256 of what was signed: the evidence's single-use identity.
    pub const fn signed_part_digest(&self) -> Digest {
        self.signed_part_digest
    }
}
