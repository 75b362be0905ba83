//! The launch digest of an SEV-SNP guest under QEMU (AMD 56860, "SEV-SNP Firmware ABI" §8.17): firmware, the sections
//! that it names, the table of kernel hashes, and the first state of each CPU.
//!
//! Kernel, initrd and command line enter by their SHA-256 alone, which the firmware compares before it starts them.

mod vmsa;

#[cfg(test)]
mod tests;

use freehold_primitives::{Digest, Register, SnpMeasurement};
use sha2::{Digest as _, Sha256, Sha384};

use crate::{
    boot::CommandLine,
    error::MeasureFault,
    firmware::{Firmware, PAGE, SevSection, guid},
    shape::VmShape,
};

pub use vmsa::SnpCpu;

/// Kinds of pages (§8.17.2).
const NORMAL: u8 = 1;
const VMSA: u8 = 2;
const ZERO: u8 = 3;
const SECRETS: u8 = 5;
const CPUID: u8 = 6;
/// Address that VMSA pages are measured at.
const VMSA_ADDRESS: u64 = 0xffff_ffff_f000;
/// Kinds of sections.
const SECTION_MEMORY: u32 = 1;
const SECTION_SECRETS: u32 = 2;
const SECTION_CPUID: u32 = 3;
const SECTION_SVSM: u32 = 4;
const SECTION_HASHES: u32 = 0x10;
/// Most pages that a firmware's sections may name: 64 MiB.
const PAGES_MAX: u64 = 16_384;

/// GUIDs of the table of kernel hashes (QEMU, `target/i386/sev.c`).
const HASH_TABLE: [u8; 16] = guid(0x9438_d606, 0x4f22, 0x4cc9, 0xb479_a793_d411_fd21);
const HASH_COMMAND_LINE: [u8; 16] = guid(0x97d0_2dd8, 0xbd20, 0x4c94, 0xaa78_e771_4d36_ab2a);
const HASH_INITRD: [u8; 16] = guid(0x44ba_f731, 0x3a2f, 0x4bd7, 0x9af1_41e2_9169_781d);
const HASH_KERNEL: [u8; 16] = guid(0x4de7_9437, 0xabd2, 0x427f, 0xb835_d5b1_72d2_045b);
/// Bytes of the table, and of the place it takes.
const HASH_TABLE_BYTES: usize = 168;
const HASH_TABLE_ROOM: usize = 176;

/// SHA-256 of what the firmware is to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelHashes {
    /// Of the kernel's file.
    pub kernel: Digest,
    /// Of the initrd's file.
    pub initrd: Digest,
    /// Of the command line and the zero byte behind it.
    pub command_line: Digest,
}

impl KernelHashes {
    /// The hashes of a boot.
    pub fn of(kernel: &[u8], initrd: &[u8], line: &CommandLine) -> Self {
        let digest = |bytes: &[u8]| Digest(Sha256::digest(bytes).into());
        let mut text = line.as_str().as_bytes().to_vec();
        text.push(0);
        Self { kernel: digest(kernel), initrd: digest(initrd), command_line: digest(&text) }
    }

    /// The page that QEMU puts the table into, `at` bytes from its start.
    fn page(&self, at: usize) -> Result<Vec<u8>, MeasureFault> {
        let mut table = Vec::with_capacity(HASH_TABLE_BYTES);
        table.extend(HASH_TABLE);
        table.extend((HASH_TABLE_BYTES as u16).to_le_bytes());
        for (name, hash) in
            [(HASH_COMMAND_LINE, self.command_line), (HASH_INITRD, self.initrd), (HASH_KERNEL, self.kernel)]
        {
            table.extend(name);
            table.extend(50_u16.to_le_bytes());
            table.extend(hash.0);
        }
        let mut page = vec![0; PAGE as usize];
        let room = page.get_mut(at..).filter(|room| room.len() >= HASH_TABLE_ROOM);
        room.ok_or(MeasureFault::Section)?[..HASH_TABLE_BYTES].copy_from_slice(&table);
        Ok(page)
    }
}

/// An SEV-SNP guest as QEMU launches it.
#[derive(Debug, Clone, Copy)]
pub struct SnpLaunch {
    /// CPUs and memory; memory is not measured.
    pub shape: VmShape,
    /// Model of its CPUs.
    pub cpu: SnpCpu,
    /// `SEV_FEATURES` of its VMSAs: 1 on kernels that turn nothing else on.
    pub features: u64,
    /// What it boots; `None` where the firmware boots from a disk.
    pub hashes: Option<KernelHashes>,
}

impl SnpLaunch {
    /// The measurement of the guest, with the digest that `HOST_DATA` carries.
    ///
    /// # Errors
    /// [`MeasureFault`]: the firmware is malformed, or has no page for kernel hashes.
    pub fn measurement(&self, firmware: &Firmware<'_>, host_data: Digest) -> Result<SnpMeasurement, MeasureFault> {
        let mut context = Context::default();
        context.normal(firmware.address(), firmware.bytes());
        let place = Place {
            sections: firmware.sev_sections()?,
            hashes_address: firmware.sev_hashes_address(),
            reset_address: firmware.sev_reset_address()?,
        };
        Ok(SnpMeasurement { measurement: self.finish(context, &place)?, host_data: Some(host_data) })
    }

    /// What follows the firmware's own bytes.
    fn finish(&self, mut context: Context, place: &Place) -> Result<Register, MeasureFault> {
        if place.sections.iter().map(|section| section.pages).sum::<u64>() > PAGES_MAX {
            return Err(MeasureFault::Section);
        }
        let mut hashed = false;
        for section in &place.sections {
            match section.kind {
                SECTION_MEMORY | SECTION_SVSM => context.pages(ZERO, section.address, section.pages),
                SECTION_SECRETS => context.pages(SECRETS, section.address, 1),
                SECTION_CPUID => context.pages(CPUID, section.address, 1),
                SECTION_HASHES => {
                    hashed = true;
                    match (&self.hashes, place.hashes_address) {
                        (Some(hashes), Some(at)) => {
                            context.normal(section.address, &hashes.page((u64::from(at) % PAGE) as usize)?);
                        }
                        (Some(_), None) => return Err(MeasureFault::NoKernelHashes),
                        (None, _) => context.pages(ZERO, section.address, section.pages),
                    }
                }
                _ => return Err(MeasureFault::Section),
            }
        }
        if self.hashes.is_some() && !hashed {
            return Err(MeasureFault::NoKernelHashes);
        }
        for index in 0..self.shape.cpus() {
            let start = if index == 0 { vmsa::BOOT_START } else { place.reset_address };
            context.update(VMSA, VMSA_ADDRESS, &vmsa::page(start, self.cpu, self.features));
        }
        Ok(Register(context.0))
    }
}

/// What a firmware says of a launch.
struct Place {
    sections: Vec<SevSection>,
    hashes_address: Option<u32>,
    reset_address: u32,
}

/// The guest context: the digest as far as it has come.
#[derive(Clone, Copy)]
struct Context([u8; 48]);

impl Default for Context {
    fn default() -> Self {
        Self([0; 48])
    }
}

impl Context {
    /// One page with its content.
    fn update(&mut self, kind: u8, address: u64, content: &[u8]) {
        self.page(kind, address, &Sha384::digest(content).into());
    }

    /// Pages without content.
    fn pages(&mut self, kind: u8, address: u64, count: u64) {
        for index in 0..count {
            self.page(kind, address + index * PAGE, &[0; 48]);
        }
    }

    /// Pages of data.
    fn normal(&mut self, address: u64, data: &[u8]) {
        for (index, page) in data.chunks(PAGE as usize).enumerate() {
            self.update(NORMAL, address + index as u64 * PAGE, page);
        }
    }

    /// `PAGE_INFO` (§8.17.2): 112 bytes, no permissions for other VMPLs.
    fn page(&mut self, kind: u8, address: u64, content: &[u8; 48]) {
        let mut info = [0; 0x70];
        info[..48].copy_from_slice(&self.0);
        info[48..96].copy_from_slice(content);
        info[96..98].copy_from_slice(&0x70_u16.to_le_bytes());
        info[98] = kind;
        info[104..].copy_from_slice(&address.to_le_bytes());
        self.0 = Sha384::digest(info).into();
    }
}
