//! A small state tree that makes proofs in the form of `spec/state-proof.md`: a log of active operations below one chunk,
//! one to a key. The store's own proofs are tested against the same verifier in `crypto` and `node`.

use std::collections::BTreeMap;

use freehold_crypto::{STATE_VALUE_BYTES_MAX, StateClaim, StateProof, content_digest, sha256, slots::storage_key};
use freehold_primitives::{Account, Canonical, Digest};
use freehold_verify::EntryKey;

/// The tree.
#[derive(Clone, Default)]
pub(crate) struct TestTree {
    leaves: BTreeMap<Digest, Vec<u8>>,
    contents: BTreeMap<Digest, Vec<u8>>,
}

struct Node {
    hash: Digest,
    start: u64,
    height: u32,
}

impl TestTree {
    /// Puts an entry into its slot.
    pub(crate) fn entry<T: Canonical>(&mut self, key: &EntryKey, entry: &T) {
        let content = entry.to_canonical();
        let digest = content_digest(&content);
        self.leaves.insert(tree_key(key), digest.0.to_vec());
        self.contents.insert(digest, content);
    }

    /// Puts a document's digest into a slot of an account.
    pub(crate) fn document(&mut self, account: &Account, slot: &[u8; 32], document: Vec<u8>) {
        let digest = content_digest(&document);
        self.leaves.insert(storage_key(account, slot), digest.0.to_vec());
        self.contents.insert(digest, document);
    }

    /// Puts unrelated leaves in.
    pub(crate) fn fill(&mut self, count: u8) {
        for index in 0..count {
            self.leaves.insert(sha256(&[index]), vec![index; 32]);
        }
    }

    /// The state root.
    pub(crate) fn root(&self) -> Digest {
        let mut peaks = self.peaks().into_iter().rev().map(|peak| peak.hash);
        let newest = peaks.next().unwrap();
        let folded = peaks.fold(newest, |behind, peak| join(&[&peak.0, &behind.0]));
        let leaves = (self.leaves.len() as u64).to_be_bytes();
        let grafted = join(&[&[0, 1], &leaves, &folded.0]);
        let digest = sha256(&self.chunk());
        join(&[&log_root().0, &grafted.0, &leaves, &digest.0])
    }

    /// Proof of what `key` holds.
    pub(crate) fn prove(&self, key: &EntryKey) -> Vec<u8> {
        self.prove_key(tree_key(key))
    }

    /// What a tree key holds.
    pub(crate) fn value(&self, key: &Digest) -> Option<&[u8]> {
        self.leaves.get(key).map(Vec::as_slice)
    }

    /// Content of an entry, by its digest.
    pub(crate) fn content(&self, digest: &Digest) -> Option<&[u8]> {
        self.contents.get(digest).map(Vec::as_slice)
    }

    /// Proof of what a tree key holds.
    pub(crate) fn prove_key(&self, key: Digest) -> Vec<u8> {
        let keys: Vec<&Digest> = self.leaves.keys().collect();
        let next = |location: usize| *keys[(location + 1) % keys.len()];
        let (location, claim) = match keys.binary_search(&&key) {
            Ok(at) => (at, StateClaim::Present { value: self.leaves[&key].clone(), next_key: next(at) }),
            Err(at) => {
                let before = (at + keys.len() - 1) % keys.len();
                let value = self.leaves[keys[before]].clone();
                (before, StateClaim::Between { key: *keys[before], value, next_key: next(before) })
            }
        };
        let proof = StateProof {
            location: location as u64,
            leaves: keys.len() as u64,
            inactive_peaks: 0,
            chunk: self.chunk(),
            log_root: log_root(),
            partial_chunk: None,
            digests: self.digests(location as u64),
            claim,
        };
        proof.to_canonical()
    }

    fn chunk(&self) -> [u8; 32] {
        assert!(self.leaves.len() < 256, "one unfinished chunk");
        let mut chunk = [0; 32];
        for location in 0..self.leaves.len() {
            chunk[location / 8] |= 1 << (location % 8);
        }
        chunk
    }

    fn operation(&self, location: u64) -> Vec<u8> {
        let keys: Vec<&Digest> = self.leaves.keys().collect();
        let key = keys[location as usize];
        let value = &self.leaves[key];
        let mut bytes = vec![0xD2];
        bytes.extend_from_slice(&key.0);
        bytes.push(value.len() as u8);
        bytes.extend_from_slice(value);
        bytes.resize(1 + 32 + 1 + STATE_VALUE_BYTES_MAX, 0);
        bytes.extend_from_slice(&keys[(location as usize + 1) % keys.len()].0);
        bytes
    }

    fn node(&self, start: u64, height: u32) -> Digest {
        let number = leaf_number(start) + (1 << (height + 1)) - 2;
        if height == 0 {
            return join(&[&number.to_be_bytes(), &self.operation(start)]);
        }
        let left = self.node(start, height - 1);
        let right = self.node(start + (1 << (height - 1)), height - 1);
        join(&[&number.to_be_bytes(), &left.0, &right.0])
    }

    fn peaks(&self) -> Vec<Node> {
        let (count, mut start, mut peaks) = (self.leaves.len() as u64, 0, Vec::new());
        for height in (0..u64::BITS).rev().filter(|height| count >> height & 1 == 1) {
            peaks.push(Node { hash: self.node(start, height), start, height });
            start += 1 << height;
        }
        peaks
    }

    /// Peaks before, peaks behind folded into one, left siblings from the peak down, right siblings from the leaf up.
    fn digests(&self, location: u64) -> Vec<Digest> {
        let peaks = self.peaks();
        let at = peaks.iter().position(|peak| location < peak.start + (1 << peak.height)).unwrap();
        let mut out: Vec<Digest> = peaks[..at].iter().map(|peak| peak.hash).collect();
        let mut behind = peaks[at + 1..].iter().rev().map(|peak| peak.hash);
        if let Some(newest) = behind.next() {
            out.push(behind.fold(newest, |behind, peak| join(&[&peak.0, &behind.0])));
        }
        let (mut start, mut left, mut right) = (peaks[at].start, Vec::new(), Vec::new());
        for height in (0..peaks[at].height).rev() {
            let middle = start + (1 << height);
            if location >= middle {
                left.push(self.node(start, height));
                start = middle;
            } else {
                right.push(self.node(middle, height));
            }
        }
        out.extend(left);
        out.extend(right.into_iter().rev());
        out
    }
}

fn tree_key(key: &EntryKey) -> Digest {
    storage_key(&key.module(), &key.slot())
}

fn log_root() -> Digest {
    sha256(b"log root")
}

fn leaf_number(location: u64) -> u64 {
    2 * location - u64::from(location.count_ones())
}

fn join(parts: &[&[u8]]) -> Digest {
    sha256(&parts.concat())
}
