//! Messages between peers: their vector, their faults, and numbers that count once.
#![allow(clippy::unwrap_used)]

use freehold_crypto::{AccountKey, HpkeSecret, sha256};
use freehold_primitives::{Blob, Canonical as _, Digest};
use rand::{SeedableRng as _, rngs::StdRng};
use zeroize::Zeroizing;

use super::{
    PeerError,
    envelope::{Envelope, Letter},
    replay::{SeenNumbers, WINDOW},
};

const GENESIS: Digest = Digest([9; 32]);

fn letter(message: &[u8]) -> Letter {
    let message = Zeroizing::new(message.to_vec());
    Letter { from: Digest([1; 32]), to: Digest([2; 32]), sequence: 3, sealed_at: 1_700_000_000, message }
}

fn sealed(letter: &Letter, account: u8) -> Vec<u8> {
    let to = HpkeSecret::from_bytes(&[4; 32]).public();
    let account = AccountKey::from_bytes(&[account; 32]).unwrap();
    Envelope::seal(letter, GENESIS, (&to, &account), &mut StdRng::seed_from_u64(5)).unwrap()
}

#[test]
fn the_form_is_as_the_page_says() {
    let bytes = sealed(&letter(b"hello"), 6);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../spec/peers.md")).unwrap();
    let digest = sha256(&bytes).to_string();
    assert!(page.contains(&digest), "SHA-256 of the vector: {digest}, {} bytes", bytes.len());
    let envelope = Envelope::read(&bytes).unwrap();
    assert_eq!(envelope.to_canonical(), bytes);
    // Both versions, genesis, sender, recipient, encapsulated key, then lengths.
    assert_eq!(bytes[..2], [1, 1]);
    assert_eq!((&bytes[2..34], &bytes[34..66], &bytes[66..98]), (&[9; 32][..], &[1; 32][..], &[2; 32][..]));
    assert_eq!(bytes.len(), 2 + 4 * 32 + 4 + (80 + 5 + 16) + 4 + 65);
    let opened = envelope.open(&HpkeSecret::from_bytes(&[4; 32])).unwrap();
    assert_eq!((opened.sequence, opened.sealed_at, opened.message.as_slice()), (3, 1_700_000_000, b"hello".as_slice()));
    assert!(envelope.is_of(&AccountKey::from_bytes(&[6; 32]).unwrap().account()));
}

#[test]
fn envelope_of_another_signer_is_not_of_the_sender() {
    let envelope = Envelope::read(&sealed(&letter(b"hello"), 7)).unwrap();
    assert!(!envelope.is_of(&AccountKey::from_bytes(&[6; 32]).unwrap().account()));
}

#[test]
fn envelope_with_anothers_ciphertext_does_not_open() {
    // A peer that is live itself signs what another sealed as if it were its own.
    let mut stolen = Envelope::read(&sealed(&letter(b"hello"), 6)).unwrap();
    stolen.sealed.from = Digest([8; 32]);
    let opened = stolen.open(&HpkeSecret::from_bytes(&[4; 32]));
    assert!(matches!(opened.err().unwrap(), PeerError::NotAuthentic));
}

#[test]
fn envelope_for_another_key_does_not_open() {
    let envelope = Envelope::read(&sealed(&letter(b"hello"), 6)).unwrap();
    assert!(matches!(envelope.open(&HpkeSecret::from_bytes(&[3; 32])).err().unwrap(), PeerError::NotAuthentic));
}

#[test]
fn envelopes_of_another_form_are_refused() {
    let good = sealed(&letter(b"hello"), 6);
    let refused = |bytes: &[u8]| Envelope::read(bytes).unwrap_err();
    assert!(matches!(refused(&[]), PeerError::Malformed(_)));
    for end in 0..good.len() {
        assert!(matches!(refused(&good[..end]), PeerError::Malformed(_)), "cut at {end}");
    }
    assert!(matches!(refused(&[good.as_slice(), &[0]].concat()), PeerError::Malformed(_)));
    let mut other = good.clone();
    other[1] = 2;
    assert!(matches!(refused(&other), PeerError::Malformed("of another version")));
    let mut unsigned = Envelope::read(&good).unwrap();
    unsigned.signature = Blob(vec![0; 64]);
    assert!(matches!(refused(&unsigned.to_canonical()), PeerError::Malformed(_)));
    assert!(matches!(refused(&vec![0; 2 * 1024 * 1024]), PeerError::TooLong));
}

#[test]
fn every_number_counts_once_in_any_order() {
    let mut seen = SeenNumbers::default();
    for number in [0, 2, 1, 70, 5, WINDOW + 69, WINDOW + 3] {
        assert!(seen.admit(number), "{number}");
        assert!(!seen.admit(number), "{number} twice");
    }
    // The newest is WINDOW + 69: what lies a window below it is not told apart any more, and counts as seen.
    assert!(!seen.admit(69) && !seen.admit(0));
    assert!(!seen.admit(70), "seen before");
    assert!(seen.admit(71) && !seen.admit(71));
    // Far ahead: nothing of the window before is left in the way, and nothing of it is admitted.
    let far = 1_000_000;
    assert!(seen.admit(far) && !seen.admit(far) && !seen.admit(71));
    assert!((far - WINDOW + 1..far).all(|number| seen.admit(number)));
    assert!((far - WINDOW + 1..=far).all(|number| !seen.admit(number)));
    assert!(!seen.admit(u64::MAX));
}
