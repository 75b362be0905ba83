//! A passphrase's key is the same again, and another for any other passphrase or salt.
#![allow(clippy::unwrap_used)]

use super::{PASSPHRASE_BYTES_MAX, passphrase_key};

#[test]
fn a_passphrase_gives_one_key_with_one_salt() {
    let public = |passphrase: &[u8], salt: [u8; 16]| passphrase_key(passphrase, &salt).unwrap().public();
    let key = public(b"correct horse", [1; 16]);
    assert_eq!(key, public(b"correct horse", [1; 16]));
    assert_ne!(key, public(b"correct horse", [2; 16]));
    assert_ne!(key, public(b"correct horses", [1; 16]));
}

#[test]
fn an_empty_and_an_endless_passphrase_are_refused() {
    assert!(passphrase_key(b"", &[0; 16]).is_none());
    assert!(passphrase_key(&vec![b'a'; PASSPHRASE_BYTES_MAX + 1], &[0; 16]).is_none());
}
