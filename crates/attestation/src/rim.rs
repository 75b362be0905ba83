//! NVIDIA's RIM files: SWID tags with an XML signature, from which reference values of GPUs come (`spec/gpu.md` §5).
//!
//! Consensus never calls this module: a policy carries the values that it yields, under a digest that anyone can make
//! again from the file (`docs/decisions/0010-rim-off-chain.md`). It is as pure as its neighbours, time included. Whether
//! NVIDIA revoked a signer only OCSP says, which is not asked here.

mod measurements;
mod signature;
mod xml;

use freehold_primitives::{GpuReference, UnixSeconds};

use crate::refusal::Refusal;

/// Longest RIM file, in bytes; real ones have 20 to 26 KiB.
pub const RIM_BYTES_MAX: usize = 256 * 1024;

/// NVIDIA's own root of RIM files, DER, as published: data, for tools. Its source stands in `roots/README.md`.
pub const fn vendor_root() -> &'static [u8] {
    include_bytes!("../roots/nvidia-rim-root.der")
}

/// A RIM file whose signature was verified. Only [`read_rim`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRim {
    reference: GpuReference,
    expires_at: UnixSeconds,
}

impl VerifiedRim {
    /// Its active measurements, for a policy.
    pub const fn reference(&self) -> &GpuReference {
        &self.reference
    }

    /// First unix second at which a certificate of its signer's chain is no longer valid.
    pub const fn expires_at(&self) -> UnixSeconds {
        self.expires_at
    }
}

/// Verifies a RIM file at `now_unix_s`: accepted subset of XML, digest of the whole document without its signature,
/// signature, signer's chain up to `root` (DER); then reads its measurements.
///
/// # Errors
/// [`Refusal::RimFormat`], [`Refusal::RimDigest`], [`Refusal::RimSignature`], [`Refusal::RimMeasurements`],
/// [`Refusal::GpuCertificate`], [`Refusal::UnknownRoot`], [`Refusal::CertificateChain`], and those for dates.
pub fn read_rim(file: &[u8], root: &[u8], now_unix_s: UnixSeconds) -> Result<VerifiedRim, Refusal> {
    if file.len() > RIM_BYTES_MAX {
        return Err(Refusal::EvidenceTooLong);
    }
    let tag = xml::parse(file).ok_or(Refusal::RimFormat)?;
    let expires_at = signature::verify(&tag, root, now_unix_s)?;
    Ok(VerifiedRim { reference: measurements::read(&tag)?, expires_at })
}

#[cfg(test)]
mod tests;
