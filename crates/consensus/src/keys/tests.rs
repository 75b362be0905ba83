//! Keys and shares: files, fit, and refusals.
#![allow(clippy::unwrap_used)]

use rand::{SeedableRng as _, rngs::StdRng};

use super::*;
use crate::{
    ceremony::Committee,
    dealer::{Dealt, trusted_dealer},
};

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
fn share_of_every_validator() {
    for count in [1, 4, 7] {
        let (validators, dealt) = dealt(count);
        let committee = Committee::new(&validators, &dealt.consensus_polynomial.0).unwrap();
        assert_eq!(committee.public_key(), dealt.network_key);
        for (validator, share) in validators.iter().zip(&dealt.consensus_shares) {
            assert!(committee.is_share_of(validator, share, ShareKind::Consensus));
        }
    }
}

#[test]
fn share_of_another_refused() {
    let (validators, four) = dealt(4);
    let (_, seven) = dealt(7);
    let committee = Committee::new(&validators, &four.consensus_polynomial.0).unwrap();
    let held = |validator: &Ed25519Key, share| committee.is_share_of(validator, share, ShareKind::Consensus);
    assert!(held(&validators[1], &four.consensus_shares[1]));
    assert!(!held(&validators[2], &four.consensus_shares[1]));
    assert!(!held(&validators[1], &four.derivation_shares[1]));
    assert!(!held(&validators[1], &seven.consensus_shares[1]));
    assert!(!held(&validators[1], &seven.consensus_shares[5]));
    assert!(!held(&Ed25519Key([9; 32]), &four.consensus_shares[1]));
}

#[test]
fn committee_refused() {
    let (validators, four) = dealt(4);
    let (others, seven) = dealt(7);
    let refused = |validators: &[Ed25519Key], polynomial: &[u8]| Committee::new(validators, polynomial).err();
    let polynomial = &four.consensus_polynomial.0;
    assert_eq!(refused(&validators, polynomial), None);
    assert_eq!(refused(&validators, &seven.consensus_polynomial.0), Some(KeyError::Polynomial));
    assert_eq!(refused(&others, polynomial), Some(KeyError::Polynomial));
    assert_eq!(refused(&validators, &polynomial[1..]), Some(KeyError::Polynomial));
    assert_eq!(refused(&validators[..3], polynomial), Some(KeyError::Count(3)));
    let mut unsorted = validators.clone();
    unsorted.swap(0, 1);
    assert_eq!(refused(&unsorted, polynomial), Some(KeyError::Validators));
    let mut twice = validators;
    twice[1] = twice[0];
    assert_eq!(refused(&twice, polynomial), Some(KeyError::Validators));
}
