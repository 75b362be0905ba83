//! How a confidential slot stands in the tree (`spec/confidential-state.md` §3): a permuted key and a sealed value.
//!
//! A slot's place in the tree is a pseudo-random permutation of the slot under a key of its contract, so that the place says
//! nothing about the slot, and that whoever holds the key finds the slot again when it re-encrypts. A value is sealed by
//! Deoxys-II-256-128, which stays safe where a nonce comes twice; chain, contract, slot and generation are authenticated
//! with it. All of it is a function of its inputs: executors write the same bytes. Which generation is read and when one is
//! left behind is the ledger's.

use aes_gcm::aes::{
    Aes256, Block,
    cipher::{BlockCipherEncrypt as _, KeyInit as _},
};
use freehold_primitives::{Account, Digest, Generation, Height};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    deoxys::DeoxysKey,
    kdf::hkdf_sha256,
    mrae::{DEOXYS_NONCE_BYTES, DEOXYS_TAG_BYTES},
    state_keys::StateRootKey,
};

/// Length of a sealed slot: generation, height, masked address, value, tag. No other value of the tree has it.
pub const SEALED_SLOT_BYTES: usize = 4 + 8 + 20 + 32 + TAG_BYTES;

const TAG_BYTES: usize = DEOXYS_TAG_BYTES;
/// Bytes before the ciphertext.
const HEADER_BYTES: usize = 4 + 8 + 20;
/// Rounds of the Feistel network: four make a strong pseudo-random permutation (Luby and Rackoff, SIAM J. Comput. 17).
const ROUNDS: usize = 4;
const CONTRACT_INFO: &[u8] = b"freehold contract state key\n";
const LOCATOR_INFO: &[u8] = b"freehold state locator key\n";

/// Why a sealed slot does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// Not a sealed slot.
    #[error("a sealed slot has {SEALED_SLOT_BYTES} bytes, not {0}")]
    Length(usize),
    /// Sealed under another generation than the key's.
    #[error("the slot is sealed under generation {found}, the key is of generation {expected}")]
    Generation {
        /// The key's.
        expected: Generation,
        /// The slot's.
        found: Generation,
    },
    /// Another key, another slot, or changed bytes.
    #[error("the sealed slot does not open under this key")]
    Tag,
}

/// The generation under which a slot is sealed.
///
/// # Errors
/// [`SealError::Length`].
pub fn sealed_generation(sealed: &[u8]) -> Result<Generation, SealError> {
    if sealed.len() != SEALED_SLOT_BYTES {
        return Err(SealError::Length(sealed.len()));
    }
    let (generation, _) = sealed.split_first_chunk::<4>().ok_or(SealError::Length(sealed.len()))?;
    Ok(u32::from_be_bytes(*generation))
}

/// Keys of one generation on one chain.
pub struct StateCipher {
    root: StateRootKey,
    genesis_hash: Digest,
    locator: Hmac<Sha256>,
}

impl StateCipher {
    /// The cipher of a generation on the chain of this genesis.
    pub fn new(root: StateRootKey, genesis_hash: Digest) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        hkdf_sha256(&[], root.secret(), &[LOCATOR_INFO, genesis_hash.as_bytes()], &mut *key);
        let locator = Hmac::new_from_slice(&*key).expect("HMAC takes keys of any length");
        Self { root, genesis_hash, locator }
    }

    /// The state root key.
    pub const fn root(&self) -> &StateRootKey {
        &self.root
    }

    /// Keys of a contract.
    pub fn contract(&self, account: &Account) -> ContractCipher {
        let mut keys = Zeroizing::new([0; 32 * (ROUNDS + 1)]);
        let info = [CONTRACT_INFO, self.genesis_hash.as_bytes(), account.as_bytes().as_slice()];
        hkdf_sha256(&[], self.root.secret(), &info, &mut *keys);
        let (values, rounds) = keys.split_first_chunk::<32>().expect("five keys of 32 bytes");
        let rounds: [Aes256; ROUNDS] = core::array::from_fn(|round| {
            Aes256::new_from_slice(&rounds[32 * round..32 * (round + 1)]).expect("a round key has 32 bytes")
        });
        let values = DeoxysKey::new(values);
        ContractCipher {
            generation: self.root.generation(),
            genesis_hash: self.genesis_hash,
            account: *account,
            rounds,
            values,
            locator: self.locator.clone(),
        }
    }

    /// The contract that a sealed slot says it belongs to. Only opening it says whether that is true.
    ///
    /// # Errors
    /// [`SealError::Length`], [`SealError::Generation`].
    pub fn account_of(&self, key: &Digest, sealed: &[u8]) -> Result<Account, SealError> {
        let found = sealed_generation(sealed)?;
        if found != self.root.generation() {
            return Err(SealError::Generation { expected: self.root.generation(), found });
        }
        let mut account = [0; 20];
        account.copy_from_slice(&sealed[12..HEADER_BYTES]);
        mask(&self.locator, key, &sealed[4..12], &mut account);
        Ok(Account(account))
    }
}

/// Keys of one contract in one generation.
pub struct ContractCipher {
    generation: Generation,
    genesis_hash: Digest,
    account: Account,
    rounds: [Aes256; ROUNDS],
    values: DeoxysKey,
    locator: Hmac<Sha256>,
}

impl ContractCipher {
    /// Where a slot stands in the tree.
    pub fn tree_key(&self, slot: &[u8; 32]) -> Digest {
        let (mut left, mut right) = halves(slot);
        for round in &self.rounds {
            let mut mixed = right;
            round.encrypt_block(&mut mixed);
            xor(&mut mixed, &left);
            (left, right) = (right, mixed);
        }
        Digest(joined(&left, &right))
    }

    /// The slot that stands at a place in the tree: the inverse of [`Self::tree_key`].
    pub fn slot_at(&self, key: &Digest) -> [u8; 32] {
        let (mut left, mut right) = halves(key.as_bytes());
        for round in self.rounds.iter().rev() {
            let mut mixed = left;
            round.encrypt_block(&mut mixed);
            xor(&mut mixed, &right);
            (left, right) = (mixed, left);
        }
        joined(&left, &right)
    }

    /// Seals a slot's value as the block at `height` leaves it; `key` is the slot's [`Self::tree_key`]. One block seals a
    /// slot once.
    pub fn seal(&self, key: &Digest, slot: &[u8; 32], height: Height, value: &[u8; 32]) -> [u8; SEALED_SLOT_BYTES] {
        let mut sealed = [0; SEALED_SLOT_BYTES];
        sealed[..4].copy_from_slice(&self.generation.to_be_bytes());
        sealed[4..12].copy_from_slice(&height.to_be_bytes());
        let mut account = self.account.0;
        mask(&self.locator, key, &height.to_be_bytes(), &mut account);
        sealed[12..HEADER_BYTES].copy_from_slice(&account);
        let (text, tag) = sealed[HEADER_BYTES..].split_at_mut(32);
        text.copy_from_slice(value);
        tag.copy_from_slice(&self.values.seal(&nonce(height, key), &self.associated(slot), text));
        sealed
    }

    /// Opens a sealed slot.
    ///
    /// # Errors
    /// Any [`SealError`].
    pub fn open(&self, key: &Digest, slot: &[u8; 32], sealed: &[u8]) -> Result<[u8; 32], SealError> {
        let found = sealed_generation(sealed)?;
        if found != self.generation {
            return Err(SealError::Generation { expected: self.generation, found });
        }
        let mut height = [0; 8];
        height.copy_from_slice(&sealed[4..12]);
        let (text, tag) = sealed[HEADER_BYTES..].split_at(32);
        let mut value = [0; 32];
        value.copy_from_slice(text);
        let mut expected = [0; TAG_BYTES];
        expected.copy_from_slice(tag);
        let nonce = nonce(u64::from_be_bytes(height), key);
        // Where it does not open, nothing is left of the value.
        self.values.open(&nonce, &self.associated(slot), &mut value, &expected).map_err(|_| SealError::Tag)?;
        Ok(value)
    }

    fn associated(&self, slot: &[u8; 32]) -> [u8; 88] {
        let mut bytes = [0; 88];
        bytes[..32].copy_from_slice(self.genesis_hash.as_bytes());
        bytes[32..52].copy_from_slice(self.account.as_bytes());
        bytes[52..84].copy_from_slice(slot);
        bytes[84..].copy_from_slice(&self.generation.to_be_bytes());
        bytes
    }
}

/// The height and the start of the slot's place.
fn nonce(height: Height, key: &Digest) -> [u8; DEOXYS_NONCE_BYTES] {
    let mut bytes = [0; DEOXYS_NONCE_BYTES];
    bytes[..8].copy_from_slice(&height.to_be_bytes());
    bytes[8..].copy_from_slice(&key.as_bytes()[..7]);
    bytes
}

/// Hides or shows an address by a stream that depends on the place and the height.
fn mask(locator: &Hmac<Sha256>, key: &Digest, height: &[u8], account: &mut [u8; 20]) {
    let stream = locator.clone().chain_update(key.as_bytes()).chain_update(height).finalize().into_bytes();
    for (byte, mask) in account.iter_mut().zip(stream) {
        *byte ^= mask;
    }
}

fn halves(bytes: &[u8; 32]) -> (Block, Block) {
    let (mut left, mut right) = (Block::default(), Block::default());
    left.copy_from_slice(&bytes[..16]);
    right.copy_from_slice(&bytes[16..]);
    (left, right)
}

fn joined(left: &Block, right: &Block) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(left);
    bytes[16..].copy_from_slice(right);
    bytes
}

fn xor(block: &mut Block, other: &Block) {
    for (byte, other) in block.iter_mut().zip(other) {
        *byte ^= other;
    }
}

#[cfg(test)]
mod tests;
