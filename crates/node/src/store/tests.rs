//! The state tree against a plain map, our proofs against the engine's, crashes, and growth.
#![allow(clippy::unwrap_used)]

mod crash;
mod transfer;
mod vectors;

use std::{collections::BTreeMap, path::Path, time::Instant};

use freehold_crypto::{STATE_PROOF_BYTES_MAX, StateClaim, StateProof, StateProofError, verify_state};
use freehold_ledger::{StateError, StateTree as _};
use freehold_primitives::{Canonical as _, Digest};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{QmdbTree, TreeError};

/// Operations of a tree that has applied nothing: its first commit.
const FRESH: u64 = 1;
type Model = BTreeMap<Digest, Vec<u8>>;
type Writes = Vec<(Digest, Option<Vec<u8>>)>;

fn open(directory: &Path, operations_max: u64) -> QmdbTree {
    QmdbTree::open(directory, operations_max).unwrap()
}

fn key(index: u32) -> Digest {
    Digest(alloy_primitives::keccak256(index.to_be_bytes()).0)
}

/// Writes of one block: new keys, updates, deletes, and writes that change nothing.
fn block(rng: &mut StdRng, model: &mut Model, keys: u32, size: usize) -> Writes {
    let mut writes = BTreeMap::new();
    for _ in 0..size {
        let key = key(rng.random_range(0..keys));
        let value = match rng.random_range(0..10) {
            0..3 => None,
            3 => model.get(&key).cloned(),
            _ => {
                let length = rng.random_range(0..=96);
                Some((0..length).map(|_| rng.random::<u8>()).collect())
            }
        };
        writes.insert(key, value);
    }
    for (key, value) in &writes {
        match value {
            Some(value) => model.insert(*key, value.clone()),
            None => model.remove(key),
        };
    }
    writes.into_iter().collect()
}

fn check_proof(tree: &QmdbTree, model: &Model, key: &Digest) -> Vec<u8> {
    let proof = tree.prove(key).unwrap();
    assert!(proof.len() <= STATE_PROOF_BYTES_MAX);
    assert_eq!(verify_state(&tree.root(), key, &proof).unwrap().as_ref(), model.get(key), "key {key}");
    proof
}

#[test]
fn tree_equals_a_map_and_another_tree_across_reopening() {
    let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut one, mut two) = (open(left.path(), FRESH), open(right.path(), FRESH));
    let (mut rng, mut model) = (StdRng::seed_from_u64(7), Model::new());
    for height in 0..120 {
        let size = rng.random_range(0..120);
        let writes = block(&mut rng, &mut model, 4_000, size);
        let set = one.apply_writes(height, &writes).unwrap();
        // The other validator gets the same writes in another order.
        assert_eq!(two.apply(height, &writes.iter().rev().cloned().collect::<Vec<_>>()).unwrap(), set.root);
        assert_eq!(two.reader().write_set(height).unwrap(), set);
        if height % 17 == 3 {
            one.flush().unwrap();
        }
        if height % 25 == 24 {
            drop(two);
            two = open(right.path(), set.operations);
            assert_eq!((two.height(), two.root()), (Some(height), set.root));
        }
        for _ in 0..12 {
            let key = key(rng.random_range(0..4_000));
            assert_eq!(one.get(&key).unwrap(), model.get(&key).cloned());
            assert_eq!(check_proof(&one, &model, &key), two.prove(&key).unwrap());
        }
    }
    for index in 0..4_000 {
        check_proof(&one, &model, &key(index));
    }
}

#[test]
fn proofs_of_small_trees_at_every_size() {
    let directory = tempfile::tempdir().unwrap();
    let mut tree = open(directory.path(), FRESH);
    let (mut rng, mut model) = (StdRng::seed_from_u64(11), Model::new());
    check_proof(&tree, &model, &key(0));
    // One to three writes a block walk the log through every size around one, two and four chunks.
    for height in 0..420 {
        let writes = block(&mut rng, &mut model, 6, 2);
        tree.apply(height, &writes).unwrap();
        for index in 0..7 {
            check_proof(&tree, &model, &key(index));
        }
    }
    let all: Writes = model.keys().map(|key| (*key, None)).collect();
    model.clear();
    tree.apply(420, &all).unwrap();
    let proof = StateProof::from_canonical(&check_proof(&tree, &model, &key(1))).unwrap();
    assert_eq!(proof.claim, StateClaim::Empty { height: Some(420) });
}

#[test]
fn every_flipped_bit_of_a_proof_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut tree = open(directory.path(), FRESH);
    let (mut rng, mut model) = (StdRng::seed_from_u64(13), Model::new());
    check_flips(&tree, &key(1));
    for height in 0..12 {
        let writes = block(&mut rng, &mut model, 300, 90);
        tree.apply(height, &writes).unwrap();
        for index in [1, 2, 3, 1_000] {
            check_flips(&tree, &key(index));
        }
    }
}

fn check_flips(tree: &QmdbTree, key: &Digest) {
    let (root, proof) = (tree.root(), tree.prove(key).unwrap());
    verify_state(&root, key, &proof).unwrap();
    for at in 0..proof.len() {
        for bit in 0..8 {
            let mut bad = proof.clone();
            bad[at] ^= 1 << bit;
            verify_state(&root, key, &bad).unwrap_err();
        }
        verify_state(&root, key, &proof[..at]).unwrap_err();
    }
    let longer = [proof.as_slice(), &[0]].concat();
    verify_state(&root, key, &longer).unwrap_err();
}

#[test]
fn absence_of_a_present_key_cannot_be_claimed() {
    let directory = tempfile::tempdir().unwrap();
    let mut tree = open(directory.path(), FRESH);
    let (mut rng, mut model) = (StdRng::seed_from_u64(17), Model::new());
    for height in 0..8 {
        let writes = block(&mut rng, &mut model, 200, 60);
        tree.apply(height, &writes).unwrap();
    }
    let root = tree.root();
    let proofs: Vec<Vec<u8>> = (0..220).map(|index| tree.prove(&key(index)).unwrap()).collect();
    for present in model.keys() {
        for proof in &proofs {
            assert_ne!(verify_state(&root, present, proof), Ok(None));
            // The same operation, told as a gap behind its key.
            let mut forged = StateProof::from_canonical(proof).unwrap();
            if let StateClaim::Present { value, next_key } = forged.claim {
                forged.claim = StateClaim::Between { key: *present, value, next_key };
                assert_eq!(verify_state(&root, present, &forged.to_canonical()), Err(StateProofError::OutsideGap));
                forged.claim = StateClaim::Empty { height: Some(7) };
                assert_eq!(verify_state(&root, present, &forged.to_canonical()), Err(StateProofError::Root));
            }
        }
    }
}

#[test]
fn an_older_value_is_refused_under_the_newer_root() {
    let directory = tempfile::tempdir().unwrap();
    let mut tree = open(directory.path(), FRESH);
    tree.apply(0, &[(key(1), Some(vec![1])), (key(2), Some(vec![2]))]).unwrap();
    let (old_root, old) = (tree.root(), tree.prove(&key(1)).unwrap());
    tree.apply(1, &[(key(1), Some(vec![9]))]).unwrap();
    assert_eq!(verify_state(&old_root, &key(1), &old), Ok(Some(vec![1])));
    verify_state(&tree.root(), &key(1), &old).unwrap_err();
    let mut stale = StateProof::from_canonical(&tree.prove(&key(1)).unwrap()).unwrap();
    if let StateClaim::Present { value, .. } = &mut stale.claim {
        *value = vec![1];
    }
    assert_eq!(verify_state(&tree.root(), &key(1), &stale.to_canonical()), Err(StateProofError::Root));
}

#[test]
fn refusals_leave_the_tree_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let mut tree = open(directory.path(), FRESH);
    assert_eq!(tree.reader().applied(), None);
    let root = tree.apply(0, &[(key(1), Some(vec![1; 96]))]).unwrap();
    assert!(matches!(tree.apply_writes(0, &[]), Err(TreeError::Applied { at: 0, height: 0 })));
    assert!(matches!(tree.apply(0, &[]), Err(StateError::Height { at: 0, found: 0 })));
    assert!(matches!(tree.apply_writes(2, &[]), Err(TreeError::Gap { expected: 1, found: 2 })));
    let twice = [(key(1), None), (key(1), Some(vec![]))];
    assert!(matches!(tree.apply_writes(1, &twice), Err(TreeError::Twice { .. })));
    assert!(matches!(tree.apply_writes(1, &[(key(2), Some(vec![0; 97]))]), Err(TreeError::Value { length: 97 })));
    assert_eq!((tree.height(), tree.root()), (Some(0), root));
    tree.apply(1, &[(key(1), Some(vec![1; 96]))]).unwrap();
    assert_eq!(tree.reader().write_set(1).unwrap().changes, []);
}

#[test]
fn leaves_come_in_order_behind_a_key() {
    let directory = tempfile::tempdir().unwrap();
    let mut tree = open(directory.path(), FRESH);
    let (mut rng, mut model) = (StdRng::seed_from_u64(29), Model::new());
    for height in 0..10 {
        let writes = block(&mut rng, &mut model, 2_000, 200);
        tree.apply(height, &writes).unwrap();
    }
    let expected: Writes = model.iter().map(|(key, value)| (*key, Some(value.clone()))).collect();
    let (mut found, mut after) = (Writes::new(), Digest::ZERO);
    loop {
        let leaves = tree.leaves(&after, 64).unwrap();
        let Some((last, _)) = leaves.last() else { break };
        after = *last;
        found.extend(leaves.into_iter().map(|(key, value)| (key, Some(value))));
    }
    assert_eq!(found, expected);
    // A key without a value is a place too.
    let between = key(1_000_000);
    let behind = model.range(between..).next().map(|(key, _)| *key);
    assert_eq!(tree.leaves(&between, 1).unwrap().first().map(|leaf| leaf.0), behind);
}

#[test]
fn reopening_never_runs_ahead_of_the_block_store() {
    let directory = tempfile::tempdir().unwrap();
    let mut tree = open(directory.path(), FRESH);
    let (mut rng, mut model) = (StdRng::seed_from_u64(19), Model::new());
    let mut history = Vec::new();
    for height in 0..40 {
        let writes = block(&mut rng, &mut model, 500, 40);
        let set = tree.apply_writes(height, &writes).unwrap();
        history.push((writes, set));
        if height == 20 {
            tree.flush().unwrap();
        }
    }
    drop(tree);
    // The block store knows heights up to 33, and one row in the middle of a block is no commit.
    let mut tree = open(directory.path(), history[33].1.operations + 1);
    assert_eq!((tree.height(), tree.root()), (Some(33), history[33].1.root));
    for (writes, set) in &history[34..] {
        assert_eq!(tree.apply_writes(set.height, writes).unwrap(), *set);
    }
    drop(tree);
    assert_eq!(open(directory.path(), u64::MAX >> 2).root(), history[39].1.root);
}

#[test]
fn a_fresh_block_store_returns_the_tree_to_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut tree = open(directory.path(), FRESH);
    let root = tree.root();
    tree.apply(0, &[(key(1), Some(vec![1]))]).unwrap();
    drop(tree);
    let tree = open(directory.path(), FRESH);
    assert_eq!((tree.reader().applied(), tree.root()), (None, root));
}

fn folder_bytes(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).unwrap().map(Result::unwrap);
    entries
        .map(|entry| if entry.path().is_dir() { folder_bytes(&entry.path()) } else { entry.metadata().unwrap().len() })
        .sum()
}

#[test]
fn the_log_does_not_grow_without_bound() {
    let directory = tempfile::tempdir().unwrap();
    let mut tree = open(directory.path(), FRESH);
    let mut sizes = Vec::new();
    let start = Instant::now();
    for height in 0..24_000_u64 {
        // Three slots of a ring of 400, as an empty block writes them.
        let ring = (height % 400) as u32;
        let value = Some(height.to_be_bytes().to_vec());
        let writes: Writes = (0..3).map(|slot| (key(ring * 3 + slot), value.clone())).collect();
        tree.apply(height, &writes).unwrap();
        tree.persist();
        if height % 1_000 == 999 {
            sizes.push(folder_bytes(directory.path()) / 1024);
        }
    }
    tree.flush().unwrap();
    println!("{:.3} ms a block; KiB by thousand blocks: {sizes:?}", start.elapsed().as_secs_f64() / 24.0);
    assert!(sizes.iter().all(|size| *size < 16 << 10));
}

#[test]
fn verification_is_fast() {
    let directory = tempfile::tempdir().unwrap();
    let mut tree = open(directory.path(), FRESH);
    let (mut rng, mut model) = (StdRng::seed_from_u64(23), Model::new());
    for height in 0..20 {
        let writes = block(&mut rng, &mut model, 100_000, 2_000);
        tree.apply(height, &writes).unwrap();
    }
    let (root, keys): (_, Vec<Digest>) = (tree.root(), (0..1_000).map(key).collect());
    let start = Instant::now();
    let proofs = tree.reader().prove_many(&keys).unwrap().proofs;
    let made = start.elapsed();
    let start = Instant::now();
    for (key, proof) in keys.iter().zip(&proofs) {
        verify_state(&root, key, proof).unwrap();
    }
    let verified = start.elapsed();
    let bytes = proofs.iter().map(Vec::len).sum::<usize>() / proofs.len();
    println!(
        "proof: {bytes} B, made in {} us, verified in {:.1} us",
        made.as_micros() / 1_000,
        verified.as_secs_f64() * 1e3
    );
    // The bound is 0.2 ms each; a loaded machine gets five times that.
    assert!(verified.as_micros() / 1_000 < 1_000);
}
