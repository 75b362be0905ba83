//! Halves and negation at their edges.
#![allow(clippy::unwrap_used)]

use super::{ORDER, ORDER_HALF, is_lower_half, negate};

#[test]
fn the_halves_meet_without_a_gap() {
    let mut above = ORDER_HALF;
    above[31] += 1;
    assert!(is_lower_half(&ORDER_HALF));
    assert!(!is_lower_half(&above));
    // The order is odd: half, rounded down, and the next number are each other's negations.
    let mut negated = above;
    negate(&mut negated).unwrap();
    assert_eq!(negated, ORDER_HALF);
}

#[test]
fn negation_is_its_own_inverse() {
    for seed in 1..=255u8 {
        let s: [u8; 32] = core::array::from_fn(|index| seed.wrapping_mul(index as u8 ^ 0x5a) >> 1);
        let mut twice = s;
        negate(&mut twice).unwrap();
        assert_ne!(twice, s);
        negate(&mut twice).unwrap();
        assert_eq!(twice, s);
    }
}

#[test]
fn what_is_no_scalar_has_no_negation() {
    assert!(negate(&mut ORDER.clone()).is_none());
    assert!(negate(&mut [0xff; 32]).is_none());
}
