//! Key pairs and signatures of many kinds, as Sapphire's precompiles offer them to contracts (`spec/sapphire.md` §3).
//!
//! Everything is deterministic: the same secret and message give the same signature on every executor. Keys and
//! signatures travel as bytes, because contracts keep them so. Our own signatures are elsewhere (`keys`).

mod ecdsa;
mod ed25519;
mod sr25519;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::hash::sha512_256;

/// Kind of a signature. The number is Sapphire's `SigningAlg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SignatureAlgorithm {
    /// Ed25519 over SHA-512/256 of context and message.
    Ed25519Oasis = 0,
    /// Ed25519 over the message.
    Ed25519Pure = 1,
    /// Ed25519ph (RFC 8032 §5.1) over a SHA-512 digest.
    Ed25519PrehashedSha512 = 2,
    /// ECDSA on secp256k1 over SHA-512/256 of context and message.
    Secp256k1Oasis = 3,
    /// ECDSA on secp256k1 over a Keccak-256 digest.
    Secp256k1PrehashedKeccak256 = 4,
    /// ECDSA on secp256k1 over a SHA-256 digest.
    Secp256k1PrehashedSha256 = 5,
    /// Schnorr signatures on Ristretto, as Substrate makes them, over context and message.
    Sr25519 = 6,
    /// ECDSA on P-256 over a SHA-256 digest.
    Secp256r1PrehashedSha256 = 7,
    /// ECDSA on P-384 over a SHA-384 digest.
    Secp384r1PrehashedSha384 = 8,
}

impl SignatureAlgorithm {
    /// All of them, by number.
    pub const ALL: [Self; 9] = [
        Self::Ed25519Oasis,
        Self::Ed25519Pure,
        Self::Ed25519PrehashedSha512,
        Self::Secp256k1Oasis,
        Self::Secp256k1PrehashedKeccak256,
        Self::Secp256k1PrehashedSha256,
        Self::Sr25519,
        Self::Secp256r1PrehashedSha256,
        Self::Secp384r1PrehashedSha384,
    ];

    /// The algorithm of this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// Why there is no key pair, no signature, or no answer about one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// A seed or a secret key has the wrong length or is out of range.
    #[error("seed or secret key is malformed")]
    Secret,
    /// A public key is malformed.
    #[error("public key is malformed")]
    Public,
    /// A digest has not the length of its hash.
    #[error("digest has the wrong length")]
    Digest,
}

/// A key pair, as bytes.
pub struct KeyPairBytes {
    /// The public key: 32 bytes; compressed SEC1 points of 33 and 49 bytes for ECDSA.
    pub public: Vec<u8>,
    /// The secret key: 32 bytes; 48 for P-384, 96 for Sr25519 (key, nonce and public key).
    pub secret: Zeroizing<Vec<u8>>,
}

/// The key pair of a seed: 32 bytes, 48 for P-384.
///
/// # Errors
/// [`SignatureError::Secret`].
pub fn key_pair_from_seed(algorithm: SignatureAlgorithm, seed: &[u8]) -> Result<KeyPairBytes, SignatureError> {
    use SignatureAlgorithm as A;
    match algorithm {
        A::Ed25519Oasis | A::Ed25519Pure | A::Ed25519PrehashedSha512 => ed25519::key_pair(seed),
        A::Secp256k1Oasis | A::Secp256k1PrehashedKeccak256 | A::Secp256k1PrehashedSha256 => {
            ecdsa::secp256k1::key_pair(seed)
        }
        A::Sr25519 => sr25519::key_pair(seed),
        A::Secp256r1PrehashedSha256 => ecdsa::secp256r1::key_pair(seed),
        A::Secp384r1PrehashedSha384 => ecdsa::secp384r1::key_pair(seed),
    }
}

/// Signs. `context` is a context, or the digest where the algorithm takes one; then `message` is not looked at, as
/// `context` is not by [`SignatureAlgorithm::Ed25519Pure`]. ECDSA signatures are ASN.1 DER with nonces of RFC 6979.
///
/// # Errors
/// [`SignatureError::Secret`], [`SignatureError::Digest`].
pub fn sign_message(
    algorithm: SignatureAlgorithm,
    secret: &[u8],
    context: &[u8],
    message: &[u8],
) -> Result<Vec<u8>, SignatureError> {
    use SignatureAlgorithm as A;
    match algorithm {
        A::Ed25519Oasis => ed25519::sign(secret, sha512_256(&[context, message]).as_bytes()),
        A::Ed25519Pure => ed25519::sign(secret, message),
        A::Ed25519PrehashedSha512 => ed25519::sign_prehashed(secret, context),
        A::Secp256k1Oasis => ecdsa::secp256k1::sign(secret, sha512_256(&[context, message]).as_bytes()),
        A::Secp256k1PrehashedKeccak256 | A::Secp256k1PrehashedSha256 => ecdsa::secp256k1::sign(secret, context),
        A::Sr25519 => sr25519::sign(secret, context, message),
        A::Secp256r1PrehashedSha256 => ecdsa::secp256r1::sign(secret, context),
        A::Secp384r1PrehashedSha384 => ecdsa::secp384r1::sign(secret, context),
    }
}

/// A signature and what it is said to be over.
#[derive(Debug, Clone, Copy)]
pub struct SignedMessage<'a> {
    /// The context, or the digest where the algorithm takes one.
    pub context: &'a [u8],
    /// The message.
    pub message: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

/// Whether a signature is valid. Ed25519 is checked strictly (canonical `s`, neither key nor `R` of small order, no
/// cofactor), secp256k1 with low `s` only; a digest of the wrong length is `false`.
///
/// # Errors
/// [`SignatureError::Public`] where the key's bytes are no key at all.
pub fn verify_message(
    algorithm: SignatureAlgorithm,
    public: &[u8],
    signed: &SignedMessage<'_>,
) -> Result<bool, SignatureError> {
    use SignatureAlgorithm as A;
    let SignedMessage { context, message, signature } = *signed;
    match algorithm {
        A::Ed25519Oasis => ed25519::verify(public, sha512_256(&[context, message]).as_bytes(), signature),
        A::Ed25519Pure => ed25519::verify(public, message, signature),
        A::Ed25519PrehashedSha512 => ed25519::verify_prehashed(public, context, signature),
        A::Secp256k1Oasis => ecdsa::secp256k1::verify(public, sha512_256(&[context, message]).as_bytes(), signature),
        A::Secp256k1PrehashedKeccak256 | A::Secp256k1PrehashedSha256 => {
            ecdsa::secp256k1::verify(public, context, signature)
        }
        A::Sr25519 => sr25519::verify(public, signed),
        A::Secp256r1PrehashedSha256 => ecdsa::secp256r1::verify(public, context, signature),
        A::Secp384r1PrehashedSha384 => ecdsa::secp384r1::verify(public, context, signature),
    }
}

#[cfg(test)]
mod tests;
