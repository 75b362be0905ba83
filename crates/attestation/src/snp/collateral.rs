//! What the chain keeps for SEV-SNP: the certificate between AMD's root and the endorsement keys, and the root's
//! revocation list (`spec/collateral.md`).
//!
//! AMD's intermediates last for decades and its VCEKs all carry serial number 0: a list can revoke an intermediate, and
//! a chip is denied by its id or by its TCB.

use freehold_primitives::{
    Blob, Canonical as _, SnpProduct, SnpSigningKey, TrustDomain, TrustRoot, UnixSeconds, canonical_struct,
};
use x509_cert::name::Name;

use crate::{
    REVOCATION_LIST_BYTES_MAX,
    certificate::{CERTIFICATE_BYTES_MAX, Certificate, PublicKey, Revocation, RevocationList, Signatures, Validity},
    refusal::Refusal,
};

canonical_struct! {
    /// The endorsements of one product and one kind of key.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SnpCollateralDocument {
        /// The product.
        pub product: SnpProduct,
        /// The kind of key that the intermediate issues for.
        pub signing_key: SnpSigningKey,
        /// The intermediate, DER: ASK for VCEKs, ASVK for VLEKs.
        pub intermediate: Blob,
        /// The root's revocation list, DER. Without one every verdict says that revocation is unknown.
        pub revocation_list: Option<Blob>,
    }
}

/// Longest collateral document, in bytes.
pub const SNP_COLLATERAL_BYTES_MAX: usize = CERTIFICATE_BYTES_MAX + REVOCATION_LIST_BYTES_MAX + 16;

impl SnpCollateralDocument {
    /// Reads a document within its bounds; verifies nothing.
    ///
    /// # Errors
    /// [`Refusal::CollateralTooLong`], [`Refusal::CollateralFormat`].
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > SNP_COLLATERAL_BYTES_MAX {
            return Err(Refusal::CollateralTooLong);
        }
        let document = Self::from_canonical(bytes).map_err(|_| Refusal::CollateralFormat)?;
        let list_length = document.revocation_list.as_ref().map_or(0, |list| list.0.len());
        if document.intermediate.0.len() > CERTIFICATE_BYTES_MAX || list_length > REVOCATION_LIST_BYTES_MAX {
            return Err(Refusal::CollateralTooLong);
        }
        Ok(document)
    }
}

/// Collateral that was verified, now or when consensus accepted it: reports can be verified under it.
pub struct VerifiedSnpCollateral {
    trust_domain: TrustDomain,
    product: SnpProduct,
    signing_key: SnpSigningKey,
    name: Name,
    key: PublicKey,
    validity: Validity,
    revocation_number: u64,
}

impl VerifiedSnpCollateral {
    /// Verifies a document at `now_unix_s`: the intermediate under a root of trust, both lists and dates.
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
        let document = SnpCollateralDocument::read(bytes)?;
        let intermediate = Certificate::read(&document.intermediate.0).ok_or(Refusal::CollateralChain)?;
        let trusted = roots.iter().filter(|root| matches!(root.domain, TrustDomain::Amd | TrustDomain::Emulated));
        // Development roots of other kinds stand beside ours; what they are is not for this verifier to say.
        let named: Vec<_> = trusted
            .filter_map(|root| Some((root.domain, Certificate::read(&root.certificate.0)?)))
            .filter(|(_, certificate)| certificate.subject() == intermediate.issuer())
            .collect();
        // Of several roots of one name only the signature tells which one vouched.
        let of_issuer = if named.len() == 1 { signatures } else { Signatures::Check };
        let mut nearest = Refusal::UnknownRoot;
        for (domain, root) in &named {
            let key = root.public_key().ok_or(Refusal::RootMalformed)?;
            match intermediate.check_issuer_is((root.subject(), &key), of_issuer) {
                Ok(()) => {
                    return Self::under(&document, &intermediate, (*domain, root, &key), now_unix_s, signatures);
                }
                Err(refusal) => nearest = refusal,
            }
        }
        Err(nearest)
    }

    fn under(
        document: &SnpCollateralDocument,
        intermediate: &Certificate<'_>,
        (domain, root, root_key): (TrustDomain, &Certificate<'_>, &PublicKey),
        now_unix_s: UnixSeconds,
        signatures: Signatures,
    ) -> Result<Self, Refusal> {
        root.check_issuer(1)?;
        root.check_dates(now_unix_s)?;
        intermediate.check_issuer(0)?;
        intermediate.check_dates(now_unix_s)?;
        let list = match &document.revocation_list {
            Some(list) => Some(RevocationList::read(&list.0, root.subject(), root_key, signatures)?),
            None => None,
        };
        if let Some(list) = &list {
            list.check_dates(now_unix_s)?;
            list.check_not_revoked(intermediate)?;
        }
        Self::new(document, domain, (root, intermediate), list.as_ref())
    }

    fn new(
        document: &SnpCollateralDocument,
        trust_domain: TrustDomain,
        (root, intermediate): (&Certificate<'_>, &Certificate<'_>),
        list: Option<&RevocationList>,
    ) -> Result<Self, Refusal> {
        if intermediate.common_name().as_deref() != Some(intermediate_name(document.product, document.signing_key)) {
            return Err(Refusal::CollateralKind);
        }
        let key = intermediate.public_key().ok_or(Refusal::CollateralChain)?;
        if matches!(key, PublicKey::P384(_)) {
            return Err(Refusal::CollateralChain);
        }
        let mut validity = Validity::of(root);
        validity.add_certificate(intermediate);
        if let Some(list) = list {
            validity.add_list(list);
        }
        Ok(Self {
            trust_domain,
            product: document.product,
            signing_key: document.signing_key,
            name: intermediate.subject().clone(),
            key,
            validity,
            revocation_number: list.map_or(0, |list| list.number),
        })
    }

    /// Checks that a certificate was issued by the intermediate.
    pub(super) fn check_issued(&self, certificate: &Certificate<'_>) -> Result<(), Refusal> {
        certificate.check_issued_by(&self.name, &self.key)
    }

    /// Trust domain of the root that vouches for it.
    pub const fn trust_domain(&self) -> TrustDomain {
        self.trust_domain
    }

    /// The product.
    pub const fn product(&self) -> SnpProduct {
        self.product
    }

    /// The kind of key.
    pub const fn signing_key(&self) -> SnpSigningKey {
        self.signing_key
    }

    /// Platform family: product, kind of key, four zeros.
    pub const fn family(&self) -> [u8; 6] {
        [self.product as u8, self.signing_key as u8, 0, 0, 0, 0]
    }

    /// Unix seconds at which the revocation list was issued, else the intermediate: never goes back on a chain.
    pub fn issued_at(&self) -> UnixSeconds {
        self.validity.issued_at()
    }

    /// Unix seconds of the earliest end of validity: the first second at which it no longer counts.
    pub fn expires_at(&self) -> UnixSeconds {
        self.validity.expires_at()
    }

    /// Whether a revocation list stands in it. On a chain, a document without one never follows one with it.
    pub const fn revocation(&self) -> Revocation {
        self.validity.revocation()
    }

    /// Number of the revocation list; 0 without a list or where it carries none: never goes back on a chain.
    pub const fn revocation_number(&self) -> u64 {
        self.revocation_number
    }
}

/// Common name of the intermediate.
const fn intermediate_name(product: SnpProduct, key: SnpSigningKey) -> &'static str {
    match (product, key) {
        (SnpProduct::Milan, SnpSigningKey::Vcek) => "SEV-Milan",
        (SnpProduct::Genoa, SnpSigningKey::Vcek) => "SEV-Genoa",
        (SnpProduct::Turin, SnpSigningKey::Vcek) => "SEV-Turin",
        (SnpProduct::Milan, SnpSigningKey::Vlek) => "SEV-VLEK-Milan",
        (SnpProduct::Genoa, SnpSigningKey::Vlek) => "SEV-VLEK-Genoa",
        (SnpProduct::Turin, SnpSigningKey::Vlek) => "SEV-VLEK-Turin",
    }
}
