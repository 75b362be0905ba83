//! Byte for byte the `deoxys` crate: every length around blocks and groups, long messages, and everything that must not open.
#![allow(clippy::unwrap_used)]

use deoxys::{
    DeoxysII256,
    aead::{Aead as _, KeyInit as _, Payload},
};
use proptest::prelude::*;

use super::*;

fn check(key: &[u8; 32], nonce: &[u8; 15], associated: &[u8], message: &[u8]) {
    let theirs = DeoxysII256::new(key.into());
    let expected = theirs.encrypt(nonce.into(), Payload { msg: message, aad: associated }).unwrap();
    let ours = DeoxysKey::new(key);
    let mut text = message.to_vec();
    let tag = ours.seal(nonce, associated, &mut text);
    assert_eq!([&text[..], &tag].concat(), expected, "{} and {} bytes", associated.len(), message.len());
    assert_eq!(ours.open(nonce, associated, &mut text, &tag), Ok(()));
    assert_eq!(text, message);
}

#[test]
fn every_length_around_blocks_and_groups() {
    let bytes: Vec<u8> = (0..600_u32).map(|number| (number * 37 + number / 7) as u8).collect();
    for length in 0..300 {
        check(&[0x5a; 32], &[0xc3; 15], &bytes[..length], &bytes[length / 2..length]);
        check(&[0xff; 32], &[0; 15], &bytes[..length % 40], &bytes[300 - length..]);
    }
}

#[test]
fn block_numbers_of_more_than_one_byte() {
    let bytes: Vec<u8> = (0..70_000 * 16 + 5_u32).map(|number| (number ^ number >> 9) as u8).collect();
    check(&[7; 32], &[9; 15], &bytes[..5_000 * 16 + 3], &bytes);
}

#[test]
fn nothing_is_left_of_what_does_not_open() {
    let key = DeoxysKey::new(&[1; 32]);
    let mut text = *b"forty bytes of a message, and then some.";
    let mut tag = key.seal(&[2; 15], b"data", &mut text);
    tag[15] ^= 1;
    assert_eq!(key.open(&[2; 15], b"data", &mut text, &tag), Err(DeoxysError));
    assert_eq!(text, [0; 40]);
}

proptest! {
    #[test]
    fn the_same_as_the_crate(
        key in any::<[u8; 32]>(), nonce in any::<[u8; 15]>(),
        associated in proptest::collection::vec(any::<u8>(), 0..200),
        message in proptest::collection::vec(any::<u8>(), 0..500),
    ) {
        check(&key, &nonce, &associated, &message);
    }
}
