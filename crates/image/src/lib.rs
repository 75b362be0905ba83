#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod boot;
mod build;
mod cpio;
mod elf;
mod erofs;
mod error;
mod ext4;
mod firmware;
mod kernel;
mod models;
mod programs;
mod qemu;
mod run;
mod shape;
mod snp;
mod state;
mod tdx;
mod tree;
mod verity;

pub use boot::CommandLine;
pub use build::{
    AppAuthority, AppIngress, AppProxy, AppStart, AppStorage, Image, ImageParts, RestartRule, StartKind, StorageRule,
};
pub use cpio::cpio;
pub use elf::{Program, with_libraries};
pub use erofs::erofs;
pub use error::{ImageError, MeasureFault};
pub use ext4::{EXT4_BLOCK, Ext4, ext4};
pub use firmware::Firmware;
pub use kernel::{KERNEL_PACKAGE, KERNEL_SHA256, KernelFiles};
pub use models::{ModelSource, write_models};
pub use programs::programs_digest;
pub use qemu::{Accel, HostPort, MODELS_DISK, MODELS_SERIAL, QEMU, QemuLaunch, SnpPlatformOptions};
pub use run::{Ran, RunError, run_vm, self_test, usable_accel};
pub use shape::VmShape;
pub use snp::{KernelHashes, SnpCpu, SnpLaunch};
pub use state::{STATE_AGENT_MIB, STATE_HEADER_BYTES, STATE_KEY_BYTES, StateLayout, TagJournal};
pub use tdx::{AcpiTables, BootEvents, OVMF_BOOT_ENTRY, PageOrder, Separator, TdxBoot, TdxMachine, extended, mrtd};
pub use tree::{Node, NodeKind, Tree};
pub use verity::{VERITY_BLOCK, VerityRoot, verity_sealed};
