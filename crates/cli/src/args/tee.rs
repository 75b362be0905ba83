//! Arguments of VMs in a TEE of hardware.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use freehold_host::{AMD_KDS, HardwareTee, INTEL_PCS, QUOTE_PORT, VendorSources, VendorUrl, VmTee, VmTeeKind};
use freehold_image::{AcpiTables, Separator, SnpCpu, SnpPlatformOptions};
use freehold_primitives::Register;

use super::SnpCpuArg;

/// What a VM boots with under `--accel tdx` or `snp`, and what of it no file of the image says.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "With --accel tdx or snp (never run on hardware: docs/vm.md)")]
pub(crate) struct TeeVmArgs {
    /// The firmware, which is measured: an OVMF built for TDX, or OVMF's AmdSev build.
    #[arg(long, value_name = "FILE")]
    pub(crate) firmware: Option<PathBuf>,
    /// Port of Intel's quote service on this machine's vsock; 0 where the guest asks by other means.
    #[arg(long, value_name = "PORT", default_value_t = QUOTE_PORT)]
    pub(crate) quote_port: u32,
    /// Register that the firmware's last separator extends: 1 for OVMF until 2025-02, 0 for some that are newer.
    #[arg(long, value_name = "0|1", default_value_t = 1, value_parser = clap::value_parser!(u8).range(..=1))]
    pub(crate) separator: u8,
    /// SHA-384 of QEMU's table loader, RSDP and ACPI tables, in hex: with them the policy names RTMR0 too.
    #[arg(long, value_name = "HEX", num_args = 3)]
    pub(crate) acpi: Option<Vec<Register>>,
    /// Model of the CPUs of an SEV-SNP guest.
    #[arg(long, value_name = "MODEL", default_value = "epyc-v4")]
    pub(crate) snp_cpu: SnpCpuArg,
    /// `SEV_FEATURES` that this machine's KVM turns on.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) snp_features: u64,
    /// Intel's service, or a cache of it (PCCS), without `/sgx/…`, for the collateral of a TD's platform.
    #[arg(long, value_name = "URL", default_value = INTEL_PCS)]
    pub(crate) intel: VendorUrl,
    /// AMD's service, for collateral and the certificate of a report's key.
    #[arg(long, value_name = "URL", default_value = AMD_KDS)]
    pub(crate) amd: VendorUrl,
}

impl TeeVmArgs {
    /// The TEE of a VM.
    pub(crate) fn vm(&self, tee: HardwareTee) -> Result<VmTee> {
        let firmware = self.firmware.clone();
        let firmware =
            firmware.context("a VM in a TEE boots with a firmware that is measured: name it with --firmware")?;
        let kind = match tee {
            HardwareTee::Tdx => VmTeeKind::Tdx {
                quote_port: (self.quote_port != 0).then_some(self.quote_port),
                separator: if self.separator == 0 { Separator::InRtmr0 } else { Separator::InRtmr1 },
                acpi: match self.acpi.as_deref() {
                    Some([loader, rsdp, tables]) => Some(AcpiTables { loader: *loader, rsdp: *rsdp, tables: *tables }),
                    _ => None,
                },
            },
            HardwareTee::Snp => VmTeeKind::Snp {
                cpu: self.snp_cpu.model(),
                features: self.snp_features,
                platform: SnpPlatformOptions::default(),
            },
        };
        Ok(VmTee { firmware, kind })
    }

    /// Where collateral comes from.
    pub(crate) fn sources(&self) -> VendorSources {
        VendorSources { intel: self.intel.clone(), amd: self.amd.clone() }
    }
}

impl SnpCpuArg {
    /// The model.
    pub(crate) const fn model(self) -> SnpCpu {
        match self {
            Self::EpycV4 => SnpCpu::EpycV4,
            Self::EpycMilan => SnpCpu::Milan,
            Self::EpycGenoa => SnpCpu::Genoa,
        }
    }
}
