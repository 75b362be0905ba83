//! Ed25519 and Ed25519ph (RFC 8032), with secrets of 32 bytes or already expanded to 64, as old contracts hold them.

use ed25519_dalek::{
    Sha512, Signature, SigningKey, VerifyingKey,
    hazmat::{ExpandedSecretKey, raw_sign, raw_sign_prehashed},
};
use sha2::digest::{FixedOutput, HashMarker, Output, OutputSizeUser, Update, consts::U64};
use zeroize::Zeroizing;

use super::{KeyPairBytes, SignatureError};

pub(super) fn key_pair(seed: &[u8]) -> Result<KeyPairBytes, SignatureError> {
    let seed: &[u8; 32] = seed.try_into().map_err(|_| SignatureError::Secret)?;
    let key = SigningKey::from_bytes(seed);
    Ok(KeyPairBytes { public: key.verifying_key().to_bytes().to_vec(), secret: Zeroizing::new(seed.to_vec()) })
}

pub(super) fn sign(secret: &[u8], message: &[u8]) -> Result<Vec<u8>, SignatureError> {
    let key = expanded(secret)?;
    Ok(raw_sign::<Sha512>(&key, message, &VerifyingKey::from(&key)).to_vec())
}

pub(super) fn sign_prehashed(secret: &[u8], digest: &[u8]) -> Result<Vec<u8>, SignatureError> {
    let digest = Prehashed::new(digest).ok_or(SignatureError::Digest)?;
    let key = expanded(secret)?;
    let signature = raw_sign_prehashed::<Sha512, _>(&key, digest, &VerifyingKey::from(&key), None);
    Ok(signature.expect("there is no context that could be too long").to_vec())
}

pub(super) fn verify(public: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, SignatureError> {
    let key = verifying_key(public)?;
    let signature = Signature::from_slice(signature);
    Ok(signature.is_ok_and(|signature| !key.is_weak() && key.verify_strict(message, &signature).is_ok()))
}

pub(super) fn verify_prehashed(public: &[u8], digest: &[u8], signature: &[u8]) -> Result<bool, SignatureError> {
    let key = verifying_key(public)?;
    let (Some(digest), Ok(signature)) = (Prehashed::new(digest), Signature::from_slice(signature)) else {
        return Ok(false);
    };
    Ok(!key.is_weak() && key.verify_prehashed_strict(digest, None, &signature).is_ok())
}

fn expanded(secret: &[u8]) -> Result<ExpandedSecretKey, SignatureError> {
    if let Ok(seed) = <&[u8; 32]>::try_from(secret) {
        return Ok(ExpandedSecretKey::from(seed));
    }
    let bytes: &[u8; 64] = secret.try_into().map_err(|_| SignatureError::Secret)?;
    Ok(ExpandedSecretKey::from_bytes(bytes))
}

fn verifying_key(public: &[u8]) -> Result<VerifyingKey, SignatureError> {
    let bytes: &[u8; 32] = public.try_into().map_err(|_| SignatureError::Public)?;
    VerifyingKey::from_bytes(bytes).map_err(|_| SignatureError::Public)
}

/// A SHA-512 digest that was made elsewhere, where the library wants a hash to finish.
#[derive(Clone)]
struct Prehashed([u8; 64]);

impl Prehashed {
    fn new(digest: &[u8]) -> Option<Self> {
        digest.try_into().ok().map(Self)
    }
}

impl Default for Prehashed {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl OutputSizeUser for Prehashed {
    type OutputSize = U64;
}

impl Update for Prehashed {
    fn update(&mut self, _: &[u8]) {
        unreachable!("a finished digest takes no more input, and the library only finishes it");
    }
}

impl FixedOutput for Prehashed {
    fn finalize_into(self, out: &mut Output<Self>) {
        out.copy_from_slice(&self.0);
    }
}

impl HashMarker for Prehashed {}
