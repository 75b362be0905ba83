//! A revocation list signed with P-384 (RFC 5280 §5), in the one form that is accepted: whole lists with a number and a
//! next update, without scopes of any kind.

use freehold_primitives::UnixSeconds;
use p384::ecdsa::signature::Verifier as _;
use x509_cert::{
    crl::CertificateList,
    der::{Decode as _, asn1::UintRef, oid::ObjectIdentifier},
    name::Name,
};

use super::certificate::{self, Certificate};
use crate::{
    REVOCATION_LIST_BYTES_MAX,
    certificate::{Signatures, split},
    refusal::Refusal,
};

/// `ecdsa-with-SHA384` (RFC 5758 §3.2).
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
/// `cRLNumber` (RFC 5280 §5.2.3).
const NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");

/// A list that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RevocationList {
    issuer: Name,
    number: u64,
    issued_at: UnixSeconds,
    expires_at: UnixSeconds,
    serials: Vec<Vec<u8>>,
}

impl RevocationList {
    /// Reads DER.
    ///
    /// # Errors
    /// [`Refusal::CollateralTooLong`], [`Refusal::RevocationList`].
    pub(crate) fn read(der: &[u8]) -> Result<Self, Refusal> {
        if der.len() > REVOCATION_LIST_BYTES_MAX {
            return Err(Refusal::CollateralTooLong);
        }
        Self::parse(der).ok_or(Refusal::RevocationList)
    }

    fn parse(der: &[u8]) -> Option<Self> {
        let list: CertificateList = CertificateList::from_der(der).ok()?;
        let fields = list.tbs_cert_list;
        if list.signature_algorithm.oid != ECDSA_SHA384 || fields.signature != list.signature_algorithm {
            return None;
        }
        let extensions = fields.crl_extensions?;
        let mut number = None;
        for extension in &extensions {
            match extension.extn_id {
                NUMBER if number.is_none() => number = Some(integer(extension.extn_value.as_bytes())?),
                _ if extension.critical => return None,
                _ => {}
            }
        }
        let mut serials = Vec::new();
        for entry in fields.revoked_certificates.into_iter().flatten() {
            let scopes = entry.crl_entry_extensions.into_iter().flatten();
            if scopes.into_iter().any(|extension| extension.critical) {
                return None;
            }
            serials.push(entry.serial_number.as_bytes().to_vec());
        }
        Some(Self {
            issuer: fields.issuer,
            number: number?,
            issued_at: fields.this_update.to_unix_duration().as_secs(),
            expires_at: fields.next_update?.to_unix_duration().as_secs(),
            serials,
        })
    }

    /// Whether this certificate's subject issued it.
    pub(crate) fn is_of(&self, certificate: &Certificate) -> bool {
        self.issuer == *certificate.subject()
    }

    /// Checks the signature over `der`, from which the list was read, and its canonical form.
    pub(crate) fn check_signature(
        &self,
        der: &[u8],
        issuer: &Certificate,
        signatures: Signatures,
    ) -> Result<(), Refusal> {
        let parts = split(der).ok_or(Refusal::RevocationList)?;
        let signature = certificate::read_signature(parts.signature).ok_or(Refusal::RevocationList)?;
        if !certificate::is_lower_half(&signature) {
            return Err(Refusal::SignatureNotCanonical);
        }
        if signatures == Signatures::AcceptedBefore {
            return Ok(());
        }
        issuer.key().verify(parts.tbs, &signature).map_err(|_| Refusal::RevocationList)
    }

    /// Checks the dates; validity ends before the next update.
    pub(crate) fn check_dates(&self, now_unix_s: UnixSeconds) -> Result<(), Refusal> {
        if now_unix_s < self.issued_at {
            return Err(Refusal::CollateralNotYetValid);
        }
        if now_unix_s >= self.expires_at { Err(Refusal::RevocationListExpired) } else { Ok(()) }
    }

    /// Whether the certificate with this serial number is revoked, or on hold.
    pub(crate) fn lists(&self, serial: &[u8]) -> bool {
        self.serials.iter().any(|revoked| revoked == serial)
    }

    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    pub(crate) const fn issued_at(&self) -> UnixSeconds {
        self.issued_at
    }

    pub(crate) const fn expires_at(&self) -> UnixSeconds {
        self.expires_at
    }
}

/// The same list with `s` of its signature in the lower half.
pub(crate) fn to_lower_half(der: &[u8]) -> Result<Vec<u8>, Refusal> {
    certificate::to_lower_half(der).ok_or(Refusal::RevocationList)
}

/// An unsigned DER integer of at most 8 bytes.
fn integer(der: &[u8]) -> Option<u64> {
    let integer = UintRef::from_der(der).ok()?;
    let mut bytes = [0; 8];
    let from = bytes.len().checked_sub(integer.as_bytes().len())?;
    bytes[from..].copy_from_slice(integer.as_bytes());
    Some(u64::from_be_bytes(bytes))
}
