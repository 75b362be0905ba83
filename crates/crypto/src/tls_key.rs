//! Keys of TLS certificates: P-256, in the one form that TLS libraries read (PKCS #8, RFC 5208, with RFC 5915 inside).
//!
//! Certificates themselves are not here.

use p256::ecdsa::SigningKey;
use zeroize::Zeroizing;

use crate::keys::KeyError;

/// What stands before the secret: version 0, id-ecPublicKey with prime256v1, and the head of an `ECPrivateKey`.
const BEFORE_SECRET: [u8; 36] = [
    0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08,
    0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20,
];
/// What stands between secret and public point: `[1]`, a bit string of 65 bytes.
const BEFORE_POINT: [u8; 5] = [0xa1, 0x44, 0x03, 0x42, 0x00];

/// The P-256 key of 32 secret bytes as a PKCS #8 document, DER, 138 bytes.
///
/// # Errors
/// [`KeyError::Secret`] where the bytes are zero or not below the order.
pub fn p256_pkcs8(secret: &[u8; 32]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let key = SigningKey::from_slice(secret).map_err(|_| KeyError::Secret)?;
    let point = key.verifying_key().to_sec1_point(false);
    let parts = [&BEFORE_SECRET[..], secret, &BEFORE_POINT, point.as_bytes()];
    Ok(Zeroizing::new(parts.concat()))
}

#[cfg(test)]
mod tests;
