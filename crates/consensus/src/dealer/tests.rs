//! The dealing: both keys fit their polynomials and have nothing in common.
#![allow(clippy::unwrap_used)]

use commonware_codec::{Copying, Decode as _, DecodeExt as _};
use commonware_cryptography::bls12381::primitives::{
    group::{G2, Scalar},
    sharing::ModeVersion,
};
use commonware_math::algebra::Additive as _;
use commonware_utils::NZU32;
use rand::{SeedableRng as _, rngs::StdRng};

use super::*;
use crate::keys::IdentityKey;

fn dealt() -> Dealt {
    let mut rng = StdRng::seed_from_u64(5);
    let mut validators: Vec<_> = (0..4).map(|_| IdentityKey::generate(&mut rng).public()).collect();
    validators.sort_unstable();
    trusted_dealer(&mut rng, &validators).unwrap()
}

fn point(key: &NetworkKey) -> G2 {
    G2::decode(Copying(&key.0)).unwrap()
}

/// Value of a public polynomial at `x`, by Horner.
fn evaluate(coefficients: &[NetworkKey], x: u64) -> G2 {
    let x = Scalar::from_u64(x);
    let mut sum = G2::zero();
    for coefficient in coefficients.iter().rev() {
        sum *= &x;
        sum += &point(coefficient);
    }
    sum
}

#[test]
fn derivation_shares_lie_on_the_polynomial() {
    let dealt = dealt();
    assert_eq!(dealt.derivation_polynomial.len(), 3);
    for (index, share) in (0..).zip(&dealt.derivation_shares) {
        assert_eq!((share.index(), share.kind()), (index, ShareKind::Derivation));
        let public = share.to_engine().unwrap().public::<MinSig>();
        assert_eq!(public, evaluate(&dealt.derivation_polynomial, u64::from(index) + 1));
    }
}

#[test]
fn consensus_polynomial_decodes_to_the_network_key() {
    let dealt = dealt();
    let bytes = Copying(&dealt.consensus_polynomial.0);
    let polynomial = Sharing::<MinSig>::decode_cfg(bytes, &(NZU32!(4), ModeVersion::v0())).unwrap();
    assert_eq!(constant_term(&polynomial), dealt.network_key);
    assert_eq!(coefficients(&polynomial)[0], dealt.network_key);
}

#[test]
fn the_two_keys_are_independent() {
    let dealt = dealt();
    assert_ne!(dealt.derivation_polynomial[0], dealt.network_key);
    for (consensus, derivation) in dealt.consensus_shares.iter().zip(&dealt.derivation_shares) {
        assert_ne!(consensus.scalar(), derivation.scalar());
    }
}

#[test]
fn sets_that_do_not_serve() {
    let mut rng = StdRng::seed_from_u64(6);
    let mut validators: Vec<_> = (0..5).map(|_| IdentityKey::generate(&mut rng).public()).collect();
    validators.sort_unstable();
    for count in [0, 2, 3] {
        assert_eq!(trusted_dealer(&mut rng, &validators[..count]).err(), Some(KeyError::Count(count)));
    }
    validators.swap(0, 4);
    assert_eq!(trusted_dealer(&mut rng, &validators).err(), Some(KeyError::Validators));
}
