//! What the chain may keep for Nitro: certificates between AWS's root and the instances, and their revocation lists
//! (`spec/collateral.md`).
//!
//! A document carries its whole chain, so that collateral is never needed: it saves signature checks for documents of
//! one region and brings revocation. AWS's regional certificates last for weeks, its zonal ones for days.

use freehold_primitives::{Blob, Canonical as _, TrustDomain, TrustRoot, UnixSeconds, canonical_struct};
use x509_cert::name::Name;

use super::document::BUNDLE_MAX;
use crate::{
    REVOCATION_LIST_BYTES_MAX,
    certificate::{CERTIFICATE_BYTES_MAX, Certificate, PublicKey, Revocation, RevocationList, Signatures, Validity},
    refusal::Refusal,
};

/// Most certificates in a document.
const CERTIFICATES_MAX: usize = 3;
/// Longest collateral document, in bytes.
pub const NITRO_COLLATERAL_BYTES_MAX: usize =
    CERTIFICATES_MAX * (CERTIFICATE_BYTES_MAX + REVOCATION_LIST_BYTES_MAX + 8) + 1024;

canonical_struct! {
    /// Certificates that stand directly below a root, top first.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct NitroCollateralDocument {
        /// The certificates, DER: regional, then zonal.
        pub certificates: Vec<Blob>,
        /// For each of them the revocation list of its issuer, DER; or none at all.
        pub revocation_lists: Vec<Blob>,
    }
}

impl NitroCollateralDocument {
    /// Reads a document within its bounds; verifies nothing.
    ///
    /// # Errors
    /// [`Refusal::CollateralTooLong`], [`Refusal::CollateralFormat`], [`Refusal::CollateralMissing`] without
    /// certificates, and where some of them have a revocation list and others not.
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > NITRO_COLLATERAL_BYTES_MAX {
            return Err(Refusal::CollateralTooLong);
        }
        let document = Self::from_canonical(bytes).map_err(|_| Refusal::CollateralFormat)?;
        let long = document.certificates.len() > CERTIFICATES_MAX
            || document.certificates.iter().any(|certificate| certificate.0.len() > CERTIFICATE_BYTES_MAX)
            || document.revocation_lists.iter().any(|list| list.0.len() > REVOCATION_LIST_BYTES_MAX);
        if long {
            return Err(Refusal::CollateralTooLong);
        }
        let lists = document.revocation_lists.len();
        let certificates = document.certificates.len();
        let whole = certificates > 0 && (lists == 0 || lists == certificates);
        if whole { Ok(document) } else { Err(Refusal::CollateralMissing) }
    }

    /// Whether a chain begins with these certificates.
    pub(super) fn covers(&self, intermediates: &[Vec<u8>]) -> bool {
        let begins = intermediates.iter().zip(&self.certificates).all(|(shown, known)| *shown == known.0);
        begins && intermediates.len() >= self.certificates.len()
    }
}

/// Collateral that was verified, now or when consensus accepted it.
pub struct VerifiedNitroCollateral {
    trust_domain: TrustDomain,
    root: Vec<u8>,
    certificates: Vec<Vec<u8>>,
    validity: Validity,
    revocation_number: u64,
}

/// Where a chain has got to: the certificate that issues the next one.
pub(super) struct Link {
    pub(super) name: Name,
    pub(super) key: PublicKey,
}

impl Link {
    /// The link that a certificate offers to the next.
    pub(super) fn of(certificate: &Certificate<'_>) -> Result<Self, Refusal> {
        let key = certificate.public_key().filter(|key| matches!(key, PublicKey::P384(_)));
        Ok(Self { name: certificate.subject().clone(), key: key.ok_or(Refusal::NitroCertificate)? })
    }
}

impl VerifiedNitroCollateral {
    /// Verifies a document at `now_unix_s`.
    ///
    /// # Errors
    /// Any [`Refusal`] but those of evidence and policy.
    pub fn verify(bytes: &[u8], roots: &[TrustRoot], now_unix_s: UnixSeconds) -> Result<Self, Refusal> {
        Self::read(bytes, roots, now_unix_s, Signatures::Check)
    }

    /// As [`verify`](Self::verify); signatures of a document from the chain's own state need not be checked again.
    pub(super) fn read(
        bytes: &[u8],
        roots: &[TrustRoot],
        now_unix_s: UnixSeconds,
        signatures: Signatures,
    ) -> Result<Self, Refusal> {
        let document = NitroCollateralDocument::read(bytes)?;
        let first = document.certificates.first().ok_or(Refusal::CollateralMissing)?;
        let first = Certificate::read(&first.0).ok_or(Refusal::CollateralChain)?;
        // Development roots of other kinds stand beside ours; what they are is not for this verifier to say.
        let named: Vec<_> = roots_of(roots)
            .filter_map(|root| Some((root, Certificate::read(&root.certificate.0)?)))
            .filter(|(_, certificate)| certificate.subject() == first.issuer())
            .collect();
        // Of several roots of one name only the signature tells which one vouched.
        let of_issuer = if named.len() == 1 { signatures } else { Signatures::Check };
        let mut nearest = Refusal::UnknownRoot;
        for (root, certificate) in &named {
            let link = Link::of(certificate)?;
            match first.check_issuer_is((&link.name, &link.key), of_issuer) {
                Ok(()) => return Self::under(&document, (root, certificate), now_unix_s, signatures),
                Err(refusal) => nearest = refusal,
            }
        }
        Err(nearest)
    }

    fn under(
        document: &NitroCollateralDocument,
        (root, certificate): (&TrustRoot, &Certificate<'_>),
        now_unix_s: UnixSeconds,
        signatures: Signatures,
    ) -> Result<Self, Refusal> {
        certificate.check_issuer(document.certificates.len())?;
        certificate.check_dates(now_unix_s)?;
        let mut verified = Self {
            trust_domain: root.domain,
            root: root.certificate.0.clone(),
            certificates: document.certificates.iter().map(|certificate| certificate.0.clone()).collect(),
            validity: Validity::of(certificate),
            revocation_number: 0,
        };
        let mut link = Link::of(certificate)?;
        for (index, der) in document.certificates.iter().enumerate() {
            let certificate = Certificate::read(&der.0).ok_or(Refusal::CollateralChain)?;
            certificate.check_issuer_is((&link.name, &link.key), signatures)?;
            // Below every one of these stand the instance's own certificate and the rest of the list.
            certificate.check_issuer(document.certificates.len() - index)?;
            certificate.check_dates(now_unix_s)?;
            if let Some(list) = document.revocation_lists.get(index) {
                let list = RevocationList::read(&list.0, &link.name, &link.key, signatures)?;
                list.check_dates(now_unix_s)?;
                list.check_not_revoked(&certificate)?;
                verified.validity.add_list(&list);
                verified.revocation_number = verified.revocation_number.max(list.number);
            }
            verified.validity.add_certificate(&certificate);
            link = Link::of(&certificate)?;
        }
        Ok(verified)
    }

    /// How many certificates below the root are verified.
    pub(super) const fn certificates(&self) -> usize {
        self.certificates.len()
    }

    /// Trust domain of the root that vouches for it.
    pub const fn trust_domain(&self) -> TrustDomain {
        self.trust_domain
    }

    /// The root certificate, DER.
    pub fn root_certificate(&self) -> &[u8] {
        &self.root
    }

    /// Unix seconds of the newest date of issue among the lists, else among the certificates: never goes back on a chain.
    pub fn issued_at(&self) -> UnixSeconds {
        self.validity.issued_at()
    }

    /// Unix seconds of the earliest end of validity: the first second at which it no longer counts.
    pub fn expires_at(&self) -> UnixSeconds {
        self.validity.expires_at()
    }

    /// Whether revocation lists stand in it.
    pub const fn revocation(&self) -> Revocation {
        self.validity.revocation()
    }

    /// Largest number of its revocation lists.
    pub const fn revocation_number(&self) -> u64 {
        self.revocation_number
    }
}

/// The roots that may vouch for Nitro evidence.
pub(super) fn roots_of(roots: &[TrustRoot]) -> impl Iterator<Item = &TrustRoot> {
    roots.iter().filter(|root| matches!(root.domain, TrustDomain::Aws | TrustDomain::Emulated))
}

/// A whole chain is root, bundle and leaf.
const _: () = assert!(CERTIFICATES_MAX < BUNDLE_MAX, "collateral is a part of a bundle");
