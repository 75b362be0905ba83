//! State at an older height: the newest value, taken back by the old values that later blocks left behind.
//!
//! Invariant: a value read at a height is the value behind that height's block, also while the tree moves on: the tree
//! says at which height it read, and only write sets up to that height are undone. The newest write sets come from
//! memory, since the block store may not hold them yet.

use freehold_ledger::{StateError, StateTree, Write};
use freehold_primitives::{Digest, Height};
use thiserror::Error;

use super::{
    blocks::{BlockStore, BlockStoreError, HISTORY_WINDOW},
    tree::{TreeError, TreeReader},
};

/// Why old state could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OldStateError {
    /// Too old, or not executed yet.
    #[error("state at height {0} is not kept: the newest {HISTORY_WINDOW} executed blocks are")]
    NotKept(Height),
    /// Old state can neither change, nor be proven, nor be walked through.
    #[error("state at an older height can only be read")]
    ReadOnly,
    /// The state tree failed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The block store failed.
    #[error(transparent)]
    Blocks(#[from] BlockStoreError),
}

/// The state behind one executed block. It stays readable while the block is one of the newest [`HISTORY_WINDOW`].
#[derive(Clone)]
pub struct OldState {
    reader: TreeReader,
    blocks: BlockStore,
    height: Height,
    root: Digest,
}

impl OldState {
    /// The state behind block `height`.
    ///
    /// # Errors
    /// [`OldStateError::NotKept`]; [`OldStateError::Blocks`].
    pub fn new(reader: TreeReader, blocks: BlockStore, height: Height) -> Result<Self, OldStateError> {
        if !blocks.holds_state(height) {
            return Err(OldStateError::NotKept(height));
        }
        let header = blocks.header(height)?.ok_or(OldStateError::NotKept(height))?;
        Ok(Self { reader, blocks, height, root: Digest(header.state_root.0) })
    }

    /// The value that `key` had behind the block.
    ///
    /// # Errors
    /// Any [`OldStateError`].
    pub fn value(&self, key: &Digest) -> Result<Option<Vec<u8>>, OldStateError> {
        let (newest, value) = self.reader.get_with_height(key)?;
        let newest = newest.ok_or(OldStateError::NotKept(self.height))?;
        let from = self.height + 1;
        // Sets leave memory only long after the block store holds them, so memory is asked first.
        let (remembered, recent) = self.reader.first_change(key, from, newest);
        let stored = self.blocks.value_before(key, from..=newest.min(remembered - 1))?;
        if !self.blocks.holds_state(self.height) {
            return Err(OldStateError::NotKept(self.height));
        }
        Ok(stored.or(recent).unwrap_or(value))
    }
}

impl StateTree for OldState {
    fn get(&self, key: &Digest) -> Result<Option<Vec<u8>>, StateError> {
        self.value(key).map_err(store_error)
    }

    fn apply(&mut self, _: Height, _: &[Write]) -> Result<Digest, StateError> {
        Err(store_error(OldStateError::ReadOnly))
    }

    fn prove(&self, _: &Digest) -> Result<Vec<u8>, StateError> {
        Err(store_error(OldStateError::ReadOnly))
    }

    fn leaves(&self, _: &Digest, _: usize) -> Result<Vec<(Digest, Vec<u8>)>, StateError> {
        Err(store_error(OldStateError::ReadOnly))
    }

    fn root(&self) -> Digest {
        self.root
    }

    fn height(&self) -> Option<Height> {
        Some(self.height)
    }
}

fn store_error(error: OldStateError) -> StateError {
    StateError::Store(Box::new(error))
}
