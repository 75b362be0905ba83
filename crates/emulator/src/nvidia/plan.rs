//! What an emulated GPU says, and what its vendor says about it.

use freehold_primitives::{GpuArchitecture, GpuMode};

/// What is wrong with an emulated GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum GpuCondition {
    /// Nothing.
    #[default]
    Sound,
    /// The certificate names other firmware than the report.
    FirmwareIdentityForeign,
    /// The leaf's flags say debug. Blackwell only: Hopper's certificates have none.
    Debug,
    /// A measurement of the driver is not what the RIM file says.
    DriverChanged,
    /// A measurement of the firmware is not what the RIM file says.
    FirmwareChanged,
    /// A measurement that no RIM file names has a value.
    MeasurementExtra,
    /// The leaf's alternative name is of another model than NVIDIA's certificate.
    ModelForeign,
    /// The report names a chip of the other architecture. Blackwell only.
    ChipForeign,
    /// The GPU signed another nonce than it was given.
    NonceForeign,
    /// The report's signature is of another key.
    SignatureForeign,
}

impl GpuCondition {
    /// Every condition.
    pub const ALL: &'static [Self] = &[
        Self::Sound,
        Self::FirmwareIdentityForeign,
        Self::Debug,
        Self::DriverChanged,
        Self::FirmwareChanged,
        Self::MeasurementExtra,
        Self::ModelForeign,
        Self::ChipForeign,
        Self::NonceForeign,
        Self::SignatureForeign,
    ];
}

/// What a report says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuPlan {
    /// What is wrong with it.
    pub condition: GpuCondition,
    /// How the GPU is shared and connected.
    pub mode: GpuMode,
    /// Driver version.
    pub driver_version: String,
    /// VBIOS version: five pairs of hexadecimal digits in upper case, with dots.
    pub vbios_version: String,
}

impl GpuPlan {
    /// A sound GPU with a newer driver of its architecture.
    pub fn new(architecture: GpuArchitecture) -> Self {
        let (driver_version, vbios_version) = match architecture {
            GpuArchitecture::Hopper => ("550.90.07", "96.00.9F.00.01"),
            GpuArchitecture::Blackwell => ("595.58.03", "98.02.74.00.01"),
        };
        Self {
            condition: GpuCondition::Sound,
            mode: GpuMode::SinglePassthrough,
            driver_version: driver_version.to_owned(),
            vbios_version: vbios_version.to_owned(),
        }
    }
}

/// What the vendor's revocation lists say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GpuRevocation {
    /// Lists of root, model and provisioner, all empty.
    None,
    /// No lists.
    NoLists,
    /// The device's certificate stands in the provisioner's list.
    Device,
    /// The provisioner's certificate stands in the model's list.
    Provisioner,
    /// The model's certificate stands in the root's list.
    Model,
}
