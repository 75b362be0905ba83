//! Arguments of `image`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use freehold_primitives::Register;

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Build the VM image of a bundle: kernel, initramfs, disk under dm-verity, command line.
    Build(ImageBuildArgs),
    /// Compute what TDX or SEV-SNP will measure of an image.
    Measure(ImageMeasureArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "The kernel package is pinned by its SHA-256: `apt-get download` it from Debian, whose \
                  archive keeps every version. The same bundle, kernel and programs give the same image, byte for byte. \
                  Exit status: 0 built (and the same, with --verify), 1 otherwise.")]
pub(crate) struct ImageBuildArgs {
    /// The bundle, as `app build` writes it.
    #[arg(value_name = "BUNDLE", default_value = "bundle")]
    pub(crate) bundle: PathBuf,
    #[command(flatten)]
    pub(crate) parts: ImagePartArgs,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
    /// Where the image is written.
    #[arg(long, value_name = "DIR", default_value = "image")]
    pub(crate) output: PathBuf,
    /// Build beside the image that is there and compare, instead of writing it.
    #[arg(long)]
    pub(crate) verify: bool,
}

/// What an image is made of beside the bundle.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ImagePartArgs {
    /// The pinned kernel package; by default the one that FREEHOLD_KERNEL_PACKAGE names.
    #[arg(long, value_name = "FILE.deb")]
    pub(crate) kernel: Option<PathBuf>,
    /// PID 1; by default `freehold-init` beside this program.
    #[arg(long, value_name = "FILE")]
    pub(crate) init: Option<PathBuf>,
    /// The guest agent; by default `freehold-guest` beside this program.
    #[arg(long, value_name = "FILE")]
    pub(crate) agent: Option<PathBuf>,
    /// What runs containers in the VM; by default `freehold-containers` beside this program.
    #[arg(long, value_name = "FILE")]
    pub(crate) containers: Option<PathBuf>,
    /// A program of this machine that the app needs, such as /usr/bin/python3: it and its libraries are put into the image.
    #[arg(long = "with", value_name = "PROGRAM")]
    pub(crate) with: Vec<PathBuf>,
    /// Folder with the model files that the app's manifest names; by default the one that FREEHOLD_MODELS names, else the user's cache.
    #[arg(long, value_name = "DIR")]
    pub(crate) models: Option<PathBuf>,
}

/// How large a VM is; it is measured.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ShapeArgs {
    /// CPUs.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) cpus: u16,
    /// Memory, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    pub(crate) memory_mib: u32,
}

/// A model of CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SnpCpuArg {
    /// QEMU's EPYC-v4.
    EpycV4,
    /// QEMU's EPYC-Milan.
    EpycMilan,
    /// QEMU's EPYC-Genoa.
    EpycGenoa,
}

#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("firmware").required(true),
    after_help = "Computed, and checked against recorded evidence where docs/vm.md says so; never yet compared with a VM of this \
                  image on TDX or SEV-SNP hardware."
)]
pub(crate) struct ImageMeasureArgs {
    /// The image.
    #[arg(value_name = "IMAGE", default_value = "image")]
    pub(crate) image: PathBuf,
    /// Firmware of a TD: an OVMF built for TDX.
    #[arg(long, value_name = "FILE", group = "firmware")]
    pub(crate) tdx_firmware: Option<PathBuf>,
    /// Firmware of an SEV-SNP guest: OVMF's AmdSev build.
    #[arg(long, value_name = "FILE", group = "firmware")]
    pub(crate) snp_firmware: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) shape: ShapeArgs,
    /// Model of the CPUs of an SEV-SNP guest.
    #[arg(long, value_name = "MODEL", default_value = "epyc-v4")]
    pub(crate) cpu: SnpCpuArg,
    /// `SEV_FEATURES` that the host's KVM turns on.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) snp_features: u64,
    /// SHA-384 of QEMU's table loader, RSDP and ACPI tables, in hex: with them RTMR0 is told too.
    #[arg(long, value_name = "HEX", num_args = 3, requires = "tdx_firmware")]
    pub(crate) acpi: Option<Vec<Register>>,
}
