#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod abi;
mod agent;
mod anchor;
mod api;
mod asked;
mod chain;
mod clock;
mod config;
mod dstack;
mod events;
mod evidence;
mod fetch;
mod ingress;
mod keys;
mod launch;
mod leases;
mod metadata;
mod outlet;
mod owner;
mod peers;
mod receipts;
mod release;
mod rofl;
mod roots;
mod sealed_file;
mod seen;
mod sender;
mod spending;
mod state;
mod state_disk;
mod vm;

pub use agent::{ExecutorGiven, GuestError, run, run_executor};
pub use asked::asked_by_host;
pub use config::{
    AcmeChallenge, AcmeConfig, BoundConfig, CONFIG_BYTES_MAX, ConfigError, EnvironmentSocket, EvidencePath,
    GuestConfig, IngressConfig, PathConfig, ServiceSocket, StateDiskPaths, StorageCare, TrustConfig, VariablePart,
};
pub use evidence::{
    CONFIGFS_ROOT, ConfigfsError, ConfigfsSource, EvidenceError, EvidenceSource, MEASUREMENTS_ROOT, OUTBLOB_BYTES_MAX,
    Rtmr3, RtmrError, SocketSource, TDX_GUEST_DEVICE, TakenEvidence, Wanted, take_evidence,
};
#[cfg(feature = "nvml")]
pub use evidence::{GpuEvidence, GpuEvidenceError, NvmlSource};
pub use launch::{LaunchError, launch, seal_words};
pub use outlet::relay_egress;
pub use seen::SeenError;
pub use state::{
    CLOCK_SLIP_S, Effect, Input, LEASE_MARGIN_S, LeaseTerms, Lifecycle, RECHECK_MS, RETRY_MS_MAX, RETRY_MS_MIN, Stage,
    StopReason,
};
pub use vm::{VmError, VmIngress, VmPlaces, VmServices, VmState, run_in_vm};
