#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod abi;
mod agent;
mod anchor;
mod api;
mod asked;
mod chain;
mod clock;
mod config;
mod evidence;
mod keys;
mod receipts;
mod state;

pub use agent::{GuestError, run};
pub use asked::asked_by_host;
pub use config::{BoundConfig, CONFIG_BYTES_MAX, ConfigError, GuestConfig, PathConfig, TrustConfig};
pub use evidence::{EvidenceError, EvidenceSource, QUOTE_BYTES_MAX, SocketSource, take_quote};
pub use state::{
    Effect, Input, LEASE_MARGIN_S, LeaseTerms, Lifecycle, RECHECK_MS, RETRY_MS_MAX, RETRY_MS_MIN, Stage, StopReason,
};
