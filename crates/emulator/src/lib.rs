#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod certificates;
mod collateral;
mod enclave;
mod keys;
mod platform;
mod quote;
mod report;
mod server;

pub use collateral::{COLLATERAL_VALID_S, CollateralPlan, Condition};
pub use enclave::EnclaveReport;
pub use keys::DEVELOPMENT_SEED;
pub use platform::{FMSPC, Platform, PlatformFlags, PlatformPlan, root_certificate};
pub use quote::TdBody;
pub use report::{AppImage, Rtmr, RtmrEvent, TdReport};
pub use server::{EvidenceServer, PROVIDER};
