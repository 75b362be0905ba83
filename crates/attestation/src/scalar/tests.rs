//! The boundary of the two halves, negation as an involution, and the library's own halves.
#![allow(clippy::unwrap_used)]

use p384::ecdsa::Signature;

use super::{P256, P384, Scalars};

fn check_boundary<const N: usize>(curve: &Scalars<N>) {
    assert!(curve.is_lower_half(&curve.half));
    let mut above = curve.half;
    above[N - 1] += 1;
    assert!(!curve.is_lower_half(&above));
    // The order is odd: the smallest upper value is the negative of the largest lower one.
    curve.negate(&mut above).unwrap();
    assert_eq!(above, curve.half);
    assert_eq!(curve.negate(&mut curve.order.clone()), None);
    assert_eq!(curve.negate(&mut [0xff; N]), None);
}

fn check_negation<const N: usize>(curve: &Scalars<N>) {
    for seed in 1..=255u8 {
        let s: [u8; N] = core::array::from_fn(|index| seed.wrapping_mul(index as u8 ^ 0x5a) >> 1);
        let mut twice = s;
        curve.negate(&mut twice).unwrap();
        assert_ne!(twice, s);
        curve.negate(&mut twice).unwrap();
        assert_eq!(twice, s);
    }
}

#[test]
fn the_halves_meet_without_a_gap() {
    check_boundary(&P256);
    check_boundary(&P384);
    // Half of P-384's order, as published.
    assert_eq!(P384.half[..3], [0x7f, 0xff, 0xff]);
    assert_eq!(P384.half[44..], [0x66, 0x62, 0x94, 0xb9]);
    assert_eq!(P256.half[..5], [0x7f, 0xff, 0xff, 0xff, 0x80]);
    assert_eq!(P256.half[28..], [0x7e, 0x31, 0x92, 0xa8]);
}

#[test]
fn negation_is_its_own_inverse() {
    check_negation(&P256);
    check_negation(&P384);
}

#[test]
fn halves_are_those_of_the_library() {
    for byte in [1u8, 0x7f, 0x80, 0xfe] {
        let mut s = [byte; 48];
        let signature = Signature::from_scalars([1; 48], s).unwrap();
        let normal = signature.normalize_s();
        assert_eq!(P384.is_lower_half(&s), normal == signature);
        if !P384.is_lower_half(&s) {
            P384.negate(&mut s).unwrap();
            assert_eq!(Signature::from_scalars([1; 48], s).unwrap(), normal);
        }
    }
}
