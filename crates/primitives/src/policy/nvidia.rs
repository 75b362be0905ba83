//! What an app accepts of GPUs (`spec/gpu.md` §4): nouns only, judged by `freehold-attestation`.
//!
//! Measurements are named by the index that NVIDIA's RIM files use, 0 to 63: one less than the index on the wire.

use super::POLICY_LIST_MAX;
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

impl GpuReference {
    /// Whether model and version are there and short, and indexes are in range and strictly ascending.
    pub fn is_well_formed(&self) -> bool {
        let text = |text: &str| (1..=GPU_VERSION_BYTES_MAX).contains(&text.len());
        let in_range =
            |one: &GpuMeasurement| usize::from(one.index) < GPU_MEASUREMENTS && one.values.len() <= POLICY_LIST_MAX;
        let ascending = self.measurements.windows(2).all(|pair| pair[0].index < pair[1].index);
        let named = text(&self.model) && text(&self.version) && !self.measurements.is_empty();
        named && ascending && self.measurements.iter().all(in_range)
    }
}

impl NvidiaPolicy {
    /// Whether every list is within its bound, and every reference well-formed.
    pub fn is_bounded(&self) -> bool {
        let versions = [&self.driver_versions, &self.vbios_versions];
        let references = [&self.driver_references, &self.firmware_references];
        self.architectures.len() <= POLICY_LIST_MAX
            && self.modes.len() <= POLICY_LIST_MAX
            && self.platforms_denied.len() <= POLICY_LIST_MAX
            && versions.iter().all(|list| list.len() <= POLICY_LIST_MAX)
            && references
                .into_iter()
                .flatten()
                .all(|list| list.len() <= POLICY_LIST_MAX && list.iter().all(GpuReference::is_well_formed))
    }
}
