//! Keys of a validator: its identity on the network, and its shares of the two threshold keys.
//!
//! Secrets have no `Debug`, are wiped when dropped and leave only through `to_bytes`, whose result is wiped too.

use std::num::NonZeroU32;

use commonware_codec::{Copying, Decode as _, DecodeExt as _, Encode as _};
use commonware_cryptography::{
    Signer as _,
    bls12381::primitives::{
        group::{Private, Share},
        sharing::{ModeVersion, Sharing},
        variant::MinSig,
    },
    ed25519,
};
use commonware_utils::{
    N3f1, NZU32, Participant,
    ordered::{Quorum as _, Set},
};
use freehold_crypto::{Ed25519Secret, proposal_message};
use freehold_primitives::{
    Digest, Ed25519Key, Ed25519Signature, Generation, Genesis, MASTER_GENERATION_MAX, NetworkKey,
};
use rand_core::CryptoRng;
use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Most validators of a network.
pub const VALIDATORS_MAX: usize = 64;
/// The same for the engine's decoders.
pub(crate) const VALIDATORS_COUNT_MAX: NonZeroU32 = NZU32!(64);

/// Version byte of the file formats of this module.
const KEY_VERSION: u8 = 1;
/// Version, kind, index, scalar.
const SHARE_BYTES: usize = 1 + 1 + 4 + 32;

/// Why keys do not serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Bytes that are no key of this kind.
    #[error("bytes that are no key of this kind")]
    Format,
    /// A validator set of a size that does not serve: it is 1, or 4 to 64.
    #[error("a set of {0} validators: it must be 1, or 4 to {VALIDATORS_MAX}")]
    Count(usize),
    /// The validators are not sorted, or one stands twice, or one is no Ed25519 key.
    #[error("validators are not distinct Ed25519 keys in ascending order")]
    Validators,
    /// The public polynomial does not decode or does not fit the validator set.
    #[error("the public polynomial does not fit the validator set")]
    Polynomial,
    /// The share does not belong to this polynomial at its index.
    #[error("the share is not one of this key")]
    Share,
}

/// An Ed25519 key that names a validator to its peers.
#[derive(Clone)]
pub struct IdentityKey(ed25519::PrivateKey);

impl IdentityKey {
    /// A fresh key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        Self::from_bytes(&seed)
    }

    /// The key of a 32-byte Ed25519 seed (RFC 8032 §5.1.5).
    pub fn from_bytes(seed: &[u8; 32]) -> Self {
        Self(ed25519::PrivateKey::decode(Copying(seed)).expect("any 32 bytes are an Ed25519 seed"))
    }

    /// The 32-byte seed, for a file with mode 0600.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        let mut seed = Zeroizing::new([0; 32]);
        let encoded = Zeroizing::new(self.0.encode().to_vec());
        seed.copy_from_slice(&encoded);
        seed
    }

    /// The public key.
    pub fn public(&self) -> Ed25519Key {
        our_key(&self.0.public_key())
    }

    /// Signs a payload that it proposes (`spec/payload.md` §2).
    pub(crate) fn sign_proposal(&self, payload: &Digest) -> Ed25519Signature {
        let secret = Ed25519Secret::from_seed(&self.to_bytes());
        Ed25519Signature(secret.sign(&proposal_message(payload)))
    }

    pub(crate) const fn engine(&self) -> &ed25519::PrivateKey {
        &self.0
    }
}

/// Which of the network's keys a share belongs to. They are dealt apart and never share a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareKind {
    /// The consensus key: certificates and seeds.
    Consensus,
    /// The derivation key: apps' keys.
    Derivation,
    /// The next consensus key while it is made: its shares become those of the consensus key.
    Successor,
    /// The derivation key of this generation, from 1: the one of the genesis is [`Self::Derivation`].
    Master(u8),
}

/// Tag of the derivation key of generation 0, if it were counted; those of others follow it.
const MASTER_TAG: u8 = 16;

impl ShareKind {
    pub(crate) const fn tag(self) -> u8 {
        match self {
            Self::Consensus => 1,
            Self::Derivation => 2,
            Self::Successor => 3,
            Self::Master(generation) => MASTER_TAG.saturating_add(generation),
        }
    }

    pub(crate) const fn from_tag(tag: u8) -> Option<Self> {
        match tag {
            1 => Some(Self::Consensus),
            2 => Some(Self::Derivation),
            3 => Some(Self::Successor),
            tag if tag > MASTER_TAG => Some(Self::Master(tag - MASTER_TAG)),
            _ => None,
        }
    }

    /// The derivation key of a generation; `None` where none may have it.
    pub fn of_master(generation: Generation) -> Option<Self> {
        match generation {
            0 => Some(Self::Derivation),
            1..=MASTER_GENERATION_MAX => u8::try_from(generation).ok().map(Self::Master),
            _ => None,
        }
    }
}

/// A validator's share of a threshold key: the value of the secret polynomial at `index + 1`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct KeyShare {
    #[zeroize(skip)]
    kind: ShareKind,
    #[zeroize(skip)]
    index: u32,
    scalar: [u8; 32],
}

impl KeyShare {
    pub(crate) fn from_engine(kind: ShareKind, share: &Share) -> Self {
        let mut scalar = [0; 32];
        let encoded = Zeroizing::new(share.private.encode().to_vec());
        scalar.copy_from_slice(&encoded);
        Self { kind, index: share.index.get(), scalar }
    }

    pub(crate) fn to_engine(&self) -> Result<Share, KeyError> {
        let private = Private::decode(Copying(&self.scalar)).map_err(|_| KeyError::Share)?;
        Ok(Share::new(Participant::new(self.index), private))
    }

    /// The share of a finished successor as one of the consensus key.
    pub(crate) fn succeeded(mut self) -> Self {
        self.kind = ShareKind::Consensus;
        self
    }

    /// Which key it belongs to.
    pub const fn kind(&self) -> ShareKind {
        self.kind
    }

    /// Position of its holder in the sorted validator set, counted from 0.
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// The secret scalar, big-endian.
    pub const fn scalar(&self) -> &[u8; 32] {
        &self.scalar
    }

    /// Bytes for a file with mode 0600: version, kind, index (big-endian), scalar.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(SHARE_BYTES));
        bytes.extend_from_slice(&[KEY_VERSION, self.kind.tag()]);
        bytes.extend_from_slice(&self.index.to_be_bytes());
        bytes.extend_from_slice(&self.scalar);
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`KeyError::Format`] when it is not a share of this kind.
    pub fn from_bytes(kind: ShareKind, bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: &[u8; SHARE_BYTES] = bytes.try_into().map_err(|_| KeyError::Format)?;
        if bytes[..2] != [KEY_VERSION, kind.tag()] {
            return Err(KeyError::Format);
        }
        let (mut index, mut scalar) = ([0; 4], [0; 32]);
        index.copy_from_slice(&bytes[2..6]);
        scalar.copy_from_slice(&bytes[6..]);
        let share = Self { kind, index: u32::from_be_bytes(index), scalar };
        share.to_engine().map_err(|_| KeyError::Format)?;
        Ok(share)
    }
}

/// The network key that a genesis fixes.
///
/// # Errors
/// [`KeyError::Count`], [`KeyError::Validators`], [`KeyError::Polynomial`].
pub fn network_key(genesis: &Genesis) -> Result<NetworkKey, KeyError> {
    let validators = validator_set(&genesis.validators)?;
    Ok(constant_term(&read_polynomial(&validators, &genesis.consensus_polynomial.0)?))
}

pub(crate) fn validator_set(keys: &[Ed25519Key]) -> Result<Set<ed25519::PublicKey>, KeyError> {
    if !matches!(keys.len(), 1 | 4..=VALIDATORS_MAX) {
        return Err(KeyError::Count(keys.len()));
    }
    if !keys.is_sorted_by(|a, b| a < b) {
        return Err(KeyError::Validators);
    }
    let keys = keys.iter().map(engine_key).collect::<Option<Vec<_>>>().ok_or(KeyError::Validators)?;
    Set::try_from(keys).map_err(|_| KeyError::Validators)
}

pub(crate) fn read_polynomial(validators: &Set<ed25519::PublicKey>, bytes: &[u8]) -> Result<Sharing<MinSig>, KeyError> {
    let count = u32::try_from(validators.len()).ok().and_then(NonZeroU32::new).ok_or(KeyError::Polynomial)?;
    let polynomial =
        Sharing::<MinSig>::decode_cfg(Copying(bytes), &(count, ModeVersion::v0())).map_err(|_| KeyError::Polynomial)?;
    let fits = polynomial.total() == count && polynomial.required() == validators.quorum::<N3f1>();
    if fits { Ok(polynomial) } else { Err(KeyError::Polynomial) }
}

pub(crate) fn constant_term(polynomial: &Sharing<MinSig>) -> NetworkKey {
    let mut bytes = [0; NetworkKey::SIZE];
    bytes.copy_from_slice(&polynomial.public().encode());
    NetworkKey(bytes)
}

/// Coefficients of a public polynomial: they close its encoding, 96 bytes each.
pub(crate) fn coefficients(polynomial: &Sharing<MinSig>) -> Vec<NetworkKey> {
    let encoded = polynomial.encode();
    let bytes = polynomial.required() as usize * NetworkKey::SIZE;
    let tail = &encoded[encoded.len() - bytes..];
    let point = |chunk: &[u8]| {
        let mut bytes = [0; NetworkKey::SIZE];
        bytes.copy_from_slice(chunk);
        NetworkKey(bytes)
    };
    tail.chunks_exact(NetworkKey::SIZE).map(point).collect()
}

pub(crate) fn our_key(key: &ed25519::PublicKey) -> Ed25519Key {
    let mut bytes = [0; Ed25519Key::SIZE];
    bytes.copy_from_slice(&key.encode());
    Ed25519Key(bytes)
}

pub(crate) fn engine_key(key: &Ed25519Key) -> Option<ed25519::PublicKey> {
    ed25519::PublicKey::decode(Copying(&key.0)).ok()
}

#[cfg(test)]
mod tests;
