//! Keys and shares: files, fit, and refusals.
#![allow(clippy::unwrap_used)]

use rand::{SeedableRng as _, rngs::StdRng};

use super::*;
use crate::dealer::{Dealt, trusted_dealer};

fn dealt(count: usize) -> (Vec<Ed25519Key>, Dealt) {
    let mut rng = StdRng::seed_from_u64(count as u64);
    let mut validators: Vec<_> = (0..count).map(|_| IdentityKey::generate(&mut rng).public()).collect();
    validators.sort_unstable();
    let dealt = trusted_dealer(&mut rng, &validators).unwrap();
    (validators, dealt)
}

#[test]
fn identity_key_of_rfc_8032() {
    // RFC 8032 §7.1, TEST 1.
    let seed: Ed25519Key = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60".parse().unwrap();
    let identity = IdentityKey::from_bytes(&seed.0);
    assert_eq!(identity.public().to_string(), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    assert_eq!(*identity.to_bytes(), seed.0);
}

#[test]
fn share_file_round_trip() {
    let (_, dealt) = dealt(4);
    let share = &dealt.derivation_shares[2];
    let bytes = share.to_bytes();
    let read = KeyShare::from_bytes(ShareKind::Derivation, &bytes).unwrap();
    assert_eq!((read.kind(), read.index(), read.scalar()), (ShareKind::Derivation, 2, share.scalar()));
    // A share of one key is never taken for one of the other.
    let other = KeyShare::from_bytes(ShareKind::Consensus, &bytes);
    assert_eq!(other.err(), Some(KeyError::Format));
}

#[test]
fn share_file_malformed() {
    let (_, dealt) = dealt(1);
    let bytes = dealt.consensus_shares[0].to_bytes();
    let refused = |bytes: &[u8]| KeyShare::from_bytes(ShareKind::Consensus, bytes).err();
    assert_eq!(refused(&bytes[..37]), Some(KeyError::Format));
    assert_eq!(refused(&[&bytes[..], &[0]].concat()), Some(KeyError::Format));
    let mut version = bytes.to_vec();
    version[0] = 2;
    assert_eq!(refused(&version), Some(KeyError::Format));
    // A scalar at or above the order of the group.
    let mut scalar = bytes.to_vec();
    scalar[6..].fill(0xff);
    assert_eq!(refused(&scalar), Some(KeyError::Format));
}

#[test]
fn material_of_every_validator() {
    for count in [1, 4, 7] {
        let (validators, dealt) = dealt(count);
        for (index, share) in (0..).zip(&dealt.consensus_shares) {
            let material = KeyMaterial::new(&validators, &dealt.consensus_polynomial.0, share).unwrap();
            assert_eq!((material.index(), material.network_key()), (index, dealt.network_key));
        }
    }
}

#[test]
fn material_refused() {
    let (validators, four) = dealt(4);
    let (others, seven) = dealt(7);
    let refused =
        |validators: &[Ed25519Key], polynomial: &[u8], share| KeyMaterial::new(validators, polynomial, share).err();
    let (polynomial, share) = (&four.consensus_polynomial.0, &four.consensus_shares[1]);
    assert_eq!(refused(&validators, polynomial, share), None);
    assert_eq!(refused(&validators, polynomial, &four.derivation_shares[1]), Some(KeyError::Share));
    assert_eq!(refused(&validators, polynomial, &seven.consensus_shares[1]), Some(KeyError::Share));
    assert_eq!(refused(&validators, polynomial, &seven.consensus_shares[5]), Some(KeyError::Share));
    assert_eq!(refused(&validators, &seven.consensus_polynomial.0, share), Some(KeyError::Polynomial));
    assert_eq!(refused(&others, polynomial, share), Some(KeyError::Polynomial));
    assert_eq!(refused(&validators, &polynomial[1..], share), Some(KeyError::Polynomial));
    assert_eq!(refused(&validators[..3], polynomial, share), Some(KeyError::Count(3)));
    let mut unsorted = validators.clone();
    unsorted.swap(0, 1);
    assert_eq!(refused(&unsorted, polynomial, share), Some(KeyError::Validators));
    let mut twice = validators;
    twice[1] = twice[0];
    assert_eq!(refused(&twice, polynomial, share), Some(KeyError::Validators));
}
