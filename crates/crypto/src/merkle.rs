//! The Merkle tree of RFC 9162 §2.1 over SHA-256: roots, inclusion proofs, consistency proofs.
//!
//! A leaf's hash is SHA-256(0x00 ‖ entry), a node's SHA-256(0x01 ‖ left ‖ right). [`MerkleTree`] keeps the roots of
//! all complete subtrees (64 bytes a leaf), so that appending, roots and proofs cost a logarithm. Storage of leaves over
//! restarts is not here.

use freehold_primitives::Digest;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Longest proof: trees have at most 2^63 leaves, and a consistency proof is one longer than the tree is high.
pub const MERKLE_PATH_MAX: usize = 65;

/// Why a Merkle proof fails, or cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MerkleError {
    /// A position or size lies outside the tree.
    #[error("position {position} lies outside a tree of {size} leaves")]
    Position {
        /// Position asked for, or the smaller tree's size.
        position: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The proof has too few or too many hashes for the tree's shape.
    #[error("proof has the wrong length")]
    Length,
    /// The proof leads to another root.
    #[error("proof leads to another root")]
    Root,
}

/// Hash of a leaf.
pub fn leaf_hash(entry: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(entry);
    Digest(hasher.finalize().into())
}

/// Root of the tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> Digest {
    Digest(Sha256::digest([]).into())
}

fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left.as_bytes());
    hasher.update(right.as_bytes());
    Digest(hasher.finalize().into())
}

/// An append-only tree over leaf hashes.
#[derive(Debug, Clone, Default)]
pub struct MerkleTree {
    /// At height h the roots of the complete subtrees of 2^h leaves, from the left; leaves are height 0.
    levels: Vec<Vec<Digest>>,
}

impl MerkleTree {
    /// A tree without leaves.
    pub const fn new() -> Self {
        Self { levels: Vec::new() }
    }

    /// The tree over `leaves`, which are leaf hashes.
    pub fn from_leaves(leaves: impl IntoIterator<Item = Digest>) -> Self {
        let mut tree = Self::new();
        for leaf in leaves {
            tree.push(leaf);
        }
        tree
    }

    /// Appends a leaf hash and gives its position.
    pub fn push(&mut self, leaf: Digest) -> u64 {
        let position = self.size();
        let mut node = leaf;
        let mut height = 0;
        loop {
            if self.levels.len() == height {
                self.levels.push(Vec::new());
            }
            let level = &mut self.levels[height];
            level.push(node);
            // A second sibling completes the subtree above it.
            match level.as_slice() {
                [.., left, right] if level.len().is_multiple_of(2) => node = node_hash(left, right),
                _ => return position,
            }
            height += 1;
        }
    }

    /// Leaves in the tree.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, Vec::len) as u64
    }

    /// Leaf hash at a position.
    pub fn leaf(&self, position: u64) -> Option<Digest> {
        self.levels.first()?.get(usize::try_from(position).ok()?).copied()
    }

    /// Root over all leaves.
    pub fn root(&self) -> Digest {
        self.range_root(0, self.levels.first().map_or(0, Vec::len))
    }

    /// Root over the first `size` leaves.
    ///
    /// # Errors
    /// [`MerkleError::Position`].
    pub fn root_at(&self, size: u64) -> Result<Digest, MerkleError> {
        Ok(self.range_root(0, self.count(size)?))
    }

    /// Inclusion proof of the leaf at `position` in the tree of the first `size` leaves (RFC 9162 §2.1.3.1), lowest
    /// sibling first.
    ///
    /// # Errors
    /// [`MerkleError::Position`].
    pub fn inclusion_path(&self, position: u64, size: u64) -> Result<Vec<Digest>, MerkleError> {
        let (mut start, mut count) = (0, self.count(size)?);
        let at = match usize::try_from(position) {
            Ok(at) if at < count => at,
            _ => return Err(MerkleError::Position { position, size }),
        };
        let mut path = Vec::new();
        while count > 1 {
            let left = split(count);
            if at < start + left {
                path.push(self.range_root(start + left, count - left));
                count = left;
            } else {
                path.push(self.range_root(start, left));
                start += left;
                count -= left;
            }
        }
        path.reverse();
        Ok(path)
    }

    /// Consistency proof between the trees of the first `old` and the first `size` leaves (RFC 9162 §2.1.4.1).
    ///
    /// # Errors
    /// [`MerkleError::Position`] when `old` is 0 or above `size`, or `size` above the tree's.
    pub fn consistency_path(&self, old: u64, size: u64) -> Result<Vec<Digest>, MerkleError> {
        let (mut start, mut count) = (0, self.count(size)?);
        let old = match usize::try_from(old) {
            Ok(old) if old > 0 && old <= count => old,
            _ => return Err(MerkleError::Position { position: old, size }),
        };
        let mut path = Vec::new();
        while old < start + count {
            let left = split(count);
            if old <= start + left {
                path.push(self.range_root(start + left, count - left));
                count = left;
            } else {
                path.push(self.range_root(start, left));
                start += left;
                count -= left;
            }
        }
        // The old tree's own root is known to the verifier; of its last subtree it must be told.
        if start > 0 {
            path.push(self.range_root(start, count));
        }
        path.reverse();
        Ok(path)
    }

    fn count(&self, size: u64) -> Result<usize, MerkleError> {
        usize::try_from(size)
            .ok()
            .filter(|_| size <= self.size())
            .ok_or(MerkleError::Position { position: size, size: self.size() })
    }

    /// Root over `count` leaves from `start`, which is aligned to the complete subtrees that splitting gives.
    fn range_root(&self, start: usize, count: usize) -> Digest {
        if count == 0 {
            return empty_root();
        }
        let height = count.ilog2() as usize;
        let left = 1 << height;
        let first = self.levels[height][start >> height];
        if left == count { first } else { node_hash(&first, &self.range_root(start + left, count - left)) }
    }
}

/// Largest power of two below `count`, which is at least 2.
const fn split(count: usize) -> usize {
    1 << (count - 1).ilog2()
}

/// Root that an inclusion path leads to (RFC 9162 §2.1.3.2).
///
/// # Errors
/// [`MerkleError::Position`], [`MerkleError::Length`].
pub fn root_from_path(leaf: &Digest, position: u64, size: u64, path: &[Digest]) -> Result<Digest, MerkleError> {
    if position >= size {
        return Err(MerkleError::Position { position, size });
    }
    let (mut at, mut last) = (position, size - 1);
    let mut node = *leaf;
    for sibling in path {
        if last == 0 {
            return Err(MerkleError::Length);
        }
        if at & 1 == 1 || at == last {
            node = node_hash(sibling, &node);
            // The last node of a level without a sibling moves up unchanged.
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            node = node_hash(&node, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    if last == 0 { Ok(node) } else { Err(MerkleError::Length) }
}

/// Checks that `leaf` stands at `position` in the tree of `size` leaves with `root`.
///
/// # Errors
/// Any [`MerkleError`].
pub fn verify_inclusion(
    root: &Digest,
    size: u64,
    position: u64,
    leaf: &Digest,
    path: &[Digest],
) -> Result<(), MerkleError> {
    if root_from_path(leaf, position, size, path)? == *root { Ok(()) } else { Err(MerkleError::Root) }
}

/// Size and root of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    /// Leaves.
    pub size: u64,
    /// Root over them.
    pub root: Digest,
}

/// Checks that the tree of `new` begins with the leaves of `old` (RFC 9162 §2.1.4.2). Every tree begins with the empty
/// tree, whose proof is empty.
///
/// # Errors
/// Any [`MerkleError`].
pub fn verify_consistency(old: &TreeHead, new: &TreeHead, path: &[Digest]) -> Result<(), MerkleError> {
    if old.size > new.size {
        return Err(MerkleError::Position { position: old.size, size: new.size });
    }
    if old.size == 0 || old.size == new.size {
        let same = if old.size == 0 { old.root == empty_root() } else { old.root == new.root };
        return match (path.is_empty(), same) {
            (false, _) => Err(MerkleError::Length),
            (true, false) => Err(MerkleError::Root),
            (true, true) => Ok(()),
        };
    }
    let (mut at, mut last) = (old.size - 1, new.size - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    let mut siblings = path.iter();
    // A complete old tree is its own first node; otherwise the proof names it.
    let first = if at == 0 { old.root } else { *siblings.next().ok_or(MerkleError::Length)? };
    let (mut old_node, mut new_node) = (first, first);
    for sibling in siblings {
        if last == 0 {
            return Err(MerkleError::Length);
        }
        if at & 1 == 1 || at == last {
            old_node = node_hash(sibling, &old_node);
            new_node = node_hash(sibling, &new_node);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new_node = node_hash(&new_node, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    match (last, old_node == old.root && new_node == new.root) {
        (0, true) => Ok(()),
        (0, false) => Err(MerkleError::Root),
        _ => Err(MerkleError::Length),
    }
}

#[cfg(test)]
mod tests;
