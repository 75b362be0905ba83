#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod abi;
mod app;
mod attend;
mod bundle;
mod collateral;
mod config;
mod container;
mod control;
mod egress;
mod error;
mod event;
mod executor;
mod hardware;
mod host;
mod ingress;
mod logs;
mod machine;
mod measure;
mod payer;
mod preflight;
mod provider;
mod registry;
mod relay;
mod sandbox;
mod supervise;
mod vm;
mod whole_file;

#[cfg(test)]
mod tests;

pub use app::{OwnedApp, known_app, launch_policy, widened};
pub use attend::{ATTENDED_CONFIG, ATTENDED_SERVED, AttendConfig, Attendant, AttendedEvidence};
pub use bundle::{bundled_app, key_scopes};
pub use collateral::{
    AMD_KDS, Basis, CollateralBot, CollateralConfig, CollateralEvent, CollateralWarning, EarlyLook, FetchError,
    INTEL_PCS, PckCa, Place, Promotion, RoundSummary, SourceError, Subject, VendorSources, VendorUrl, VendorUse,
};
pub use config::{
    App, AppFiles, AppFolder, AppOwner, AppProgram, BundledProgram, EmulatedTee, GuestProgram, HardwareTee, HostConfig,
    IsolationChoice, PolicyChoice, Reach,
};
pub use container::{ContainerApp, KubernetesOptions, kubernetes_manifests};
pub use error::HostError;
pub use event::HostEvent;
pub use executor::ExecutorHost;
pub use freehold_containers::{
    APP_SOCKET_VARIABLE, Backoff, ContainerBackend, LOCAL_API_VARIABLE, LogStream, MODEL_VARIABLE, OciRuntime,
    PROXY_PORT,
};
pub use host::Host;
pub use ingress::{Ingress, IngressCounts};
pub use measure::{EmulatedShown, Launch, MeasureError, Shown, measure, measure_bundle, measure_image, measure_in_tee};
pub use payer::Payer;
pub use preflight::{Check, CheckState, Preflight, QemuSays, VmWay, boot_folder, is_ready};
pub use provider::{
    AllowedEgress, AllowedKind, ImageMaker, Provider, ProviderConfig, ProviderEvent, ProviderPolicy, VmBackend,
};
pub use registry::{
    Access, ImageName, PushedBundle, Reference, Registry, RegistryError, SOURCE_SCHEME, challenge_input, helper_input,
    passwords_input, pull_images, reference_input, referrers_input,
};
pub use sandbox::{ConfineError, Isolation, confine};
pub use vm::{BareAccel, QUOTE_PORT, VmAccel, VmApp, VmRun, VmTee, VmTeeKind, vm_ingress, vm_storage};
