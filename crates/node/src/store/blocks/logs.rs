//! Event logs by address and topic: a scan over the blooms of a bounded range of headers.

use alloy_consensus::Header;
use alloy_primitives::{Bloom, BloomInput, Log};
use freehold_primitives::{Account, Digest, Height, UnixSeconds};

use super::{BlockStore, BlockStoreError};

/// Most blocks that a log query may cover.
pub const LOG_BLOCKS_MAX: u64 = 10_000;
/// Most logs that a log query may find.
pub const LOGS_MAX: usize = 10_000;

/// Which logs are asked for. An empty list matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogQuery {
    /// First height.
    pub from: Height,
    /// Last height; heights that are not executed yet hold nothing.
    pub to: Height,
    /// One of these contracts.
    pub addresses: Vec<Account>,
    /// At each place, one of these topics.
    pub topics: [Vec<Digest>; 4],
}

/// A log and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundLog {
    /// Height of the block.
    pub height: Height,
    /// Its hash.
    pub block_hash: Digest,
    /// Header time.
    pub time_unix_s: UnixSeconds,
    /// Hash of the transaction.
    pub tx_hash: Digest,
    /// Position of the transaction in the block, from 0.
    pub tx_index: u32,
    /// Position of the log in the block, from 0.
    pub log_index: u32,
    /// The log.
    pub log: Log,
}

impl LogQuery {
    fn may_match(&self, bloom: &Bloom) -> bool {
        let holds = |bytes: &[u8]| bloom.contains_input(BloomInput::Raw(bytes));
        let address = self.addresses.is_empty() || self.addresses.iter().any(|address| holds(&address.0));
        address && self.topics.iter().all(|any| any.is_empty() || any.iter().any(|topic| holds(&topic.0)))
    }

    fn matches(&self, log: &Log) -> bool {
        let address = self.addresses.is_empty() || self.addresses.contains(&Account(log.address.into_array()));
        address
            && self.topics.iter().enumerate().all(|(at, any)| {
                any.is_empty() || log.topics().get(at).is_some_and(|topic| any.contains(&Digest(topic.0)))
            })
    }
}

impl BlockStore {
    /// The logs that `query` asks for, in order.
    ///
    /// # Errors
    /// [`BlockStoreError::LogBlocks`], [`BlockStoreError::Logs`], [`BlockStoreError::Pruned`]; any error of reading.
    pub fn logs(&self, query: &LogQuery) -> Result<Vec<FoundLog>, BlockStoreError> {
        let newest = self.executed().map_or(0, |mark| mark.height);
        let Some(blocks) = query.to.min(newest).checked_sub(query.from) else { return Ok(Vec::new()) };
        if blocks >= LOG_BLOCKS_MAX {
            return Err(BlockStoreError::LogBlocks(blocks + 1));
        }
        let mut found = Vec::new();
        for height in query.from..=query.from + blocks {
            let Some((hash, header)) = self.block(height)? else { break };
            if query.may_match(&header.logs_bloom) {
                self.logs_of_block(query, hash, &header, &mut found)?;
            }
            if found.len() > LOGS_MAX {
                return Err(BlockStoreError::Logs);
            }
        }
        Ok(found)
    }

    fn logs_of_block(
        &self,
        query: &LogQuery,
        block_hash: Digest,
        header: &Header,
        found: &mut Vec<FoundLog>,
    ) -> Result<(), BlockStoreError> {
        let rows = self.receipts(header.number)?;
        self.whole(header, &rows)?;
        let mut log_index = 0;
        for (tx_index, row) in (0..).zip(rows) {
            for log in row.receipt.logs() {
                if query.matches(log) {
                    found.push(FoundLog {
                        height: header.number,
                        block_hash,
                        time_unix_s: header.timestamp,
                        tx_hash: row.hash,
                        tx_index,
                        log_index,
                        log: log.clone(),
                    });
                }
                log_index += 1;
            }
        }
        Ok(())
    }
}
