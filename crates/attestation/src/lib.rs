#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod claims;
mod policy;
mod refusal;
mod tdx;

/// NVIDIA GPUs: measurement reports, their claims, and the policy over them.
pub mod nvidia;
/// NVIDIA's RIM files, from which reference values of GPUs come. Consensus never calls this.
pub mod rim;

pub use claims::VerifiedClaims;
pub use policy::{check_roots, development_policy, judge};
pub use refusal::{Refusal, RefusalClass};
pub use tdx::{
    CERTIFICATE_CHAIN_BYTES_MAX, COLLATERAL_BYTES_MAX, COLLATERAL_JSON_BYTES_MAX, CollateralDocument,
    REVOCATION_LIST_BYTES_MAX, UnverifiedQuote, VerifiedCollateral, canonicalise, claims, read_collateral, verify_tdx,
};
