//! EHBP: HPKE encryption of whole HTTP bodies (`spec/encoding.md` §7), wire-compatible with its public clients.
//!
//! One fixed suite: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, base mode, info `ehbp request`, no associated
//! data. A body is frames of a length (u32, big-endian) and a ciphertext, in one sequence; a frame of length zero is
//! skipped. Nothing marks the end: a body cut at a frame's edge shows only in the content, which is why receipts hash the
//! plaintext. Headers and HTTP are not here.

mod frame;
mod response;

use freehold_primitives::X25519Key;
use hpke::{
    Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _,
    aead::{AeadCtxR, AeadCtxS, AesGcm256},
    kdf::HkdfSha256,
    kem::X25519HkdfSha256,
};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::Zeroizing;

pub use frame::{FRAME_BYTES_MAX, FrameReader, frame};
pub use response::{ExportedSecret, ResponseOpener, ResponseSealer};

/// Media type of a key configuration.
pub const EHBP_KEYS_TYPE: &str = "application/ohttp-keys";
/// Bytes of a key configuration.
pub const KEY_CONFIG_BYTES: usize = 41;

const INFO: &[u8] = b"ehbp request";
const EXPORT_LABEL: &[u8] = b"ehbp response";
/// Key id 0, KEM 0x0020.
const CONFIG_HEAD: [u8; 3] = [0, 0, 0x20];
/// Four bytes of suites: KDF 0x0001, AEAD 0x0002.
const CONFIG_TAIL: [u8; 6] = [0, 4, 0, 1, 0, 2];

type Kem = X25519HkdfSha256;
type Kdf = HkdfSha256;
type Aead = AesGcm256;

/// Why a body cannot be encrypted or decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EhbpError {
    /// A key configuration is not the 41 bytes of the fixed suite.
    #[error("key configuration is not the fixed suite's 41 bytes")]
    KeyConfig,
    /// A public or encapsulated key is not usable: of small order, or malformed.
    #[error("public key is not usable")]
    PublicKey,
    /// A secret key is malformed.
    #[error("secret key is malformed")]
    SecretKey,
    /// A ciphertext does not open: wrong key, changed bytes, or out of sequence.
    #[error("ciphertext does not open")]
    Open,
    /// A frame is longer than the bound.
    #[error("a frame of {length} bytes is above the bound of {bound}")]
    FrameTooLong {
        /// Length that the frame announces.
        length: usize,
        /// Bound that applies.
        bound: usize,
    },
    /// The body ended inside a frame.
    #[error("body ends inside a frame")]
    Truncated,
    /// A sequence has no number left.
    #[error("sequence is exhausted")]
    Exhausted,
}

/// Secret half of an instance's body-encryption key. Wiped when dropped; never printed.
pub struct HpkeSecret(Zeroizing<[u8; 32]>);

impl HpkeSecret {
    /// A fresh key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *bytes);
        Self(bytes)
    }

    /// The key of 32 secret bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The 32 secret bytes.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.clone()
    }

    /// The public half.
    pub fn public(&self) -> X25519Key {
        let mut public = X25519Key::ZERO;
        public.0.copy_from_slice(&Kem::sk_to_pk(&self.key()).to_bytes());
        public
    }

    fn key(&self) -> <Kem as hpke::Kem>::PrivateKey {
        <Kem as hpke::Kem>::PrivateKey::from_bytes(&*self.0).expect("every 32 bytes are an X25519 secret")
    }
}

/// Key configuration that `/.well-known/hpke-keys` serves: one configuration, without a length before it.
pub fn key_config(key: &X25519Key) -> [u8; KEY_CONFIG_BYTES] {
    let mut out = [0; KEY_CONFIG_BYTES];
    out[..3].copy_from_slice(&CONFIG_HEAD);
    out[3..35].copy_from_slice(key.as_bytes());
    out[35..].copy_from_slice(&CONFIG_TAIL);
    out
}

/// Reads a key configuration; only the fixed suite is accepted.
///
/// # Errors
/// [`EhbpError::KeyConfig`].
pub fn parse_key_config(bytes: &[u8]) -> Result<X25519Key, EhbpError> {
    let bytes: &[u8; KEY_CONFIG_BYTES] = bytes.try_into().map_err(|_| EhbpError::KeyConfig)?;
    let mut key = X25519Key::ZERO;
    key.0.copy_from_slice(&bytes[3..35]);
    if key_config(&key) == *bytes { Ok(key) } else { Err(EhbpError::KeyConfig) }
}

/// A client's side of a request: seals the body chunk by chunk.
pub struct RequestSealer {
    encapsulated: [u8; 32],
    context: AeadCtxS<Aead, Kdf, Kem>,
}

impl RequestSealer {
    /// A request to the instance with `key`.
    ///
    /// # Errors
    /// [`EhbpError::PublicKey`].
    pub fn new(key: &X25519Key, rng: &mut impl CryptoRng) -> Result<Self, EhbpError> {
        let key = <Kem as hpke::Kem>::PublicKey::from_bytes(key.as_bytes()).map_err(|_| EhbpError::PublicKey)?;
        let (enc, context) = hpke::setup_sender_with_rng::<Aead, Kdf, Kem>(&OpModeS::Base, &key, INFO, rng)
            .map_err(|_| EhbpError::PublicKey)?;
        let mut encapsulated = [0; 32];
        encapsulated.copy_from_slice(&enc.to_bytes());
        Ok(Self { encapsulated, context })
    }

    /// The encapsulated key: header `Ehbp-Encapsulated-Key`, in lower-case hex.
    pub const fn encapsulated_key(&self) -> &[u8; 32] {
        &self.encapsulated
    }

    /// Seals one chunk as a frame; an empty chunk gives no bytes.
    ///
    /// # Errors
    /// [`EhbpError::FrameTooLong`], [`EhbpError::Exhausted`].
    pub fn seal(&mut self, chunk: &[u8]) -> Result<Vec<u8>, EhbpError> {
        if chunk.is_empty() {
            return Ok(Vec::new());
        }
        let ciphertext = self.context.seal(chunk, &[]).map_err(|_| EhbpError::Exhausted)?;
        frame(&ciphertext)
    }

    /// The secret that the response is encrypted under.
    pub fn exported_secret(&self) -> ExportedSecret {
        let mut secret = Zeroizing::new([0; 32]);
        self.context.export(EXPORT_LABEL, &mut *secret).expect("32 bytes are one block of the KDF");
        ExportedSecret::from_bytes(&secret)
    }
}

/// The instance's side of a request: opens the ciphertexts in order.
pub struct RequestOpener {
    context: AeadCtxR<Aead, Kdf, Kem>,
}

impl RequestOpener {
    /// A request with `encapsulated_key` to the instance that holds `secret`.
    ///
    /// # Errors
    /// [`EhbpError::PublicKey`].
    pub fn new(secret: &HpkeSecret, encapsulated_key: &[u8; 32]) -> Result<Self, EhbpError> {
        let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(encapsulated_key).map_err(|_| EhbpError::PublicKey)?;
        let context = hpke::setup_receiver::<Aead, Kdf, Kem>(&OpModeR::Base, &secret.key(), &enc, INFO)
            .map_err(|_| EhbpError::PublicKey)?;
        Ok(Self { context })
    }

    /// Opens the next ciphertext (a frame's content). An empty one is skipped and gives nothing.
    ///
    /// # Errors
    /// [`EhbpError::Open`]; the sequence does not advance.
    pub fn open(&mut self, ciphertext: &[u8]) -> Result<Vec<u8>, EhbpError> {
        if ciphertext.is_empty() {
            return Ok(Vec::new());
        }
        self.context.open(ciphertext, &[]).map_err(|_| EhbpError::Open)
    }

    /// The secret that the response is encrypted under.
    pub fn exported_secret(&self) -> ExportedSecret {
        let mut secret = Zeroizing::new([0; 32]);
        self.context.export(EXPORT_LABEL, &mut *secret).expect("32 bytes are one block of the KDF");
        ExportedSecret::from_bytes(&secret)
    }
}

#[cfg(test)]
mod tests;
