//! The TD HOB: how QEMU tells the firmware which memory there is (UEFI PI 1.7, volume 3, §5).

use freehold_primitives::Register;

use super::sha384;
use crate::{
    error::MeasureFault,
    firmware::{PAGE, TdxSection},
    shape::VmShape,
};

/// Kinds of sections that are memory of the TD from the start.
const SECTION_HOB: u32 = 2;
const SECTION_MEMORY: u32 = 3;
/// Kinds of memory: accepted, and not yet.
const ACCEPTED: u32 = 0;
const UNACCEPTED: u32 = 7;
/// From this size on, memory is split: 2 GiB below the hole, the rest above 4 GiB.
const SPLIT: u64 = 0xb000_0000;
const LOW: u64 = 0x8000_0000;
const HIGH: u64 = 1 << 32;

/// The digest of the list of a TD.
pub(super) fn measured(sections: &[TdxSection], shape: VmShape) -> Result<Register, MeasureFault> {
    let memory = shape.memory();
    let end = if memory >= SPLIT { LOW } else { memory };
    let mut known: Vec<&TdxSection> =
        sections.iter().filter(|section| matches!(section.kind, SECTION_HOB | SECTION_MEMORY)).collect();
    known.sort_by_key(|section| section.address);
    let place = known.iter().find(|section| section.kind == SECTION_HOB).ok_or(MeasureFault::Section)?.address;
    let mut list = Vec::new();
    list.extend(1_u16.to_le_bytes()); // EFI_HOB_TYPE_HANDOFF
    list.extend(56_u16.to_le_bytes());
    list.extend([0; 4]);
    list.extend(9_u32.to_le_bytes());
    list.extend([0; 36]);
    list.extend([0; 8]); // end of the list, filled below
    let mut from = 0;
    for section in known {
        let until = section.address + section.pages * PAGE;
        if section.address < from || until > end {
            return Err(MeasureFault::Section);
        }
        if section.address > from {
            resource(&mut list, UNACCEPTED, from, section.address);
        }
        resource(&mut list, ACCEPTED, section.address, until);
        from = until;
    }
    resource(&mut list, UNACCEPTED, from, end);
    if memory > end {
        resource(&mut list, UNACCEPTED, HIGH, HIGH + memory - end);
    }
    let end = place + list.len() as u64 + 8;
    list[48..56].copy_from_slice(&end.to_le_bytes());
    Ok(sha384(&list))
}

/// One piece of memory.
fn resource(list: &mut Vec<u8>, kind: u32, from: u64, until: u64) {
    list.extend(3_u16.to_le_bytes()); // EFI_HOB_TYPE_RESOURCE_DESCRIPTOR
    list.extend(48_u16.to_le_bytes());
    list.extend([0; 4 + 16]);
    list.extend(kind.to_le_bytes());
    list.extend(7_u32.to_le_bytes()); // present, initialised, tested
    list.extend(from.to_le_bytes());
    list.extend((until - from).to_le_bytes());
}
