//! State proofs (`spec/state-proof.md`): one key's value, or its absence, under a state root.
//!
//! The authenticated store is a log of operations under a Merkle mountain range, with a bitmap of which operations are
//! still active grafted into the tree at height 8. A key's newest update is active and names the next key in order, so
//! one active operation proves either a value or a gap. Invariant: a proof that verifies has exactly one byte form, and
//! each of its bytes is fixed by the root. The format is ours; the hashing is that of QMDB current/ordered of
//! commonware-storage 2026.10.0, tested against the engine's own output in `node`. Making proofs is not here.

mod mountain;
#[cfg(test)]
mod tests;

use freehold_primitives::{Blob, Canonical, CodecError, Digest, Height, Reader};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use mountain::{Mountain, grafted_root};

/// Largest value in the state tree, in bytes.
pub const STATE_VALUE_BYTES_MAX: usize = 96;
/// Largest state proof, in bytes: 122 digests, the fixed fields, a value and two keys, rounded up.
pub const STATE_PROOF_BYTES_MAX: usize = 4_352;
/// Most Merkle digests in a state proof: 61 path siblings and 61 peaks.
pub const STATE_PROOF_DIGESTS_MAX: usize = 122;

/// Operations that one chunk of the activity bitmap covers: 32 bytes of 8 bits.
const CHUNK_OPERATIONS: u64 = 256;
/// Bytes of an operation as the log hashes it: tag, key, value field, next key.
const OPERATION_BYTES: usize = 1 + 32 + VALUE_FIELD_BYTES + 32;
/// Bytes of a value in an operation: its length, then the value padded with zeros.
const VALUE_FIELD_BYTES: usize = 1 + STATE_VALUE_BYTES_MAX;
/// Tag of an update in the log.
const UPDATE_TAG: u8 = 0xD2;
/// Tag of a commit in the log.
const COMMIT_TAG: u8 = 0xD3;

/// Why bytes prove nothing about a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StateProofError {
    /// The proof is longer than [`STATE_PROOF_BYTES_MAX`].
    #[error("a state proof of {0} bytes is above the bound of {STATE_PROOF_BYTES_MAX}")]
    TooLarge(usize),
    /// The bytes are not canonical.
    #[error("a state proof is not in its canonical form: {0}")]
    Codec(#[from] CodecError),
    /// A value is longer than [`STATE_VALUE_BYTES_MAX`].
    #[error("a value of {0} bytes is above the bound of {STATE_VALUE_BYTES_MAX}")]
    Value(usize),
    /// The location lies outside the log, or the log is larger than a log can be.
    #[error("operation {location} does not lie in a log of {leaves} operations")]
    Location {
        /// Location of the operation.
        location: u64,
        /// Operations in the log.
        leaves: u64,
    },
    /// More inactive peaks than the log has peaks.
    #[error("{0} inactive peaks are more than the log has peaks")]
    Peaks(u8),
    /// Not the number of digests that location and log size ask for.
    #[error("{found} digests where the proof needs {expected}")]
    Digests {
        /// Digests that the proof needs.
        expected: usize,
        /// Digests that it has.
        found: usize,
    },
    /// The digest of the unfinished chunk is there when it must not be, or is missing.
    #[error("the digest of the unfinished chunk is missing or out of place")]
    PartialChunk,
    /// The operation is not active: its key was written again since.
    #[error("the operation is no longer active")]
    Inactive,
    /// The key does not lie in the gap that the proof shows.
    #[error("the key lies outside the proven gap")]
    OutsideGap,
    /// The proof leads to another root.
    #[error("the proof leads to another state root")]
    Root,
}

/// What the proven operation says about the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateClaim {
    /// The key has this value.
    Present {
        /// Its value.
        value: Vec<u8>,
        /// The next key that has a value, in cyclic order.
        next_key: Digest,
    },
    /// The key lies strictly between two neighbouring keys that have values.
    Between {
        /// The neighbour before.
        key: Digest,
        /// Its value.
        value: Vec<u8>,
        /// The neighbour behind, in cyclic order; the same key where the tree holds only one.
        next_key: Digest,
    },
    /// No key has a value.
    Empty {
        /// Height that the newest commit names; `None` before the first.
        height: Option<Height>,
    },
}

/// A state proof in parts. Anyone can make one; only [`verify_state`] says whether it is true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateProof {
    /// Position of the operation in the log, from 0.
    pub location: u64,
    /// Operations in the log.
    pub leaves: u64,
    /// Leading peaks of the log that hold no active operation and are folded first.
    pub inactive_peaks: u8,
    /// Chunk of the activity bitmap that holds the operation's bit.
    pub chunk: [u8; 32],
    /// Root of the log without its bitmap.
    pub log_root: Digest,
    /// SHA-256 of the bitmap's unfinished last chunk, where there is one and it is not `chunk` itself.
    pub partial_chunk: Option<Digest>,
    /// Merkle digests: peaks before, peaks behind, then siblings.
    pub digests: Vec<Digest>,
    /// What the operation says.
    pub claim: StateClaim,
}

impl Canonical for StateClaim {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Present { value, next_key } => {
                out.push(0);
                Blob(value.clone()).write(out);
                next_key.write(out);
            }
            Self::Between { key, value, next_key } => {
                out.push(1);
                key.write(out);
                Blob(value.clone()).write(out);
                next_key.write(out);
            }
            Self::Empty { height } => {
                out.push(2);
                height.write(out);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        match u8::read(reader)? {
            0 => Ok(Self::Present { value: Blob::read(reader)?.0, next_key: Digest::read(reader)? }),
            1 => Ok(Self::Between {
                key: Digest::read(reader)?,
                value: Blob::read(reader)?.0,
                next_key: Digest::read(reader)?,
            }),
            2 => Ok(Self::Empty { height: Option::read(reader)? }),
            other => Err(CodecError::Tag(other)),
        }
    }
}

impl Canonical for StateProof {
    fn write(&self, out: &mut Vec<u8>) {
        self.location.write(out);
        self.leaves.write(out);
        self.inactive_peaks.write(out);
        self.chunk.write(out);
        self.log_root.write(out);
        self.partial_chunk.write(out);
        self.digests.write(out);
        self.claim.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            location: u64::read(reader)?,
            leaves: u64::read(reader)?,
            inactive_peaks: u8::read(reader)?,
            chunk: <[u8; 32]>::read(reader)?,
            log_root: Digest::read(reader)?,
            partial_chunk: Option::read(reader)?,
            digests: Vec::read(reader)?,
            claim: StateClaim::read(reader)?,
        })
    }
}

impl StateProof {
    /// The state root that this proof leads to for `key`.
    ///
    /// # Errors
    /// Every [`StateProofError`] but [`StateProofError::TooLarge`], [`StateProofError::Codec`] and
    /// [`StateProofError::Root`].
    fn root(&self, key: &Digest) -> Result<Digest, StateProofError> {
        let mountain = Mountain::new(self.location, self.leaves, self.inactive_peaks)?;
        let layout = mountain.split(&self.digests)?;
        let bit = (self.location % CHUNK_OPERATIONS) as usize;
        if self.chunk[bit / 8] & (1 << (bit % 8)) == 0 {
            return Err(StateProofError::Inactive);
        }
        let unfinished = self.leaves % CHUNK_OPERATIONS;
        let in_unfinished = self.location / CHUNK_OPERATIONS == self.leaves / CHUNK_OPERATIONS;
        let partial = match (unfinished, in_unfinished, self.partial_chunk) {
            (0, _, None) => None,
            (1.., true, None) => Some(sha256(&[&self.chunk])),
            (1.., false, Some(digest)) => Some(digest),
            _ => return Err(StateProofError::PartialChunk),
        };
        let grafted = grafted_root(&mountain, &layout, &self.operation(key)?, &self.chunk)?;
        Ok(match partial {
            None => sha256(&[&self.log_root.0, &grafted.0]),
            Some(digest) => sha256(&[&self.log_root.0, &grafted.0, &unfinished.to_be_bytes(), &digest.0]),
        })
    }

    /// The operation as the log hashes it.
    fn operation(&self, key: &Digest) -> Result<[u8; OPERATION_BYTES], StateProofError> {
        let mut bytes = [0; OPERATION_BYTES];
        match &self.claim {
            StateClaim::Present { value, next_key } => update(&mut bytes, key, value, next_key)?,
            StateClaim::Between { key: before, value, next_key } => {
                if !lies_between(key, before, next_key) {
                    return Err(StateProofError::OutsideGap);
                }
                update(&mut bytes, before, value, next_key)?;
            }
            StateClaim::Empty { height } => {
                bytes[0] = COMMIT_TAG;
                if let Some(height) = height {
                    bytes[1] = 1;
                    value_field(&mut bytes[2..], &height.to_be_bytes())?;
                }
                // A commit of an empty tree names its own location as the floor of activity.
                let floor = 2 + VALUE_FIELD_BYTES;
                bytes[floor..floor + 8].copy_from_slice(&self.location.to_be_bytes());
            }
        }
        Ok(bytes)
    }
}

/// Checks `proof` against the state root and says what `key` holds: `Some(value)` is proven present, `None` is proven
/// absent.
///
/// # Errors
/// Any [`StateProofError`]: the proof is malformed, or speaks of another root or key.
pub fn verify_state(root: &Digest, key: &Digest, proof: &[u8]) -> Result<Option<Vec<u8>>, StateProofError> {
    if proof.len() > STATE_PROOF_BYTES_MAX {
        return Err(StateProofError::TooLarge(proof.len()));
    }
    let proof = StateProof::from_canonical(proof)?;
    if proof.root(key)? != *root {
        return Err(StateProofError::Root);
    }
    Ok(match proof.claim {
        StateClaim::Present { value, .. } => Some(value),
        StateClaim::Between { .. } | StateClaim::Empty { .. } => None,
    })
}

/// Whether `key` lies strictly between `before` and `next` on the circle of keys.
fn lies_between(key: &Digest, before: &Digest, next: &Digest) -> bool {
    if before < next { before < key && key < next } else { key != before && (key > before || key < next) }
}

fn update(out: &mut [u8], key: &Digest, value: &[u8], next_key: &Digest) -> Result<(), StateProofError> {
    out[0] = UPDATE_TAG;
    out[1..33].copy_from_slice(&key.0);
    value_field(&mut out[33..], value)?;
    out[33 + VALUE_FIELD_BYTES..].copy_from_slice(&next_key.0);
    Ok(())
}

fn value_field(out: &mut [u8], value: &[u8]) -> Result<(), StateProofError> {
    if value.len() > STATE_VALUE_BYTES_MAX {
        return Err(StateProofError::Value(value.len()));
    }
    out[0] = value.len() as u8;
    out[1..=value.len()].copy_from_slice(value);
    Ok(())
}

fn sha256(parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    Digest(hasher.finalize().into())
}
