//! Reading the block store.

use alloy_consensus::{EMPTY_ROOT_HASH, Header};
use freehold_ledger::{BlockHashes, Content};
use freehold_primitives::{BlockMoment, Canonical, Certificate, Digest, EXECUTED_LAG_MAX, Height, PayloadHead};
use redb::{ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition};

use super::{
    BLOCKS, BlockRecord, BlockStore, BlockStoreError, CERTIFICATES, CONTENT, CertificateRecord, ExecutedMark, HISTORY,
    INDEX, PAYLOADS, POSITION_BITS, PayloadRecord, PayloadRow, RECEIPTS, ReceiptRecord, TransactionPlace,
    TransactionRow, body, decode, history_key,
};

/// Certificates looked at in search of the one that covers a block.
pub const FINALITY_SEARCH_MAX: usize = 4_096;

/// What proves a block: a certified payload that names it or a block above it, and the headers from it to there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finality {
    /// Head of the payload.
    pub head: PayloadHead,
    /// Its certificate.
    pub certificate: Certificate,
    /// Headers from the block to the one that the payload names.
    pub headers: Vec<Header>,
}

impl BlockStore {
    /// The payload at `height`.
    ///
    /// # Errors
    /// Any error of reading.
    pub fn payload(&self, height: Height) -> Result<Option<PayloadRow>, BlockStoreError> {
        let Some(PayloadRecord { payload, seed }) = self.record(PAYLOADS, height, "payload")? else { return Ok(None) };
        Ok(Some(PayloadRow { payload, seed, certificate: self.certificate(height)? }))
    }

    /// Height of the payload with this digest.
    ///
    /// # Errors
    /// Any error of reading.
    pub fn payload_height(&self, digest: &Digest) -> Result<Option<Height>, BlockStoreError> {
        self.place(digest)
    }

    /// The header at `height`.
    ///
    /// # Errors
    /// Any error of reading.
    pub fn header(&self, height: Height) -> Result<Option<Header>, BlockStoreError> {
        Ok(self.block(height)?.map(|(_, header)| header))
    }

    /// Hash and header at `height`.
    ///
    /// # Errors
    /// Any error of reading.
    pub fn block(&self, height: Height) -> Result<Option<(Digest, Header)>, BlockStoreError> {
        let Some(record) = self.record::<BlockRecord>(BLOCKS, height, "block")? else { return Ok(None) };
        let header = record.header().ok_or_else(|| self.damaged("header", height))?;
        Ok(Some((record.hash, header)))
    }

    /// Hash of the block at `height`.
    ///
    /// # Errors
    /// Any error of reading.
    pub fn block_hash(&self, height: Height) -> Result<Option<Digest>, BlockStoreError> {
        Ok(self.record::<BlockRecord>(BLOCKS, height, "block")?.map(|record| record.hash))
    }

    /// Height of the block with this hash.
    ///
    /// # Errors
    /// Any error of reading.
    pub fn block_height(&self, hash: &Digest) -> Result<Option<Height>, BlockStoreError> {
        self.place(hash)
    }

    /// Executed transactions of the block at `height`, with their receipts; `None` where no block is.
    ///
    /// # Errors
    /// Any error of reading.
    pub fn transactions(&self, height: Height) -> Result<Option<Vec<TransactionRow>>, BlockStoreError> {
        let Some(block) = self.record::<BlockRecord>(BLOCKS, height, "block")? else { return Ok(None) };
        let mut rows = self.receipts(height)?;
        let header = block.header().ok_or_else(|| self.damaged("header", height))?;
        self.whole(&header, &rows)?;
        if rows.is_empty() {
            return Ok(Some(rows));
        }
        let damaged = || self.damaged("payload", height);
        let payload = self.payload(height)?.ok_or_else(damaged)?;
        let raw = body(&payload.payload).ok_or_else(damaged)?;
        let mut left_out = block.left_out.iter().peekable();
        let mut executed = (0..).zip(raw).filter(|(at, _)| left_out.next_if_eq(&at).is_none());
        for row in &mut rows {
            row.raw = executed.next().ok_or_else(damaged)?.1;
        }
        Ok(Some(rows))
    }

    /// Refuses to pass a block whose body is pruned off as one without transactions.
    pub(super) fn whole(&self, header: &Header, rows: &[TransactionRow]) -> Result<(), BlockStoreError> {
        let height = header.number;
        if !rows.is_empty() || header.transactions_root == EMPTY_ROOT_HASH {
            return Ok(());
        }
        let oldest = self.oldest_body()?.filter(|oldest| height < *oldest);
        Err(oldest
            .map_or_else(|| self.damaged("receipts", height), |oldest| BlockStoreError::Pruned { height, oldest }))
    }

    /// Receipts of the block at `height`, without the transactions' raw bytes: those stand in the payload.
    ///
    /// # Errors
    /// Any error of reading.
    pub fn receipts(&self, height: Height) -> Result<Vec<TransactionRow>, BlockStoreError> {
        let records = self.record::<Vec<ReceiptRecord>>(RECEIPTS, height, "receipts")?;
        Ok(records.unwrap_or_default().into_iter().map(|record| record.0).collect())
    }

    /// Where the transaction with this hash stands.
    ///
    /// # Errors
    /// Any error of reading.
    pub fn transaction_place(&self, hash: &Digest) -> Result<Option<TransactionPlace>, BlockStoreError> {
        let Some(place) = self.place(hash)? else { return Ok(None) };
        let index = place & ((1 << POSITION_BITS) - 1);
        Ok(Some(TransactionPlace { height: place >> POSITION_BITS, index: index as u32 }))
    }

    /// The certificate of the payload at `height`.
    ///
    /// # Errors
    /// Any error of reading.
    pub fn certificate(&self, height: Height) -> Result<Option<Certificate>, BlockStoreError> {
        let record = self.record::<CertificateRecord>(CERTIFICATES, height, "certificate")?;
        Ok(record.map(|record| record.certificate))
    }

    /// The newest certificate and the height of its payload.
    ///
    /// # Errors
    /// Any error of reading.
    pub fn newest_certified(&self) -> Result<Option<(Height, Certificate)>, BlockStoreError> {
        Ok(self.newest_certificate()?.map(|(height, record)| (height, record.certificate)))
    }

    /// The newest executed block that a certificate covers.
    ///
    /// # Errors
    /// Any error of reading.
    pub fn finalized(&self) -> Result<Option<Height>, BlockStoreError> {
        let executed = self.executed().map_or(0, |mark| mark.height);
        Ok(self.newest_certificate()?.map(|(_, record)| record.executed.min(executed)))
    }

    /// What proves the block at `height`: the first payload with its own certificate that names this block or a later
    /// one. `None` while there is none, and where that payload's block is more than 16 above this one, since proofs carry
    /// at most 17 headers: it happens only where execution lagged behind agreement.
    ///
    /// # Errors
    /// Any error of reading.
    pub fn finality(&self, height: Height) -> Result<Option<Finality>, BlockStoreError> {
        let Some((at, record)) = self.covering(height)? else { return Ok(None) };
        let Some(row) = self.payload(at)? else { return Err(self.damaged("payload", at)) };
        if record.executed - height > EXECUTED_LAG_MAX {
            return Ok(None);
        }
        let mut headers = Vec::new();
        for height in height..=record.executed {
            let Some(header) = self.header(height)? else { return Ok(None) };
            headers.push(header);
        }
        Ok(Some(Finality { head: row.payload.head, certificate: record.certificate, headers }))
    }

    pub(super) fn covering(&self, height: Height) -> Result<Option<(Height, CertificateRecord)>, BlockStoreError> {
        let txn = self.begin()?;
        let table = txn.open_table(CERTIFICATES).map_err(|error| self.failed(error))?;
        let range = table.range(height + 1..).map_err(|error| self.failed(error))?;
        for entry in range.take(FINALITY_SEARCH_MAX) {
            let (at, bytes) = entry.map_err(|error| self.failed(error))?;
            let at = at.value();
            let record: CertificateRecord = decode(bytes.value()).ok_or_else(|| self.damaged("certificate", at))?;
            if record.executed >= height {
                return Ok(Some((at, record)));
            }
        }
        Ok(None)
    }

    /// Content by digest: contract code by keccak-256, everything else by content digest.
    ///
    /// # Errors
    /// Any error of reading.
    pub fn content(&self, digest: &Digest) -> Result<Option<Vec<u8>>, BlockStoreError> {
        let txn = self.begin()?;
        let table = txn.open_table(CONTENT).map_err(|error| self.failed(error))?;
        let value = table.get(digest.0).map_err(|error| self.failed(error))?;
        Ok(value.map(|value| value.value().to_vec()))
    }

    /// The value that `key` had before the first of `heights` that changed it: `None` when none of them did.
    ///
    /// # Errors
    /// Any error of reading.
    pub(in crate::store) fn value_before(
        &self,
        key: &Digest,
        heights: std::ops::RangeInclusive<Height>,
    ) -> Result<Option<Option<Vec<u8>>>, BlockStoreError> {
        let txn = self.begin()?;
        if self.archive_from().is_some() {
            return self.archived_before(&txn, key, &heights);
        }
        let table = txn.open_table(HISTORY).map_err(|error| self.failed(error))?;
        for height in heights {
            if let Some(old) = table.get(history_key(height, key)).map_err(|error| self.failed(error))? {
                return Ok(Some(old.value().split_first().map(|(_, value)| value.to_vec())));
            }
        }
        Ok(None)
    }

    /// Whether state at `height` can still be read.
    pub fn holds_state(&self, height: Height) -> bool {
        self.executed().is_some_and(|mark| (self.oldest_state(mark.height)..=mark.height).contains(&height))
    }

    /// First height whose payload and receipts are here; in a store that was seeded and has none yet, the next one; `None`
    /// while there is no payload.
    ///
    /// # Errors
    /// Any error of reading.
    pub fn oldest_body(&self) -> Result<Option<Height>, BlockStoreError> {
        let txn = self.begin()?;
        let table = txn.open_table(PAYLOADS).map_err(|error| self.failed(error))?;
        let first = table.first().map_err(|error| self.failed(error))?.map(|(height, _)| height.value());
        Ok(first.or_else(|| Some(self.seeded() + 1).filter(|next| *next > 1)))
    }

    /// Height of the newest stored payload.
    pub(crate) fn newest_payload(&self) -> Result<Option<Height>, BlockStoreError> {
        let txn = self.begin()?;
        let table = txn.open_table(PAYLOADS).map_err(|error| self.failed(error))?;
        Ok(table.last().map_err(|error| self.failed(error))?.map(|(height, _)| height.value()))
    }

    pub(super) fn read_executed(&self) -> Result<Option<ExecutedMark>, BlockStoreError> {
        let Some((height, record)) = self.last::<BlockRecord>(BLOCKS, "block")? else { return Ok(None) };
        let header = record.header().ok_or_else(|| self.damaged("header", height))?;
        Ok(Some(ExecutedMark {
            height,
            block_hash: record.hash,
            state_root: Digest(header.state_root.0),
            tree_operations: record.tree_operations,
        }))
    }

    pub(super) fn place(&self, hash: &Digest) -> Result<Option<u64>, BlockStoreError> {
        let txn = self.begin()?;
        let table = txn.open_table(INDEX).map_err(|error| self.failed(error))?;
        Ok(table.get(hash.0).map_err(|error| self.failed(error))?.map(|place| place.value()))
    }

    fn newest_certificate(&self) -> Result<Option<(Height, CertificateRecord)>, BlockStoreError> {
        self.last(CERTIFICATES, "certificate")
    }

    pub(super) fn record<T: Canonical>(
        &self,
        table: TableDefinition<'_, u64, &'static [u8]>,
        height: Height,
        name: &'static str,
    ) -> Result<Option<T>, BlockStoreError> {
        let txn = self.begin()?;
        let table = txn.open_table(table).map_err(|error| self.failed(error))?;
        let Some(bytes) = table.get(height).map_err(|error| self.failed(error))? else { return Ok(None) };
        decode(bytes.value()).map(Some).ok_or_else(|| self.damaged(name, height))
    }

    fn last<T: Canonical>(
        &self,
        table: TableDefinition<'_, u64, &'static [u8]>,
        name: &'static str,
    ) -> Result<Option<(Height, T)>, BlockStoreError> {
        let txn = self.begin()?;
        let table = txn.open_table(table).map_err(|error| self.failed(error))?;
        let Some((height, bytes)) = table.last().map_err(|error| self.failed(error))? else { return Ok(None) };
        let height = height.value();
        let record = decode(bytes.value()).ok_or_else(|| self.damaged(name, height))?;
        Ok(Some((height, record)))
    }

    pub(super) fn begin(&self) -> Result<ReadTransaction, BlockStoreError> {
        self.0.db.begin_read().map_err(|error| self.failed(error))
    }

    pub(super) fn failed(&self, error: impl Into<redb::Error>) -> BlockStoreError {
        BlockStoreError::of(&self.0.path, error.into())
    }
}

/// What the executor reads; a store that cannot be read is logged and has nothing, so that execution stops.
impl Content for BlockStore {
    fn get(&self, digest: &Digest) -> Option<Vec<u8>> {
        let found = logged(self.content(digest));
        if found.is_none() {
            self.miss(digest);
        }
        found
    }
}

/// See [`Content`].
impl BlockHashes for BlockStore {
    fn header(&self, height: Height) -> Option<Header> {
        logged(Self::header(self, height))
    }

    fn moment(&self, height: Height) -> Option<BlockMoment> {
        let (block_hash, header) = logged(self.block(height))?;
        Some(BlockMoment { height, block_hash, time_unix_s: header.timestamp })
    }
}

fn logged<T>(read: Result<Option<T>, BlockStoreError>) -> Option<T> {
    read.unwrap_or_else(|error| {
        tracing::error!(%error, "the block store could not be read");
        None
    })
}
