//! Signature keys: secp256k1 for accounts, Ed25519 for receipts.
//!
//! A signature has one accepted form: `r ‖ s ‖ v` with low `s` and `v` 27 or 28 for secp256k1, and the strict rules of
//! Ed25519 (canonical `s`, no small-order key). Secrets are wiped when dropped and are never printed.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use freehold_primitives::{Account, Canonical, Digest, Ed25519Key, Generation, Registration, Term};
use k256::ecdsa::{self, signature::hazmat::PrehashVerifier as _};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::hash::{keccak256, sha256};

const REGISTRATION_DOMAIN: &[u8] = b"freehold registration\n";

/// Why a key or a signature is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Secret bytes are zero or above the order of the group.
    #[error("secret key out of range")]
    Secret,
    /// A public key is no point, or of small order.
    #[error("public key is not usable")]
    Public,
    /// A signature is not in its one accepted form.
    #[error("signature is malformed")]
    Malformed,
    /// A signature does not fit key and message.
    #[error("signature does not verify")]
    Invalid,
}

/// Secret key of an account (secp256k1).
pub struct AccountKey(ecdsa::SigningKey);

impl AccountKey {
    /// A fresh key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        loop {
            let mut bytes = Zeroizing::new([0; 32]);
            rng.fill_bytes(&mut *bytes);
            // Fails once in 2^128: zero or above the order.
            if let Ok(key) = Self::from_bytes(&bytes) {
                return key;
            }
        }
    }

    /// The key of 32 secret bytes, big-endian.
    ///
    /// # Errors
    /// [`KeyError::Secret`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        ecdsa::SigningKey::from_slice(bytes).map(Self).map_err(|_| KeyError::Secret)
    }

    /// The 32 secret bytes.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    /// Address of the account.
    pub fn account(&self) -> Account {
        account_of(self.0.verifying_key())
    }

    /// The public key, compressed (SEC 1 §2.3.3).
    pub fn public_sec1(&self) -> [u8; 33] {
        let mut out = [0; 33];
        out.copy_from_slice(self.0.verifying_key().to_sec1_point(true).as_bytes());
        out
    }

    /// Signs a digest: `r ‖ s ‖ v`, RFC 6979, low `s`, `v` 27 or 28.
    pub fn sign(&self, digest: &Digest) -> [u8; 65] {
        let (signature, recovery) = self.0.sign_prehash_recoverable(digest.as_bytes());
        let (signature, flipped) = {
            let low = signature.normalize_s();
            (low, low != signature)
        };
        let mut out = [0; 65];
        out[..64].copy_from_slice(&signature.to_bytes());
        out[64] = 27 + (u8::from(recovery.is_y_odd()) ^ u8::from(flipped));
        out
    }

    /// Signs a registration and its evidence.
    pub fn sign_registration(&self, registration: &Registration, evidence: &[u8]) -> [u8; 65] {
        self.sign(&registration_digest(&registration.to_canonical(), evidence))
    }
}

/// What an instance's account signs: keccak-256 of `"freehold registration\n"`, the registration document, and the
/// SHA-256 of the evidence (`spec/keyset.md` §4).
pub fn registration_digest(registration: &[u8], evidence: &[u8]) -> Digest {
    keccak256(&[REGISTRATION_DOMAIN, registration, sha256(evidence).as_bytes()])
}

/// Account that signed a registration document and its evidence.
///
/// # Errors
/// [`KeyError::Malformed`], [`KeyError::Invalid`].
pub fn recover_registration(registration: &[u8], evidence: &[u8], signature: &[u8]) -> Result<Account, KeyError> {
    recover_account(&registration_digest(registration, evidence), signature)
}

/// Account whose key made `signature` (65 bytes) over `digest`.
///
/// # Errors
/// [`KeyError::Malformed`] when the signature is not 65 bytes, `v` is not 27 or 28, `s` is high, or `r` or `s` is out of
/// range; [`KeyError::Invalid`] when no key fits.
pub fn recover_account(digest: &Digest, signature: &[u8]) -> Result<Account, KeyError> {
    let signature: &[u8; 65] = signature.try_into().map_err(|_| KeyError::Malformed)?;
    let parity = match signature[64] {
        v @ (27 | 28) => v - 27,
        _ => return Err(KeyError::Malformed),
    };
    let recovery = ecdsa::RecoveryId::from_byte(parity).ok_or(KeyError::Malformed)?;
    let signature = ecdsa::Signature::from_slice(&signature[..64]).map_err(|_| KeyError::Malformed)?;
    if signature.normalize_s() != signature {
        return Err(KeyError::Malformed);
    }
    ecdsa::VerifyingKey::recover_from_prehash(digest.as_bytes(), &signature, recovery)
        .map(|key| account_of(&key))
        .map_err(|_| KeyError::Invalid)
}

/// Checks a secp256k1 signature `r ‖ s` over a digest, under a public key in a form of SEC 1; `s` must be low.
///
/// # Errors
/// [`KeyError::Public`], [`KeyError::Malformed`], [`KeyError::Invalid`].
pub fn verify_secp256k1(public: &[u8], digest: &Digest, signature: &[u8]) -> Result<(), KeyError> {
    let key = ecdsa::VerifyingKey::from_sec1_bytes(public).map_err(|_| KeyError::Public)?;
    let signature = ecdsa::Signature::from_slice(signature).map_err(|_| KeyError::Malformed)?;
    if signature.normalize_s() != signature {
        return Err(KeyError::Malformed);
    }
    key.verify_prehash(digest.as_bytes(), &signature).map_err(|_| KeyError::Invalid)
}

fn account_of(key: &ecdsa::VerifyingKey) -> Account {
    let point = key.to_sec1_point(false);
    let hash = keccak256(&[&point.as_bytes()[1..]]);
    let mut out = [0; 20];
    out.copy_from_slice(&hash.0[12..]);
    Account(out)
}

/// Secret Ed25519 key (RFC 8032).
pub struct Ed25519Secret(SigningKey);

impl Ed25519Secret {
    /// A fresh key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *seed);
        Self::from_seed(&seed)
    }

    /// The key of a 32-byte seed.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The seed.
    pub fn to_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public key.
    pub fn public(&self) -> Ed25519Key {
        Ed25519Key(self.0.verifying_key().to_bytes())
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

/// What a proposer signs of its payload (`spec/payload.md` §2): the digest names the chain through its ancestors.
pub fn proposal_message(payload: &Digest) -> Vec<u8> {
    [b"freehold proposal\n".as_slice(), payload.as_bytes()].concat()
}

/// What a validator's identity signs to join, or to move into another instance, in the name of `account`
/// (`spec/membership.md` §3).
pub fn possession_message(chain_id: u64, genesis: &Digest, account: &Account) -> Vec<u8> {
    [b"freehold validator\n".as_slice(), &chain_id.to_be_bytes(), genesis.as_bytes(), account.as_bytes()].concat()
}

/// What a validator signs of a key share that it sends (`spec/key-service.md` §8), on the chain with this genesis hash.
pub fn share_message(genesis: &Digest, (term, master): (Term, Generation), grant: &Digest, share: &[u8]) -> Vec<u8> {
    let (term, master) = (term.to_be_bytes(), master.to_be_bytes());
    [b"freehold key share\n".as_slice(), genesis.as_bytes(), &term, &master, grant.as_bytes(), share].concat()
}

/// Checks an Ed25519 signature strictly: canonical `s`, key and `R` not of small order.
///
/// # Errors
/// [`KeyError::Public`], [`KeyError::Invalid`].
pub fn verify_ed25519(key: &Ed25519Key, message: &[u8], signature: &[u8; 64]) -> Result<(), KeyError> {
    let key = VerifyingKey::from_bytes(key.as_bytes()).map_err(|_| KeyError::Public)?;
    if key.is_weak() {
        return Err(KeyError::Public);
    }
    key.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| KeyError::Invalid)
}

#[cfg(test)]
mod tests;
