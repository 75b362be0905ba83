//! Evidence of real hardware against what a host computes, brings and asks its app to accept.
#![allow(clippy::unwrap_used)]

use freehold_primitives::{Digest, SnpMeasurement};

use super::*;

fn td(byte: u8) -> TdxMeasurement {
    let register = |more: u8| Some(Register([byte + more; 48]));
    TdxMeasurement {
        mrtd: Register([byte; 48]),
        rtmr0: register(1),
        rtmr1: register(2),
        rtmr2: register(3),
        rtmr3: register(4),
    }
}

#[test]
fn registers_that_differ_are_named_and_those_that_are_not_told_are_not() {
    let shown = td(10);
    assert!(differences(&td(10).into(), &shown.clone().into()).is_empty());
    let expected = TdxMeasurement { rtmr0: None, rtmr2: Some(Register([1; 48])), ..td(10) };
    let told = differences(&expected.into(), &shown.clone().into());
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("RTMR2 is 0d0d") && told[0].contains("0101"), "{told:?}");
    let guest = SnpMeasurement { measurement: Register([1; 48]), host_data: Some(Digest([2; 32])) };
    let other = SnpMeasurement { host_data: Some(Digest([3; 32])), ..guest.clone() };
    let told = differences(&guest.clone().into(), &other.into());
    assert!(told.len() == 1 && told[0].starts_with("HOST_DATA"), "{told:?}");
    assert_eq!(differences(&guest.into(), &shown.into()).len(), 1);
}
