//! The boundary of the two halves, and negation as an involution.

use p384::ecdsa::Signature;

use super::{ORDER, ORDER_HALF, is_lower_half, negate};

#[test]
fn the_boundary_lies_at_half_the_order() {
    assert!(is_lower_half(&ORDER_HALF));
    let mut above = ORDER_HALF;
    above[47] += 1;
    assert!(!is_lower_half(&above));
    // n is odd: the smallest upper value is the negative of the largest lower one.
    negate(&mut above).unwrap();
    assert_eq!(above, ORDER_HALF);
    assert_eq!(negate(&mut ORDER.clone()), None);
    assert_eq!(negate(&mut [0xff; 48]), None);
}

#[test]
fn halves_are_those_of_the_library() {
    for byte in [1u8, 0x7f, 0x80, 0xfe] {
        let mut s = [byte; 48];
        let signature = Signature::from_scalars([1; 48], s).unwrap();
        let normal = signature.normalize_s();
        assert_eq!(is_lower_half(&s), normal == signature);
        if !is_lower_half(&s) {
            negate(&mut s).unwrap();
            assert_eq!(Signature::from_scalars([1; 48], s).unwrap(), normal);
        }
    }
}
