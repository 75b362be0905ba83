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

/// The key of a derivation under the master scalar `secret`, as one validator gives it.
fn derived(secret: u8, app: &AppId, context: &str, generation: u32) -> (Derivation, DerivedKey) {
    let share = Share::from_bytes(0, &[secret; 32]).unwrap();
    let polynomial = Polynomial::new(&[share.public()]).unwrap();
    let derivation = Derivation::new(polynomial.master(), app, context, generation).unwrap();
    let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(4);
    let transport = TransportSecret::generate(&mut rng);
    let encrypted = encrypt_share(&share, &derivation, &transport.public(), &mut rng).unwrap();
    let key = transport.recover(&polynomial, &derivation, &[encrypted]).unwrap();
    (derivation, key)
}

#[test]
fn what_is_sealed_opens_for_its_key_and_place_alone() {
    let (derivation, key) = derived(9, &app(), "settings", 3);
    let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(5);
    for plaintext in [&b""[..], b"a value\nof two lines", &[0; 3000]] {
        let sealed = derivation.seal(b"here", plaintext, &mut rng);
        assert_eq!(sealed.len(), plaintext.len() + SEAL_BYTES);
        assert_eq!(key.open(&derivation, b"here", &sealed).unwrap().as_slice(), plaintext);
        assert_eq!(key.open(&derivation, b"there", &sealed).err(), Some(ThresholdError::Sealed));
        // Other apps, contexts, generations and networks.
        let others = [
            (9, AppId::new([2; 20]), "settings", 3),
            (9, app(), "root", 3),
            (9, app(), "settings", 2),
            (8, app(), "settings", 3),
        ];
        for (secret, app, context, generation) in others {
            let (derivation, key) = derived(secret, &app, context, generation);
            assert_eq!(key.open(&derivation, b"here", &sealed).err(), Some(ThresholdError::Sealed));
        }
    }
    assert_ne!(derivation.seal(b"", b"x", &mut rng), derivation.seal(b"", b"x", &mut rng));
}

#[test]
fn sealed_bytes_that_were_changed_or_cut_off_do_not_open() {
    let (derivation, key) = derived(9, &app(), "settings", 0);
    let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(6);
    let sealed = derivation.seal(b"", b"abc", &mut rng);
    for length in 0..sealed.len() {
        assert_eq!(key.open(&derivation, b"", &sealed[..length]).err(), Some(ThresholdError::Sealed), "{length}");
    }
    for place in [0, 47, 95, 96, 127, 128, 131, sealed.len() - 1] {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        assert_eq!(key.open(&derivation, b"", &changed).err(), Some(ThresholdError::Sealed), "{place}");
    }
    // A point of the identity, and one outside the subgroup.
    let mut identity = sealed.clone();
    identity[..96].copy_from_slice(&[0; 96]);
    identity[0] = 0xc0;
    assert_eq!(key.open(&derivation, b"", &identity).err(), Some(ThresholdError::Sealed));
}
