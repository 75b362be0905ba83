//! A GPU's attestation report: an SPDM 1.1 measurement request and response, one after the other (DSP0274 1.1 §10.11).
//!
//! Invariant: every byte is accounted for. What is not signed is the signature alone, whose `s` stands in the lower
//! half.

use freehold_primitives::{GPU_MEASUREMENTS, Reader, Register};
use p384::ecdsa::Signature;

use super::{certificate, opaque::Opaque};
use crate::refusal::Refusal;

/// Length of the request.
const REQUEST_BYTES: usize = 37;
/// SPDM 1.1, GET_MEASUREMENTS, signature requested, all blocks.
const REQUEST_HEADER: [u8; 4] = [0x11, 0xe0, 0x01, 0xff];
/// SPDM 1.1, MEASUREMENTS.
const RESPONSE_HEADER: [u8; 2] = [0x11, 0x60];
/// Length of `r ‖ s`.
pub(crate) const SIGNATURE_BYTES: usize = 96;
/// Header of a block: index, specification (1: DMTF), length of the measurement (51), all little-endian.
const BLOCK_HEADER_BYTES: usize = 4;
/// Measurement of a block: type (1: mutable firmware, as a digest), length of the digest (48), digest.
const BLOCK_FIXED: [u8; 6] = [0x01, 0x33, 0x00, 0x01, 0x30, 0x00];
/// Length of one block.
const BLOCK_BYTES: usize = BLOCK_HEADER_BYTES + 3 + 48;

/// A report that was read; nothing in it is verified.
pub(crate) struct Report<'a> {
    /// Request and response without the signature: what was signed.
    pub(crate) signed: &'a [u8],
    pub(crate) signature: Signature,
    pub(crate) nonce: [u8; 32],
    /// By index, 0 to 63.
    pub(crate) measurements: [Register; GPU_MEASUREMENTS],
    pub(crate) opaque: Opaque,
}

impl<'a> Report<'a> {
    /// Reads a report in canonical form.
    ///
    /// # Errors
    /// [`Refusal::EvidenceTruncated`], [`Refusal::EvidenceTrailing`], [`Refusal::GpuReportFormat`],
    /// [`Refusal::GpuOpaqueData`], [`Refusal::SignatureNotCanonical`].
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let report = Self::read_any_half(bytes)?;
        if certificate::is_lower_half(&report.signature) { Ok(report) } else { Err(Refusal::SignatureNotCanonical) }
    }

    /// As [`Self::read`], with `s` in either half, as hardware gives it.
    pub(crate) fn read_any_half(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let mut reader = Reader::new(bytes);
        let request = take(&mut reader, REQUEST_BYTES)?;
        if request[..4] != REQUEST_HEADER || request[36] != 0 {
            return Err(Refusal::GpuReportFormat);
        }
        let header = take(&mut reader, 8)?;
        let blocks = usize::from(header[4]);
        let record_bytes = usize::from(header[5]) | usize::from(header[6]) << 8 | usize::from(header[7]) << 16;
        if header[..2] != RESPONSE_HEADER || blocks != GPU_MEASUREMENTS || record_bytes != blocks * BLOCK_BYTES {
            return Err(Refusal::GpuReportFormat);
        }
        let measurements = measurements(take(&mut reader, record_bytes)?)?;
        let _nonce_of_the_gpu = take(&mut reader, 32)?;
        let opaque_bytes = u16_of(take(&mut reader, 2)?);
        let opaque = Opaque::read(take(&mut reader, opaque_bytes)?)?;
        let signature = take(&mut reader, SIGNATURE_BYTES)?;
        reader.finish().map_err(|_| Refusal::EvidenceTrailing)?;
        Ok(Self {
            signed: &bytes[..bytes.len() - SIGNATURE_BYTES],
            signature: Signature::from_slice(signature).map_err(|_| Refusal::GpuReportSignature)?,
            nonce: array(&request[4..36]),
            measurements,
            opaque,
        })
    }
}

/// All blocks, in order.
fn measurements(record: &[u8]) -> Result<[Register; GPU_MEASUREMENTS], Refusal> {
    let mut measurements = [Register([0; 48]); GPU_MEASUREMENTS];
    for (at, (block, value)) in record.chunks_exact(BLOCK_BYTES).zip(&mut measurements).enumerate() {
        // On the wire the first block is number 1; in RIM files and here it is 0.
        if usize::from(block[0]) != at + 1 || block[1..7] != BLOCK_FIXED {
            return Err(Refusal::GpuReportFormat);
        }
        *value = Register(array(&block[7..]));
    }
    Ok(measurements)
}

fn take<'a>(reader: &mut Reader<'a>, count: usize) -> Result<&'a [u8], Refusal> {
    reader.take(count).map_err(|_| Refusal::EvidenceTruncated)
}

/// Little-endian.
fn u16_of(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) | usize::from(bytes[1]) << 8
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}
