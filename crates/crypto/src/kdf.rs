//! Key derivation: HKDF-SHA256, and the app keys of ROFL's `appd` byte for byte (`spec/key-service.md` §6).
//!
//! An app key hangs on the app's root secret, a kind and a key id; two KMAC256 steps (NIST SP 800-185 §4) separate the
//! derivation key from the output. Which ids are reserved is the guest's rule.

use hkdf::Hkdf;
use sha2::Sha256;
use tiny_keccak::{Hasher as _, Kmac};
use zeroize::Zeroizing;

const DERIVATION_TAG: &[u8] = b"oasis-runtime-sdk/rofl-appd: derive key derivation key";
const SUBKEY_TAG: &str = "oasis-runtime-sdk/rofl-appd: derive subkey ";

/// Kind of an app key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// 32 bytes of entropy.
    Raw256 = 1,
    /// 48 bytes of entropy.
    Raw384 = 2,
    /// Seed of an Ed25519 key, 32 bytes.
    Ed25519 = 3,
    /// Secret of a secp256k1 key, 32 bytes.
    Secp256k1 = 4,
}

impl KeyKind {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw256 => "raw-256",
            Self::Raw384 => "raw-384",
            Self::Ed25519 => "ed25519",
            Self::Secp256k1 => "secp256k1",
        }
    }

    /// The kind that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Raw256, Self::Raw384, Self::Ed25519, Self::Secp256k1].into_iter().find(|kind| kind.as_str() == word)
    }

    /// Bytes of a key of this kind.
    pub const fn key_bytes(self) -> usize {
        if matches!(self, Self::Raw384) { 48 } else { 32 }
    }
}

/// The app key of `kind` and `key_id` under the app's root secret.
pub fn app_key(root: &[u8], kind: KeyKind, key_id: &[u8]) -> Zeroizing<Vec<u8>> {
    let id = [&[kind as u8], key_id].concat();
    let mut derivation_key = Zeroizing::new([0; 32]);
    kmac256(&id, DERIVATION_TAG, root, &mut *derivation_key);
    let mut key = Zeroizing::new(vec![0; kind.key_bytes()]);
    let tag = [SUBKEY_TAG, kind.as_str()].concat();
    kmac256(&*derivation_key, tag.as_bytes(), &id, &mut key);
    key
}

fn kmac256(key: &[u8], tag: &[u8], input: &[u8], out: &mut [u8]) {
    let mut kmac = Kmac::v256(key, tag);
    kmac.update(input);
    kmac.finalize(out);
}

/// HKDF-SHA256 (RFC 5869): extract with `salt` (empty is as good as none), expand with the concatenation of `info`.
///
/// # Panics
/// When `out` is longer than 8160 bytes: lengths are constants of the code.
pub fn hkdf_sha256(salt: &[u8], secret: &[u8], info: &[&[u8]], out: &mut [u8]) {
    Hkdf::<Sha256>::new(Some(salt), secret)
        .expand_multi_info(info, out)
        .expect("output is at most 255 blocks of 32 bytes");
}

#[cfg(test)]
mod tests;
