#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod compose;
mod digests;
mod error;
mod layout;
mod manifest;
mod paths;
mod section;
mod yaml;

pub use compose::{
    COMPOSE_BYTES_MAX, Command, Compose, Condition, HealthCheck, HealthTest, ImageRef, Mount, MountSource, Port,
    Protocol, SERVICES_MAX, Service, ServiceLimits, ServiceRestart, start_order,
};
pub use error::{Fault, ManifestError};
pub use layout::{
    ArchiveFault, BESIDE_TYPES, BUNDLE_BYTES_MAX, BlobKind, BlobWriter, Bundle, BundleContents, BundleDocument,
    BundleError, BundlePull, BundleSignature, BundledFile, FILES_MAX, IMAGE_LAYERS_MAX, IMAGES_FOLDER, Image,
    ImageHealth, ImageLayer, ImageProgram, LayerPacking, MissingBlob, Ownership, UnpackedFile, UnpackedKind,
    add_signature, build_bundle, bundle_signing_digest, open_bundle, read_compose, read_in_root,
};
pub use manifest::{
    AcmeChallenge, AcmeDirectory, Additions, DOMAINS_MAX, Deployment, Egress, EgressTarget, GpuModel, GpuWish,
    HostName, Ingress, KeyScope, Kind, Limits, LogVisibility, MANIFEST_BYTES_MAX, MANIFEST_FILE, Manifest, ModelFile,
    ProcessSpec, Resources, Restart, StorageKind,
};
