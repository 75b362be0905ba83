//! Known answers, both sides of a key agreement, and every way for a box not to open.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// RFC 7748 §6.1.
#[test]
fn public_keys_of_the_rfc() {
    let alice = bytes("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    let public = bytes("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    assert_eq!(x25519_public(&alice), public);
}

/// The key of Sapphire's client tests.
#[test]
fn shared_key_of_sapphires_clients() {
    let peer = bytes("3046db3fa70ce605457dc47c48837ebd8bd0a26abfde5994d033e1ced68e2576");
    let secret = bytes("c07b151fbc1e7a11dff926111188f8d872f62eba0396da97c0a24adb75161750");
    let expect = bytes("e69ac21066a8c2284e8fdc690e579af4513547b9b31dd144792c1904b45cf586");
    assert_eq!(*deoxys_shared_key(&peer, &secret), expect);
}

/// The known answers of Deoxys-II-256-128 for an empty message and for one byte; longer ones are vectors of `evm`.
#[test]
fn known_answers() {
    let key = Deoxys::new(&bytes("7b3af9b87736f5b47332f1b06f2eedac6b2ae9a86726e5a46322e1a05f1edd9c"));
    let nonce = bytes("7b30e59a4f04b96e23d88d42f7ac61");
    let answers: [(&[u8], &[u8], &str); 2] =
        [(&[], &[], "9f1b3c417b5e0787ec5a4c7b5e254499"), (&[0x7b], &[0x7b], "da11fa90c3ee591ed43ec49ff54abe760e")];
    for (message, associated, sealed) in answers {
        assert_eq!(hex::encode(key.seal(&nonce, message, associated)), sealed);
        assert_eq!(key.open(&nonce, &hex::decode(sealed).unwrap(), associated).unwrap(), message);
    }
}

proptest! {
    #[test]
    fn both_sides_have_one_key(a in any::<[u8; 32]>(), b in any::<[u8; 32]>()) {
        let (to_b, to_a) = (deoxys_shared_key(&x25519_public(&b), &a), deoxys_shared_key(&x25519_public(&a), &b));
        prop_assert_eq!(*to_b, *to_a);
    }

    #[test]
    fn only_the_same_key_nonce_and_data_open(
        key in any::<[u8; 32]>(), nonce in any::<[u8; 15]>(),
        message in proptest::collection::vec(any::<u8>(), 0..200),
        associated in proptest::collection::vec(any::<u8>(), 0..40),
        at in any::<prop::sample::Index>(), mask in 1_u8..,
    ) {
        let deoxys = Deoxys::new(&key);
        let sealed = deoxys.seal(&nonce, &message, &associated);
        prop_assert_eq!(sealed.len(), message.len() + DEOXYS_TAG_BYTES);
        prop_assert_eq!(deoxys.open(&nonce, &sealed, &associated), Ok(message));
        let changed = |bytes: &[u8]| {
            let mut changed = bytes.to_vec();
            changed[at.index(bytes.len())] ^= mask;
            changed
        };
        let other_key: [u8; 32] = changed(&key).try_into().unwrap();
        let other_nonce: [u8; 15] = changed(&nonce).try_into().unwrap();
        prop_assert!(Deoxys::new(&other_key).open(&nonce, &sealed, &associated).is_err());
        prop_assert!(deoxys.open(&other_nonce, &sealed, &associated).is_err());
        prop_assert!(deoxys.open(&nonce, &changed(&sealed), &associated).is_err());
        prop_assert!(deoxys.open(&nonce, &sealed, &[&associated[..], b"x"].concat()).is_err());
        prop_assert!(deoxys.open(&nonce, &sealed[..at.index(sealed.len())], &associated).is_err());
    }
}
