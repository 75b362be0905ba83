#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod abi;
mod app;
mod backoff;
mod collateral;
mod config;
mod control;
mod error;
mod event;
mod host;
mod machine;
mod measure;
mod payer;
mod relay;
mod sandbox;
mod supervise;

#[cfg(test)]
mod tests;

pub use backoff::Backoff;
pub use collateral::{
    AMD_KDS, Basis, CollateralBot, CollateralConfig, CollateralEvent, CollateralWarning, EarlyLook, FetchError,
    INTEL_PCS, PckCa, Place, Promotion, RoundSummary, SourceError, Subject, VendorSources, VendorUrl, VendorUse,
};
pub use config::{AppProgram, EmulatedTee, GuestProgram, HostConfig, IsolationChoice};
pub use error::HostError;
pub use event::HostEvent;
pub use host::Host;
pub use measure::{Launch, MeasureError, measure};
pub use sandbox::{APP_SOCKET_VARIABLE, Isolation, LOCAL_API_VARIABLE, MODEL_VARIABLE};
