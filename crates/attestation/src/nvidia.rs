//! NVIDIA GPUs: SPDM measurement reports of Hopper and Blackwell (`spec/gpu.md` §1).
//!
//! Pure, and enough for consensus: chain to a pinned root, signature over request and response, firmware identity, then
//! the policy's reference values. Deliberately not here: RIM files, from which reference values come (`crate::rim`),
//! OCSP, and NVIDIA's remote attestation service: they need the network, or XML, and so have no place in consensus.

pub(crate) mod certificate;
mod claims;
mod collateral;
mod evidence;
mod judge;
mod opaque;
mod report;
mod revocation;
mod tcb_info;

pub use claims::{NvidiaClaims, check_nonce, claims, claims_accepted, gpu_nonce};
pub use collateral::{
    COLLATERAL_BYTES_MAX, NvidiaCollateral, VerifiedNvidiaCollateral, canonicalise_collateral, read_collateral,
};
pub(crate) use evidence::check_report;
pub use evidence::{CHAIN_CERTIFICATES, EVIDENCE_BYTES_MAX, NvidiaEvidence, UnverifiedNvidia, canonicalise};
pub use judge::{judge, judge_all, judge_alone, reference_digest};
