//! Derived keys: shares dealt by the engine, combined by us, opened by the unmodified vetKD client; wrong shares refused.

use std::time::Instant;

use commonware_codec::{DecodeExt as _, Encode as _};
use commonware_cryptography::bls12381::primitives::group::{G1, Share as EngineShare};
use commonware_math::algebra::CryptoGroup as _;
use freehold_crypto::{
    Derivation, EncryptedShare, KEY_INPUT, Polynomial, Share, ThresholdError, TransportSecret, combine,
    derived_public_key, encrypt_share, verify_share, wire_context,
};
use freehold_primitives::{AppId, G1Point};
use ic_vetkeys::{EncryptedVetKey, MasterPublicKey, TransportSecretKey};
use rand::{SeedableRng as _, rngs::StdRng};

use crate::{coefficients, deal, network_key};

struct Quorum {
    polynomial: Polynomial,
    shares: Vec<Share>,
}

fn our_share(share: &EngineShare) -> Share {
    let secret: [u8; 32] = share.private.expose(|scalar| scalar.encode().as_ref().try_into().unwrap());
    Share::from_bytes(share.index.get(), &secret).unwrap()
}

fn quorum(seed: u64) -> Quorum {
    let (sharing, shares) = deal(seed);
    let polynomial = Polynomial::new(&coefficients(&sharing)).unwrap();
    assert_eq!(*polynomial.master(), network_key(&sharing));
    Quorum { polynomial, shares: shares.iter().map(our_share).collect() }
}

fn app() -> AppId {
    AppId::new([0xab; 20])
}

fn derivation(quorum: &Quorum, context: &str, generation: u32) -> Derivation {
    Derivation::new(quorum.polynomial.master(), &app(), context, generation).unwrap()
}

fn encrypted(quorum: &Quorum, derivation: &Derivation, transport: &G1Point) -> Vec<EncryptedShare> {
    let mut rng = StdRng::seed_from_u64(77);
    quorum.shares.iter().map(|share| encrypt_share(share, derivation, transport, &mut rng).unwrap()).collect()
}

#[test]
fn shares_of_the_engine_lie_on_the_polynomial() {
    let quorum = quorum(1);
    assert_eq!(quorum.polynomial.threshold(), 3);
    for share in &quorum.shares {
        share.check(&quorum.polynomial).unwrap();
    }
    let moved = Share::from_bytes(1, &quorum.shares[0].to_bytes()).unwrap();
    assert_eq!(moved.check(&quorum.polynomial), Err(ThresholdError::Share(1)));
}

#[test]
fn derived_public_key_agrees_with_the_client() {
    let quorum = quorum(1);
    let master = quorum.polynomial.master();
    let client = MasterPublicKey::deserialize(master.as_bytes())
        .unwrap()
        .derive_canister_key(app().as_bytes())
        .derive_sub_key(&wire_context("root", 3).unwrap());
    assert_eq!(derived_public_key(master, &app(), "root", 3).unwrap().as_bytes().as_slice(), client.serialize());
}

#[test]
fn combined_key_opens_with_the_unmodified_client_and_with_ours() {
    let quorum = quorum(1);
    let derivation = derivation(&quorum, "root", 0);
    let client_secret = TransportSecretKey::from_seed(vec![42; 32]).unwrap();
    // The client keeps scalars little-endian.
    let mut secret: [u8; 32] = client_secret.serialize().try_into().unwrap();
    secret.reverse();
    let transport = TransportSecret::from_bytes(&secret).unwrap();
    assert_eq!(transport.public().as_bytes().as_slice(), client_secret.public_key());

    let shares = encrypted(&quorum, &derivation, &transport.public());
    let client_public = MasterPublicKey::deserialize(quorum.polynomial.master().as_bytes())
        .unwrap()
        .derive_canister_key(app().as_bytes())
        .derive_sub_key(&wire_context("root", 0).unwrap());
    for chosen in [[0, 1, 2], [1, 2, 3], [3, 0, 2]] {
        let chosen: Vec<_> = chosen.iter().map(|i| shares[*i]).collect();
        let key = combine(&chosen, 3).unwrap();
        let theirs = EncryptedVetKey::deserialize(&key.to_bytes())
            .unwrap()
            .decrypt_and_verify(&client_secret, &client_public, KEY_INPUT)
            .unwrap();
        let ours = transport.open(&key, &derivation).unwrap();
        assert_eq!(ours.as_bytes(), theirs.serialize());
        assert_eq!(ours.secret("freehold app root").as_slice(), theirs.derive_symmetric_key("freehold app root", 32));
    }
}

#[test]
fn other_app_context_or_generation_is_another_key() {
    let quorum = quorum(1);
    let master = quorum.polynomial.master();
    let keys = [
        derived_public_key(master, &app(), "root", 0).unwrap(),
        derived_public_key(master, &app(), "root", 1).unwrap(),
        derived_public_key(master, &app(), "disk", 0).unwrap(),
        derived_public_key(master, &AppId::new([0xac; 20]), "root", 0).unwrap(),
    ];
    for (i, key) in keys.iter().enumerate() {
        assert!(!keys[..i].contains(key));
    }
}

#[test]
fn every_share_survives_the_wire_and_verifies() {
    let quorum = quorum(1);
    let derivation = derivation(&quorum, "root", 0);
    let transport = TransportSecret::generate(&mut StdRng::seed_from_u64(5)).public();
    for share in encrypted(&quorum, &derivation, &transport) {
        let read = EncryptedShare::from_bytes(&share.to_bytes()).unwrap();
        verify_share(&quorum.polynomial, &derivation, &transport, &read).unwrap();
    }
}

/// Puts another value into a share's wire form.
fn changed(share: &EncryptedShare, at: usize, bytes: &[u8]) -> EncryptedShare {
    let mut wire = share.to_bytes();
    wire[at..at + bytes.len()].copy_from_slice(bytes);
    EncryptedShare::from_bytes(&wire).unwrap()
}

fn shifted(point: &[u8]) -> Vec<u8> {
    (G1::decode(bytes::Bytes::copy_from_slice(point)).unwrap() + &G1::generator()).encode().to_vec()
}

#[test]
fn wrong_shares_are_refused() {
    let quorum_one = quorum(1);
    let derivation_one = derivation(&quorum_one, "root", 0);
    let transport = TransportSecret::generate(&mut StdRng::seed_from_u64(5)).public();
    let shares = encrypted(&quorum_one, &derivation_one, &transport);
    let wire = shares[0].to_bytes();
    let check = |share: &EncryptedShare| verify_share(&quorum_one.polynomial, &derivation_one, &transport, share);

    // Claimed as another validator's.
    assert_eq!(check(&changed(&shares[0], 0, &1u32.to_be_bytes())), Err(ThresholdError::Share(1)));
    // Beyond the set: the polynomial has a value there, which is nobody's share.
    assert_eq!(check(&changed(&shares[0], 0, &4u32.to_be_bytes())), Err(ThresholdError::Share(4)));
    // c1 of another share: not the same randomness as c2.
    assert_eq!(check(&changed(&shares[0], 4, &shares[1].to_bytes()[4..52])), Err(ThresholdError::Share(0)));
    assert_eq!(check(&changed(&shares[0], 52, &shares[1].to_bytes()[52..148])), Err(ThresholdError::Share(0)));
    // c3 shifted: another share.
    assert_eq!(check(&changed(&shares[0], 148, &shifted(&wire[148..]))), Err(ThresholdError::Share(0)));
    // Another transport key.
    let other = TransportSecret::generate(&mut StdRng::seed_from_u64(6)).public();
    assert_eq!(
        verify_share(&quorum_one.polynomial, &derivation_one, &other, &shares[0]),
        Err(ThresholdError::Share(0))
    );
    // Another derivation of the same master key.
    for other in [derivation(&quorum_one, "root", 1), derivation(&quorum_one, "disk", 0)] {
        assert_eq!(verify_share(&quorum_one.polynomial, &other, &transport, &shares[0]), Err(ThresholdError::Share(0)));
    }
    // Another quorum: neither its polynomial nor its derivation.
    let quorum_two = quorum(2);
    assert_eq!(
        verify_share(&quorum_two.polynomial, &derivation_one, &transport, &shares[0]),
        Err(ThresholdError::Master)
    );
    assert_eq!(
        verify_share(&quorum_two.polynomial, &derivation(&quorum_two, "root", 0), &transport, &shares[0]),
        Err(ThresholdError::Share(0))
    );
}

#[test]
fn old_share_against_the_reshared_polynomial_is_refused() {
    // A polynomial with the same constant term and another slope: what a reshare gives.
    let (sharing, shares) = deal(1);
    let (other, _) = deal(2);
    let mut coefficients_new = coefficients(&sharing);
    coefficients_new[1..].copy_from_slice(&coefficients(&other)[1..]);
    let reshared = Polynomial::new(&coefficients_new).unwrap();
    let derivation = Derivation::new(reshared.master(), &app(), "root", 0).unwrap();
    let transport = TransportSecret::generate(&mut StdRng::seed_from_u64(5)).public();
    let mut rng = StdRng::seed_from_u64(6);
    let share = encrypt_share(&our_share(&shares[2]), &derivation, &transport, &mut rng).unwrap();
    assert_eq!(verify_share(&reshared, &derivation, &transport, &share), Err(ThresholdError::Share(2)));
}

#[test]
fn malformed_shares_are_refused_by_name() {
    use freehold_crypto::PointName;
    let quorum = quorum(1);
    let derivation = derivation(&quorum, "root", 0);
    let transport = TransportSecret::generate(&mut StdRng::seed_from_u64(5)).public();
    let good = encrypted(&quorum, &derivation, &transport)[0].to_bytes();
    let read = |at: usize, bytes: &[u8]| {
        let mut wire = good;
        wire[at..at + bytes.len()].copy_from_slice(bytes);
        EncryptedShare::from_bytes(&wire).unwrap_err()
    };
    let mut identity = [0; 48];
    identity[0] = 0xc0;
    assert_eq!(read(0, &[0xff; 4]), ThresholdError::Index(u32::MAX));
    assert_eq!(read(4, &identity), ThresholdError::Point(PointName::C1));
    assert_eq!(read(52, &[0xff; 8]), ThresholdError::Point(PointName::C2));
    assert_eq!(read(148, &identity), ThresholdError::Point(PointName::C3));
    for length in [0, 4, 195, 197] {
        let mut wire = good.to_vec();
        wire.resize(length, 0);
        let expected = ThresholdError::Length { expected: 196, length };
        assert_eq!(EncryptedShare::from_bytes(&wire).unwrap_err(), expected);
    }
}

#[test]
fn recovery_survives_wrong_shares_and_names_them() {
    let quorum = quorum(1);
    let derivation = derivation(&quorum, "root", 0);
    let transport = TransportSecret::generate(&mut StdRng::seed_from_u64(5));
    let shares = encrypted(&quorum, &derivation, &transport.public());
    let key = transport.recover(&quorum.polynomial, &derivation, &shares[..3]).unwrap();
    let bad = changed(&shares[0], 148, &shifted(&shares[0].to_bytes()[148..]));

    // An unverified combination with a wrong share does not open.
    let combined = combine(&[bad, shares[1], shares[2]], 3).unwrap();
    assert!(matches!(transport.open(&combined, &derivation), Err(ThresholdError::Key)));
    // With a spare right share the wrong one is dropped; without one it is named.
    let recovered =
        transport.recover(&quorum.polynomial, &derivation, &[bad, shares[1], shares[2], shares[3]]).unwrap();
    assert_eq!(recovered.as_bytes(), key.as_bytes());
    assert!(matches!(
        transport.recover(&quorum.polynomial, &derivation, &[bad, shares[1], shares[2]]),
        Err(ThresholdError::Share(0))
    ));
    assert!(matches!(
        transport.recover(&quorum.polynomial, &derivation, &shares[..2]),
        Err(ThresholdError::TooFew { count: 2, threshold: 3 })
    ));
    assert!(matches!(combine(&[shares[0], shares[1], shares[0]], 3), Err(ThresholdError::Duplicate(0))));
    // A second share under one index, wrong or right, does not stand in the way.
    for twice in [[shares[0], bad, shares[1], shares[2]], [bad, shares[0], shares[1], shares[2]]] {
        let recovered = transport.recover(&quorum.polynomial, &derivation, &twice).unwrap();
        assert_eq!(recovered.as_bytes(), key.as_bytes());
    }
    let twice = [shares[0], shares[0], shares[1]];
    assert!(matches!(
        transport.recover(&quorum.polynomial, &derivation, &twice),
        Err(ThresholdError::TooFew { count: 2, threshold: 3 })
    ));
    // Another instance's secret opens nothing.
    let other = TransportSecret::generate(&mut StdRng::seed_from_u64(6));
    assert!(matches!(other.open(&combine(&shares, 3).unwrap(), &derivation), Err(ThresholdError::Key)));
    // A ciphertext whose two randomness points differ.
    let mut wire = combine(&shares, 3).unwrap().to_bytes();
    wire[..48].copy_from_slice(&shares[0].to_bytes()[4..52]);
    let mixed = freehold_crypto::EncryptedKey::from_bytes(&wire).unwrap();
    assert!(matches!(transport.open(&mixed, &derivation), Err(ThresholdError::Ciphertext)));
}

/// Prints what each step costs.
#[test]
fn steps_are_fast() {
    let quorum = quorum(1);
    let derivation_one = derivation(&quorum, "root", 0);
    let mut rng = StdRng::seed_from_u64(5);
    let transport = TransportSecret::generate(&mut rng);
    let public = transport.public();
    let shares = encrypted(&quorum, &derivation_one, &public);
    let wire = shares[0].to_bytes();
    let best = |name: &str, step: &mut dyn FnMut()| {
        let mut best = u128::MAX;
        for _ in 0..20 {
            let start = Instant::now();
            step();
            best = best.min(start.elapsed().as_micros());
        }
        println!("{name}: {best} us at best");
    };
    best("derive", &mut || drop(derivation(&quorum, "root", 0)));
    best("encrypt share", &mut || {
        encrypt_share(&quorum.shares[0], &derivation_one, &public, &mut rng).unwrap();
    });
    best("decode share", &mut || {
        EncryptedShare::from_bytes(&wire).unwrap();
    });
    best("verify share", &mut || verify_share(&quorum.polynomial, &derivation_one, &public, &shares[0]).unwrap());
    best("combine 3", &mut || {
        combine(&shares, 3).unwrap();
    });
    let key = combine(&shares, 3).unwrap();
    best("open", &mut || drop(transport.open(&key, &derivation_one).unwrap()));
}
