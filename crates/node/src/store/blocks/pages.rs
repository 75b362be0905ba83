//! What other nodes take from this store (`spec/sync.md`): blocks with what a follower needs, and pages of content.

use alloy_consensus::Header;
use freehold_primitives::{Certificate, Digest, Height, Payload};

use super::{BLOCKS, BlockRecord, BlockStore, BlockStoreError, CONTENT, PayloadRow, TransactionRow};

/// One block for a follower.
pub(crate) struct SyncRow {
    pub(crate) payload: PayloadRow,
    pub(crate) header: Header,
    /// Positions in the payload of transactions that are not in the block.
    pub(crate) left_out: Vec<u32>,
    pub(crate) receipts: Vec<TransactionRow>,
}

/// A page of content: pieces in the order of their digests, and where the next page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContentPage {
    pub(crate) pieces: Vec<(Digest, Vec<u8>)>,
    pub(crate) next: Option<Digest>,
}

impl BlockStore {
    /// The block at `height`, for a follower; `None` where no block is.
    ///
    /// # Errors
    /// [`BlockStoreError::Pruned`]; any error of reading.
    pub(crate) fn sync_row(&self, height: Height) -> Result<Option<SyncRow>, BlockStoreError> {
        let Some(block) = self.record::<BlockRecord>(BLOCKS, height, "block")? else { return Ok(None) };
        let header = block.header().ok_or_else(|| self.damaged("header", height))?;
        let Some(payload) = self.payload(height)? else {
            let oldest = self.oldest_body()?.unwrap_or(height + 1);
            return Err(BlockStoreError::Pruned { height, oldest });
        };
        let receipts = self.receipts(height)?;
        self.whole(&header, &receipts)?;
        Ok(Some(SyncRow { payload, header, left_out: block.left_out, receipts }))
    }

    /// The first payload with its own certificate that names the block at `height` or a later one, and the payloads from
    /// `height + 1` up to it, at most `payloads_max`; `None` where there is none, or more stand in between.
    ///
    /// # Errors
    /// Any error of reading.
    pub(crate) fn cover(
        &self,
        height: Height,
        payloads_max: u64,
    ) -> Result<Option<(Vec<Payload>, Certificate)>, BlockStoreError> {
        let Some((at, record)) = self.covering(height)? else { return Ok(None) };
        if at - height > payloads_max {
            return Ok(None);
        }
        let mut payloads = Vec::new();
        for above in height + 1..=at {
            let Some(row) = self.payload(above)? else { return Err(self.damaged("payload", above)) };
            payloads.push(row.payload);
        }
        Ok(Some((payloads, record.certificate)))
    }

    /// Content from the digest `from` on, up to `bytes_max` and one piece at least.
    ///
    /// # Errors
    /// Any error of reading.
    pub(crate) fn content_page(&self, from: &Digest, bytes_max: usize) -> Result<ContentPage, BlockStoreError> {
        let txn = self.begin()?;
        let table = txn.open_table(CONTENT).map_err(|error| self.failed(error))?;
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        for entry in table.range(from.0..).map_err(|error| self.failed(error))? {
            let (digest, piece) = entry.map_err(|error| self.failed(error))?;
            let (digest, piece) = (Digest(digest.value()), piece.value());
            bytes += piece.len();
            if bytes > bytes_max && !pieces.is_empty() {
                return Ok(ContentPage { pieces, next: Some(digest) });
            }
            pieces.push((digest, piece.to_vec()));
        }
        Ok(ContentPage { pieces, next: None })
    }
}
