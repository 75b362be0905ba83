//! How QEMU is called: one machine, and four ways to run it. Only what the accelerator needs differs.
//!
//! The host is trusted for nothing that is measured: kernel, initrd, command line and disk are the image's; what the VM writes
//! to its state disk is sealed. The VM has no network device, no console input and no monitor; its console is for PID 1's few
//! lines. Its way to the host is a port of virtio-serial, which needs no driver of the host's kernel and none but a built-in one
//! of the VM's.

#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use freehold_primitives::Digest;

use crate::{boot::CommandLine, shape::VmShape, snp::SnpCpu};

/// QEMU's program.
pub const QEMU: &str = "qemu-system-x86_64";
/// File of the disk of models in an image's folder.
pub const MODELS_DISK: &str = "models";
/// Serial number by which the VM finds that disk.
pub const MODELS_SERIAL: &str = "freehold-models";
/// SNP guest policy: ABI 0.0, SMT allowed (bit 16), bit 17 is always set; no debugging, no migration.
const SNP_POLICY: u64 = 0x3_0000;

/// How a VM is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accel {
    /// In software: on any machine, slowly, for development.
    Tcg,
    /// By KVM, unprotected from the host: where a self-test boot worked.
    Kvm,
    /// As a TD of Intel TDX (QEMU 10.1 and later).
    Tdx {
        /// The firmware, built for TDX.
        firmware: PathBuf,
        /// Port of the quote service on vsock of the host, such as 4050; `None` where the guest asks by other means.
        quote_port: Option<u32>,
    },
    /// As an SEV-SNP guest (QEMU 9.1 and later).
    Snp {
        /// The firmware, of OVMF's `AmdSev` build.
        firmware: PathBuf,
        /// Model of the CPUs.
        cpu: SnpCpu,
        /// What the host's processor says.
        platform: SnpPlatformOptions,
        /// What `HOST_DATA` carries: the app's digest.
        host_data: Digest,
    },
}

/// Properties of a host with SEV-SNP (`CPUID` leaf 0x8000001f).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnpPlatformOptions {
    /// Place of the C-bit in a page table entry: 51 on Milan, Genoa and Turin.
    pub c_bit: u8,
    /// Bits of physical addresses that it costs: 1.
    pub reduced_bits: u8,
}

impl Default for SnpPlatformOptions {
    fn default() -> Self {
        Self { c_bit: 51, reduced_bits: 1 }
    }
}

/// A port of virtio-serial: a socket of the host's, to which QEMU connects, and the port's name in the VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// The name: letters, digits and dots.
    pub name: &'static str,
    /// The socket.
    pub socket: PathBuf,
}

/// One call of QEMU.
#[derive(Debug, Clone)]
pub struct QemuLaunch<'a> {
    /// How it runs.
    pub accel: &'a Accel,
    /// CPUs and memory.
    pub shape: VmShape,
    /// Folder with the image's files.
    pub image: &'a Path,
    /// The image's command line.
    pub line: &'a CommandLine,
    /// Ways between host and VM; without any, nothing reaches the VM.
    pub ports: &'a [HostPort],
    /// The state disk, which the VM writes to.
    pub state: Option<&'a Path>,
}

impl QemuLaunch<'_> {
    /// The arguments, without the program's name.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments = Arguments(Vec::new());
        arguments.words("-nodefaults -no-user-config -display none -no-reboot");
        arguments.words("-serial stdio");
        self.machine(&mut arguments);
        arguments.pair("-m", format!("{}M", self.shape.memory_mib()));
        arguments.pair("-smp", self.shape.cpus().to_string());
        arguments.pair("-kernel", self.image.join("kernel"));
        arguments.pair("-initrd", self.image.join("initrd"));
        arguments.pair("-append", self.line.as_str());
        // Devices of a confidential guest use memory that it shares on purpose.
        let shared = match self.accel {
            Accel::Tcg | Accel::Kvm => "disable-legacy=on",
            Accel::Tdx { .. } | Accel::Snp { .. } => "disable-legacy=on,iommu_platform=on",
        };
        let disk = escaped(&self.image.join("disk"));
        arguments.pair("-drive", joined("if=none,id=disk,format=raw,readonly=on,file=", &disk));
        arguments.pair("-device", format!("virtio-blk-pci,drive=disk,{shared}"));
        if let Some(state) = self.state {
            let drive = joined("if=none,id=state,format=raw,cache=writeback,file=", &escaped(state));
            arguments.pair("-drive", drive);
            arguments.pair("-device", format!("virtio-blk-pci,drive=state,{shared}"));
        }
        if self.line.models().is_some() {
            let models = escaped(&self.image.join(MODELS_DISK));
            arguments.pair("-drive", joined("if=none,id=models,format=raw,readonly=on,file=", &models));
            arguments.pair("-device", format!("virtio-blk-pci,drive=models,serial={MODELS_SERIAL},{shared}"));
        }
        if !self.ports.is_empty() {
            arguments.pair("-device", format!("virtio-serial-pci,{shared}"));
        }
        for HostPort { name, socket } in self.ports {
            arguments.pair("-chardev", joined(&format!("socket,id={name},path="), &escaped(socket)));
            arguments.pair("-device", format!("virtserialport,chardev={name},name={name}"));
        }
        arguments.0
    }

    /// Accelerator, CPU and machine.
    fn machine(&self, arguments: &mut Arguments) {
        match self.accel {
            // QEMU 7.2 runs recent kernels into faults when it offers cmpxchg16b.
            Accel::Tcg => arguments.words("-machine q35 -accel tcg,thread=multi -cpu max,cx16=off"),
            Accel::Kvm => arguments.words("-machine q35 -accel kvm -cpu host"),
            Accel::Tdx { firmware, quote_port } => {
                let quotes = quote_port.map_or(String::new(), |port| {
                    format!(r#","quote-generation-socket":{{"type":"vsock","cid":"2","port":"{port}"}}"#)
                });
                arguments.pair("-object", format!(r#"{{"qom-type":"tdx-guest","id":"tee"{quotes}}}"#));
                arguments.words("-machine q35,kernel-irqchip=split,hpet=off,confidential-guest-support=tee");
                // A TD that counts cycles has the attribute PERFMON, which policies refuse.
                arguments.words("-accel kvm -cpu host,pmu=off");
                arguments.pair("-bios", firmware.clone());
            }
            Accel::Snp { firmware, cpu, platform, host_data } => {
                let SnpPlatformOptions { c_bit, reduced_bits } = platform;
                let data = STANDARD.encode(host_data.0);
                arguments.pair(
                    "-object",
                    format!(
                        "sev-snp-guest,id=tee,cbitpos={c_bit},reduced-phys-bits={reduced_bits},policy={SNP_POLICY:#x},\
                         kernel-hashes=on,host-data={data}"
                    ),
                );
                let size = self.shape.memory_mib();
                arguments.pair("-object", format!("memory-backend-memfd,id=ram,size={size}M,share=on,prealloc=off"));
                arguments.words("-machine q35,memory-backend=ram,vmport=off,confidential-guest-support=tee");
                arguments.pair("-accel", "kvm");
                arguments.pair("-cpu", cpu.name());
                arguments.pair("-bios", firmware.clone());
            }
        }
    }
}

/// Arguments under way.
struct Arguments(Vec<OsString>);

impl Arguments {
    fn words(&mut self, words: &str) {
        self.0.extend(words.split(' ').map(OsString::from));
    }

    fn pair(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.extend([name.into(), value.into()]);
    }
}

fn joined(start: &str, path: &Path) -> OsString {
    let mut text = OsString::from(start);
    text.push(path);
    text
}

/// A path inside QEMU's lists, where a comma is written twice.
fn escaped(path: &Path) -> PathBuf {
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    let bytes = path.as_os_str().as_bytes();
    let twice = bytes.iter().flat_map(|byte| std::iter::repeat_n(*byte, if *byte == b',' { 2 } else { 1 }));
    OsString::from_vec(twice.collect()).into()
}
