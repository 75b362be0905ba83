#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod certificate;
mod claims;
mod p384_scalar;
mod policy;
mod refusal;
mod tdx;

pub mod nitro;
pub mod snp;

pub use certificate::Revocation;
pub use claims::VerifiedClaims;
pub use policy::{check_roots, development_policy, judge};
pub use refusal::{Refusal, RefusalClass};
pub use tdx::{
    CERTIFICATE_CHAIN_BYTES_MAX, COLLATERAL_BYTES_MAX, COLLATERAL_JSON_BYTES_MAX, CollateralDocument,
    REVOCATION_LIST_BYTES_MAX, UnverifiedQuote, VerifiedCollateral, canonicalise, claims, read_collateral, verify_tdx,
};
