//! Round trips of every algorithm, determinism, and what is no key. Known answers: `spec/vectors/sapphire`, by `evm`.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::hash::{sha384, sha512};

fn seed_bytes(algorithm: SignatureAlgorithm) -> usize {
    if algorithm == SignatureAlgorithm::Secp384r1PrehashedSha384 { 48 } else { 32 }
}

/// A context of the right shape: a digest of the message where the algorithm takes one.
fn context(algorithm: SignatureAlgorithm, message: &[u8]) -> Vec<u8> {
    match algorithm {
        SignatureAlgorithm::Ed25519PrehashedSha512 => sha512(message).to_vec(),
        SignatureAlgorithm::Secp384r1PrehashedSha384 => sha384(message).0.to_vec(),
        _ => sha512_256(&[message]).0.to_vec(),
    }
}

fn is_valid(algorithm: SignatureAlgorithm, public: &[u8], context: &[u8], message: &[u8], signature: &[u8]) -> bool {
    verify_message(algorithm, public, &SignedMessage { context, message, signature }).unwrap()
}

#[test]
fn numbers_are_sapphires() {
    for (number, algorithm) in (0..).zip(SignatureAlgorithm::ALL) {
        assert_eq!((algorithm as u8, SignatureAlgorithm::from_number(number)), (number, Some(algorithm)));
    }
    assert_eq!(SignatureAlgorithm::from_number(9), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_is_signed_verifies(
        seed in any::<[u8; 32]>(), message in proptest::collection::vec(any::<u8>(), 0..100),
        at in any::<prop::sample::Index>(), mask in 1_u8..,
    ) {
        for algorithm in SignatureAlgorithm::ALL {
            // Below the order of every curve.
            let mut seed = [seed, seed].concat();
            seed.truncate(seed_bytes(algorithm));
            seed[0] &= 0x7f;
            seed[1] |= 1;
            let pair = key_pair_from_seed(algorithm, &seed).unwrap();
            let context = context(algorithm, &message);
            let signature = sign_message(algorithm, &pair.secret, &context, &message).unwrap();
            let again = sign_message(algorithm, &pair.secret, &context, &message).unwrap();
            prop_assert_eq!(&signature, &again, "every executor signs alike");
            prop_assert!(is_valid(algorithm, &pair.public, &context, &message, &signature));
            let mut broken = signature.clone();
            broken[at.index(signature.len())] ^= mask;
            prop_assert!(!is_valid(algorithm, &pair.public, &context, &message, &broken));
            let mut other = [&context[..], b""].concat();
            other[at.index(context.len())] ^= mask;
            let looks_at_context = algorithm != SignatureAlgorithm::Ed25519Pure;
            prop_assert_eq!(is_valid(algorithm, &pair.public, &other, &message, &signature), !looks_at_context);
        }
    }

    #[test]
    fn noise_is_no_signature(
        public in proptest::collection::vec(any::<u8>(), 0..100),
        noise in proptest::collection::vec(any::<u8>(), 0..120),
    ) {
        for algorithm in SignatureAlgorithm::ALL {
            let signed = SignedMessage { context: &noise, message: &noise, signature: &noise };
            prop_assert!(!verify_message(algorithm, &public, &signed).unwrap_or(false));
            let _ = sign_message(algorithm, &public, &noise, &noise);
            let _ = key_pair_from_seed(algorithm, &public);
        }
    }
}

/// A contract may bring a key whose nonce part everybody knows: two signatures must not give the key away by a nonce in
/// common.
#[test]
fn sr25519_nonces_hang_on_the_whole_secret() {
    let mut secret = key_pair_from_seed(SignatureAlgorithm::Sr25519, &[7; 32]).unwrap().secret;
    secret[32..64].fill(0);
    let sign = |message: &[u8]| sign_message(SignatureAlgorithm::Sr25519, &secret, b"substrate", message).unwrap();
    let (first, second) = (sign(b"a"), sign(b"b"));
    assert_ne!(first[..32], second[..32]);
    assert!(is_valid(SignatureAlgorithm::Sr25519, &secret[64..], b"substrate", b"a", &first));
    // The border between context and message counts.
    let shifted = sign_message(SignatureAlgorithm::Sr25519, &secret, b"substratea", b"").unwrap();
    assert_ne!(first[..32], shifted[..32]);
}

/// A small-order key would "sign" every message.
#[test]
fn small_order_keys_verify_nothing() {
    let mut signature = [0; 64];
    signature[0] = 1;
    let mut identity = [0; 32];
    identity[0] = 1;
    for algorithm in [SignatureAlgorithm::Ed25519Pure, SignatureAlgorithm::Ed25519PrehashedSha512] {
        assert!(!is_valid(algorithm, &identity, &[0; 64], b"any", &signature));
    }
}
