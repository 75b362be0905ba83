//! Failures of the block store.

use std::path::PathBuf;

use freehold_primitives::{Digest, Height};
use thiserror::Error;

use super::logs::{LOG_BLOCKS_MAX, LOGS_MAX};

/// What helps a validator whose stores are damaged.
pub(crate) const MEND: &str = "move blocks.redb, state and consensus out of this validator's folder and start again: it \
     fetches its blocks from the other validators; a network of one validator starts anew, with another --data-dir";

/// Why the block store could not be opened, read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BlockStoreError {
    /// Another process has the store open.
    #[error("{path} is in use: another node runs on this folder. Stop it, or give this one a folder of its own")]
    InUse {
        /// The store's file.
        path: PathBuf,
    },
    /// The file is damaged.
    #[error("{path} is damaged ({source}): {MEND}")]
    Damaged {
        /// The store's file.
        path: PathBuf,
        /// What was found.
        #[source]
        source: Box<redb::Error>,
    },
    /// A record cannot be read back.
    #[error("{path} is damaged (record {record} at height {height}): {MEND}")]
    Record {
        /// The store's file.
        path: PathBuf,
        /// Kind of the record.
        record: &'static str,
        /// Its height.
        height: Height,
    },
    /// The disk refused.
    #[error("{path} could not be read or written: {source}. Check the free space and the rights of the folder")]
    Disk {
        /// The store's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<redb::Error>,
    },
    /// The store belongs to another chain or was written by another version.
    #[error(
        "{path} holds the blocks of another chain or of another version of this program. Give this chain a folder of \
         its own, or move the old one away"
    )]
    Identity {
        /// The store's file.
        path: PathBuf,
    },
    /// A block or payload is not the next one.
    #[error("height {found} cannot be stored: the next one is {expected}")]
    Gap {
        /// Next height.
        expected: Height,
        /// Height that was given.
        found: Height,
    },
    /// Executing a block again gave another result.
    #[error(
        "executing block {height} again gave {found}, but {stored} is stored: this machine or this build computes \
         differently. The node must not go on; check that the program was not replaced while its store was open"
    )]
    Diverged {
        /// Its height.
        height: Height,
        /// Hash that is stored.
        stored: Digest,
        /// Hash that was computed.
        found: Digest,
    },
    /// Another payload is stored at this height.
    #[error("payload {height} is stored already, with another digest")]
    OtherPayload {
        /// Its height.
        height: Height,
    },
    /// A block's transactions are not, in order, transactions of its payload.
    #[error("block {height} has a transaction that its payload does not have")]
    NotInPayload {
        /// Its height.
        height: Height,
    },
    /// A block's write set is of another height or root.
    #[error("the write set given with block {height} is not its own")]
    OtherWrites {
        /// The block's height.
        height: Height,
    },
    /// The block's body is older than what this node keeps.
    #[error(
        "the transactions of block {height} are pruned here: this node keeps them from block {oldest} on; ask an archive node"
    )]
    Pruned {
        /// The block's height.
        height: Height,
        /// First height whose body is here.
        oldest: Height,
    },
    /// A log query covers too many blocks.
    #[error("a log query over {0} blocks is above the bound of {LOG_BLOCKS_MAX}: ask for a smaller range")]
    LogBlocks(u64),
    /// A log query finds too many logs.
    #[error("a log query finds more than {LOGS_MAX} logs: ask for a smaller range")]
    Logs,
}

impl BlockStoreError {
    /// Whether the store itself is damaged, so that a fresh one is the way out.
    pub(crate) const fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Record { .. } | Self::Diverged { .. } | Self::Gap { .. })
    }

    /// The error for `source` at `path`, told apart by what to do about it.
    pub(super) fn of(path: &std::path::Path, source: redb::Error) -> Self {
        let path = path.to_path_buf();
        match source {
            redb::Error::DatabaseAlreadyOpen => Self::InUse { path },
            redb::Error::Corrupted(_)
            | redb::Error::UpgradeRequired(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableDoesNotExist(_) => Self::Damaged { path, source: Box::new(source) },
            redb::Error::Io(ref io) if io.kind() == std::io::ErrorKind::InvalidData => {
                Self::Damaged { path, source: Box::new(source) }
            }
            source => Self::Disk { path, source: Box::new(source) },
        }
    }
}
