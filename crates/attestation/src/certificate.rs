//! X.509 certificates and revocation lists as AMD and AWS write them, over the raw bytes.
//!
//! Invariants: outside of what was signed nothing can vary (outer lengths minimal, outer algorithm equal to the inner one,
//! no unused bits, no trailing bytes); signatures are checked over the very bytes that were received; only RSA-4096 with
//! PSS and SHA-384, and ECDSA P-384 with SHA-384 exist here. Names are compared as they were decoded.

use core::cmp::Ordering;

use freehold_primitives::UnixSeconds;
use p384::ecdsa::{Signature, VerifyingKey, signature::Verifier as _};
use rsa::{BoxedUint, Pss, PublicKey as RsaPublicKey};
use sha2::{Digest as _, Sha384};
use x509_cert::{
    TbsCertificate, Version,
    crl::TbsCertList,
    der::{Decode as _, asn1::UintRef, oid::ObjectIdentifier},
    ext::{
        Extensions,
        pkix::{BasicConstraints, KeyUsage},
    },
    name::Name,
};

use crate::refusal::Refusal;

mod split;
mod validity;

pub(crate) use split::split;
use split::{Signed, read_tlv};
pub(crate) use validity::Validity;

/// Longest certificate, in bytes.
pub(crate) const CERTIFICATE_BYTES_MAX: usize = 4 * 1024;

const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
const DELTA_CRL: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.27");
const ISSUING_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");
const CRL_POINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.31");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// Bytes of an RSA-4096 modulus and signature.
const RSA_BYTES: usize = 512;

/// Whether revocation lists answered for the certificates above the platform's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// A list in date, signed by the issuer, does not name them.
    Checked,
    /// No list came with the collateral.
    Unknown,
}

/// Whether the signatures in collateral must be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signatures {
    /// All of them.
    Check,
    /// Consensus checked them when it accepted the document. Everything else is checked again, in the same order, so that
    /// the verdict is the same.
    AcceptedBefore,
}

/// A public key of one of the two kinds.
pub(crate) enum PublicKey {
    Rsa(RsaPublicKey),
    P384(VerifyingKey),
}

/// A certificate in its canonical form; nothing about it is verified.
pub(crate) struct Certificate<'a> {
    signed: Signed<'a>,
    tbs: TbsCertificate,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate; `None` where it is none, is not canonical, repeats an extension, or has an unknown critical
    /// one.
    pub(crate) fn read(der: &'a [u8]) -> Option<Self> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return None;
        }
        let signed = split(der)?;
        let tbs = TbsCertificate::from_der(signed.tbs).ok()?;
        if tbs.version() != Version::V3 || !signed.names_algorithm_inside(split::Kind::Certificate) {
            return None;
        }
        extensions_are_known(tbs.extensions(), &[BASIC_CONSTRAINTS, KEY_USAGE])?;
        Some(Self { signed, tbs })
    }

    pub(crate) fn subject(&self) -> &Name {
        self.tbs.subject()
    }

    pub(crate) fn issuer(&self) -> &Name {
        self.tbs.issuer()
    }

    /// The subject's common name.
    pub(crate) fn common_name(&self) -> Option<String> {
        let name = self.tbs.subject().common_name().ok()??;
        Some(name.value().into_owned())
    }

    /// First second of validity.
    pub(crate) fn not_before(&self) -> UnixSeconds {
        self.tbs.validity().not_before.to_unix_duration().as_secs()
    }

    /// Last second of validity; for us validity ends before it.
    pub(crate) fn not_after(&self) -> UnixSeconds {
        self.tbs.validity().not_after.to_unix_duration().as_secs()
    }

    /// Checks the validity period.
    pub(crate) fn check_dates(&self, now_unix_s: UnixSeconds) -> Result<(), Refusal> {
        if now_unix_s < self.not_before() {
            return Err(Refusal::CertificateNotYetValid);
        }
        if now_unix_s >= self.not_after() { Err(Refusal::CertificateExpired) } else { Ok(()) }
    }

    /// The value of an extension.
    pub(crate) fn extension(&self, oid: ObjectIdentifier) -> Option<&[u8]> {
        find(self.tbs.extensions(), oid)
    }

    /// Checks that this may issue certificates with `below` further issuers under it, and nothing but that.
    pub(crate) fn check_issuer(&self, below: usize) -> Result<(), Refusal> {
        let constraints = self.extension(BASIC_CONSTRAINTS).and_then(|value| BasicConstraints::from_der(value).ok());
        let usage = self.extension(KEY_USAGE).and_then(|value| KeyUsage::from_der(value).ok());
        let (Some(constraints), Some(usage)) = (constraints, usage) else { return Err(Refusal::CertificateChain) };
        let deep_enough = constraints.path_len_constraint.is_none_or(|length| usize::from(length) >= below);
        if constraints.ca && deep_enough && usage.key_cert_sign() { Ok(()) } else { Err(Refusal::CertificateChain) }
    }

    /// Checks that this may not issue certificates.
    pub(crate) fn check_end_entity(&self) -> Result<(), Refusal> {
        let Some(value) = self.extension(BASIC_CONSTRAINTS) else { return Ok(()) };
        match BasicConstraints::from_der(value) {
            Ok(constraints) if !constraints.ca => Ok(()),
            _ => Err(Refusal::CertificateChain),
        }
    }

    /// The public key, where it is of a kind that exists here.
    pub(crate) fn public_key(&self) -> Option<PublicKey> {
        let info = self.tbs.subject_public_key_info();
        let bytes = info.subject_public_key.as_bytes()?;
        match info.algorithm.oid {
            RSA_ENCRYPTION => rsa_key(bytes).map(PublicKey::Rsa),
            EC_PUBLIC_KEY => {
                let curve: ObjectIdentifier = info.algorithm.parameters.as_ref()?.decode_as().ok()?;
                // An uncompressed point, so that one key has one form.
                let uncompressed = bytes.len() == 97 && bytes[0] == 4;
                let key = (curve == SECP384R1 && uncompressed).then_some(bytes)?;
                VerifyingKey::from_sec1_bytes(key).ok().map(PublicKey::P384)
            }
            _ => None,
        }
    }

    /// Checks that the certificate with this name and key issued this one.
    pub(crate) fn check_issued_by(&self, name: &Name, key: &PublicKey) -> Result<(), Refusal> {
        self.check_issuer_is((name, key), Signatures::Check)
    }

    /// Checks issuer's name and, where they must be, signatures.
    pub(crate) fn check_issuer_is(
        &self,
        (name, key): (&Name, &PublicKey),
        signatures: Signatures,
    ) -> Result<(), Refusal> {
        let is_signed = || signatures == Signatures::AcceptedBefore || self.signed.is_by(key);
        if self.issuer() == name && is_signed() { Ok(()) } else { Err(Refusal::CertificateChain) }
    }
}

impl PublicKey {
    /// Whether this ECDSA key signed `bytes`; `signature` is `r ‖ s`, big-endian, 96 bytes.
    pub(crate) fn signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let Self::P384(key) = self else { return false };
        Signature::from_slice(signature).is_ok_and(|signature| key.verify(bytes, &signature).is_ok())
    }
}

impl Signed<'_> {
    /// Whether this key signed it, under the algorithm that it names.
    fn is_by(&self, key: &PublicKey) -> bool {
        match key {
            PublicKey::Rsa(key) => {
                let digest = Sha384::digest(self.tbs);
                let right_form = split::RSA_PSS.contains(&self.algorithm) && self.signature.len() == RSA_BYTES;
                right_form && key.verify(Pss::<Sha384>::new(), &digest, self.signature).is_ok()
            }
            PublicKey::P384(key) => {
                let Ok(signature) = Signature::from_der(self.signature) else { return false };
                self.algorithm == split::ECDSA_SHA384 && key.verify(self.tbs, &signature).is_ok()
            }
        }
    }
}

/// An RSA-4096 key with exponent 65537 (RFC 8017 appendix A.1.1).
fn rsa_key(bytes: &[u8]) -> Option<RsaPublicKey> {
    let integers = Vec::<UintRef<'_>>::from_der(bytes).ok()?;
    let [modulus, exponent] = integers.as_slice() else { return None };
    if modulus.as_bytes().len() != RSA_BYTES || exponent.as_bytes() != [1, 0, 1] {
        return None;
    }
    let modulus = BoxedUint::from_be_slice(modulus.as_bytes(), 4096).ok()?;
    RsaPublicKey::new(modulus, BoxedUint::from(65_537u64)).ok()
}

fn find(extensions: Option<&Extensions>, oid: ObjectIdentifier) -> Option<&[u8]> {
    extensions?.iter().find(|extension| extension.extn_id == oid).map(|extension| extension.extn_value.as_bytes())
}

/// `None` where an extension stands twice, or a critical one is not in `known`.
fn extensions_are_known(extensions: Option<&Extensions>, known: &[ObjectIdentifier]) -> Option<()> {
    let extensions: &[_] = extensions.map_or(&[], |list| list.as_slice());
    for (index, extension) in extensions.iter().enumerate() {
        let repeated = extensions[..index].iter().any(|other| other.extn_id == extension.extn_id);
        if repeated || (extension.critical && !known.contains(&extension.extn_id)) {
            return None;
        }
    }
    Some(())
}

/// A revocation list that its issuer signed and that is in date.
pub(crate) struct RevocationList {
    tbs: TbsCertList,
    /// Unix seconds of its issue.
    pub(crate) issued_at: UnixSeconds,
    /// Unix seconds of the next update.
    pub(crate) expires_at: UnixSeconds,
    /// Its number; 0 where it carries none.
    pub(crate) number: u64,
}

impl RevocationList {
    /// Reads a list and checks that the certificate with this name and key issued it.
    pub(crate) fn read(der: &[u8], name: &Name, key: &PublicKey, signatures: Signatures) -> Result<Self, Refusal> {
        let signed = split(der).ok_or(Refusal::RevocationList)?;
        let list = Self::parse(&signed)?;
        let is_signed = || signatures == Signatures::AcceptedBefore || signed.is_by(key);
        if list.tbs.issuer == *name && is_signed() { Ok(list) } else { Err(Refusal::RevocationList) }
    }

    fn parse(signed: &Signed<'_>) -> Result<Self, Refusal> {
        let tbs = TbsCertList::from_der(signed.tbs).map_err(|_| Refusal::RevocationList)?;
        let right_form = tbs.version == Version::V2 && signed.names_algorithm_inside(split::Kind::RevocationList);
        let known = extensions_are_known(tbs.crl_extensions.as_ref(), &[ISSUING_POINT]);
        let whole = find(tbs.crl_extensions.as_ref(), DELTA_CRL).is_none();
        // An entry may name another issuer than the list's (RFC 5280 §5.3.3); then it is critical, and refused here.
        let entries = tbs.revoked_certificates.iter().flatten();
        let plain =
            entries.map(|entry| extensions_are_known(entry.crl_entry_extensions.as_ref(), &[])).collect::<Option<()>>();
        if !right_form || known.is_none() || plain.is_none() || !whole {
            return Err(Refusal::RevocationList);
        }
        let expires_at = tbs.next_update.ok_or(Refusal::RevocationList)?.to_unix_duration().as_secs();
        let issued_at = tbs.this_update.to_unix_duration().as_secs();
        let number = match find(tbs.crl_extensions.as_ref(), CRL_NUMBER) {
            Some(value) => number(value).ok_or(Refusal::RevocationList)?,
            None => 0,
        };
        Ok(Self { tbs, issued_at, expires_at, number })
    }

    /// Checks the list's own dates.
    pub(crate) fn check_dates(&self, now_unix_s: UnixSeconds) -> Result<(), Refusal> {
        if now_unix_s < self.issued_at {
            return Err(Refusal::CollateralNotYetValid);
        }
        if now_unix_s >= self.expires_at { Err(Refusal::RevocationListExpired) } else { Ok(()) }
    }

    /// Checks that the list speaks for this certificate and does not name it.
    pub(crate) fn check_not_revoked(&self, certificate: &Certificate<'_>) -> Result<(), Refusal> {
        if !self.covers(certificate) {
            return Err(Refusal::RevocationUnknown);
        }
        let serial = certificate.tbs.serial_number();
        let revoked = self.tbs.revoked_certificates.iter().flatten().any(|entry| entry.serial_number == *serial);
        if revoked { Err(Refusal::CertificateRevoked) } else { Ok(()) }
    }

    /// A list for one distribution point speaks only for certificates that name the point (RFC 5280 §5.2.5).
    fn covers(&self, certificate: &Certificate<'_>) -> bool {
        let Some(point) = find(self.tbs.crl_extensions.as_ref(), ISSUING_POINT) else { return true };
        let Some((0x30, name, [])) = read_tlv(point) else { return false };
        // The name alone, [0]: a list for some reasons or some kinds of certificates is not a whole list.
        let Some((0xa0, _, [])) = read_tlv(name) else { return false };
        let points = certificate.extension(CRL_POINTS).unwrap_or_default();
        points.windows(name.len()).any(|window| window.cmp(name) == Ordering::Equal)
    }
}

/// A non-negative INTEGER below 2^64.
fn number(value: &[u8]) -> Option<u64> {
    let number = UintRef::from_der(value).ok()?;
    let small = number.as_bytes().len() <= 8;
    small.then(|| number.as_bytes().iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}
