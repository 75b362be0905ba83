//! A response under the secret that the request exported.
//!
//! prk = HKDF-Extract(salt = enc ‖ nonce, secret); key = Expand(prk, "key", 32); base = Expand(prk, "nonce", 12); chunk i
//! is sealed under base XOR i. Plain HKDF, not HPKE's labelled one.

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{EhbpError, frame};
use crate::kdf::hkdf_sha256;

/// Secret that a request exports for its response, 32 bytes. Wiped when dropped; never printed.
#[derive(Clone)]
pub struct ExportedSecret(Zeroizing<[u8; 32]>);

impl ExportedSecret {
    /// The secret of 32 bytes, as it crosses the local API.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Key, base nonce and position of a response.
struct Sequence {
    cipher: Aes256Gcm,
    base: [u8; 12],
    next: u64,
}

impl Sequence {
    fn new(secret: &ExportedSecret, encapsulated_key: &[u8; 32], nonce: &[u8; 32]) -> Self {
        let salt = [encapsulated_key.as_slice(), nonce].concat();
        let mut key = Zeroizing::new([0; 32]);
        let mut base = [0; 12];
        hkdf_sha256(&salt, &*secret.0, &[b"key"], &mut *key);
        hkdf_sha256(&salt, &*secret.0, &[b"nonce"], &mut base);
        let cipher = Aes256Gcm::new_from_slice(&*key).expect("the key has 32 bytes");
        Self { cipher, base, next: 0 }
    }

    /// Nonce of the next chunk: the base with the position added bit by bit to its last eight bytes.
    fn nonce(&self) -> [u8; 12] {
        let mut nonce = self.base;
        for (byte, mask) in nonce[4..].iter_mut().zip(self.next.to_be_bytes()) {
            *byte ^= mask;
        }
        nonce
    }

    fn advance(&mut self) -> Result<(), EhbpError> {
        self.next = self.next.checked_add(1).ok_or(EhbpError::Exhausted)?;
        Ok(())
    }
}

/// The instance's side of a response.
pub struct ResponseSealer {
    nonce: [u8; 32],
    sequence: Sequence,
}

impl ResponseSealer {
    /// A response to the request with `encapsulated_key`, under a fresh nonce.
    pub fn new(secret: &ExportedSecret, encapsulated_key: &[u8; 32], rng: &mut impl CryptoRng) -> Self {
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        Self::with_nonce(secret, encapsulated_key, nonce)
    }

    /// The nonce: header `Ehbp-Response-Nonce`, in lower-case hex.
    pub const fn nonce(&self) -> &[u8; 32] {
        &self.nonce
    }

    /// Seals one chunk as a frame; an empty chunk gives no bytes.
    ///
    /// # Errors
    /// [`EhbpError::FrameTooLong`], [`EhbpError::Exhausted`].
    pub fn seal(&mut self, chunk: &[u8]) -> Result<Vec<u8>, EhbpError> {
        if chunk.is_empty() {
            return Ok(Vec::new());
        }
        let nonce = Nonce::from(self.sequence.nonce());
        // The cipher refuses only what is above 64 GiB.
        let ciphertext = self.sequence.cipher.encrypt(&nonce, chunk).map_err(|_| EhbpError::Exhausted)?;
        self.sequence.advance()?;
        frame(&ciphertext)
    }

    /// A sealer under a given nonce: two under one nonce and secret would break the encryption, so only tests may.
    pub(super) fn with_nonce(secret: &ExportedSecret, encapsulated_key: &[u8; 32], nonce: [u8; 32]) -> Self {
        Self { nonce, sequence: Sequence::new(secret, encapsulated_key, &nonce) }
    }
}

/// A client's side of a response. It needs no more than the exported secret, so that a kept one opens a response later.
pub struct ResponseOpener {
    sequence: Sequence,
}

impl ResponseOpener {
    /// A response with `nonce` to the request with `encapsulated_key`.
    pub fn new(secret: &ExportedSecret, encapsulated_key: &[u8; 32], nonce: &[u8; 32]) -> Self {
        Self { sequence: Sequence::new(secret, encapsulated_key, nonce) }
    }

    /// Opens the next ciphertext (a frame's content). An empty one is skipped and gives nothing.
    ///
    /// # Errors
    /// [`EhbpError::Open`]; the sequence does not advance. [`EhbpError::Exhausted`].
    pub fn open(&mut self, ciphertext: &[u8]) -> Result<Vec<u8>, EhbpError> {
        if ciphertext.is_empty() {
            return Ok(Vec::new());
        }
        let nonce = Nonce::from(self.sequence.nonce());
        let payload = Payload { msg: ciphertext, aad: &[] };
        let plaintext = self.sequence.cipher.decrypt(&nonce, payload).map_err(|_| EhbpError::Open)?;
        self.sequence.advance()?;
        Ok(plaintext)
    }
}
