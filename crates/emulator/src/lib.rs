#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod collateral;
mod keys;
mod nvidia;
mod platform;
mod quote;
mod report;
mod server;

pub use collateral::{COLLATERAL_VALID_S, CollateralPlan, Condition};
pub use keys::DEVELOPMENT_SEED;
pub use nvidia::{EmulatedGpu, GpuCondition, GpuPlan, GpuRevocation, gpu_rim_root_certificate, gpu_root_certificate};
pub use platform::{FMSPC, Platform, root_certificate};
pub use report::{AppImage, Rtmr, TdReport};
pub use server::{EvidenceServer, PROVIDER};
