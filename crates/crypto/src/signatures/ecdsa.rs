//! ECDSA on three curves: nonces of RFC 6979, signatures in ASN.1 DER, public keys as compressed SEC1 points.

use super::{KeyPairBytes, SignatureError};

/// The same functions on every curve; `$bytes` is the length of secrets and digests.
macro_rules! curve {
    ($name:ident, $ecdsa:path, $point:path, $bytes:literal) => {
        pub(super) mod $name {
            use $ecdsa::{
                Signature, SigningKey, VerifyingKey,
                signature::hazmat::{PrehashSigner as _, PrehashVerifier as _},
            };
            use zeroize::Zeroizing;
            use $point as Point;

            use super::{KeyPairBytes, SignatureError};

            pub(in crate::signatures) fn key_pair(seed: &[u8]) -> Result<KeyPairBytes, SignatureError> {
                let key = signing_key(seed)?;
                let public = key.verifying_key().to_sec1_point(true).as_bytes().to_vec();
                Ok(KeyPairBytes { public, secret: Zeroizing::new(seed.to_vec()) })
            }

            pub(in crate::signatures) fn sign(secret: &[u8], digest: &[u8]) -> Result<Vec<u8>, SignatureError> {
                let key = signing_key(secret)?;
                if digest.len() != $bytes {
                    return Err(SignatureError::Digest);
                }
                // Fails once in the order of the curve, for a nonce that gives zero.
                let signature: Signature = key.sign_prehash(digest).map_err(|_| SignatureError::Digest)?;
                Ok(signature.to_der().as_bytes().to_vec())
            }

            pub(in crate::signatures) fn verify(
                public: &[u8],
                digest: &[u8],
                signature: &[u8],
            ) -> Result<bool, SignatureError> {
                let point = Point::from_bytes(public).map_err(|_| SignatureError::Public)?;
                let (Ok(key), Ok(signature)) = (VerifyingKey::from_sec1_point(&point), Signature::from_der(signature))
                else {
                    return Ok(false);
                };
                Ok(digest.len() == $bytes && key.verify_prehash(digest, &signature).is_ok())
            }

            fn signing_key(secret: &[u8]) -> Result<SigningKey, SignatureError> {
                if secret.len() != $bytes {
                    return Err(SignatureError::Secret);
                }
                SigningKey::from_slice(secret).map_err(|_| SignatureError::Secret)
            }
        }
    };
}

curve!(secp256k1, k256::ecdsa, k256::Sec1Point, 32);
curve!(secp256r1, p256::ecdsa, p256::Sec1Point, 32);
curve!(secp384r1, p384::ecdsa, p384::Sec1Point, 48);
