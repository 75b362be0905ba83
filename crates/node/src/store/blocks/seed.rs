//! Seeding a store from a synced state (`spec/sync.md` §3): the newest headers instead of all blocks, and content by digest.
//!
//! Invariant: only an empty store is seeded, in one durable transaction, after everything that belongs to it is there. Not
//! here: any check of what comes; `sync` has made it.

use std::sync::{PoisonError, atomic::Ordering};

use alloy_consensus::Header;
use freehold_primitives::Digest;
use redb::{Durability, ReadableTable as _, ReadableTableMetadata as _};

use super::{
    BLOCKS, BlockRecord, BlockStore, BlockStoreError, CONTENT, ExecutedMark, IDENTITY, INDEX, SEEDED_ROW, encode,
};

/// Digests of missing content that are remembered.
const MISSED_MAX: usize = 1_024;

impl BlockStore {
    /// Makes an empty store one whose newest block is the last of `headers`, which lead up to it without a gap; the state
    /// tree behind that block has `tree_operations` operations.
    ///
    /// # Errors
    /// [`BlockStoreError::Gap`] where the store is not empty or there are no headers; any error of writing.
    pub(crate) fn seed(&self, headers: &[(Digest, Header)], tree_operations: u64) -> Result<(), BlockStoreError> {
        let executed = self.executed().map(|mark| mark.height);
        let (None, Some((block_hash, newest))) = (executed, headers.last()) else {
            return Err(BlockStoreError::Gap { expected: executed.map_or(0, |height| height + 1), found: 0 });
        };
        let height = newest.number;
        self.write(Durability::Immediate, |txn| {
            let (mut blocks, mut index) = (txn.open_table(BLOCKS)?, txn.open_table(INDEX)?);
            for (hash, header) in headers {
                let record = BlockRecord::bare(*hash, tree_operations, header);
                blocks.insert(header.number, encode(&record).as_slice())?;
                index.insert(hash.0, header.number)?;
            }
            txn.open_table(IDENTITY)?.insert(SEEDED_ROW, height.to_be_bytes().as_slice())?;
            Ok(())
        })?;
        self.0.seeded.store(height, Ordering::Relaxed);
        let mark =
            ExecutedMark { height, block_hash: *block_hash, state_root: Digest(newest.state_root.0), tree_operations };
        *self.0.executed.lock().unwrap_or_else(PoisonError::into_inner) = Some(mark);
        Ok(())
    }

    /// Keeps content under its digests, durably. The caller has checked that they fit.
    ///
    /// # Errors
    /// Any error of writing.
    pub(crate) fn store_content(&self, content: &[(Digest, Vec<u8>)]) -> Result<(), BlockStoreError> {
        self.write(Durability::Immediate, |txn| {
            let mut table = txn.open_table(CONTENT)?;
            for (digest, bytes) in content {
                table.insert(digest.0, bytes.as_slice())?;
            }
            Ok(())
        })?;
        let mut missed = self.0.missed.lock().unwrap_or_else(PoisonError::into_inner);
        for (digest, _) in content {
            missed.remove(digest);
        }
        Ok(())
    }

    /// Drops all content, for a state other than the one that it came with.
    ///
    /// # Errors
    /// Any error of writing.
    pub(crate) fn clear_content(&self) -> Result<(), BlockStoreError> {
        self.write(Durability::Immediate, |txn| Ok(txn.open_table(CONTENT)?.retain(|_, _| false)?))
    }

    /// Remembers content that execution or a call looked for in vain.
    pub(super) fn miss(&self, digest: &Digest) {
        let mut missed = self.0.missed.lock().unwrap_or_else(PoisonError::into_inner);
        if missed.len() < MISSED_MAX {
            missed.insert(*digest);
        }
    }

    /// Content that was looked for in vain, since this was asked before.
    pub(crate) fn take_missed(&self) -> Vec<Digest> {
        std::mem::take(&mut *self.0.missed.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }

    /// The last digest under which content is kept.
    ///
    /// # Errors
    /// Any error of reading.
    pub(crate) fn last_content(&self) -> Result<Option<Digest>, BlockStoreError> {
        let txn = self.begin()?;
        let table = txn.open_table(CONTENT).map_err(|error| self.failed(error))?;
        Ok(table.last().map_err(|error| self.failed(error))?.map(|(digest, _)| Digest(digest.value())))
    }

    /// Pieces of content.
    ///
    /// # Errors
    /// Any error of reading.
    pub(crate) fn content_count(&self) -> Result<u64, BlockStoreError> {
        let txn = self.begin()?;
        let table = txn.open_table(CONTENT).map_err(|error| self.failed(error))?;
        table.len().map_err(|error| self.failed(error))
    }
}
