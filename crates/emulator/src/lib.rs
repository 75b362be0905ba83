#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod collateral;
mod keys;
mod platform;
mod quote;
mod report;
mod server;

pub use collateral::{COLLATERAL_VALID_S, CollateralPlan, Condition};
pub use keys::DEVELOPMENT_SEED;
pub use platform::{FMSPC, Platform, root_certificate};
pub use report::{AppImage, Rtmr, TdReport};
pub use server::{EvidenceServer, PROVIDER};
