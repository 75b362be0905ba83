//! The commands of `/dev/tdx_guest`, in the one module of this room that may call what the compiler cannot check.
//!
//! `TDX_CMD_GET_REPORT0` is upstream (`include/uapi/linux/tdx-guest.h`); `TDX_CMD_EXTEND_RTMR` is a vendor's addition
//! that upstream never took, with the numbers that Intel's DCAP 1.20 and the cloud vendors' kernels use.
#![allow(unsafe_code)]

use std::{fs::File, io};

use freehold_primitives::Register;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

/// Group of the commands.
const GROUP: u8 = b'T';
/// Command 1, which both reads and writes its 1,088 bytes.
const GET_REPORT0: Opcode = opcode::read_write::<ReportRequest>(GROUP, 1);
/// Command 3; declared as one that only reads, though the kernel takes the request.
const EXTEND_RTMR: Opcode = opcode::read::<ExtendRequest>(GROUP, 3);
/// Where RTMR3 stands in a TDREPORT: TDINFO begins at 512, RTMR0 at 208 within it.
const RTMR3_AT: usize = 512 + 208 + 3 * 48;

/// `struct tdx_report_req`.
#[repr(C)]
struct ReportRequest {
    report_data: [u8; 64],
    report: [u8; 1024],
}

/// `struct tdx_extend_rtmr_req`.
#[repr(C)]
struct ExtendRequest {
    data: [u8; 48],
    index: u8,
}

/// RTMR3 as a report of the TD shows it.
pub(super) fn read_rtmr3(device: &File) -> io::Result<Register> {
    let mut request = ReportRequest { report_data: [0; 64], report: [0; 1024] };
    // SAFETY: the kernel reads 64 bytes and writes 1,024 bytes of the request (`tdx_get_report0`), which are the fields
    // of `ReportRequest`, of C layout, without padding, alive and borrowed for the call. Any bytes are valid for them.
    unsafe { ioctl(device, Updater::<GET_REPORT0, ReportRequest>::new(&mut request)) }?;
    Ok(rtmr3_of(&request.report))
}

fn rtmr3_of(report: &[u8; 1024]) -> Register {
    let mut register = [0; 48];
    register.copy_from_slice(&report[RTMR3_AT..RTMR3_AT + 48]);
    Register(register)
}

/// Extends RTMR3 by a digest.
pub(super) fn extend_rtmr3(device: &File, digest: &Register) -> io::Result<()> {
    let mut request = ExtendRequest { data: digest.0, index: 3 };
    // SAFETY: the kernel reads 49 bytes, which are the fields of `ExtendRequest`, of C layout, without padding, alive
    // and borrowed for the call; it writes none, and any bytes would be valid for them.
    unsafe { ioctl(device, Updater::<EXTEND_RTMR, ExtendRequest>::new(&mut request)) }?;
    Ok(())
}

#[cfg(test)]
mod tests;
