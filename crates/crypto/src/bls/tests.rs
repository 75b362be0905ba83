//! Algebra of the wrappers, and encodings that must be refused.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};

use super::*;

fn scalar(seed: u64) -> Scalar {
    Scalar::random(&mut StdRng::seed_from_u64(seed))
}

#[test]
fn scalars_have_one_encoding() {
    let mut order = [0; 32];
    hex::decode_to_slice("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001", &mut order).unwrap();
    assert!(Scalar::from_bytes(&order).is_none());
    assert!(Scalar::from_bytes(&[0; 32]).is_none());
    assert!(Scalar::from_bytes(&[0xff; 32]).is_none());
    order[31] = 0;
    assert_eq!(*Scalar::from_bytes(&order).unwrap().to_bytes(), order);
    assert_eq!(*Scalar::from_u128(1).to_bytes(), *Scalar::one().to_bytes());
}

#[test]
fn field_and_group_agree() {
    let (a, b) = (scalar(1), scalar(2));
    let g = G1::generator();
    let h = G2::generator();
    assert_eq!(g.mul(&a).add(&g.mul(&b)).encode(), g.mul(&a.add(&b)).encode());
    assert_eq!(h.mul(&a).mul(&b).encode(), h.mul(&a.mul(&b)).encode());
    assert_eq!(*a.sub(&b).add(&b).to_bytes(), *a.to_bytes());
    assert_eq!(*a.mul(&a.inverse_public()).to_bytes(), *Scalar::one().to_bytes());
    for weight in [1, 2, u128::from(u64::MAX) + 5, u128::MAX] {
        assert_eq!(g.mul_public(weight).encode(), g.mul(&Scalar::from_u128(weight)).encode());
    }
    for factor in [1, 2, 7, 256, u32::MAX] {
        assert_eq!(h.mul_small(factor).encode(), h.mul(&Scalar::from_u128(factor.into())).encode());
    }
}

#[test]
fn pairing_is_bilinear() {
    let (a, b) = (scalar(1), scalar(2));
    let (g, h) = (G1::generator(), G2::generator());
    assert!(pairing_product_is_one(&[(g.mul(&a), h.mul(&b)), (g.mul(&a.mul(&b)).neg(), h)]));
    assert!(!pairing_product_is_one(&[(g.mul(&a), h.mul(&b)), (g.mul(&a).neg(), h)]));
    // The identity pairs to one with everything and is refused.
    assert!(!pairing_product_is_one(&[(g.add(&g.neg()), h)]));
}

#[test]
fn points_outside_are_refused() {
    let mut identity = G1Point::ZERO;
    identity.0[0] = 0xc0;
    assert!(G1::decode(&identity).is_none());
    assert!(G1::decode(&G1Point::ZERO).is_none());
    let mut identity = NetworkKey::ZERO;
    identity.0[0] = 0xc0;
    assert!(G2::decode(&identity).is_none());
    // On the curve but outside the subgroup: the point with x = 4.
    let mut outside = G1Point::ZERO;
    outside.0[0] = 0x80;
    outside.0[47] = 4;
    assert!(G1::decode(&outside).is_none());
    // x = the field's modulus: the same residue as zero in another encoding.
    let mut modulus = G1Point::ZERO;
    hex::decode_to_slice(
        "9a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab",
        &mut modulus.0,
    )
    .unwrap();
    assert!(G1::decode(&modulus).is_none());
}

proptest! {
    #[test]
    fn decoding_has_one_form(g1 in prop::array::uniform32(any::<u8>()), rest in prop::array::uniform16(any::<u8>())) {
        let mut point = G1Point::ZERO;
        point.0[..32].copy_from_slice(&g1);
        point.0[32..].copy_from_slice(&rest);
        point.0[0] |= 0x80;
        if let Some(decoded) = G1::decode(&point) {
            prop_assert_eq!(decoded.encode(), point);
        }
        let mut key = NetworkKey::ZERO;
        key.0[..48].copy_from_slice(&point.0);
        if let Some(decoded) = G2::decode(&key) {
            prop_assert_eq!(decoded.encode(), key);
        }
    }
}
