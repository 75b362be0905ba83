//! A validator's stores: the authenticated state tree (QMDB) and the block store (redb), and how they stay one.
//!
//! # Order
//!
//! For each finalised payload, in order of height:
//! 1. [`BlockStore::store_payload`]: the payload and its seed. `Durable::Now` where consensus is told before execution,
//!    else `Durable::WithBlock`, and consensus is told after step 3.
//! 2. Execution, which ends in `StateTree::apply`. The tree changes in memory; its log may reach the disk at any time.
//! 3. [`BlockStore::store_block`]: header, receipts, content, old values and the length of the tree's log, in one
//!    durable transaction. From here on the block is executed; its receipts may be shown.
//! 4. [`QmdbTree::persist`]: the tree may become durable, and drop what it no longer needs.
//!
//! # Recovery
//!
//! The block store is the one truth about what is executed. The tree opens at the newest of its commits that is not
//! ahead of the log length which the block store recorded: a crash between 2 and 3 leaves a commit in the tree's log that
//! the block store does not know, and opening drops it. The tree may be behind, by at most 16 blocks and those not yet
//! durable: the node executes them again from stored payloads, and [`BlockStore::store_block`] compares each result with
//! the stored one. A payload that was stored but not executed is executed; one that was lost before it was durable is
//! delivered again by consensus, which was not told. So [`Recovery::redo`] names everything there is to do.
//! Dropping dead parts of the tree's log happens only in step 4, so the commit that the block store names can always be
//! opened.

mod blocks;
mod engine;
mod history;
mod leaf;
mod proof;
mod shared;
#[cfg(test)]
mod tests;
mod transfer;
mod tree;

pub use blocks::{
    BODIES_MIN, BlockRow, BlockStore, BlockStoreError, Durable, ExecutedMark, FINALITY_SEARCH_MAX, Finality, FoundLog,
    HISTORY_WINDOW, LOG_BLOCKS_MAX, LOGS_MAX, LogQuery, PayloadRow, Recovery, StoreIdentity, TransactionPlace,
    TransactionRow,
};
pub(crate) use blocks::{MEND, StoredWrites, SyncRow};
pub use history::{OldState, OldStateError};
pub use shared::{Change, WriteSet};
pub(crate) use transfer::{
    AnswerCheck, OPERATIONS_MAX, OperationSource, OperationsRequest, Received, TransferError, TransferTarget, receive,
};
pub use tree::{PROOF_KEYS_MAX, Proofs, QmdbTree, TreeError, TreeReader};

use std::path::Path;

/// Bytes of all files below a directory; what cannot be read counts as none.
pub(crate) fn bytes_below(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}
