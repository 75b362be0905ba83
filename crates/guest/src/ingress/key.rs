//! Keys of certificates: P-256, as every TLS client takes.

use freehold_crypto::{KeyError, p256_pkcs8, sha256};
use freehold_primitives::Digest;
use freehold_rpc::Base64Text;
use rand::CryptoRng;
use rcgen::KeyPair;
use tokio_rustls::rustls::{
    crypto::ring::sign::any_ecdsa_type,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

/// A secret key. No `Debug`.
pub(crate) struct TlsKey {
    pkcs8: Zeroizing<Vec<u8>>,
    spki_sha256: Digest,
}

impl TlsKey {
    /// The key of 32 secret bytes.
    ///
    /// # Errors
    /// [`KeyError::Secret`] where they are zero or not below the order: one in 2^32.
    pub(crate) fn from_secret(secret: &[u8; 32]) -> Result<Self, KeyError> {
        let pkcs8 = p256_pkcs8(secret)?;
        let pair = KeyPair::try_from(pkcs8.as_slice()).map_err(|_| KeyError::Secret)?;
        Ok(Self { spki_sha256: sha256(&pair.public_key_der()), pkcs8 })
    }

    /// A new key.
    pub(crate) fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        loop {
            rng.fill_bytes(&mut *secret);
            if let Ok(key) = Self::from_secret(&secret) {
                return key;
            }
        }
    }

    /// SHA-256 of the SubjectPublicKeyInfo, DER.
    pub(crate) const fn spki_sha256(&self) -> Digest {
        self.spki_sha256
    }

    /// Digest of the key as JSON (RFC 7638): by it an authority knows an account.
    pub(super) fn thumbprint(&self) -> String {
        let pair = self.pair();
        let point = pair.public_key_raw();
        let (x, y) = point[1..].split_at(32);
        let key = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, url_base64(x), url_base64(y));
        url_base64(&sha256(key.as_bytes()).0)
    }

    /// The key as rcgen signs with it.
    pub(super) fn pair(&self) -> KeyPair {
        KeyPair::try_from(self.pkcs8.as_slice()).expect("it was read when the key was made")
    }

    /// The document of the key, PKCS #8.
    pub(super) fn pkcs8(&self) -> PrivatePkcs8KeyDer<'_> {
        PrivatePkcs8KeyDer::from(self.pkcs8.as_slice())
    }

    /// The key with its certificates, its own first, as TLS signs with it.
    pub(super) fn certified(&self, chain: Vec<CertificateDer<'static>>) -> CertifiedKey {
        let key = any_ecdsa_type(&PrivateKeyDer::Pkcs8(self.pkcs8()));
        CertifiedKey::new(chain, key.expect("it was read when the key was made"))
    }
}

/// Base64 for addresses, without padding (RFC 4648 §5).
fn url_base64(bytes: &[u8]) -> String {
    Base64Text(bytes.to_vec()).to_string().replace('+', "-").replace('/', "_").replace('=', "")
}
