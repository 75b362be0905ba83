//! Vectors of state proofs, made by the engine: `spec/vectors/state-proof/`. Set `FREEHOLD_WRITE_VECTORS=1` to write them.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use freehold_crypto::{STATE_PROOF_BYTES_MAX, StateClaim, StateProof, StateProofError, verify_state};
use freehold_ledger::StateTree as _;
use freehold_primitives::{Canonical as _, Digest};
use serde_json::{Value, json};

use super::{FRESH, QmdbTree, key, open};

struct Vectors {
    valid: Vec<Value>,
    refused: Vec<Value>,
}

impl Vectors {
    fn valid(&mut self, name: &str, tree: &QmdbTree, key: Digest) -> (Digest, StateProof) {
        let (root, proof) = (tree.root(), tree.prove(&key).unwrap());
        let value = verify_state(&root, &key, &proof).unwrap();
        assert_eq!(value, tree.get(&key).unwrap());
        let (value, bytes) = (value.map(hex::encode), hex::encode(&proof));
        self.valid.push(json!({ "name": name, "root": root, "key": key, "value": value, "proof": bytes }));
        (root, StateProof::from_canonical(&proof).unwrap())
    }

    fn refused(&mut self, name: &str, root: Digest, key: Digest, proof: &[u8]) -> StateProofError {
        let error = verify_state(&root, &key, proof).unwrap_err();
        let word = word(&error);
        self.refused
            .push(json!({ "name": name, "root": root, "key": key, "proof": hex::encode(proof), "error": word }));
        error
    }
}

/// One word for each refusal, for verifiers in other languages.
fn word(error: &StateProofError) -> &'static str {
    match error {
        StateProofError::TooLarge(_) => "too-large",
        StateProofError::Codec(_) => "codec",
        StateProofError::Value(_) => "value",
        StateProofError::Location { .. } => "location",
        StateProofError::Peaks(_) => "peaks",
        StateProofError::Digests { .. } => "digests",
        StateProofError::PartialChunk => "partial-chunk",
        StateProofError::Inactive => "inactive",
        StateProofError::OutsideGap => "outside-gap",
        StateProofError::Root => "root",
        other => panic!("no word for {other:?}"),
    }
}

fn value(length: u8) -> Option<Vec<u8>> {
    Some((1..=length).collect())
}

#[test]
fn vectors_are_what_the_engine_makes() {
    let mut vectors = Vectors { valid: Vec::new(), refused: Vec::new() };
    small_trees(&mut vectors);
    large_tree(&mut vectors);
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/state-proof");
    for (name, cases) in [("valid.json", vectors.valid), ("refused.json", vectors.refused)] {
        let text = serde_json::to_string_pretty(&json!({ "format": "state-proof/1", "cases": cases })).unwrap() + "\n";
        let path = folder.join(name);
        if std::env::var_os("FREEHOLD_WRITE_VECTORS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{name}: FREEHOLD_WRITE_VECTORS=1 writes it anew");
    }
}

fn small_trees(vectors: &mut Vectors) {
    let directory = tempfile::tempdir().unwrap();
    let mut tree = open(directory.path(), FRESH);
    vectors.valid("empty_before_block_0", &tree, key(1));
    tree.apply(0, &[(key(1), value(32))]).unwrap();
    let (root, present) = vectors.valid("only_key_present", &tree, key(1));
    let (_, absent) = vectors.valid("only_key_another_absent", &tree, key(2));
    vectors.refused("absence_of_the_gap_key", root, key(1), &absent.to_canonical());
    vectors.refused("presence_for_another_key", root, key(2), &present.to_canonical());
    tree.apply(1, &[(key(2), value(0)), (key(3), value(96))]).unwrap();
    vectors.valid("empty_value", &tree, key(2));
    vectors.valid("longest_value", &tree, key(3));
    vectors.refused("older_root", root, key(3), &tree.prove(&key(3)).unwrap());
    tree.apply(2, &[(key(1), None), (key(2), None), (key(3), None)]).unwrap();
    let (root, empty) = vectors.valid("empty_after_deletes", &tree, key(1));
    let other = StateProof { claim: StateClaim::Empty { height: Some(1) }, ..empty };
    vectors.refused("empty_with_another_height", root, key(1), &other.to_canonical());
}

fn large_tree(vectors: &mut Vectors) {
    let directory = tempfile::tempdir().unwrap();
    let mut tree = open(directory.path(), FRESH);
    let (mut aligned, mut next) = (false, 0);
    for height in 0..3_000_u64 {
        let inactive = StateProof::from_canonical(&tree.prove(&key(0)).unwrap()).unwrap().inactive_peaks;
        next = height;
        if height > 200 && inactive > 0 && aligned {
            break;
        }
        let at = |index: u32| key((height as u32 * 7 + index * 13) % 900);
        let mut writes: Vec<_> = (0..4 + height as u32 % 19)
            .map(|index| (at(index), value((height + u64::from(index)) as u8 % 97)))
            .collect();
        if height % 5 == 4 {
            writes[3].1 = None;
        }
        let set = tree.apply_writes(height, &writes).unwrap();
        if set.operations.is_multiple_of(256) && !aligned {
            aligned = true;
            vectors.valid("log_ends_with_a_chunk", &tree, set.changes[0].key);
        }
    }
    // Grow until the last chunk is unfinished and holds a key's operation.
    println!("{next} blocks; a log that ends with a chunk: {aligned}");
    let set = tree.apply_writes(next, &[(key(5), value(40))]).unwrap();
    assert!(set.operations % 256 > 2);
    let (root, unfinished) = vectors.valid("operation_in_the_unfinished_chunk", &tree, key(5));
    assert_eq!(unfinished.partial_chunk, None);
    let mut keys: Vec<Digest> = (0..900).map(key).filter(|key| tree.get(key).unwrap().is_some()).collect();
    keys.sort();
    let (_, finished) = keys
        .iter()
        .map(|key| (*key, StateProof::from_canonical(&tree.prove(key).unwrap()).unwrap()))
        .find(|(_, proof)| proof.partial_chunk.is_some() && proof.inactive_peaks > 0)
        .unwrap();
    let named = keys.iter().find(|key| tree.prove(key).unwrap() == finished.to_canonical()).unwrap();
    vectors.valid("operation_in_a_finished_chunk", &tree, *named);
    vectors.valid("absent_between", &tree, key(1_000));
    let mut below = keys[0];
    below.0[31] ^= 1;
    let (first, last) = (keys[0], keys[keys.len() - 1]);
    vectors.valid("absent_below_the_first", &tree, Digest::ZERO);
    vectors.valid("absent_above_the_last", &tree, Digest([0xFF; 32]));
    assert!(first > Digest::ZERO && last < Digest([0xFF; 32]));
    vectors.valid("absent_beside_the_first", &tree, below);
    faults(vectors, root, &unfinished, (*named, &finished));
}

fn faults(vectors: &mut Vectors, root: Digest, unfinished: &StateProof, finished: (Digest, &StateProof)) {
    let (key, proof) = (finished.0, finished.1.clone());
    let bytes = proof.to_canonical();
    vectors.refused("truncated", root, key, &bytes[..bytes.len() - 1]);
    vectors.refused("nothing", root, key, &[]);
    vectors.refused("trailing_byte", root, key, &[bytes.as_slice(), &[0]].concat());
    vectors.refused("unknown_version", root, key, &[&[2], &bytes[1..]].concat());
    vectors.refused("too_large", root, key, &vec![1; STATE_PROOF_BYTES_MAX + 1]);
    let mut case = |name: &str, expected: &str, change: &dyn Fn(&mut StateProof)| {
        let mut proof = proof.clone();
        change(&mut proof);
        let error = vectors.refused(name, root, key, &proof.to_canonical());
        assert_eq!(word(&error), expected, "{name}");
    };
    case("location_behind_the_log", "location", &|proof| proof.location = proof.leaves);
    case("log_too_large", "location", &|proof| proof.leaves = (1 << 62) + 1);
    case("log_of_another_size", "root", &|proof| proof.leaves ^= 1);
    case("too_many_inactive_peaks", "peaks", &|proof| proof.inactive_peaks = 63);
    case("bit_not_set", "inactive", &|proof| proof.chunk = [0; 32]);
    case("another_bit_set", "root", &|proof| {
        let bit = (proof.location % 256) as usize;
        proof.chunk[bit / 8] ^= 2 << (bit % 8 / 4 * 3);
        proof.chunk[bit / 8] |= 1 << (bit % 8);
    });
    case("partial_chunk_missing", "partial-chunk", &|proof| proof.partial_chunk = None);
    case("digest_missing", "digests", &|proof| proof.digests.truncate(proof.digests.len() - 1));
    case("digest_too_many", "digests", &|proof| proof.digests.push(Digest::ZERO));
    case("digest_altered", "root", &|proof| proof.digests[0].0[0] ^= 1);
    case("digests_swapped", "root", &|proof| proof.digests.swap(0, 1));
    case("log_root_altered", "root", &|proof| proof.log_root.0[31] ^= 0x80);
    case("value_altered", "root", &|proof| *value_of(proof) = vec![0xEE; 32]);
    case("value_longer_by_a_zero", "root", &|proof| value_of(proof).push(0));
    case("value_too_long", "value", &|proof| *value_of(proof) = vec![0; 97]);
    case("presence_told_as_absence", "outside-gap", &|proof| {
        if let StateClaim::Present { value, next_key } = proof.claim.clone() {
            proof.claim = StateClaim::Between { key, value, next_key };
        }
    });
    case("presence_told_as_an_empty_tree", "root", &|proof| proof.claim = StateClaim::Empty { height: Some(200) });
    let extra = StateProof { partial_chunk: Some(Digest::ZERO), ..unfinished.clone() };
    vectors.refused("partial_chunk_out_of_place", root, super::key(5), &extra.to_canonical());
    let tag = bytes.len() - 1 - 32 - 4 - value_of(&mut proof.clone()).len();
    let mut unknown = bytes;
    unknown[tag] = 9;
    vectors.refused("unknown_claim", root, key, &unknown);
}

fn value_of(proof: &mut StateProof) -> &mut Vec<u8> {
    match &mut proof.claim {
        StateClaim::Present { value, .. } => value,
        other => panic!("{other:?} is no presence"),
    }
}
