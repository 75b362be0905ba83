//! Keys from a seed, and signing that is reproducible: every key is SHA-256 of a label, every signature RFC 6979.

use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, RemoteKeyPair, SignatureAlgorithm};
use sha2::{Digest as _, Sha256};

/// The seed of development networks. It is public: evidence made from it proves nothing.
pub const DEVELOPMENT_SEED: [u8; 32] = *b"freehold emulated tee, seed no 1";

/// A key in the two forms that are needed: for raw signatures, and for certificates.
pub(crate) struct Key {
    signing: SigningKey,
    pub(crate) pair: KeyPair,
}

impl Key {
    /// The key of this label.
    pub(crate) fn derive(seed: &[u8; 32], label: &str) -> Self {
        let signing = (0..=u8::MAX)
            .find_map(|counter| SigningKey::from_slice(&derive_bytes(seed, label, counter)).ok())
            .expect("a hash is no scalar once in 2^32, and 256 are tried");
        let public = signing.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        let signer = DeterministicSigner { signing: signing.clone(), public };
        let pair = KeyPair::from_remote(Box::new(signer)).expect("the signer names an algorithm that rcgen knows");
        Self { signing, pair }
    }

    /// Signs bytes; `r ‖ s` with `s` in its lower half.
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        let signature: Signature = self.signing.sign(bytes);
        signature.normalize_s().to_bytes().into()
    }

    /// The public point, x ‖ y.
    pub(crate) fn public_point(&self) -> [u8; 64] {
        let point = self.signing.verifying_key().to_sec1_point(false);
        let mut bytes = [0; 64];
        bytes.copy_from_slice(&point.as_bytes()[1..]);
        bytes
    }
}

/// 32 bytes of a label.
pub(crate) fn derive_bytes(seed: &[u8; 32], label: &str, counter: u8) -> [u8; 32] {
    let hash = Sha256::new().chain_update(b"freehold emulator\n").chain_update(seed).chain_update(label);
    hash.chain_update([counter]).finalize().into()
}

/// rcgen's own signer is randomised; this one is not.
struct DeterministicSigner {
    signing: SigningKey,
    public: Vec<u8>,
}

impl RemoteKeyPair for DeterministicSigner {
    fn public_key(&self) -> &[u8] {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: Signature = self.signing.sign(message);
        Ok(signature.normalize_s().to_der().as_bytes().to_vec())
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}
