//! Misuse-resistant encryption as Sapphire has it (`spec/sapphire.md` §3): Deoxys-II-256-128, and X25519 keys for it.
//!
//! A nonce used twice under one key gives away only whether two messages are equal. Source: Deoxys v1.43 (CAESAR), the
//! box construction of Oasis (`MRAE_Box_Deoxys-II-256-128`).

use deoxys::{
    DeoxysII256,
    aead::{Aead as _, KeyInit as _, Payload},
};
use hmac::{Hmac, Mac as _};
use sha2::Sha512_256;
use thiserror::Error;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

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
pub struct Deoxys(DeoxysII256);

impl Deoxys {
    /// The key of these 32 bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(DeoxysII256::new(key.into()))
    }

    /// Seals a message: ciphertext, then the tag of 16 bytes.
    pub fn seal(&self, nonce: &[u8; DEOXYS_NONCE_BYTES], message: &[u8], associated: &[u8]) -> Vec<u8> {
        let payload = Payload { msg: message, aad: associated };
        self.0
            .encrypt(nonce.into(), payload)
            .expect("a message in memory is far below the cipher's limit of 2^60 blocks")
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
        let payload = Payload { msg: sealed, aad: associated };
        self.0.decrypt(nonce.into(), payload).map_err(|_| DeoxysError)
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
