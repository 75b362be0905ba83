//! The canonical form of Intel's quotes (`spec/evidence.md` §2): exactly one accepted byte string for one signed
//! statement, apart from what its signers chose.
//!
//! Intel's signers use either half of ECDSA's `s`, its quoting library pads with zeros and ends the chain with or without
//! a NUL; and `dcap-qvl` reads what it needs and skips the rest. [`canonicalise`] brings a quote from the hardware into
//! the form; [`read`] refuses every other.

use dcap_qvl::{configs::RustCryptoConfig, intel::parse_pck_extension_with};
use freehold_primitives::{Digest, PlatformFamily, Register, TdxForm};
use sha2::{Digest as _, Sha256};

use super::{chain, platform_digest};
use crate::{refusal::Refusal, scalar::P256};

/// Longest quote in canonical form, in bytes.
pub const QUOTE_BYTES_MAX: usize = 8 * 1024;
/// Longest quote as hardware gives it, in bytes: padded with zeros.
const RAW_QUOTE_BYTES_MAX: usize = 16 * 1024;

/// Header of a quote, in bytes.
const HEADER_BYTES: usize = 48;
/// Type and size before the body of a version 5 quote.
const BODY_HEAD_BYTES: usize = 6;
/// An SGX report, in bytes: the body of an SGX quote, and of the quoting enclave's own report.
pub(crate) const SGX_REPORT_BYTES: usize = 384;
const SIGNATURE_BYTES: usize = 64;
/// Length of the quoting enclave's authentication data.
const QE_AUTH_BYTES: usize = 32;

const KEY_ECDSA_P256: u16 = 2;
const TEE_SGX: u32 = 0;
const TEE_TDX: u32 = 0x81;
const CERTIFICATION_QE_REPORT: u16 = 6;
const CERTIFICATION_PCK_CHAIN: u16 = 5;

/// Which TEE a quote is of, and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Sgx,
    Tdx(TdxForm),
}

impl Form {
    /// Reads version, TEE and body of a quote.
    fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() < HEADER_BYTES {
            return Err(Refusal::EvidenceTruncated);
        }
        if u16_at(bytes, 2) != KEY_ECDSA_P256 {
            return Err(Refusal::QuoteFormat);
        }
        match (u16_at(bytes, 0), u32_at(bytes, 4)) {
            (3, TEE_SGX) => Ok(Self::Sgx),
            (4, TEE_TDX) => Ok(Self::Tdx(TdxForm::V4Td10)),
            (5, TEE_TDX) if bytes.len() < HEADER_BYTES + BODY_HEAD_BYTES => Err(Refusal::EvidenceTruncated),
            (5, TEE_TDX) => {
                let form = match u16_at(bytes, HEADER_BYTES) {
                    2 => TdxForm::V5Td10,
                    3 => TdxForm::V5Td15,
                    4 => TdxForm::V5Td15Ex,
                    _ => return Err(Refusal::QuoteFormat),
                };
                let form = Self::Tdx(form);
                let size = u32_at(bytes, HEADER_BYTES + 2);
                if size as usize == form.body_bytes() { Ok(form) } else { Err(Refusal::QuoteFormat) }
            }
            _ => Err(Refusal::QuoteFormat),
        }
    }

    const fn body_bytes(self) -> usize {
        match self {
            Self::Sgx => SGX_REPORT_BYTES,
            Self::Tdx(TdxForm::V4Td10 | TdxForm::V5Td10) => 584,
            Self::Tdx(TdxForm::V5Td15) => 648,
            Self::Tdx(TdxForm::V5Td15Ex) => 885,
        }
    }

    /// Offset of the body.
    const fn body_at(self) -> usize {
        match self {
            Self::Sgx | Self::Tdx(TdxForm::V4Td10) => HEADER_BYTES,
            Self::Tdx(_) => HEADER_BYTES + BODY_HEAD_BYTES,
        }
    }
}

/// Offsets in a quote of one form.
#[derive(Debug, Clone, Copy)]
struct Layout {
    form: Form,
    /// End of what the attestation key signs; the length of the authentication data stands there.
    signed: usize,
    /// Signature of the attestation key.
    signature_at: usize,
    /// Outer certification data: type, length. Version 3 has none.
    outer_at: Option<usize>,
    qe_report_at: usize,
    qe_signature_at: usize,
    /// Length of the quoting enclave's authentication data.
    qe_auth_at: usize,
    /// Inner certification data: type, length.
    inner_at: usize,
    chain_at: usize,
}

impl Layout {
    const fn new(form: Form) -> Self {
        let signed = form.body_at() + form.body_bytes();
        let signature_at = signed + 4;
        let behind_key = signature_at + SIGNATURE_BYTES + 64;
        let (outer_at, qe_report_at) =
            if matches!(form, Form::Sgx) { (None, behind_key) } else { (Some(behind_key), behind_key + 6) };
        let qe_signature_at = qe_report_at + SGX_REPORT_BYTES;
        let qe_auth_at = qe_signature_at + SIGNATURE_BYTES;
        let inner_at = qe_auth_at + 2 + QE_AUTH_BYTES;
        Self {
            form,
            signed,
            signature_at,
            outer_at,
            qe_report_at,
            qe_signature_at,
            qe_auth_at,
            inner_at,
            chain_at: inner_at + 6,
        }
    }

    /// Length fields behind the first one, each with the place that it counts from.
    fn lengths(&self) -> impl Iterator<Item = (usize, usize)> {
        let outer = self.outer_at.map(|at| (at + 2, self.qe_report_at));
        outer.into_iter().chain([(self.inner_at + 2, self.chain_at)])
    }
}

/// A quote whose layout is canonical; nothing in it is verified.
pub(crate) struct CanonicalQuote<'a> {
    bytes: &'a [u8],
    layout: Layout,
    /// PCK certificate, its CA, the root: DER.
    pub(crate) chain: [Vec<u8>; 3],
}

impl<'a> CanonicalQuote<'a> {
    pub(crate) const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) const fn form(&self) -> Form {
        self.layout.form
    }

    /// Header and body.
    pub(crate) fn signed_part_digest(&self) -> Digest {
        Digest(Sha256::digest(&self.bytes[..self.layout.signed]).into())
    }

    /// The report body.
    fn body(&self) -> &'a [u8] {
        &self.bytes[self.layout.form.body_at()..self.layout.signed]
    }

    /// `N` bytes of the body.
    pub(crate) fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.body()[at..at + N]);
        bytes
    }

    pub(crate) fn register(&self, at: usize) -> Register {
        Register(self.field(at))
    }

    /// What the PCK certificate says of the platform; nothing of it is verified.
    pub(crate) fn outline(&self) -> Result<Outline, Refusal> {
        let platform =
            parse_pck_extension_with::<RustCryptoConfig>(&self.chain[0]).map_err(|_| Refusal::PlatformCertificate)?;
        Ok(Outline { family: PlatformFamily(platform.fmspc), platform: platform_digest(&platform.ppid) })
    }
}

/// Which platform a quote claims to come from.
pub(crate) struct Outline {
    pub(crate) family: PlatformFamily,
    pub(crate) platform: Digest,
}

/// Reads a quote in canonical form.
pub(crate) fn read(bytes: &[u8]) -> Result<CanonicalQuote<'_>, Refusal> {
    let (layout, end) = outer_form(bytes, QUOTE_BYTES_MAX)?;
    if bytes.len() > end {
        return Err(Refusal::EvidenceTrailing);
    }
    for at in [layout.signature_at, layout.qe_signature_at] {
        if !P256.is_lower_half(&s_at(bytes, at)) {
            return Err(Refusal::SignatureNotCanonical);
        }
    }
    let pem = bytes[layout.chain_at..].strip_suffix(&[0]).ok_or(Refusal::ChainNotCanonical)?;
    let chain = chain::read::<3>(pem).ok_or(Refusal::ChainNotCanonical)?;
    for certificate in &chain[..2] {
        if !chain::is_lower_half(certificate).ok_or(Refusal::ChainNotCanonical)? {
            return Err(Refusal::SignatureNotCanonical);
        }
    }
    Ok(CanonicalQuote { bytes, layout, chain })
}

/// Checks the fixed fields and the nested lengths; returns the layout and where the quote ends, at most `bytes.len()`.
fn outer_form(bytes: &[u8], bound: usize) -> Result<(Layout, usize), Refusal> {
    if bytes.len() > bound {
        return Err(Refusal::EvidenceTooLong);
    }
    let layout = Layout::new(Form::read(bytes)?);
    if bytes.len() < layout.chain_at {
        return Err(Refusal::EvidenceTruncated);
    }
    let end = (u32_at(bytes, layout.signed) as usize).saturating_add(layout.signature_at);
    if end > bytes.len() || end < layout.chain_at {
        return Err(Refusal::EvidenceTruncated);
    }
    let outer = layout.outer_at.map_or(CERTIFICATION_QE_REPORT, |at| u16_at(bytes, at));
    if outer != CERTIFICATION_QE_REPORT || u16_at(bytes, layout.qe_auth_at) as usize != QE_AUTH_BYTES {
        return Err(Refusal::CertificationType);
    }
    if u16_at(bytes, layout.inner_at) != CERTIFICATION_PCK_CHAIN {
        return Err(Refusal::CertificationType);
    }
    for (length_at, value_at) in layout.lengths() {
        match (u32_at(bytes, length_at) as usize).saturating_add(value_at).cmp(&end) {
            core::cmp::Ordering::Less => return Err(Refusal::EvidenceTrailing),
            core::cmp::Ordering::Greater => return Err(Refusal::EvidenceTruncated),
            core::cmp::Ordering::Equal => {}
        }
    }
    Ok((layout, end))
}

/// Brings a quote as the hardware gives it into canonical form: zero padding stripped, the signatures of the
/// attestation key, PCK, PCK CA and root in their lower half, the chain ended by one NUL. What was signed does not change.
///
/// # Errors
/// Refusals of class invalid where the quote has no canonical form.
pub fn canonicalise(quote: &[u8]) -> Result<Vec<u8>, Refusal> {
    let (layout, end) = outer_form(quote, RAW_QUOTE_BYTES_MAX)?;
    if quote[end..].iter().any(|byte| *byte != 0) {
        return Err(Refusal::EvidenceTrailing);
    }
    let mut bytes = quote[..layout.chain_at].to_vec();
    for at in [layout.signature_at, layout.qe_signature_at] {
        let mut s = s_at(&bytes, at);
        if !P256.is_lower_half(&s) {
            P256.negate(&mut s).ok_or(Refusal::SignatureNotCanonical)?;
            bytes[at + 32..at + 64].copy_from_slice(&s);
        }
    }
    let pem = &quote[layout.chain_at..end];
    let pem = pem.strip_suffix(&[0]).unwrap_or(pem);
    let [pck, ca, root] = chain::read::<3>(pem).ok_or(Refusal::ChainNotCanonical)?;
    for certificate in [&pck, &ca] {
        let certificate = chain::to_lower_half(certificate).ok_or(Refusal::ChainNotCanonical)?;
        bytes.extend(chain::write(certificate).as_bytes());
    }
    bytes.extend(chain::write(root).as_bytes());
    bytes.push(0);
    for (length_at, value_at) in layout.lengths().chain([(layout.signed, layout.signature_at)]) {
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

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
