//! SHA-256 over model files and bodies: plain, incremental, no domain.
//!
//! The one-shot digests of Freehold's own formats live in `freehold-crypto`; here is only the running form that a stream
//! of bytes needs.

use freehold_primitives::Digest;
use sha2::{Digest as _, Sha256};

/// SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// A SHA-256 that grows with a stream.
#[derive(Clone, Default)]
pub(crate) struct Running(Sha256);

impl Running {
    /// Adds bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything so far.
    pub(crate) fn digest(&self) -> Digest {
        Digest(self.0.clone().finalize().into())
    }

    /// The digest as ACI writes it.
    pub(crate) fn tagged(&self) -> String {
        format!("sha256:{}", self.digest())
    }
}

/// Writes a length and bytes into a running hash, so that neighbours cannot run together.
pub(crate) fn update_framed(hash: &mut Running, bytes: &[u8]) {
    hash.update(&(bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}
