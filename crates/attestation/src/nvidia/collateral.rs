//! Collateral of GPUs (`spec/gpu.md` §3): the certificates above the devices, verified once, and revocation lists
//! that their owners signed.

use freehold_primitives::{Blob, Canonical as _, Digest, TrustDomain, TrustRoot, UnixSeconds, canonical_struct};

use super::{
    certificate::{self, Certificate},
    evidence::{self, sha256},
    revocation::{self, RevocationList},
};
use crate::{certificate::Signatures, refusal::Refusal};

/// Longest collateral of GPUs, in bytes.
pub const COLLATERAL_BYTES_MAX: usize = 96 * 1024;
/// Certificates in it.
pub(crate) const AUTHORITIES: usize = 3;

canonical_struct! {
    /// What NVIDIA says about the devices of one provisioner.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct NvidiaCollateral {
        /// Provisioner, model, root: DER, `s` of the first two signatures in the lower half.
        pub certificates: Vec<Blob>,
        /// Revocation lists, DER: at most one of each certificate above, in the order root, model, provisioner.
        pub revocation_lists: Vec<Blob>,
    }
}

/// Collateral that was verified, now or by consensus when it was submitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedNvidiaCollateral {
    trust_domain: TrustDomain,
    certificates: Vec<Vec<u8>>,
    not_before: UnixSeconds,
    not_after: UnixSeconds,
    /// By place: root, model, provisioner.
    lists: [Option<RevocationList>; AUTHORITIES],
}

/// Verifies collateral without evidence: chain to a root of trust, dates, usages, every signature, no certificate of the
/// chain revoked, lists in date.
///
/// # Errors
/// Refusals of the classes invalid, untrusted and expired.
pub fn read_collateral(
    document: &[u8],
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
) -> Result<VerifiedNvidiaCollateral, Refusal> {
    read(document, roots, now_unix_s, Signatures::Check)
}

/// As [`read_collateral`]; signatures of a document from the chain's own state need not be checked again.
pub(crate) fn read(
    document: &[u8],
    roots: &[TrustRoot],
    now_unix_s: UnixSeconds,
    signatures: Signatures,
) -> Result<VerifiedNvidiaCollateral, Refusal> {
    let (read, certificates) = VerifiedNvidiaCollateral::parse(document, roots, signatures)?;
    for certificate in &certificates {
        certificate.check_dates(now_unix_s)?;
    }
    for (below, certificate) in certificates.iter().enumerate() {
        // A device's certificate stands below the provisioner's.
        certificate.check_authority(below + 1)?;
    }
    for (certificate, issuer) in certificates.iter().zip(&certificates[1..]) {
        certificate.check_issuer_is(issuer, signatures)?;
    }
    read.check_dates(now_unix_s)?;
    let [root, model, _] = &read.lists;
    let revoked = |list: &Option<RevocationList>, serial: &[u8]| list.as_ref().is_some_and(|list| list.lists(serial));
    if revoked(root, certificates[1].serial()) || revoked(model, certificates[0].serial()) {
        return Err(Refusal::CertificateRevoked);
    }
    Ok(read)
}

/// Certificates and lists of a document.
fn authorities(document: &[u8]) -> Result<(Vec<Certificate>, Vec<Blob>), Refusal> {
    if document.len() > COLLATERAL_BYTES_MAX {
        return Err(Refusal::CollateralTooLong);
    }
    let document = NvidiaCollateral::from_canonical(document).map_err(|_| Refusal::CollateralFormat)?;
    if document.certificates.len() != AUTHORITIES || document.revocation_lists.len() > AUTHORITIES {
        return Err(Refusal::CollateralFormat);
    }
    let ders: Vec<&[u8]> = document.certificates.iter().map(|certificate| certificate.0.as_slice()).collect();
    Ok((evidence::read_chain(&ders)?, document.revocation_lists))
}

impl VerifiedNvidiaCollateral {
    fn parse(
        document: &[u8],
        roots: &[TrustRoot],
        signatures: Signatures,
    ) -> Result<(Self, Vec<Certificate>), Refusal> {
        let (certificates, lists) = authorities(document)?;
        let trust_domain = domain_of(certificates[2].der(), roots)?;
        let mut read = Self {
            trust_domain,
            not_before: certificates.iter().map(Certificate::not_before).max().unwrap_or(0),
            not_after: certificates.iter().map(Certificate::not_after).min().unwrap_or(0),
            certificates: certificates.iter().map(|certificate| certificate.der().to_vec()).collect(),
            lists: [None, None, None],
        };
        let mut from = 0;
        for der in &lists {
            let list = RevocationList::read(&der.0)?;
            let issuer_at = |place: &usize| list.is_of(&certificates[AUTHORITIES - 1 - *place]);
            let place = (from..AUTHORITIES).find(issuer_at).ok_or(Refusal::RevocationList)?;
            list.check_signature(&der.0, &certificates[AUTHORITIES - 1 - place], signatures)?;
            read.lists[place] = Some(list);
            from = place + 1;
        }
        Ok((read, certificates))
    }

    /// Trust domain of the root.
    pub const fn trust_domain(&self) -> TrustDomain {
        self.trust_domain
    }

    /// SHA-256 of the provisioner's certificate: under this key the chain keeps the document.
    pub fn authority(&self) -> Digest {
        sha256(&self.certificates[0])
    }

    /// Unix seconds at which the newest of its lists was issued; without lists, at which its newest certificate begins.
    pub fn issued_at(&self) -> UnixSeconds {
        self.lists.iter().flatten().map(RevocationList::issued_at).max().unwrap_or(self.not_before)
    }

    /// Numbers of the revocation lists of root, model and provisioner; 0 where there is none. None may go back.
    pub fn revocation_numbers(&self) -> [u64; 3] {
        self.lists.each_ref().map(|list| list.as_ref().map_or(0, RevocationList::number))
    }

    /// Unix seconds of the older issue date of the root's and the model's revocation list; `None` unless both are there.
    pub fn revocation_issued_at(&self) -> Option<UnixSeconds> {
        let [root, model, _] = &self.lists;
        Some(root.as_ref()?.issued_at().min(model.as_ref()?.issued_at()))
    }

    /// First unix second at which it no longer counts.
    pub fn expires_at(&self) -> UnixSeconds {
        let lists = self.lists.iter().flatten().map(RevocationList::expires_at);
        lists.fold(self.not_after, UnixSeconds::min)
    }

    /// Whether these are the authorities of the chain, which then needs no second check of their signatures.
    pub(crate) fn is_above(&self, chain: &[Certificate]) -> bool {
        chain.len() == AUTHORITIES && chain.iter().zip(&self.certificates).all(|(one, other)| one.der() == other)
    }

    pub(crate) fn check_dates(&self, now_unix_s: UnixSeconds) -> Result<(), Refusal> {
        self.lists.iter().flatten().try_for_each(|list| list.check_dates(now_unix_s))
    }

    /// Whether the provisioner revoked this device's certificate.
    pub(crate) fn revokes_device(&self, serial: &[u8]) -> bool {
        self.lists[2].as_ref().is_some_and(|list| list.lists(serial))
    }
}

/// The trust domain of a root certificate.
pub(crate) fn domain_of(root: &[u8], roots: &[TrustRoot]) -> Result<TrustDomain, Refusal> {
    roots
        .iter()
        .find(|trusted| trusted.certificate.0 == root)
        .map(|trusted| trusted.domain)
        .filter(|domain| matches!(domain, TrustDomain::Nvidia | TrustDomain::Emulated))
        .ok_or(Refusal::UnknownRoot)
}

/// Brings certificates in PEM (provisioner, model, root) and revocation lists in DER into the canonical document.
///
/// # Errors
/// Refusals of class invalid where there is no canonical form.
pub fn canonicalise_collateral(chain_pem: &[u8], revocation_lists: &[Vec<u8>]) -> Result<Vec<u8>, Refusal> {
    let blocks = pem::parse_many(chain_pem).map_err(|_| Refusal::CollateralFormat)?;
    let mut certificates = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let last = at + 1 == blocks.len();
        let der = if last { Some(block.contents().to_vec()) } else { certificate::to_lower_half(block.contents()) };
        certificates.push(Blob(der.ok_or(Refusal::GpuCertificate)?));
    }
    let lists = revocation_lists.iter().map(|list| revocation::to_lower_half(list)).collect::<Result<Vec<_>, _>>()?;
    let document = NvidiaCollateral { certificates, revocation_lists: lists.into_iter().map(Blob).collect() };
    let bytes = document.to_canonical();
    authorities(&bytes)?;
    Ok(bytes)
}
