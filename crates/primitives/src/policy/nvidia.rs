//! What an app accepts of GPUs (`spec/policy.md` §4): nouns only, judged by `freehold-attestation`.
//!
//! Measurements are named by the index that NVIDIA's RIM files use, 0 to 63: one less than the index on the wire.

use crate::ids::{Digest, Register};

/// Measurement blocks of a GPU's report.
pub const GPU_MEASUREMENTS: usize = 64;
/// Longest version text in a policy or a report, in bytes.
pub const GPU_VERSION_BYTES_MAX: usize = 32;

canonical_enum! {
    /// Architecture of a GPU, by the model that its certificates name.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum GpuArchitecture {
        /// Models `GH…`.
        Hopper = 1,
        /// Models `GB…`.
        Blackwell = 2,
    }
}

canonical_enum! {
    /// How a GPU is shared and connected, as its report says.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum GpuMode {
        /// One GPU passed through, its bus encrypted. Also what a report says that predates the field.
        SinglePassthrough = 1,
        /// Several GPUs passed through, their links encrypted.
        MultiPassthrough = 2,
        /// Protected PCIe: all GPUs and switches of a machine in one guest, links between them in the clear.
        ProtectedPcie = 3,
    }
}

canonical_struct! {
    /// What one measurement may be.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct GpuMeasurement {
        /// Index, 0 to 63.
        pub index: u8,
        /// Accepted values (SHA-384); an empty list accepts any.
        pub values: Vec<Register>,
    }
}

canonical_struct! {
    /// Reference values of one version of a driver or of firmware, as a verified RIM file gives them. Its name is
    /// SHA-256 of its document under `freehold gpu reference\n`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct GpuReference {
        /// Model that the values are of, such as `GH100`.
        pub model: String,
        /// Version that a report must say: of the driver (`550.90.07`), or of the VBIOS (`96.00.9F.00.01`).
        pub version: String,
        /// Values by index, strictly ascending.
        pub measurements: Vec<GpuMeasurement>,
    }
}

canonical_struct! {
    /// What GPU evidence must show.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct NvidiaPolicy {
        /// Fewest GPUs that a bundle must hold. Evidence of one GPU alone counts as one.
        pub gpus_min: u32,
        /// Accepted architectures; an empty list accepts none.
        pub architectures: Vec<GpuArchitecture>,
        /// Accepted modes; an empty list accepts none.
        pub modes: Vec<GpuMode>,
        /// Accepted driver versions; empty accepts any.
        pub driver_versions: Vec<String>,
        /// Accepted VBIOS versions; empty accepts any.
        pub vbios_versions: Vec<String>,
        /// Reference values of drivers, one of which must match; `None` together with `firmware_references` demands no
        /// measurement at all.
        pub driver_references: Option<Vec<GpuReference>>,
        /// Reference values of firmware, one of which must match.
        pub firmware_references: Option<Vec<GpuReference>>,
        /// Oldest accepted revocation lists, in seconds since their issue; 0 demands none.
        pub revocation_age_s_max: u64,
        /// Denied GPUs, by SHA-256 of the device identity key.
        pub platforms_denied: Vec<Digest>,
    }
}
