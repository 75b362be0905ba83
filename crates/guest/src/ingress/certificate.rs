//! What is read of a chain that an authority gave: whose key it certifies, and until when. Whether the authority is any good, its
//! clients judge.

use freehold_crypto::sha256;
use freehold_primitives::{Digest, UnixSeconds};
use freehold_rpc::Base64Text;
use thiserror::Error;
use tokio_rustls::rustls::{
    pki_types::{CertificateDer, pem::PemObject as _},
    server::ParsedCertificate,
};

/// Most certificates of a chain, and the largest chain, in characters of PEM.
const CHAIN_MAX: usize = 8;
pub(super) const CHAIN_BYTES_MAX: usize = 64 * 1024;

/// Why a chain is not used.
#[derive(Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub(super) enum ChainError {
    /// It is no chain of certificates, or too long.
    #[error("what the authority gave is no chain of certificates")]
    Form,
    /// It certifies another key.
    #[error("the authority certified another key than it was asked to")]
    OtherKey,
}

/// A chain, its own certificate first.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub(super) certificates: Vec<CertificateDer<'static>>,
    pub(super) not_after: UnixSeconds,
}

impl Chain {
    /// Reads a chain for a key.
    pub(super) fn read(pem: &str, spki_sha256: &Digest) -> Result<Self, ChainError> {
        if pem.len() > CHAIN_BYTES_MAX {
            return Err(ChainError::Form);
        }
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        let certificates = certificates.map_err(|_| ChainError::Form)?;
        let first = certificates.first().filter(|_| certificates.len() <= CHAIN_MAX).ok_or(ChainError::Form)?;
        let parsed = ParsedCertificate::try_from(first).map_err(|_| ChainError::Form)?;
        if sha256(&parsed.subject_public_key_info()) != *spki_sha256 {
            return Err(ChainError::OtherKey);
        }
        let not_after = not_after(first).ok_or(ChainError::Form)?;
        Ok(Self { certificates, not_after })
    }
}

/// Certificates as text (RFC 7468), as authorities give them.
pub(super) fn pem(certificates: &[CertificateDer<'_>]) -> String {
    let block = |certificate: &CertificateDer<'_>| {
        let text = Base64Text(certificate.to_vec()).to_string();
        let lines = text.as_bytes().chunks(64).map(|line| format!("{}\n", String::from_utf8_lossy(line)));
        format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", lines.collect::<String>())
    };
    certificates.iter().map(block).collect()
}

/// End of a certificate's validity (RFC 5280 §4.1).
fn not_after(certificate: &[u8]) -> Option<UnixSeconds> {
    let (_, certificate, _) = element(certificate)?;
    let (_, body, _) = element(certificate)?;
    // Version (explicitly tagged), serial number, signature algorithm, issuer.
    let mut rest = body;
    if element(rest)?.0 == 0xa0 {
        rest = element(rest)?.2;
    }
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, behind) = element(validity)?;
    let (kind, text, _) = element(behind)?;
    seconds(kind, text)
}

/// One element of DER: its tag, its content, and what stands behind it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, behind) = rest.split_at_checked(length)?;
    Some((tag, content, behind))
}

/// A time of X.509: `UTCTime` (23) or `GeneralizedTime` (24), in seconds, `Z` (RFC 5280 §4.1.2.5).
fn seconds(kind: u8, text: &[u8]) -> Option<UnixSeconds> {
    let digits = text.strip_suffix(b"Z").filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let number = |part: &[u8]| part.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    let (year, rest) = match (kind, digits.len()) {
        (23, 12) => {
            let year = number(&digits[..2]);
            (if year < 50 { 2000 + year } else { 1900 + year }, &digits[2..])
        }
        (24, 14) => (number(&digits[..4]), &digits[4..]),
        _ => return None,
    };
    let part = |at: usize| number(&rest[at..at + 2]);
    let (month, day, hour, minute, second) = (part(0), part(2), part(4), part(6), part(8));
    let in_range = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !in_range || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since the epoch in the proleptic Gregorian calendar, years beginning in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests;
