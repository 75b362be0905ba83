//! The numbers and layouts of the commands.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn commands_have_the_numbers_of_the_kernels() {
    assert_eq!(GET_REPORT0, 0xc440_5401);
    assert_eq!(EXTEND_RTMR, 0x8031_5403);
    assert_eq!((size_of::<ReportRequest>(), size_of::<ExtendRequest>()), (1088, 49));
    assert_eq!(core::mem::offset_of!(ExtendRequest, index), 48);
    assert_eq!(core::mem::offset_of!(ReportRequest, report), 64);
}

#[test]
fn a_device_of_another_kind_is_an_error() {
    let device = File::open("/dev/null").unwrap();
    assert!(read_rtmr3(&device).is_err());
    assert!(extend_rtmr3(&device, &Register([1; 48])).is_err());
}

#[test]
fn rtmr3_stands_behind_the_other_registers() {
    let mut report = [0; 1024];
    report[864..912].fill(3);
    assert_eq!(rtmr3_of(&report), Register([3; 48]));
}
