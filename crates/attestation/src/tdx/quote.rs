//! The canonical form of a version 4 TDX quote (`spec/evidence.md` §2): exactly one accepted byte string for one
//! signed statement, apart from what its signers chose.
//!
//! Intel's signers use either half of ECDSA's `s`, its quoting library pads with zeros and ends the chain with or without
//! a NUL; and `dcap-qvl` reads what it needs and skips the rest. [`canonicalise`] brings a quote from the hardware into
//! the form; [`read`] refuses every other.

use dcap_qvl::{configs::RustCryptoConfig, intel::parse_pck_extension_with, quote::TDReport10};
use freehold_primitives::{Digest, EVIDENCE_BYTES_MAX, Register, TdxMeasurement};
use sha2::{Digest as _, Sha256};

use super::{chain, scalar};
use crate::refusal::Refusal;

/// Header of a quote, in bytes.
const HEADER_BYTES: usize = 48;
/// Body of a TD 1.0 report, in bytes.
const BODY_BYTES: usize = 584;
/// Header and body: what the attestation key signs.
const SIGNED_BYTES: usize = HEADER_BYTES + BODY_BYTES;
/// Offset of the length of the authentication data.
const AUTH_LENGTH_AT: usize = SIGNED_BYTES;
/// Offset of the signature over header and body.
const SIGNATURE_AT: usize = AUTH_LENGTH_AT + 4;
/// Offset of the outer certification data: type, length, value.
const OUTER_AT: usize = SIGNATURE_AT + 64 + 64;
/// Offset of the quoting enclave's report.
const QE_REPORT_AT: usize = OUTER_AT + 6;
/// Offset of the signature over the quoting enclave's report.
const QE_SIGNATURE_AT: usize = QE_REPORT_AT + 384;
/// Offset of the length of the quoting enclave's authentication data.
const QE_AUTH_AT: usize = QE_SIGNATURE_AT + 64;
/// Length of the quoting enclave's authentication data.
const QE_AUTH_BYTES: usize = 32;
/// Offset of the inner certification data: type, length, value.
const INNER_AT: usize = QE_AUTH_AT + 2 + QE_AUTH_BYTES;
/// Offset of the PCK certificate chain.
const CHAIN_AT: usize = INNER_AT + 6;

const VERSION: u16 = 4;
const KEY_ECDSA_P256: u16 = 2;
const TEE_TDX: u32 = 0x81;
const CERTIFICATION_QE_REPORT: u16 = 6;
const CERTIFICATION_PCK_CHAIN: u16 = 5;

/// A quote whose layout is canonical; nothing in it is verified.
pub(crate) struct CanonicalQuote<'a> {
    bytes: &'a [u8],
    /// PCK certificate, its CA, the root: DER.
    pub(crate) chain: [Vec<u8>; 3],
}

impl<'a> CanonicalQuote<'a> {
    /// Header and body.
    pub(crate) fn signed_part(&self) -> &'a [u8] {
        &self.bytes[..SIGNED_BYTES]
    }
}

/// Reads a quote in canonical form.
pub(crate) fn read(bytes: &[u8]) -> Result<CanonicalQuote<'_>, Refusal> {
    let end = layout(bytes)?;
    if bytes.len() > end {
        return Err(Refusal::EvidenceTrailing);
    }
    for at in [SIGNATURE_AT, QE_SIGNATURE_AT] {
        if !scalar::is_lower_half(&s_at(bytes, at)) {
            return Err(Refusal::SignatureNotCanonical);
        }
    }
    let pem = bytes[CHAIN_AT..].strip_suffix(&[0]).ok_or(Refusal::ChainNotCanonical)?;
    let chain = chain::read::<3>(pem).ok_or(Refusal::ChainNotCanonical)?;
    for certificate in &chain[..2] {
        if !chain::is_lower_half(certificate).ok_or(Refusal::ChainNotCanonical)? {
            return Err(Refusal::SignatureNotCanonical);
        }
    }
    Ok(CanonicalQuote { bytes, chain })
}

/// Checks the fixed fields and the three nested lengths; returns where the quote ends, at most `bytes.len()`.
fn layout(bytes: &[u8]) -> Result<usize, Refusal> {
    if bytes.len() > EVIDENCE_BYTES_MAX {
        return Err(Refusal::EvidenceTooLong);
    }
    if bytes.len() < HEADER_BYTES {
        return Err(Refusal::EvidenceTruncated);
    }
    if u16_at(bytes, 0) != VERSION || u16_at(bytes, 2) != KEY_ECDSA_P256 || u32_at(bytes, 4) as u32 != TEE_TDX {
        return Err(Refusal::QuoteFormat);
    }
    if bytes.len() < CHAIN_AT {
        return Err(Refusal::EvidenceTruncated);
    }
    let end = u32_at(bytes, AUTH_LENGTH_AT).saturating_add(SIGNATURE_AT);
    if end > bytes.len() || end < CHAIN_AT {
        return Err(Refusal::EvidenceTruncated);
    }
    if u16_at(bytes, OUTER_AT) != CERTIFICATION_QE_REPORT || u16_at(bytes, QE_AUTH_AT) as usize != QE_AUTH_BYTES {
        return Err(Refusal::CertificationType);
    }
    if u16_at(bytes, INNER_AT) != CERTIFICATION_PCK_CHAIN {
        return Err(Refusal::CertificationType);
    }
    for (length_at, value_at) in [(OUTER_AT + 2, QE_REPORT_AT), (INNER_AT + 2, CHAIN_AT)] {
        match u32_at(bytes, length_at).saturating_add(value_at).cmp(&end) {
            core::cmp::Ordering::Less => return Err(Refusal::EvidenceTrailing),
            core::cmp::Ordering::Greater => return Err(Refusal::EvidenceTruncated),
            core::cmp::Ordering::Equal => {}
        }
    }
    Ok(end)
}

/// Brings a quote as the hardware gives it into canonical form: zero padding stripped, the signatures of the
/// attestation key, PCK, PCK CA and root in their lower half, the chain ended by one NUL. What was signed does not change.
///
/// # Errors
/// Refusals of class invalid where the quote has no canonical form.
pub fn canonicalise(quote: &[u8]) -> Result<Vec<u8>, Refusal> {
    let end = layout(quote)?;
    if quote[end..].iter().any(|byte| *byte != 0) {
        return Err(Refusal::EvidenceTrailing);
    }
    let mut bytes = quote[..CHAIN_AT].to_vec();
    for at in [SIGNATURE_AT, QE_SIGNATURE_AT] {
        let mut s = s_at(&bytes, at);
        if !scalar::is_lower_half(&s) {
            scalar::negate(&mut s).ok_or(Refusal::SignatureNotCanonical)?;
            bytes[at + 32..at + 64].copy_from_slice(&s);
        }
    }
    let pem = &quote[CHAIN_AT..end];
    let pem = pem.strip_suffix(&[0]).unwrap_or(pem);
    let [pck, ca, root] = chain::read::<3>(pem).ok_or(Refusal::ChainNotCanonical)?;
    for certificate in [&pck, &ca] {
        let certificate = chain::to_lower_half(certificate).ok_or(Refusal::ChainNotCanonical)?;
        bytes.extend(chain::write(certificate).as_bytes());
    }
    bytes.extend(chain::write(root).as_bytes());
    bytes.push(0);
    for (length_at, value_at) in
        [(AUTH_LENGTH_AT, SIGNATURE_AT), (OUTER_AT + 2, QE_REPORT_AT), (INNER_AT + 2, CHAIN_AT)]
    {
        let length = bytes.len().checked_sub(value_at).ok_or(Refusal::EvidenceTruncated)?;
        let length = u32::try_from(length).map_err(|_| Refusal::EvidenceTooLong)?;
        bytes[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }
    read(&bytes)?;
    Ok(bytes)
}

/// `s` of the signature at `at`, big-endian.
fn s_at(bytes: &[u8], at: usize) -> [u8; 32] {
    let mut s = [0; 32];
    s.copy_from_slice(&bytes[at + 32..at + 64]);
    s
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize
}

/// The registers of a TD report, all present.
pub(crate) fn measurement(report: &TDReport10) -> TdxMeasurement {
    TdxMeasurement {
        mrtd: Register(report.mr_td),
        rtmr0: Some(Register(report.rt_mr0)),
        rtmr1: Some(Register(report.rt_mr1)),
        rtmr2: Some(Register(report.rt_mr2)),
        rtmr3: Some(Register(report.rt_mr3)),
    }
}

/// What a canonical quote *says*, before anything in it is verified: for cheap checks that come first, and for whoever
/// needs to find the right collateral.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedQuote {
    measurement: TdxMeasurement,
    report_data: [u8; 64],
    fmspc: [u8; 6],
    signed_part_digest: Digest,
    root_certificate: Vec<u8>,
}

impl UnverifiedQuote {
    /// Reads a quote in canonical form.
    ///
    /// # Errors
    /// Refusals of class invalid.
    pub fn read(evidence: &[u8]) -> Result<Self, Refusal> {
        let quote = read(evidence)?;
        let register = |at: usize| {
            let mut bytes = [0; 48];
            bytes.copy_from_slice(&evidence[HEADER_BYTES + at..HEADER_BYTES + at + 48]);
            Register(bytes)
        };
        let mut report_data = [0; 64];
        report_data.copy_from_slice(&evidence[SIGNED_BYTES - 64..SIGNED_BYTES]);
        let platform =
            parse_pck_extension_with::<RustCryptoConfig>(&quote.chain[0]).map_err(|_| Refusal::PlatformCertificate)?;
        Ok(Self {
            measurement: TdxMeasurement {
                mrtd: register(136),
                rtmr0: Some(register(328)),
                rtmr1: Some(register(376)),
                rtmr2: Some(register(424)),
                rtmr3: Some(register(472)),
            },
            report_data,
            fmspc: platform.fmspc,
            signed_part_digest: Digest(Sha256::digest(quote.signed_part()).into()),
            root_certificate: quote.chain[2].clone(),
        })
    }

    /// The registers it claims, all present.
    pub const fn measurement(&self) -> &TdxMeasurement {
        &self.measurement
    }

    /// The 64 bytes it claims to bind.
    pub const fn report_data(&self) -> &[u8; 64] {
        &self.report_data
    }

    /// The platform family it claims to be of.
    pub const fn fmspc(&self) -> [u8; 6] {
        self.fmspc
    }

    /// SHA-256 of header and body.
    pub const fn signed_part_digest(&self) -> Digest {
        self.signed_part_digest
    }

    /// The root certificate that its chain ends in, DER.
    pub fn root_certificate(&self) -> &[u8] {
        &self.root_certificate
    }
}
