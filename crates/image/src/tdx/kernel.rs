//! The kernel as the firmware measures it: QEMU's changes in its header, then its Authenticode digest (Microsoft,
//! "Windows Authenticode Portable Executable Signature Format").

use freehold_primitives::Register;
use sha2::{Digest, Sha384};

use crate::{error::MeasureFault, shape::VmShape};

/// Where QEMU puts command line and real-mode code (`hw/i386/x86-common.c`, `x86_load_linux`).
const COMMAND_LINE: u32 = 0x2_0000;
const REAL_MODE: u32 = 0x1_0000;
/// Room that QEMU leaves for ACPI tables below the end of low memory.
const ACPI_ROOM: u32 = 0x2_8000;
/// From this size on, low memory ends at 2 GiB.
const SPLIT: u64 = 0xb000_0000;
const LOW: u64 = 0x8000_0000;
/// Smallest file that can be a kernel.
const BYTES_MIN: usize = 0x1000;
/// Most sections of an executable.
const SECTIONS_MAX: usize = 96;

/// The digest of a kernel with an initrd of some length in a VM of some shape.
pub(super) fn measured(kernel: &[u8], initrd_bytes: usize, shape: VmShape) -> Result<Register, MeasureFault> {
    let patched = patched(kernel, initrd_bytes, shape)?;
    Ok(Register(authenticode::<Sha384>(&patched)?.into()))
}

/// The kernel as QEMU hands it to the firmware.
fn patched(kernel: &[u8], initrd_bytes: usize, shape: VmShape) -> Result<Vec<u8>, MeasureFault> {
    let mut kernel = kernel.to_vec();
    let is_recent = kernel.len() >= BYTES_MIN && &kernel[0x202..0x206] == b"HdrS" && u16_at(&kernel, 0x206)? >= 0x20c;
    // Loaded high, and able to keep its initrd above 4 GiB: what every x86-64 kernel of the last ten years is.
    if !is_recent || kernel[0x211] & 1 == 0 {
        return Err(MeasureFault::Kernel);
    }
    kernel[0x210] = 0xb0; // type_of_loader: QEMU
    kernel[0x211] |= 0x80; // loadflags: the heap may be used
    put(&mut kernel, 0x224, COMMAND_LINE - REAL_MODE - 0x200); // heap_end_ptr
    put(&mut kernel, 0x228, COMMAND_LINE); // cmd_line_ptr
    if initrd_bytes > 0 {
        let can_be_above = u16_at(&kernel, 0x236)? & 0x40 != 0;
        let below = if shape.memory() >= SPLIT { LOW } else { shape.memory() } as u32;
        let limit = if can_be_above { u32::MAX } else { 0x37ff_ffff };
        let limit = limit.min(below.saturating_sub(ACPI_ROOM + 1));
        let length = u32::try_from(initrd_bytes).map_err(|_| MeasureFault::Initrd)?;
        let place = limit.checked_sub(length).filter(|place| *place > 0).ok_or(MeasureFault::Initrd)? & !4095;
        put(&mut kernel, 0x218, place); // ramdisk_image
        put(&mut kernel, 0x21c, length); // ramdisk_size
    }
    Ok(kernel)
}

/// The Authenticode digest of an executable: without its checksum, its directory entry of certificates, and these.
pub(super) fn authenticode<D: Digest>(file: &[u8]) -> Result<sha2::digest::Output<D>, MeasureFault> {
    let header = u32_at(file, 0x3c)? as usize;
    if slice(file, header, 4)? != b"PE\0\0" || u16_at(file, header + 24)? != 0x20b {
        return Err(MeasureFault::Kernel);
    }
    let sections = usize::from(u16_at(file, header + 6)?);
    let optional = header + 24;
    let table = optional + usize::from(u16_at(file, header + 20)?);
    let (checksum, certificates) = (optional + 64, optional + 112 + 4 * 8);
    let headers = u32_at(file, optional + 60)? as usize;
    let signed = u32_at(file, certificates + 4)? as usize;
    if sections > SECTIONS_MAX || headers < certificates + 8 || headers < table {
        return Err(MeasureFault::Kernel);
    }
    let mut hasher = D::new();
    hasher.update(slice(file, 0, checksum)?);
    hasher.update(slice(file, checksum + 4, certificates - checksum - 4)?);
    hasher.update(slice(file, certificates + 8, headers - certificates - 8)?);
    let mut parts = Vec::new();
    for index in 0..sections {
        let at = table + 40 * index;
        let (length, start) = (u32_at(file, at + 16)? as usize, u32_at(file, at + 20)? as usize);
        if length > 0 {
            parts.push((start, length));
        }
    }
    parts.sort_unstable();
    let mut hashed = headers;
    for (start, length) in parts {
        hasher.update(slice(file, start, length)?);
        hashed += length;
    }
    // What stands behind the sections and before the certificates.
    let rest = file.len().checked_sub(hashed).and_then(|rest| rest.checked_sub(signed)).ok_or(MeasureFault::Kernel)?;
    hasher.update(slice(file, hashed, rest)?);
    hasher.update(&[0; 8][..(8 - (hashed + rest) % 8) % 8]);
    Ok(hasher.finalize())
}

fn slice(file: &[u8], at: usize, length: usize) -> Result<&[u8], MeasureFault> {
    at.checked_add(length).and_then(|end| file.get(at..end)).ok_or(MeasureFault::Kernel)
}

fn u16_at(file: &[u8], at: usize) -> Result<u16, MeasureFault> {
    slice(file, at, 2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
}

fn u32_at(file: &[u8], at: usize) -> Result<u32, MeasureFault> {
    slice(file, at, 4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn put(kernel: &mut [u8], at: usize, value: u32) {
    kernel[at..at + 4].copy_from_slice(&value.to_le_bytes());
}
