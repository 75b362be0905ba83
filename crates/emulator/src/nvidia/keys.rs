//! P-384 keys from a seed, signing by RFC 6979 with `s` in its lower half.

use p384::ecdsa::{Signature, SigningKey, signature::Signer as _};
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, RemoteKeyPair, SignatureAlgorithm};

use crate::keys::derive_bytes;

/// A key in the two forms that are needed: for raw signatures, and for certificates.
pub(crate) struct Key384 {
    signing: SigningKey,
    pub(crate) pair: KeyPair,
}

impl Key384 {
    /// The key of this label.
    pub(crate) fn derive(seed: &[u8; 32], label: &str) -> Self {
        let label = format!("p384 {label}");
        let signing = (0..u8::MAX)
            .step_by(2)
            .find_map(|counter| {
                let halves = [derive_bytes(seed, &label, counter), derive_bytes(seed, &label, counter + 1)].concat();
                SigningKey::from_slice(&halves[..48]).ok()
            })
            .expect("a hash is no scalar once in 2^190, and 128 are tried");
        let public = signing.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        let signer = DeterministicSigner { signing: signing.clone(), public };
        let pair = KeyPair::from_remote(Box::new(signer)).expect("the signer names an algorithm that rcgen knows");
        Self { signing, pair }
    }

    /// Signs bytes; `r ‖ s`.
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 96] {
        let signature: Signature = self.signing.sign(bytes);
        signature.normalize_s().to_bytes().into()
    }

    /// The public key with its algorithm, DER.
    pub(crate) fn key_info(&self) -> Vec<u8> {
        self.pair.public_key_der()
    }
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
        &PKCS_ECDSA_P384_SHA384
    }
}
