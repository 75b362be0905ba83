//! `[vm]` of `host.toml`: whether rented apps run in VMs, and in what.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Result, bail};
use freehold_bundle::Bundle;
use freehold_host::{BareAccel, HardwareTee, HostError, QUOTE_PORT, VendorSources, VmAccel, VmBackend};
use freehold_image::{Image, programs_digest};
use freehold_primitives::Register;
use serde::Deserialize;

use crate::{
    args::{AccelArg, ImagePartArgs, SnpCpuArg, TeeVmArgs},
    commands::image::{assembled, container_programs, own_programs},
};

/// The section.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct VmSection {
    launcher: Launcher,
    kernel: Option<PathBuf>,
    init: Option<PathBuf>,
    agent: Option<PathBuf>,
    accel: Accel,
    firmware: Option<PathBuf>,
    quote_port: u32,
    separator: u8,
    acpi: Option<[Register; 3]>,
    snp_cpu: SnpCpu,
    snp_features: u64,
    intel: String,
    amd: String,
}

/// How rented apps are launched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Launcher {
    #[default]
    Direct,
    Qemu,
}

/// What runs a VM.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Accel {
    #[default]
    Auto,
    Kvm,
    Tcg,
    Tdx,
    Snp,
}

/// A model of CPUs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SnpCpu {
    #[default]
    EpycV4,
    EpycMilan,
    EpycGenoa,
}

impl Default for VmSection {
    fn default() -> Self {
        Self {
            launcher: Launcher::Direct,
            kernel: None,
            init: None,
            agent: None,
            accel: Accel::Auto,
            firmware: None,
            quote_port: QUOTE_PORT,
            separator: 1,
            acpi: None,
            snp_cpu: SnpCpu::EpycV4,
            snp_features: 1,
            intel: freehold_host::INTEL_PCS.to_owned(),
            amd: freehold_host::AMD_KDS.to_owned(),
        }
    }
}

impl VmSection {
    /// Paths of the section, which begin at the file's folder.
    pub(super) fn paths(&mut self) -> [Option<&mut PathBuf>; 4] {
        [&mut self.kernel, &mut self.init, &mut self.agent, &mut self.firmware].map(Option::as_mut)
    }

    /// What a VM is made of.
    pub(super) fn parts(&self) -> ImagePartArgs {
        let Self { kernel, init, agent, .. } = self.clone();
        ImagePartArgs { kernel, init, agent, ..ImagePartArgs::default() }
    }

    /// The firmware, where one is named.
    pub(super) fn firmware(&self) -> Option<PathBuf> {
        self.firmware.clone()
    }

    /// How it is run.
    pub(super) const fn accel(&self) -> AccelArg {
        match self.accel {
            Accel::Auto => AccelArg::Auto,
            Accel::Kvm => AccelArg::Kvm,
            Accel::Tcg => AccelArg::Tcg,
            Accel::Tdx => AccelArg::Tdx,
            Accel::Snp => AccelArg::Snp,
        }
    }

    /// What hangs on a TEE.
    pub(super) fn tee(&self) -> Result<TeeVmArgs> {
        if self.separator > 1 {
            bail!("[vm]: `separator` is the register that the firmware's last separator extends: 0 or 1");
        }
        Ok(TeeVmArgs {
            firmware: self.firmware.clone(),
            quote_port: self.quote_port,
            separator: self.separator,
            acpi: self.acpi.map(Vec::from),
            snp_cpu: match self.snp_cpu {
                SnpCpu::EpycV4 => SnpCpuArg::EpycV4,
                SnpCpu::EpycMilan => SnpCpuArg::EpycMilan,
                SnpCpu::EpycGenoa => SnpCpuArg::EpycGenoa,
            },
            snp_features: self.snp_features,
            intel: self.intel.parse()?,
            amd: self.amd.parse()?,
        })
    }

    /// The VMs, where rented apps run in some, with model files of a folder.
    pub(super) fn backend(&self, models: Option<&Path>) -> Result<Option<VmBackend>> {
        if self.launcher == Launcher::Direct {
            return if self.accel == Accel::Auto && self.firmware.is_none() {
                Ok(None)
            } else {
                bail!("[vm]: `accel` and `firmware` are of VMs: say launcher = \"qemu\"")
            };
        }
        let (mut parts, tee) = (self.parts(), self.tee()?);
        parts.models = models.map(Path::to_owned);
        let accel = match self.accel() {
            AccelArg::Auto => None,
            AccelArg::Kvm => Some(VmAccel::Emulated(BareAccel::Kvm)),
            AccelArg::Tcg => Some(VmAccel::Emulated(BareAccel::Tcg)),
            AccelArg::Tdx => Some(VmAccel::Tee(tee.vm(HardwareTee::Tdx)?)),
            AccelArg::Snp => Some(VmAccel::Tee(tee.vm(HardwareTee::Snp)?)),
        };
        let programs = programs_digest(&own_programs(&parts)?)?;
        // A machine without a runtime serves processes alone.
        let containers = container_programs(&parts).ok().map(|programs| programs_digest(&programs)).transpose()?;
        let make = move |bundle: &Bundle, folder: &Path| image(bundle, &parts, folder);
        Ok(Some(VmBackend::new(Arc::new(make), programs, containers, accel)))
    }

    /// Where collateral for hardware comes from.
    pub(super) fn sources(&self) -> Result<VendorSources> {
        Ok(self.tee()?.sources())
    }
}

/// The image of a bundle; what no VM runs is refused like everything that this machine cannot.
fn image(bundle: &Bundle, parts: &ImagePartArgs, folder: &Path) -> Result<Image, HostError> {
    assembled(bundle, parts, Some(folder)).map_err(|error| HostError::CannotRun {
        what: format!("{error:#}"),
        hint: "this provider runs rented apps in VMs (docs/vm.md)",
    })
}
