//! The Merkle mountain range under a state root: shape, layout of a proof's digests, and the fold to its root.
//!
//! A log of n operations has one perfect tree ("peak") per set bit of n, largest first. Nodes are numbered in the order
//! in which appending makes them; every node's hash names its number. `spec/state-proof.md` §3 and §4.

use freehold_primitives::Digest;

use super::{STATE_PROOF_DIGESTS_MAX, StateProofError, sha256};

/// Most operations that a log can hold.
const LEAVES_MAX: u64 = 1 << 62;
/// Height at which bitmap chunks are grafted: 2^8 operations to a chunk.
const GRAFT_HEIGHT: u32 = 8;
/// Tag of roots: Merkle mountain range, peaks bagged from the newest to the oldest.
const ROOT_TAG: [u8; 2] = [0, 1];

/// Where an operation stands in a log.
pub(super) struct Mountain {
    location: u64,
    leaves: u64,
    inactive_peaks: usize,
    /// First operation under the peak that holds the operation.
    peak_start: u64,
    peak_height: u32,
    /// Peaks before and behind that one.
    before: usize,
    behind: usize,
}

/// The digests of a proof by their meaning.
pub(super) struct Layout<'a> {
    /// Inactive peaks before, folded into one.
    folded_before: Option<&'a Digest>,
    /// Active peaks before.
    before: &'a [Digest],
    /// Inactive peaks behind.
    behind: &'a [Digest],
    /// Active peaks behind, folded into one.
    folded_behind: Option<&'a Digest>,
    /// Siblings on the left of the path, from the peak down.
    left: &'a [Digest],
    /// Siblings on the right of the path, from the operation up.
    right: &'a [Digest],
}

impl Mountain {
    pub(super) fn new(location: u64, leaves: u64, inactive_peaks: u8) -> Result<Self, StateProofError> {
        if leaves > LEAVES_MAX || location >= leaves {
            return Err(StateProofError::Location { location, leaves });
        }
        let peaks = leaves.count_ones() as usize;
        if usize::from(inactive_peaks) > peaks {
            return Err(StateProofError::Peaks(inactive_peaks));
        }
        // Location and size share their highest bits; the first bit in which they differ is set in the size, and is
        // the peak that holds the operation.
        let peak_height = u64::BITS - 1 - (location ^ leaves).leading_zeros();
        let peak_start = (leaves >> peak_height >> 1) << peak_height << 1;
        let before = peak_start.count_ones() as usize;
        Ok(Self {
            location,
            leaves,
            inactive_peaks: inactive_peaks.into(),
            peak_start,
            peak_height,
            before,
            behind: peaks - before - 1,
        })
    }

    /// Inactive peaks before the operation's peak.
    fn inactive_before(&self) -> usize {
        self.inactive_peaks.min(self.before)
    }

    /// Splits a proof's digests by their meaning.
    pub(super) fn split<'a>(&self, digests: &'a [Digest]) -> Result<Layout<'a>, StateProofError> {
        let folded_before = usize::from(self.inactive_before() > 0);
        let before = self.before - self.inactive_before();
        let behind = self.inactive_peaks.saturating_sub(self.before + 1).min(self.behind);
        let folded_behind = usize::from(self.behind > behind);
        let siblings = self.peak_height as usize;
        let expected = folded_before + before + behind + folded_behind + siblings;
        if digests.len() != expected || expected > STATE_PROOF_DIGESTS_MAX {
            return Err(StateProofError::Digests { expected, found: digests.len() });
        }
        let (first, rest) = digests.split_at(folded_before);
        let (before, rest) = rest.split_at(before);
        let (behind, rest) = rest.split_at(behind);
        let (last, siblings) = rest.split_at(folded_behind);
        let (left, right) = siblings.split_at((self.location - self.peak_start).count_ones() as usize);
        Ok(Layout { folded_before: first.first(), before, behind, folded_behind: last.first(), left, right })
    }

    /// Hash of the peak that holds the operation.
    fn peak(&self, layout: &Layout<'_>, operation: &[u8], chunk: &[u8; 32]) -> Digest {
        let offset = self.location - self.peak_start;
        let mut node = sha256(&[&leaf_number(self.location).to_be_bytes(), operation]);
        let (mut left, mut right) = (layout.left.iter().rev(), layout.right.iter());
        for height in 1..=self.peak_height {
            let start = self.peak_start + (offset >> height << height);
            let number = node_number(start, height).to_be_bytes();
            let sibling_is_left = offset >> (height - 1) & 1 == 1;
            let sibling = if sibling_is_left { left.next() } else { right.next() };
            let sibling = sibling.expect("the layout counted one sibling for each level");
            node = if sibling_is_left {
                sha256(&[&number, &sibling.0, &node.0])
            } else {
                sha256(&[&number, &node.0, &sibling.0])
            };
            if height == GRAFT_HEIGHT {
                node = sha256(&[chunk, &node.0]);
            }
        }
        node
    }
}

/// Root of the log with its bitmap grafted in, for `operation` under `chunk`, which has the operation's bit set.
pub(super) fn grafted_root(
    mountain: &Mountain,
    layout: &Layout<'_>,
    operation: &[u8],
    chunk: &[u8; 32],
) -> Result<Digest, StateProofError> {
    let mut peaks = Vec::with_capacity(mountain.before + mountain.behind + 1);
    peaks.extend(layout.folded_before.copied());
    peaks.extend_from_slice(layout.before);
    peaks.push(mountain.peak(layout, operation, chunk));
    peaks.extend_from_slice(layout.behind);
    peaks.extend(layout.folded_behind.copied());

    // The inactive peaks fold from the oldest on; those before the operation's peak came folded into one.
    let inactive = mountain.inactive_peaks - mountain.inactive_before().saturating_sub(1);
    let (old, new) =
        peaks.split_at_checked(inactive.max(1)).ok_or(StateProofError::Peaks(mountain.inactive_peaks as u8))?;
    let fold = |left: Digest, right: &Digest| sha256(&[&left.0, &right.0]);
    let mut root = old[1..].iter().fold(old[0], fold);
    let newest_first = new.iter().rev().copied().reduce(|behind, peak| sha256(&[&peak.0, &behind.0]));
    if let Some(new) = newest_first {
        root = fold(root, &new);
    }
    let leaves = mountain.leaves.to_be_bytes();
    Ok(if mountain.inactive_peaks == 0 {
        sha256(&[&ROOT_TAG, &leaves, &root.0])
    } else {
        sha256(&[&ROOT_TAG, &leaves, &(mountain.inactive_peaks as u64).to_be_bytes(), &root.0])
    })
}

/// Number of the leaf that holds operation `location`.
fn leaf_number(location: u64) -> u64 {
    2 * location - u64::from(location.count_ones())
}

/// Number of the root of the perfect tree of `height` whose first operation is `start`.
fn node_number(start: u64, height: u32) -> u64 {
    leaf_number(start) + (1 << (height + 1)) - 2
}
