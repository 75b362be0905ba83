//! The form of a message between peers (`spec/peers.md` §2): sealed to one key, signed by one account, and bound to both.
//!
//! The letter inside names sender and recipient again, so that nobody can sign another's ciphertext as a message of its own. Not here:
//! whether the two are live, and whether a message was opened before.

use freehold_crypto::{AccountKey, EhbpError, HpkeSecret, RequestOpener, RequestSealer, keccak256, recover_account};
use freehold_primitives::{Account, Blob, Canonical as _, Digest, UnixSeconds, X25519Key, canonical_struct};
use freehold_rpc::PEER_MESSAGE_BYTES_MAX;
use rand::CryptoRng;
use zeroize::Zeroizing;

use super::PeerError;

/// What an account signs begins with this.
const DOMAIN: &[u8] = b"freehold peer message\n";
/// Version of the form.
const VERSION: u8 = 1;
/// Bytes of a frame's length, before the ciphertext.
const FRAME_HEAD_BYTES: usize = 4;
/// Bytes of an account's signature.
const SIGNATURE_BYTES: usize = 65;

canonical_struct! {
    /// All of a message but its signature.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Sealed {
        /// Version of the form.
        pub version: u8,
        /// Genesis of the chain.
        pub genesis: Digest,
        /// Instance that sealed it.
        pub from: Digest,
        /// Instance that can open it.
        pub to: Digest,
        /// Encapsulated key.
        pub encapsulated_key: X25519Key,
        /// The letter's ciphertext.
        pub ciphertext: Blob,
    }
}

canonical_struct! {
    /// A message as it travels.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Envelope {
        /// What is signed.
        pub sealed: Sealed,
        /// Signature of the sender's account, 65 bytes.
        pub signature: Blob,
    }
}

/// What is sealed. No `Debug`: the message is the app's.
pub(super) struct Letter {
    /// Instance that sealed it.
    pub(super) from: Digest,
    /// Instance that can open it.
    pub(super) to: Digest,
    /// Its number among those from the one to the other, from 0.
    pub(super) sequence: u64,
    /// Certified time at which it was sealed.
    pub(super) sealed_at: UnixSeconds,
    /// The message.
    pub(super) message: Zeroizing<Vec<u8>>,
}

/// Bytes of a letter before its message.
const LETTER_HEAD_BYTES: usize = 32 + 32 + 8 + 8;

impl Letter {
    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(LETTER_HEAD_BYTES + self.message.len()));
        out.extend_from_slice(&self.from.0);
        out.extend_from_slice(&self.to.0);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.sealed_at.to_be_bytes());
        out.extend_from_slice(&self.message);
        out
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (from, rest) = bytes.split_first_chunk()?;
        let (to, rest) = rest.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (sealed_at, message) = rest.split_first_chunk()?;
        Some(Self {
            from: Digest(*from),
            to: Digest(*to),
            sequence: u64::from_be_bytes(*sequence),
            sealed_at: u64::from_be_bytes(*sealed_at),
            message: Zeroizing::new(message.to_vec()),
        })
    }
}

impl Sealed {
    fn digest(&self) -> Digest {
        keccak256(&[DOMAIN, &self.to_canonical()])
    }
}

impl Envelope {
    /// Seals a letter to a key and signs it.
    pub(super) fn seal(
        letter: &Letter,
        genesis: Digest,
        (to_key, account): (&X25519Key, &AccountKey),
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, EhbpError> {
        let mut sealer = RequestSealer::new(to_key, rng)?;
        let framed = sealer.seal(&letter.to_bytes())?;
        let sealed = Sealed {
            version: VERSION,
            genesis,
            from: letter.from,
            to: letter.to,
            encapsulated_key: X25519Key(*sealer.encapsulated_key()),
            ciphertext: Blob(framed[FRAME_HEAD_BYTES..].to_vec()),
        };
        let signature = Blob(account.sign(&sealed.digest()).to_vec());
        Ok(Self { sealed, signature }.to_canonical())
    }

    /// Reads one, whatever it holds.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, PeerError> {
        // A ciphertext is a little longer than its message; the codec bounds the rest.
        if bytes.len() > PEER_MESSAGE_BYTES_MAX + 1_024 {
            return Err(PeerError::TooLong);
        }
        let envelope = Self::from_canonical(bytes).map_err(|_| PeerError::Malformed("not in canonical form"))?;
        if envelope.sealed.version != VERSION {
            return Err(PeerError::Malformed("of another version"));
        }
        if envelope.signature.0.len() != SIGNATURE_BYTES {
            return Err(PeerError::Malformed("without a signature of 65 bytes"));
        }
        Ok(envelope)
    }

    /// Whether an account signed it.
    pub(super) fn is_of(&self, account: &Account) -> bool {
        recover_account(&self.sealed.digest(), &self.signature.0).is_ok_and(|signer| signer == *account)
    }

    /// Opens it, where letter and envelope name the same two.
    pub(super) fn open(&self, secret: &HpkeSecret) -> Result<Letter, PeerError> {
        let opened = RequestOpener::new(secret, &self.sealed.encapsulated_key.0)
            .and_then(|mut opener| opener.open(&self.sealed.ciphertext.0).map(Zeroizing::new));
        let letter = opened.ok().and_then(|bytes| Letter::from_bytes(&bytes)).ok_or(PeerError::NotAuthentic)?;
        let is_same = letter.from == self.sealed.from && letter.to == self.sealed.to;
        if is_same { Ok(letter) } else { Err(PeerError::NotAuthentic) }
    }
}
