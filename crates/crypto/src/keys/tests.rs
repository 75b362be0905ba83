//! Known keys and signatures, and the refusal of every second form of one.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};

use super::*;

/// First account of the usual development mnemonic.
fn known() -> AccountKey {
    let mut bytes = [0; 32];
    hex::decode_to_slice("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80", &mut bytes).unwrap();
    AccountKey::from_bytes(&bytes).unwrap()
}

#[test]
fn account_of_a_known_key() {
    assert_eq!(known().account(), "f39fd6e51aad88f6f4ce6ab8827279cfffb92266".parse().unwrap());
}

#[test]
fn account_signature_recovers_the_account() {
    let key = AccountKey::generate(&mut StdRng::seed_from_u64(1));
    for byte in 0..32 {
        let digest = Digest([byte; 32]);
        let signature = key.sign(&digest);
        assert!(matches!(signature[64], 27 | 28));
        assert_eq!(recover_account(&digest, &signature), Ok(key.account()));
        assert_ne!(recover_account(&Digest([byte ^ 0x80; 32]), &signature), Ok(key.account()));
    }
}

#[test]
fn account_signature_malformed() {
    let digest = Digest([3; 32]);
    let good = known().sign(&digest);
    let check = |change: &dyn Fn(&mut Vec<u8>), expect: KeyError| {
        let mut signature = good.to_vec();
        change(&mut signature);
        assert_eq!(recover_account(&digest, &signature), Err(expect));
    };
    check(&|s| s.truncate(64), KeyError::Malformed);
    check(&|s| s.push(0), KeyError::Malformed);
    check(&|s| s[64] -= 27, KeyError::Malformed);
    check(&|s| s[64] = 29, KeyError::Malformed);
    check(&|s| s[..32].fill(0), KeyError::Malformed);
    check(&|s| s[32..64].fill(0), KeyError::Malformed);
    check(&|s| s[..32].fill(0xff), KeyError::Malformed);
    // The twin with high s: order − s, other parity.
    check(
        &|s| {
            let mut order = [0; 32];
            hex::decode_to_slice("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", &mut order)
                .unwrap();
            let mut borrow = 0;
            for i in (0..32).rev() {
                let difference = i16::from(order[i]) - i16::from(s[32 + i]) - borrow;
                borrow = i16::from(difference < 0);
                s[32 + i] = difference.rem_euclid(256) as u8;
            }
            s[64] = 55 - s[64];
        },
        KeyError::Malformed,
    );
}

#[test]
fn secret_key_out_of_range() {
    assert!(matches!(AccountKey::from_bytes(&[0; 32]), Err(KeyError::Secret)));
    assert!(matches!(AccountKey::from_bytes(&[0xff; 32]), Err(KeyError::Secret)));
    assert_eq!(*known().to_bytes(), *AccountKey::from_bytes(&known().to_bytes()).unwrap().to_bytes());
}

#[test]
fn registration_signature_covers_document_and_evidence() {
    let key = known();
    let signature = key.sign(&registration_digest(b"document", b"evidence"));
    assert_eq!(recover_registration(b"document", b"evidence", &signature), Ok(key.account()));
    assert_ne!(recover_registration(b"document", b"other", &signature), Ok(key.account()));
    assert_ne!(recover_registration(b"other", b"evidence", &signature), Ok(key.account()));
}

/// RFC 8032 §7.1, test 2.
#[test]
fn ed25519_vector() {
    let mut seed = [0; 32];
    hex::decode_to_slice("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", &mut seed).unwrap();
    let secret = Ed25519Secret::from_seed(&seed);
    assert_eq!(secret.public().to_string(), "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    let signature = secret.sign(&[0x72]);
    assert_eq!(
        hex::encode(signature),
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    );
    assert_eq!(verify_ed25519(&secret.public(), &[0x72], &signature), Ok(()));
    assert_eq!(verify_ed25519(&secret.public(), &[0x73], &signature), Err(KeyError::Invalid));
}

#[test]
fn ed25519_second_forms_are_refused() {
    let secret = Ed25519Secret::generate(&mut StdRng::seed_from_u64(1));
    let mut signature = secret.sign(b"m");
    // s + order: the same residue, not canonical.
    let order: [u8; 32] = {
        let mut bytes = [0; 32];
        hex::decode_to_slice("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010", &mut bytes).unwrap();
        bytes
    };
    let mut carry = 0;
    for i in 0..32 {
        let sum = u16::from(signature[32 + i]) + u16::from(order[i]) + carry;
        signature[32 + i] = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(verify_ed25519(&secret.public(), b"m", &signature), Err(KeyError::Invalid));
    // The identity as key, under which R = s·B verifies for every message.
    let mut identity = Ed25519Key::ZERO;
    identity.0[0] = 1;
    assert_eq!(verify_ed25519(&identity, b"m", &[0; 64]), Err(KeyError::Public));
}

proptest! {
    #[test]
    fn any_bytes_never_panic(signature in prop::collection::vec(any::<u8>(), 0..80), digest: [u8; 32], key: [u8; 32]) {
        let _ = recover_account(&Digest(digest), &signature);
        if let Ok(signature) = <[u8; 64]>::try_from(signature.as_slice()) {
            let _ = verify_ed25519(&Ed25519Key(key), &digest, &signature);
        }
    }
}
