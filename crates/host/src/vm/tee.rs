//! A TEE of hardware that a VM boots in: what QEMU is told of it, and what it measures beside the image.
//!
//! Nothing here was compared with a VM on hardware (`docs/vm.md`): where it is not what the processor finds, the app's policy
//! refuses the instance, and the host says which register differs.

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::firmware_bytes as tests_firmware;

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use freehold_image::{
    Accel, AcpiTables, Firmware, Image, KernelHashes, MeasureFault, OVMF_BOOT_ENTRY, PageOrder, Separator, SnpCpu,
    SnpLaunch, SnpPlatformOptions, TdxBoot, TdxMachine, VmShape, extended,
};
use freehold_primitives::{Digest, Measurement, Register};
use freehold_rpc::ProviderTee;
use sha2::{Digest as _, Sha256};

use crate::{config::HardwareTee, measure::MeasureError};

/// Largest firmware that is read, in bytes.
const FIRMWARE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Port of Intel's quote service on the host's vsock, as its package sets it up.
pub const QUOTE_PORT: u32 = 4050;

/// A TEE, and what a VM is given to boot in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmTee {
    /// The firmware.
    pub firmware: PathBuf,
    /// What else hangs on the kind of TEE.
    pub kind: VmTeeKind,
}

/// What hangs on the kind of TEE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VmTeeKind {
    /// Intel TDX.
    Tdx {
        /// Port of the quote service on the host's vsock; `None` where the guest asks by other means.
        quote_port: Option<u32>,
        /// Where the firmware puts its last separator.
        separator: Separator,
        /// QEMU's ACPI tables; without them the policy says nothing of RTMR0.
        acpi: Option<AcpiTables>,
    },
    /// AMD SEV-SNP.
    Snp {
        /// Model of the CPUs.
        cpu: SnpCpu,
        /// `SEV_FEATURES` that the host's KVM turns on.
        features: u64,
        /// What the host's processor says.
        platform: SnpPlatformOptions,
    },
}

impl VmTee {
    /// Whose TEE it is.
    pub const fn hardware(&self) -> HardwareTee {
        match self.kind {
            VmTeeKind::Tdx { .. } => HardwareTee::Tdx,
            VmTeeKind::Snp { .. } => HardwareTee::Snp,
        }
    }

    /// How QEMU runs a VM of an app in it.
    pub fn accel(&self, app: Digest) -> Accel {
        let firmware = self.firmware.clone();
        match self.kind {
            VmTeeKind::Tdx { quote_port, .. } => Accel::Tdx { firmware, quote_port },
            VmTeeKind::Snp { cpu, platform, .. } => Accel::Snp { firmware, cpu, platform, host_data: app },
        }
    }

    /// What evidence of a VM of an image is expected to show; `event` is the one that PID 1 extends RTMR3 by.
    ///
    /// # Errors
    /// [`MeasureError::Read`], [`MeasureError::Image`].
    pub(crate) fn measurement(
        &self,
        image: &Image,
        shape: VmShape,
        event: &Register,
    ) -> Result<Measurement, MeasureError> {
        let bytes = firmware(&self.firmware)?;
        let firmware = Firmware::parse(&bytes)?;
        Ok(match self.kind {
            VmTeeKind::Tdx { separator, acpi, .. } => {
                let boot =
                    TdxBoot { firmware: &firmware, kernel: &image.kernel, initrd: &image.initrd, line: &image.line };
                // Of QEMU 10.1 and newer, which alone take what they are told here.
                let order = PageOrder::PageByPage;
                let machine = TdxMachine { shape, order, separator, acpi, boot_entry: OVMF_BOOT_ENTRY };
                let mut registers = boot.measurement(&machine)?;
                registers.rtmr3 = Some(extended(&[*event]));
                registers.into()
            }
            VmTeeKind::Snp { cpu, features, .. } => {
                let hashes = KernelHashes::of(&image.kernel, &image.initrd, &image.line);
                let launch = SnpLaunch { shape, cpu, features, hashes: Some(hashes) };
                launch.measurement(&firmware, image.app)?.into()
            }
        })
    }

    /// What a renter must know to compute the same.
    ///
    /// # Errors
    /// [`MeasureError::Read`].
    pub fn told(&self) -> Result<ProviderTee, MeasureError> {
        let firmware = firmware_digest(&self.firmware)?;
        Ok(match self.kind {
            VmTeeKind::Tdx { separator, acpi, .. } => ProviderTee::Tdx {
                firmware,
                separator: if separator == Separator::InRtmr0 { 0 } else { 1 },
                acpi: acpi.map(|AcpiTables { loader, rsdp, tables }| [loader, rsdp, tables]),
            },
            VmTeeKind::Snp { cpu, features, .. } => ProviderTee::Snp { firmware, cpu: cpu.name().to_owned(), features },
        })
    }

    /// The TEE that a provider tells of, with one's own copy of its firmware.
    ///
    /// # Errors
    /// [`MeasureError::Read`]; [`MeasureError::OtherFirmware`]: the copy is of another one; [`MeasureError::UnknownTee`].
    pub fn of_provider(told: &ProviderTee, copy: &Path) -> Result<Self, MeasureError> {
        let (wanted, kind) = match told {
            ProviderTee::Tdx { firmware, separator, acpi } => {
                let separator = match separator {
                    0 => Separator::InRtmr0,
                    1 => Separator::InRtmr1,
                    _ => return Err(MeasureError::UnknownTee),
                };
                let acpi = acpi.map(|[loader, rsdp, tables]| AcpiTables { loader, rsdp, tables });
                (firmware, VmTeeKind::Tdx { quote_port: None, separator, acpi })
            }
            ProviderTee::Snp { firmware, cpu, features } => {
                let models = [SnpCpu::EpycV4, SnpCpu::Milan, SnpCpu::Genoa];
                let cpu = models.into_iter().find(|model| model.name() == cpu).ok_or(MeasureError::UnknownTee)?;
                let platform = SnpPlatformOptions::default();
                (firmware, VmTeeKind::Snp { cpu, features: *features, platform })
            }
        };
        let found = firmware_digest(copy)?;
        if found != *wanted {
            return Err(MeasureError::OtherFirmware { path: copy.to_owned(), found, wanted: *wanted });
        }
        Ok(Self { firmware: copy.to_owned(), kind })
    }
}

fn firmware(path: &Path) -> Result<Vec<u8>, MeasureError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FIRMWARE_BYTES_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|source| MeasureError::Read { path: path.to_owned(), source })?;
    if bytes.len() as u64 > FIRMWARE_BYTES_MAX { Err(MeasureFault::FirmwareTable.into()) } else { Ok(bytes) }
}

fn firmware_digest(path: &Path) -> Result<Digest, MeasureError> {
    Ok(Digest(Sha256::digest(firmware(path)?).into()))
}
