//! One P-384 certificate of NVIDIA's, read strictly, and checking it against its issuer.
//!
//! Invariant: signatures are checked over the very bytes of the certificate, never over a re-encoding. DER is strict and
//! ECDSA's `s` stands in its lower half (the root's own signature aside, which is pinned whole), so that a certificate
//! has one accepted byte string.

use freehold_primitives::UnixSeconds;
use p384::ecdsa::{DerSignature, Signature, VerifyingKey, signature::Verifier as _};
use x509_cert::{
    der::{
        Decode as _, Encode as _, Tag, Tagged as _,
        asn1::{AnyRef, BitString},
        oid::ObjectIdentifier,
    },
    ext::{
        Extension,
        pkix::{BasicConstraints, KeyUsage, KeyUsages},
    },
    name::Name,
};

use crate::{
    certificate::{Signatures, split},
    refusal::Refusal,
};

/// `ecdsa-with-SHA384` (RFC 5758 §3.2).
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
/// `id-ecPublicKey` (RFC 5480 §2.1.1).
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// `secp384r1` (RFC 5480 §2.1.1.1).
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// `basicConstraints` (RFC 5280 §4.2.1.9).
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
/// `keyUsage` (RFC 5280 §4.2.1.3).
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
/// `commonName` (RFC 5280 appendix A.1).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// Most extensions of one certificate.
const EXTENSIONS_MAX: usize = 16;

/// A certificate that was read; nothing in it is verified.
pub(crate) struct Certificate {
    der: Vec<u8>,
    signed: Vec<u8>,
    x509: x509_cert::Certificate,
    key: VerifyingKey,
    key_info: Vec<u8>,
    signature: Signature,
}

impl Certificate {
    /// Reads DER.
    ///
    /// # Errors
    /// [`Refusal::GpuCertificate`] for what is no strict DER or not P-384 throughout.
    pub(crate) fn read(der: &[u8]) -> Result<Self, Refusal> {
        Self::parse(der).ok_or(Refusal::GpuCertificate)
    }

    fn parse(der: &[u8]) -> Option<Self> {
        let parts = split(der)?;
        let x509 = x509_cert::Certificate::from_der(der).ok()?;
        let fields = x509.tbs_certificate();
        for algorithm in [x509.signature_algorithm(), fields.signature()] {
            if algorithm.oid != ECDSA_SHA384 || algorithm.parameters.is_some() {
                return None;
            }
        }
        let info = fields.subject_public_key_info();
        if info.algorithm.oid != EC_PUBLIC_KEY
            || info.algorithm.parameters.as_ref()?.decode_as::<ObjectIdentifier>().ok()? != P384
        {
            return None;
        }
        let key = VerifyingKey::from_sec1_bytes(info.subject_public_key.as_bytes()?).ok()?;
        let key_info = info.to_der().ok()?;
        let extensions = fields.extensions().map_or(&[][..], Vec::as_slice);
        let repeated =
            |(at, one): (usize, &Extension)| extensions[..at].iter().any(|other| other.extn_id == one.extn_id);
        if extensions.len() > EXTENSIONS_MAX || extensions.iter().enumerate().any(repeated) {
            return None;
        }
        let signature = read_signature(parts.signature)?;
        Some(Self { der: der.to_vec(), signed: parts.tbs.to_vec(), x509, key, key_info, signature })
    }

    /// The whole certificate.
    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// The public key.
    pub(crate) const fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// The public key with its algorithm, DER (`SubjectPublicKeyInfo`).
    pub(crate) fn key_info(&self) -> &[u8] {
        &self.key_info
    }

    /// Who it names.
    pub(crate) fn subject(&self) -> &Name {
        self.x509.tbs_certificate().subject()
    }

    /// Serial number: the content of its DER integer.
    pub(crate) fn serial(&self) -> &[u8] {
        self.x509.tbs_certificate().serial_number().as_bytes()
    }

    /// The subject's common name; `None` unless there is exactly one, of text.
    pub(crate) fn common_name(&self) -> Option<String> {
        let mut names = self.subject().iter().filter(|attribute| attribute.oid == COMMON_NAME);
        let name = names.next()?;
        if names.next().is_some() || !matches!(name.value.tag(), Tag::Utf8String | Tag::PrintableString) {
            return None;
        }
        String::from_utf8(name.value.value().to_vec()).ok()
    }

    /// Content of the extension with this id.
    pub(crate) fn extension(&self, id: ObjectIdentifier) -> Option<&[u8]> {
        let extensions = self.x509.tbs_certificate().extensions()?;
        extensions.iter().find(|extension| extension.extn_id == id).map(|extension| extension.extn_value.as_bytes())
    }

    /// Whether the certificate's own signature has its `s` in the lower half.
    pub(crate) fn is_lower_half(&self) -> bool {
        is_lower_half(&self.signature)
    }

    /// Last second of validity.
    pub(crate) fn not_after(&self) -> UnixSeconds {
        self.x509.tbs_certificate().validity().not_after.to_unix_duration().as_secs()
    }

    /// First second of validity.
    pub(crate) fn not_before(&self) -> UnixSeconds {
        self.x509.tbs_certificate().validity().not_before.to_unix_duration().as_secs()
    }

    /// Checks the dates; validity ends before the last second.
    pub(crate) fn check_dates(&self, now_unix_s: UnixSeconds) -> Result<(), Refusal> {
        if now_unix_s < self.not_before() {
            return Err(Refusal::CertificateNotYetValid);
        }
        if now_unix_s >= self.not_after() { Err(Refusal::CertificateExpired) } else { Ok(()) }
    }

    /// Checks name and, where they must be, signature against the issuer.
    pub(crate) fn check_issuer_is(&self, issuer: &Self, signatures: Signatures) -> Result<(), Refusal> {
        if self.x509.tbs_certificate().issuer() != issuer.subject() {
            return Err(Refusal::CertificateChain);
        }
        if signatures == Signatures::AcceptedBefore {
            return Ok(());
        }
        issuer.key.verify(&self.signed, &self.signature).map_err(|_| Refusal::CertificateChain)
    }

    /// Checks that it may issue certificates with `authorities_below` authorities between it and the end of the chain
    /// (RFC 5280 §4.2.1.9).
    pub(crate) fn check_authority(&self, authorities_below: usize) -> Result<(), Refusal> {
        let constraints = self.decode::<BasicConstraints>(BASIC_CONSTRAINTS)?.ok_or(Refusal::CertificateChain)?;
        let deep_enough = constraints.path_len_constraint.is_none_or(|length| usize::from(length) >= authorities_below);
        if !constraints.ca || !deep_enough || !self.usage()?.contains(KeyUsages::KeyCertSign) {
            return Err(Refusal::CertificateChain);
        }
        self.check_critical(&[])
    }

    /// Checks that it signs data and may not issue certificates. `judged` are extensions that the caller understands.
    pub(crate) fn check_end_entity(&self, judged: &[ObjectIdentifier]) -> Result<(), Refusal> {
        let authority = self.decode::<BasicConstraints>(BASIC_CONSTRAINTS)?.is_some_and(|constraints| constraints.ca);
        if authority || !self.usage()?.contains(KeyUsages::DigitalSignature) {
            return Err(Refusal::CertificateChain);
        }
        self.check_critical(judged)
    }

    fn usage(&self) -> Result<x509_cert::der::flagset::FlagSet<KeyUsages>, Refusal> {
        Ok(self.decode::<KeyUsage>(KEY_USAGE)?.ok_or(Refusal::CertificateChain)?.0)
    }

    fn decode<'a, T: x509_cert::der::Decode<'a>>(&'a self, id: ObjectIdentifier) -> Result<Option<T>, Refusal> {
        self.extension(id).map(T::from_der).transpose().map_err(|_| Refusal::GpuCertificate)
    }

    /// Refuses critical extensions that nobody here understands (RFC 5280 §4.2).
    fn check_critical(&self, judged: &[ObjectIdentifier]) -> Result<(), Refusal> {
        let known = |id: &ObjectIdentifier| [BASIC_CONSTRAINTS, KEY_USAGE].contains(id) || judged.contains(id);
        let mut extensions = self.x509.tbs_certificate().extensions().into_iter().flatten();
        if extensions.any(|extension| extension.critical && !known(&extension.extn_id)) {
            return Err(Refusal::CertificateChain);
        }
        Ok(())
    }
}

/// Checks a path: end entity first, each issued by the next, all valid now. The last is trusted for what the caller
/// compared it with. `known` certificates at the end were verified before: of them only the dates are checked again.
/// Returns the earliest end of validity.
pub(crate) fn check_path(
    path: &[Certificate],
    judged: &[ObjectIdentifier],
    known: usize,
    now_unix_s: UnixSeconds,
) -> Result<UnixSeconds, Refusal> {
    let (leaf, authorities) = path.split_first().ok_or(Refusal::CertificateChain)?;
    for certificate in path {
        certificate.check_dates(now_unix_s)?;
    }
    leaf.check_end_entity(judged)?;
    for (below, authority) in authorities.iter().enumerate() {
        authority.check_authority(below)?;
    }
    let unknown = path.len().saturating_sub(known);
    for (certificate, issuer) in path.iter().zip(authorities).take(unknown) {
        certificate.check_issuer_is(issuer, Signatures::Check)?;
    }
    Ok(path.iter().map(Certificate::not_after).min().unwrap_or(0))
}

/// Whether `s` is in the lower, canonical half of the order.
pub(crate) fn is_lower_half(signature: &Signature) -> bool {
    signature.normalize_s() == *signature
}

/// The same certificate, or revocation list, with `s` of its signature in the lower half; what was signed does not
/// change. `None` where it is not signed with P-384.
pub(crate) fn to_lower_half(der: &[u8]) -> Option<Vec<u8>> {
    let parts = split(der)?;
    let signature = read_signature(parts.signature)?;
    if is_lower_half(&signature) {
        return Some(der.to_vec());
    }
    let signature = BitString::from_bytes(signature.normalize_s().to_der().as_bytes()).ok()?;
    let content = [parts.tbs, parts.algorithm, &signature.to_der().ok()?].concat();
    AnyRef::new(Tag::Sequence, &content).ok()?.to_der().ok()
}

/// A DER signature in its shortest form.
pub(crate) fn read_signature(der: &[u8]) -> Option<Signature> {
    let signature = Signature::from_der(der).ok()?;
    let again: DerSignature = signature.to_der();
    (again.as_bytes() == der).then_some(signature)
}
