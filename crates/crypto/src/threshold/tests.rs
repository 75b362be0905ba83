//! Bounds and refusals that need no dealer. Whole exchanges are tested against the vetKD client in `tests/engine`.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn app() -> AppId {
    AppId::new([1; 20])
}

#[test]
fn context_bounds() {
    let master = G2::generator().encode();
    for context in ["", "a\0b", &"x".repeat(CONTEXT_BYTES_MAX + 1)] {
        assert_eq!(derived_public_key(&master, &app(), context, 0), Err(ThresholdError::Context));
    }
    assert!(derived_public_key(&master, &app(), &"x".repeat(CONTEXT_BYTES_MAX), 0).is_ok());
    assert_eq!(wire_context("root", 258).unwrap(), b"root\0\0\0\x01\x02");
}

#[test]
fn polynomial_bounds() {
    let point = G2::generator().encode();
    let refused = |points: &[NetworkKey]| Polynomial::new(points).err();
    assert_eq!(refused(&[]), Some(ThresholdError::Polynomial));
    assert_eq!(refused(&vec![point; THRESHOLD_MAX + 1]), Some(ThresholdError::Polynomial));
    assert_eq!(refused(&[point, NetworkKey::ZERO]), Some(ThresholdError::Point(PointName::Coefficient)));
    let line = Polynomial::new(&[point, point]).unwrap();
    // 1 + x at x = 3.
    assert_eq!(line.share_public(2).unwrap(), G2::generator().mul_small(4).encode());
    assert_eq!(line.share_public(u32::MAX), Err(ThresholdError::Index(u32::MAX)));
}

#[test]
fn master_and_transport_must_be_points() {
    let refused = Derivation::new(&NetworkKey::ZERO, &app(), "root", 0).err();
    assert_eq!(refused, Some(ThresholdError::Point(PointName::Master)));
    let master = G2::generator().encode();
    let derivation = Derivation::new(&master, &app(), "root", 0).unwrap();
    let share = Share::from_bytes(0, &[1; 32]).unwrap();
    let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(1);
    let refused = encrypt_share(&share, &derivation, &freehold_primitives::G1Point::ZERO, &mut rng).err();
    assert_eq!(refused, Some(ThresholdError::Point(PointName::Transport)));
    let refused = check_transport_key(&freehold_primitives::G1Point::ZERO);
    assert_eq!(refused, Err(ThresholdError::Point(PointName::Transport)));
    assert_eq!(check_transport_key(&G1::generator().encode()), Ok(()));
}

#[test]
fn secrets_out_of_range() {
    for bytes in [[0; 32], [0xff; 32]] {
        assert_eq!(Share::from_bytes(0, &bytes).err(), Some(ThresholdError::Scalar));
        assert_eq!(TransportSecret::from_bytes(&bytes).err(), Some(ThresholdError::Scalar));
    }
    assert_eq!(Share::from_bytes(u32::MAX, &[1; 32]).err(), Some(ThresholdError::Index(u32::MAX)));
    assert!(matches!(combine(&[], 0), Err(ThresholdError::TooFew { count: 0, threshold: 0 })));
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 190..200)) {
        let _ = EncryptedShare::from_bytes(&bytes);
        let _ = EncryptedKey::from_bytes(&bytes);
    }
}
