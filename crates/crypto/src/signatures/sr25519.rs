//! Sr25519: Schnorr signatures on Ristretto as Substrate makes them (schnorrkel).
//!
//! The library would draw nonces from the operating system. Here they hang on secret, context and message instead, so
//! that every executor makes the same signature; the whole secret enters, because a contract may bring a key whose own
//! nonce part is no secret.

use rand_chacha_03::{ChaCha20Rng, rand_core::SeedableRng as _};
use schnorrkel::{
    ExpansionMode, Keypair, MiniSecretKey, PublicKey, Signature,
    context::{attach_rng, signing_context},
};
use zeroize::Zeroizing;

use super::{KeyPairBytes, SignatureError, SignedMessage};
use crate::kdf::hkdf_sha256;

const NONCE_DOMAIN: &[u8] = b"freehold sr25519 nonce";

pub(super) fn key_pair(seed: &[u8]) -> Result<KeyPairBytes, SignatureError> {
    let mini = MiniSecretKey::from_bytes(seed).map_err(|_| SignatureError::Secret)?;
    let pair = mini.expand_to_keypair(ExpansionMode::Ed25519);
    let secret = Zeroizing::new(pair.to_half_ed25519_bytes().to_vec());
    Ok(KeyPairBytes { public: pair.public.to_bytes().to_vec(), secret })
}

pub(super) fn sign(secret: &[u8], context: &[u8], message: &[u8]) -> Result<Vec<u8>, SignatureError> {
    let pair = Keypair::from_half_ed25519_bytes(secret).map_err(|_| SignatureError::Secret)?;
    let mut seed = Zeroizing::new([0; 32]);
    let length = (context.len() as u64).to_be_bytes();
    hkdf_sha256(NONCE_DOMAIN, secret, &[&length, context, message], &mut *seed);
    let transcript = signing_context(context).bytes(message);
    Ok(pair.sign(attach_rng(transcript, ChaCha20Rng::from_seed(*seed))).to_bytes().to_vec())
}

pub(super) fn verify(public: &[u8], signed: &SignedMessage<'_>) -> Result<bool, SignatureError> {
    let key = PublicKey::from_bytes(public).map_err(|_| SignatureError::Public)?;
    let signature = Signature::from_bytes(signed.signature);
    Ok(signature
        .is_ok_and(|signature| key.verify(signing_context(signed.context).bytes(signed.message), &signature).is_ok()))
}
