//! dstack's guest API: what it computes (`spec/local-api.md` §7). Its paths are `api::dstack`'s.
//!
//! Keys hang on the app's root key, so every instance of the app gives the same; no key here is that of a service of the
//! platform. Where dstack's chain of signatures ends in a key server, ours ends in the instance's registered account.

mod attestation;
mod certificate;
mod error;
mod events;
mod report;

#[cfg(test)]
mod tests;

pub(crate) use self::{
    attestation::container,
    certificate::{CertificateAsk, TlsAuthority, Usage, ratls_report_data},
    error::DstackError,
    events::EmittedEvents,
    report::{HASH_PREFIX, hashed_report_data, padded_report_data},
};

use freehold_crypto::{
    AccountKey, Ed25519Secret, KeyKind, app_key, hkdf_sha256, keccak256, sha256, verify_ed25519, verify_secp256k1,
};
use freehold_primitives::{AppId, Digest, Ed25519Key};
use zeroize::Zeroizing;

/// Salt of every derivation, as dstack's.
const SALT: &[u8] = b"RATLS";
/// Name of the app key under the root key.
const APP_KEY: &[u8] = b"freehold/dstack app key v1";
/// Path and purpose of the key that `Sign` uses, as dstack's.
const SIGN_PATH: &str = "vms";
const SIGN_PURPOSE: &str = "signing";
/// What the last signature of a chain begins with, as dstack's.
const ISSUED: &[u8] = b"dstack-kms-issued:";
/// Longest path and purpose, in bytes.
const NAME_BYTES_MAX: usize = 1024;
/// Most bytes that are signed or verified.
const DATA_BYTES_MAX: usize = 1024 * 1024;

/// Curve of a derived key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Curve {
    Secp256k1,
    Ed25519,
}

impl Curve {
    /// The curve that a caller names.
    pub(crate) fn parse(word: &str) -> Result<Self, DstackError> {
        match word {
            "" | "k256" | "secp256k1" => Ok(Self::Secp256k1),
            "ed25519" => Ok(Self::Ed25519),
            _ => Err(DstackError::Algorithm),
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Secp256k1 => "secp256k1",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// What is signed, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Ed25519,
    /// ECDSA over SHA-256.
    Secp256k1,
    /// ECDSA over a digest that the caller made.
    Secp256k1Prehashed,
}

impl Scheme {
    /// The scheme that a caller names.
    pub(crate) fn parse(word: &str) -> Result<Self, DstackError> {
        match word {
            "secp256k1_prehashed" => Ok(Self::Secp256k1Prehashed),
            other => Ok(match Curve::parse(other)? {
                Curve::Secp256k1 => Self::Secp256k1,
                Curve::Ed25519 => Self::Ed25519,
            }),
        }
    }

    const fn curve(self) -> Curve {
        match self {
            Self::Ed25519 => Curve::Ed25519,
            Self::Secp256k1 | Self::Secp256k1Prehashed => Curve::Secp256k1,
        }
    }

    /// The digest that ECDSA is over.
    fn digest(self, data: &[u8]) -> Result<Digest, DstackError> {
        match self {
            Self::Secp256k1Prehashed => data.try_into().map(Digest).map_err(|_| DstackError::Prehash(data.len())),
            _ => Ok(sha256(data)),
        }
    }
}

/// A derived key and the chain of signatures over it.
pub(crate) struct DerivedKey {
    pub(crate) secret: Zeroizing<[u8; 32]>,
    /// By the app key, then by the instance's account; `r ‖ s ‖ recovery id`.
    pub(crate) chain: [[u8; 65]; 2],
}

/// A signature and the chain of its key.
pub(crate) struct Signed {
    pub(crate) signature: [u8; 64],
    pub(crate) public: Vec<u8>,
    pub(crate) chain: [[u8; 65]; 2],
}

/// The app key and who vouches for it.
pub(crate) struct AppKeys<'a> {
    secret: Zeroizing<[u8; 32]>,
    app_key: AccountKey,
    account: &'a AccountKey,
    app_id: AppId,
}

impl<'a> AppKeys<'a> {
    /// The keys of an app under one generation of its root key.
    pub(crate) fn new(root: &[u8; 32], account: &'a AccountKey, app_id: AppId) -> Result<Self, DstackError> {
        let mut secret = Zeroizing::new([0; 32]);
        secret.copy_from_slice(&app_key(root, KeyKind::Secp256k1, APP_KEY));
        let app_key = AccountKey::from_bytes(&secret)?;
        Ok(Self { secret, app_key, account, app_id })
    }

    /// `GetKey`. Unlike dstack's, the curve is part of the derivation: a key for one is never a key for the other.
    pub(crate) fn derive(&self, path: &str, purpose: &str, curve: Curve) -> Result<DerivedKey, DstackError> {
        for name in [path, purpose] {
            if name.len() > NAME_BYTES_MAX {
                return Err(DstackError::Name(NAME_BYTES_MAX));
            }
        }
        let mut secret = Zeroizing::new([0; 32]);
        hkdf_sha256(SALT, &*self.secret, &[curve.as_str().as_bytes(), &[0], path.as_bytes()], &mut *secret);
        let public = public_key(curve, &secret)?;
        let by_app = self.app_key.sign(&keccak256(&[purpose.as_bytes(), b":", hex::encode(public).as_bytes()]));
        let app = self.app_key.public_sec1();
        let by_account = self.account.sign(&keccak256(&[ISSUED, short_id(&self.app_id), &app]));
        Ok(DerivedKey { secret, chain: [recoverable(by_app), recoverable(by_account)] })
    }

    /// `Sign`.
    pub(crate) fn sign(&self, scheme: Scheme, data: &[u8]) -> Result<Signed, DstackError> {
        check_data(data)?;
        let key = self.derive(SIGN_PATH, SIGN_PURPOSE, scheme.curve())?;
        let public = public_key(scheme.curve(), &key.secret)?;
        let signature = match scheme.curve() {
            Curve::Ed25519 => Ed25519Secret::from_seed(&key.secret).sign(data),
            Curve::Secp256k1 => {
                let whole = AccountKey::from_bytes(&key.secret)?.sign(&scheme.digest(data)?);
                let mut signature = [0; 64];
                signature.copy_from_slice(&whole[..64]);
                signature
            }
        };
        Ok(Signed { signature, public, chain: key.chain })
    }
}

/// `Verify`: whether a signature is one. Bytes that are no key or no signature are refused.
pub(crate) fn verify(scheme: Scheme, data: &[u8], signature: &[u8], public: &[u8]) -> Result<bool, DstackError> {
    use freehold_crypto::KeyError;
    check_data(data)?;
    let verified = match scheme.curve() {
        Curve::Ed25519 => {
            let key = public.try_into().map(Ed25519Key).map_err(|_| KeyError::Public)?;
            let signature: &[u8; 64] = signature.try_into().map_err(|_| KeyError::Malformed)?;
            verify_ed25519(&key, data, signature)
        }
        Curve::Secp256k1 => verify_secp256k1(public, &scheme.digest(data)?, signature),
    };
    match verified {
        Ok(()) => Ok(true),
        Err(KeyError::Invalid) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn check_data(data: &[u8]) -> Result<(), DstackError> {
    if data.len() > DATA_BYTES_MAX { Err(DstackError::Data(DATA_BYTES_MAX)) } else { Ok(()) }
}

fn public_key(curve: Curve, secret: &[u8; 32]) -> Result<Vec<u8>, DstackError> {
    Ok(match curve {
        Curve::Ed25519 => Ed25519Secret::from_seed(secret).public().0.to_vec(),
        Curve::Secp256k1 => AccountKey::from_bytes(secret)?.public_sec1().to_vec(),
    })
}

/// An app id as dstack has it: 20 bytes, without the version.
pub(crate) fn short_id(app_id: &AppId) -> &[u8] {
    &app_id.as_bytes()[1..]
}

/// Ethereum's `v` as a recovery id.
fn recoverable(mut signature: [u8; 65]) -> [u8; 65] {
    signature[64] -= 27;
    signature
}
