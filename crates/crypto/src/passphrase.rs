//! A key from a passphrase: Argon2id (RFC 9106), so that guessing costs memory and time.
//!
//! Parameters are fixed: 64 MiB, three passes, one lane (RFC 9106 §4, second recommended option with one lane).

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use crate::ehbp::HpkeSecret;

#[cfg(test)]
mod tests;

/// Bytes of a salt.
pub const PASSPHRASE_SALT_BYTES: usize = 16;
/// Longest passphrase, in bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 1_024;

const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;

/// The key that a passphrase and a salt give; `None` where the passphrase is empty or above [`PASSPHRASE_BYTES_MAX`].
pub fn passphrase_key(passphrase: &[u8], salt: &[u8; PASSPHRASE_SALT_BYTES]) -> Option<HpkeSecret> {
    if !(1..=PASSPHRASE_BYTES_MAX).contains(&passphrase.len()) {
        return None;
    }
    let mut key = Zeroizing::new([0; 32]);
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(key.len())).expect("the parameters are in Argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase, salt, &mut *key)
        .expect("passphrase, salt and key are in Argon2's bounds");
    Some(HpkeSecret::from_bytes(&key))
}
