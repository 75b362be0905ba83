#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod abi;
mod app;
mod backoff;
mod bundle;
mod collateral;
mod config;
mod container;
mod control;
mod egress;
mod error;
mod event;
mod executor;
mod host;
mod ingress;
mod logs;
mod machine;
mod measure;
mod payer;
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
pub use backoff::Backoff;
pub use bundle::bundled_app;
pub use collateral::{
    AMD_KDS, Basis, CollateralBot, CollateralConfig, CollateralEvent, CollateralWarning, EarlyLook, FetchError,
    INTEL_PCS, PckCa, Place, Promotion, RoundSummary, SourceError, Subject, VendorSources, VendorUrl, VendorUse,
};
pub use config::{
    App, AppFiles, AppFolder, AppOwner, AppProgram, BundledProgram, EmulatedTee, GuestProgram, HostConfig,
    IsolationChoice, PolicyChoice, Reach,
};
pub use container::{ContainerApp, ContainerBackend, KubernetesOptions, OciRuntime, kubernetes_manifests};
pub use egress::PROXY_PORT;
pub use error::HostError;
pub use event::HostEvent;
pub use executor::ExecutorHost;
pub use host::Host;
pub use ingress::{Ingress, IngressCounts};
pub use logs::LogStream;
pub use measure::{Launch, MeasureError, measure, measure_bundle, measure_image};
pub use payer::Payer;
pub use provider::{AllowedEgress, AllowedKind, Provider, ProviderConfig, ProviderEvent, ProviderPolicy};
pub use registry::{Access, ImageName, PushedBundle, Reference, Registry, RegistryError, SOURCE_SCHEME, pull_images};
pub use sandbox::{APP_SOCKET_VARIABLE, Isolation, LOCAL_API_VARIABLE, MODEL_VARIABLE};
pub use vm::{VmApp, VmRun, vm_ingress, vm_storage};
