//! The engine's proofs in our format (`spec/state-proof.md`); the inverse, verification, stands in `freehold-crypto`.

use commonware_cryptography::sha256::Digest as Key;
use commonware_storage::{
    mmr,
    qmdb::{
        any::value::FixedEncoding,
        current::{
            ordered::proof::constant::{ExclusionProof, KeyValueProof},
            proof::constant::OperationProof,
        },
    },
};
use freehold_crypto::{StateClaim, StateProof};
use freehold_primitives::{Digest, Height};

use super::{engine::CHUNK_BYTES, leaf::Leaf};

/// The engine's proof of a present key.
pub(super) type Inclusion = KeyValueProof<mmr::Family, Key, Key, CHUNK_BYTES>;
/// The engine's proof of an absent key.
pub(super) type Exclusion = ExclusionProof<mmr::Family, Key, FixedEncoding<Leaf>, Key, CHUNK_BYTES>;

/// Our form of the proof that a key holds `value`.
pub(super) fn present(proof: Inclusion, value: &Leaf) -> StateProof {
    let claim = StateClaim::Present { value: value.value().to_vec(), next_key: digest(&proof.next_key) };
    convert(proof.proof, claim)
}

/// Our form of the proof that a key is absent.
pub(super) fn absent(proof: Exclusion) -> StateProof {
    match proof {
        ExclusionProof::KeyValue(operation, update) => {
            let claim = StateClaim::Between {
                key: digest(&update.key),
                value: update.value.value().to_vec(),
                next_key: digest(&update.next_key),
            };
            convert(operation, claim)
        }
        ExclusionProof::Commit(operation, metadata) => {
            convert(operation, StateClaim::Empty { height: metadata.and_then(|leaf| height(&leaf)) })
        }
    }
}

/// The height that a commit's metadata names.
pub(super) fn height(metadata: &Leaf) -> Option<Height> {
    metadata.value().try_into().ok().map(Height::from_be_bytes)
}

fn convert(proof: OperationProof<mmr::Family, Key, CHUNK_BYTES>, claim: StateClaim) -> StateProof {
    let range = proof.range_proof;
    let leaves = range.proof.leaves.as_u64();
    let chunk_operations = 8 * CHUNK_BYTES as u64;
    let in_last_chunk = proof.loc.as_u64() / chunk_operations == leaves / chunk_operations;
    StateProof {
        location: proof.loc.as_u64(),
        leaves,
        inactive_peaks: u8::try_from(range.proof.inactive_peaks).expect("a log has at most 62 peaks"),
        chunk: proof.chunk,
        log_root: digest(&range.ops_root),
        // The verifier computes the digest of the chunk that it is given.
        partial_chunk: range.partial_chunk_digest.as_ref().filter(|_| !in_last_chunk).map(digest),
        digests: range.proof.digests.iter().map(digest).collect(),
        claim,
    }
}

fn digest(key: &Key) -> Digest {
    Digest(key.0)
}
