#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod certificates;
mod collateral;
mod der;
mod enclave;
mod keys;
mod nitro;
mod nvidia;
mod platform;
mod quote;
mod report;
mod rsa_key;
mod server;
mod snp;
mod x509;

pub use collateral::{COLLATERAL_VALID_S, CollateralPlan, Condition};
pub use enclave::EnclaveReport;
pub use keys::DEVELOPMENT_SEED;
pub use nitro::{NITRO_LEAF_VALID_S, NitroCollateralCondition, NitroCondition, NitroEnclave, NitroPlatform};
pub use nvidia::{EmulatedGpu, GpuCondition, GpuPlan, GpuRevocation, gpu_rim_root_certificate, gpu_root_certificate};
pub use platform::{FMSPC, Platform, PlatformFlags, PlatformPlan, root_certificate};
pub use quote::TdBody;
pub use report::{AppImage, Rtmr, RtmrEvent, TdReport, VmBoot};
pub use server::{EvidenceMachine, EvidenceServer};
pub use snp::{SNP_CLOUD, SnpCollateralCondition, SnpCondition, SnpGuest, SnpPlatform};
