//! Misuse-resistant encryption as Sapphire has it (`spec/sapphire.md` §3): Deoxys-II-256-128, and X25519 keys for it.
//!
//! A nonce used twice under one key gives away only whether two messages are equal. Source: Deoxys v1.43 (CAESAR), the
//! box construction of Oasis (`MRAE_Box_Deoxys-II-256-128`).

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha512_256;
use thiserror::Error;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use crate::deoxys::DeoxysKey;

/// Bytes of a nonce.
pub const DEOXYS_NONCE_BYTES: usize = 15;
/// Bytes by which a sealed message is longer.
pub const DEOXYS_TAG_BYTES: usize = 16;

const BOX_DOMAIN: &[u8] = b"MRAE_Box_Deoxys-II-256-128";

/// A sealed message was not made with this key, nonce and associated data, or is too short to be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the sealed message does not open")]
pub struct DeoxysError;

/// A key of Deoxys-II-256-128, ready for use; wiped when dropped.
pub struct Deoxys(DeoxysKey);

impl Deoxys {
    /// The key of these 32 bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(DeoxysKey::new(key))
    }

    /// Seals a message: ciphertext, then the tag of 16 bytes.
    pub fn seal(&self, nonce: &[u8; DEOXYS_NONCE_BYTES], message: &[u8], associated: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(message.len() + DEOXYS_TAG_BYTES);
        sealed.extend_from_slice(message);
        let tag = self.0.seal(nonce, associated, &mut sealed);
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Opens a sealed message.
    ///
    /// # Errors
    /// [`DeoxysError`].
    pub fn open(
        &self,
        nonce: &[u8; DEOXYS_NONCE_BYTES],
        sealed: &[u8],
        associated: &[u8],
    ) -> Result<Vec<u8>, DeoxysError> {
        let (text, tag) = sealed.split_last_chunk::<DEOXYS_TAG_BYTES>().ok_or(DeoxysError)?;
        let mut text = text.to_vec();
        self.0.open(nonce, associated, &mut text, tag)?;
        Ok(text)
    }
}

/// X25519 public key of a secret (RFC 7748 §6.1); the secret is clamped.
pub fn x25519_public(secret: &[u8; 32]) -> [u8; 32] {
    PublicKey::from(&StaticSecret::from(*secret)).to_bytes()
}

/// Deoxys-II key that two parties share: HMAC-SHA-512/256 of the X25519 secret under the box's domain.
///
/// A peer key of small order gives a key that anyone can compute; whoever encrypts to an unknown key checks it first.
pub fn deoxys_shared_key(peer: &[u8; 32], secret: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let shared = StaticSecret::from(*secret).diffie_hellman(&PublicKey::from(*peer));
    let mut mac = Hmac::<Sha512_256>::new_from_slice(BOX_DOMAIN).expect("HMAC takes keys of any length");
    mac.update(shared.as_bytes());
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests;
