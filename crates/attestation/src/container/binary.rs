//! Forms in bytes: what they begin with says what they are.

use super::{Container, Format, GpuEvidence};
use crate::{
    eventlog::DstackAttestation,
    refusal::Refusal,
    snp::{SNP_REPORT_BYTES, SnpCertificateTable},
};
use freehold_primitives::{EvidenceKind, SnpSigningKey, VERSION};

/// QE vendor id of Intel's quoting enclaves, at offset 12 of a quote.
const INTEL: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
/// SPDM 1.1 GET_MEASUREMENTS, all measurements, signed.
const SPDM_REQUEST: [u8; 2] = [0x11, 0xe0];
/// Bytes of the header before the report in Azure's HCL report.
const AZURE_HEADER_BYTES: usize = 32;
/// COSE_Sign1 with ES384, as AWS writes it; some put tag 18 before it.
const NITRO: [u8; 7] = [0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0];
const NITRO_TAG: u8 = 0xd2;
/// Signature and name of a crypto-agile log's first event, behind index, type, SHA-1 and size.
const TCG_LOG: &[u8; 16] = b"Spec ID Event03\0";

/// Reads bytes by their beginning; `None` where they are no known binary form.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Container>, Refusal> {
    if let Some(format) = quote_format(bytes) {
        return Ok(Some(Container::quote(format, bytes.to_vec())));
    }
    if bytes.get(32..48) == Some(TCG_LOG) {
        return Ok(Some(Container::TcgLog(bytes.to_vec())));
    }
    if let Some(rest) = bytes.strip_prefix(b"HCLA") {
        let report = rest.get(AZURE_HEADER_BYTES - 4..).and_then(|rest| rest.get(..SNP_REPORT_BYTES));
        let report = report.ok_or(Refusal::ContainerPart)?.to_vec();
        return Ok(Some(Container::Snp { report, certificate: None }));
    }
    if is_snp(bytes) {
        let (report, rest) = bytes.split_at(SNP_REPORT_BYTES);
        let certificate = if rest.is_empty() { None } else { Some(behind_report(rest)?) };
        return Ok(Some(Container::Snp { report: report.to_vec(), certificate }));
    }
    if bytes.starts_with(&NITRO) {
        return Ok(Some(Container::Nitro(bytes.to_vec())));
    }
    if bytes.first() == Some(&NITRO_TAG) && bytes[1..].starts_with(&NITRO) {
        return Ok(Some(Container::Nitro(bytes[1..].to_vec())));
    }
    if bytes.starts_with(&SPDM_REQUEST) {
        return gpu_parts(bytes).map(Some);
    }
    if let Some(found) = dstack(bytes)? {
        return Ok(Some(found));
    }
    if let Some(found) = canonical(bytes) {
        return Ok(Some(found));
    }
    if bytes.starts_with(b"\xa2") {
        return super::intel::read_cbor(bytes).map(Some);
    }
    Ok(None)
}

pub(super) fn quote_format(bytes: &[u8]) -> Option<Format> {
    if bytes.get(12..28)? != INTEL {
        return None;
    }
    match (bytes.get(..2)?, bytes.get(4..8)?) {
        (_, [0x81, 0, 0, 0]) => Some(Format::Tdx),
        (_, [0, 0, 0, 0]) => Some(Format::Sgx),
        _ => None,
    }
}

/// A report of versions 2 to 5 that says ECDSA P-384 with SHA-384.
fn is_snp(bytes: &[u8]) -> bool {
    bytes.len() >= SNP_REPORT_BYTES
        && matches!(bytes[..4], [2..=5, 0, 0, 0])
        && matches!(bytes[0x34..0x38], [1 | 0, 0, 0, 0])
}

/// What follows a report: its certificate, or the host's table of certificates.
fn behind_report(rest: &[u8]) -> Result<Vec<u8>, Refusal> {
    if rest.first() == Some(&0x30) {
        return Ok(rest.to_vec());
    }
    let table = SnpCertificateTable::read(rest).map_err(|_| Refusal::EvidenceTrailing)?;
    let one = table.endorsement(SnpSigningKey::Vcek).or_else(|| table.endorsement(SnpSigningKey::Vlek));
    one.map(<[u8]>::to_vec).ok_or(Refusal::ContainerPart)
}

/// A GPU's report, and certificates in PEM behind it.
fn gpu_parts(bytes: &[u8]) -> Result<Container, Refusal> {
    let at = bytes.windows(11).position(|window| window == b"-----BEGIN ").unwrap_or(bytes.len());
    let (report, chain) = bytes.split_at(at);
    let chain = (!chain.is_empty()).then(|| chain.to_vec());
    Ok(Container::Nvidia(vec![GpuEvidence::Parts { report: report.to_vec(), chain, nonce: None }]))
}

/// dstack's attestation, version 0: of a TD (variant 0), or of a Nitro enclave (variant 2), whose document stands behind
/// a compact length.
pub(super) fn dstack(bytes: &[u8]) -> Result<Option<Container>, Refusal> {
    match bytes {
        [0, 0, _, _, rest @ ..] if (0..=2).any(|skip| quote_format(rest.get(skip..).unwrap_or_default()).is_some()) => {
            let attestation = DstackAttestation::read(bytes)?;
            let format = quote_format(&attestation.quote).ok_or(Refusal::ContainerPart)?;
            let (quote, log) = (attestation.quote, Some(attestation.log));
            Ok(Some(Container::Quote { format, quote, log, endorsements: Box::default() }))
        }
        [0, 2, low, high, rest @ ..] if low & 3 == 1 && rest.starts_with(&NITRO[..6]) => {
            let length = usize::from(u16::from_le_bytes([*low, *high]) >> 2);
            rest.get(..length)
                .map(|document| Some(Container::Nitro(document.to_vec())))
                .ok_or(Refusal::EvidenceTruncated)
        }
        _ => Ok(None),
    }
}

/// Canonical documents of this project (version byte, lengths of four bytes): of a GPU, and of a bundle.
fn canonical(bytes: &[u8]) -> Option<Container> {
    if bytes.first() != Some(&VERSION) {
        return None;
    }
    let inner = |at: usize| bytes.get(at..).unwrap_or_default();
    if inner(5).starts_with(&SPDM_REQUEST) {
        return Some(Container::Nvidia(vec![GpuEvidence::Canonical(bytes.to_vec())]));
    }
    let kinds = [EvidenceKind::Tdx, EvidenceKind::Sgx, EvidenceKind::Snp, EvidenceKind::Nitro];
    let is_primary = kinds.into_iter().any(|kind| bytes.get(1) == Some(&(kind as u8)));
    let primary = inner(6);
    let is_bundle = is_primary && (quote_format(primary).is_some() || is_snp(primary) || primary.starts_with(&NITRO));
    is_bundle.then(|| Container::Bundle(bytes.to_vec()))
}
