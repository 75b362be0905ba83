//! What an instance asks the chain to record (design D7, `spec/registration.md`).

use crate::{
    evidence::EvidenceKind,
    ids::{Digest, Height, PlatformFamily},
    keyset::{Keyset, SubjectBody},
    payload::TrustDomain,
};

/// Largest registration document, in bytes.
pub const REGISTRATION_BYTES_MAX: usize = 4 * 1024;
/// Largest evidence of any kind, in bytes: a quote with its certificate chain is about 5 KiB, a GPU's evidence about 9. Each
/// kind has a narrower bound of its own (`spec/evidence.md`).
pub const EVIDENCE_BYTES_MAX: usize = 96 * 1024;
/// A nonce block may be this many seconds older than the block that registers.
pub const NONCE_AGE_S_MAX: u64 = 600;

canonical_struct! {
    /// A registration or a renewal; the instance's account signs the document and the SHA-256 of the evidence.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Registration {
        /// Who the instance is.
        pub subject: SubjectBody,
        /// Its public keys.
        pub keyset: Keyset,
        /// Height of the block whose hash is the nonce.
        pub nonce_height: Height,
        /// Hash of that block: the nonce of the statement in `report_data`.
        pub nonce: Digest,
        /// Kind of the evidence beside this document.
        pub evidence_kind: EvidenceKind,
        /// Trust domain whose root and collateral judge the evidence.
        pub trust_domain: TrustDomain,
        /// Platform family that names the collateral; of the primary in a bundle.
        pub family: PlatformFamily,
        /// Lease asked for, in seconds.
        pub lease_s: u64,
    }
}
