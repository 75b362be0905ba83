//! The block store: payloads, blocks, receipts, certificates, content and old values, in one redb file per validator.
//!
//! Invariant: a block is there whole or not at all. [`BlockStore::store_block`] is one durable transaction, the only
//! disk write on the way from a transaction to its receipt; payloads and certificates may ride with it. Heights have no
//! gaps: blocks 0..=executed, payloads up to the newest. Records are packed so that an empty block costs little.
//! Not here: the state tree (`tree.rs`), and any judgement about what is stored.

mod archive;
mod error;
mod logs;
mod pack;
mod pages;
mod prune;
mod read;
mod rows;
mod seed;
mod successions;
#[cfg(test)]
mod tests;
mod writes;

pub use error::BlockStoreError;
pub(crate) use error::MEND;
pub use logs::{FoundLog, LOG_BLOCKS_MAX, LOGS_MAX, LogQuery};
pub(crate) use pages::SyncRow;
pub use prune::BODIES_MIN;
pub use read::{FINALITY_SEARCH_MAX, Finality};
pub use rows::{BlockRow, ExecutedMark, PayloadRow, TransactionPlace, TransactionRow};
pub(crate) use writes::StoredWrites;

use std::{
    collections::BTreeSet,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use freehold_crypto::payload_digest;
use freehold_primitives::{Certificate, Digest, Height};
use redb::{Database, Durability, ReadableTable as _, TableDefinition, WriteTransaction};

use rows::{BlockRecord, CertificateRecord, PayloadRecord, ReceiptRecord, body, decode, encode, left_out};
use successions::record_of;

/// Heights below the newest block at which state can still be read.
pub const HISTORY_WINDOW: u64 = 1_024;
/// Old values are dropped in strides, so that most blocks touch only the newest end of their table.
const HISTORY_STRIDE: u64 = 64;
/// redb's own cache, in bytes.
const CACHE_BYTES: usize = 32 * 1024 * 1024;
/// Version of tables and records.
const FORMAT: u8 = 1;
/// Operations of a state tree that has applied nothing.
const FRESH_TREE_OPERATIONS: u64 = 1;

/// Height → payload and seed.
const PAYLOADS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("payloads");
/// Height → certificate.
const CERTIFICATES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("certificates");
/// Height → block.
const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");
/// Height → receipts, where there are any.
const RECEIPTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("receipts");
/// Hash of a payload, block or transaction → where it stands. The hashes of the three kinds never meet.
const INDEX: TableDefinition<'_, [u8; 32], u64> = TableDefinition::new("index");
/// Digest → content.
const CONTENT: TableDefinition<'_, [u8; 32], &[u8]> = TableDefinition::new("content");
/// Height and tree key → value before that height: empty for absent, else a byte 1 and the value.
const HISTORY: TableDefinition<'_, [u8; 40], &[u8]> = TableDefinition::new("history");
/// Height → what the block wrote, and the content it brought: what followers apply.
const WRITES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("writes");
/// Tree key and height → value before that height, as in `HISTORY`, for ever: an archive's.
const ARCHIVE: TableDefinition<'_, [u8; 40], &[u8]> = TableDefinition::new("archive");
/// Term → the record by which its network key named the next one.
const SUCCESSIONS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("successions");
/// What the store belongs to, and marks: see the constants below.
const IDENTITY: TableDefinition<'_, u8, &[u8]> = TableDefinition::new("identity");
/// Rows of `IDENTITY`: the chain; the height at which the store was seeded; the first height of an archive.
const CHAIN_ROW: u8 = 0;
const SEEDED_ROW: u8 = 1;
const ARCHIVE_ROW: u8 = 2;

/// Bits of an index entry that hold a transaction's position in its block.
const POSITION_BITS: u32 = 24;

/// The chain that a store belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreIdentity {
    /// Chain id of EIP-155.
    pub chain_id: u64,
    /// Hash of the genesis.
    pub genesis_hash: Digest,
}

/// When a write must be on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable {
    /// Before the call returns.
    Now,
    /// With the next block; a crash may lose it until then.
    WithBlock,
}

/// What the store holds after opening, and what the node must do again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// Newest executed block.
    pub executed: Option<ExecutedMark>,
    /// Where the state tree must open at the newest: [`super::QmdbTree::open`].
    pub tree_operations: u64,
    /// Newest payload.
    pub payload: Option<Height>,
}

impl Recovery {
    /// Heights to execute, in order, once the state tree has opened at `applied`: 0 is the genesis block, every other
    /// one has its payload in the store. Those up to [`Self::executed`] are repeats, whose results must be the stored
    /// ones.
    pub fn redo(&self, applied: Option<Height>) -> Range<Height> {
        let executed = self.executed.map_or(0, |mark| mark.height + 1);
        let payload = self.payload.map_or(0, |height| height + 1);
        applied.map_or(0, |height| height + 1)..executed.max(payload).max(1)
    }
}

/// The block store. Copies share one file.
#[derive(Clone)]
pub struct BlockStore(Arc<Inner>);

struct Inner {
    path: PathBuf,
    db: Database,
    executed: Mutex<Option<ExecutedMark>>,
    /// How many newest blocks keep their bodies.
    bodies: AtomicU64,
    /// Oldest height whose state was ever here: 0, or where the store was seeded.
    seeded: AtomicU64,
    /// Oldest height whose state an archive answers for; `u64::MAX` where this is none.
    archive: AtomicU64,
    /// Content that was looked for in vain.
    missed: Mutex<BTreeSet<Digest>>,
}

impl BlockStore {
    /// Opens or makes the store in the file `path`.
    ///
    /// # Errors
    /// [`BlockStoreError::InUse`], [`BlockStoreError::Damaged`], [`BlockStoreError::Identity`],
    /// [`BlockStoreError::Disk`], [`BlockStoreError::Record`].
    pub fn open(path: &Path, identity: &StoreIdentity) -> Result<Self, BlockStoreError> {
        let fail = |error: redb::Error| BlockStoreError::of(path, error);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| fail(redb::Error::Io(error)))?;
        }
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let db = builder.create(path).map_err(|error| fail(error.into()))?;
        let store = Self(Arc::new(Inner {
            path: path.to_path_buf(),
            db,
            executed: Mutex::new(None),
            bodies: AtomicU64::new(u64::MAX),
            seeded: AtomicU64::new(0),
            archive: AtomicU64::new(u64::MAX),
            missed: Mutex::default(),
        }));
        store.identify(identity)?;
        store.read_marks()?;
        let mark = store.read_executed()?;
        *store.0.executed.lock().unwrap_or_else(PoisonError::into_inner) = mark;
        Ok(store)
    }

    /// Checks whose store this is, or makes it ours when it is new.
    fn identify(&self, identity: &StoreIdentity) -> Result<(), BlockStoreError> {
        let mut ours = vec![FORMAT];
        ours.extend_from_slice(&identity.chain_id.to_be_bytes());
        ours.extend_from_slice(&identity.genesis_hash.0);
        let known = self.write(Durability::Immediate, |txn| {
            let mut table = txn.open_table(IDENTITY)?;
            let known = table.get(CHAIN_ROW)?.map(|value| value.value() == ours);
            if known.is_none() {
                table.insert(CHAIN_ROW, ours.as_slice())?;
            }
            // Every table exists from the start, so that reading never has to ask.
            for table in [PAYLOADS, CERTIFICATES, BLOCKS, RECEIPTS, WRITES, SUCCESSIONS] {
                txn.open_table(table)?;
            }
            txn.open_table(INDEX)?;
            txn.open_table(CONTENT)?;
            txn.open_table(HISTORY)?;
            txn.open_table(ARCHIVE)?;
            Ok(known)
        })?;
        if known == Some(false) {
            return Err(BlockStoreError::Identity { path: self.0.path.clone() });
        }
        Ok(())
    }

    /// What the store holds: asked once, after opening.
    ///
    /// # Errors
    /// Any error of reading.
    pub fn recover(&self) -> Result<Recovery, BlockStoreError> {
        let executed = self.executed();
        let tree_operations = executed.map_or(FRESH_TREE_OPERATIONS, |mark| mark.tree_operations);
        Ok(Recovery { executed, tree_operations, payload: self.newest_payload()? })
    }

    /// The newest executed block. Costs nothing.
    pub fn executed(&self) -> Option<ExecutedMark> {
        *self.0.executed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Length of the file, in bytes; 0 where the system does not say.
    pub fn bytes(&self) -> u64 {
        std::fs::metadata(&self.0.path).map_or(0, |file| file.len())
    }

    /// Stores a finalised payload. Storing the same one again adds a seed or certificate that was not known before, and
    /// else changes nothing.
    ///
    /// # Errors
    /// [`BlockStoreError::Gap`], [`BlockStoreError::OtherPayload`]; any error of writing.
    pub fn store_payload(&self, row: &PayloadRow, durable: Durable) -> Result<(), BlockStoreError> {
        let height = row.payload.head.height;
        let digest = payload_digest(&row.payload.head);
        // Blocks start at 0 with the genesis, payloads at 1; a store may also be given the genesis payload first. One that
        // was seeded goes on from there.
        let newest = self.newest_payload()?;
        let expected = newest.unwrap_or_else(|| self.seeded()) + 1;
        if height > expected {
            return Err(BlockStoreError::Gap { expected, found: height });
        }
        let mut row = row.clone();
        row.certificate = row.certificate.filter(|certificate| certificate.payload == digest);
        if newest.is_some() && height < expected {
            if self.place(&digest)? != Some(height) {
                return Err(BlockStoreError::OtherPayload { height });
            }
            let stored = self.payload(height)?.ok_or_else(|| self.damaged("payload", height))?;
            row.seed = stored.seed.or(row.seed);
            row.certificate = stored.certificate.clone().or(row.certificate);
            if row == stored {
                return Ok(());
            }
        }
        self.write_payload(row, digest, durable)
    }

    fn write_payload(&self, row: PayloadRow, digest: Digest, durable: Durable) -> Result<(), BlockStoreError> {
        let (height, executed) = (row.payload.head.height, row.payload.head.executed.height);
        let succession = row.certificate.as_ref().and_then(|certificate| record_of(&row.payload, certificate));
        let certificate = row.certificate.map(|certificate| encode(&CertificateRecord { executed, certificate }));
        let record = encode(&PayloadRecord { payload: row.payload, seed: row.seed });
        let durability = match durable {
            Durable::Now => Durability::Immediate,
            Durable::WithBlock => Durability::None,
        };
        self.write(durability, |txn| {
            txn.open_table(PAYLOADS)?.insert(height, record.as_slice())?;
            txn.open_table(INDEX)?.insert(digest.0, height)?;
            if let Some(certificate) = &certificate {
                txn.open_table(CERTIFICATES)?.insert(height, certificate.as_slice())?;
            }
            successions::keep(txn, succession.as_ref())
        })
    }

    /// Stores the certificate of a stored payload, durable with the next block, and says its height; `None` when the
    /// payload is not stored yet.
    ///
    /// # Errors
    /// Any error of reading or writing.
    pub fn store_certificate(&self, certificate: &Certificate) -> Result<Option<Height>, BlockStoreError> {
        let Some(height) = self.place(&certificate.payload)? else { return Ok(None) };
        let Some(payload) = self.payload(height)?.map(|row| row.payload) else { return Ok(None) };
        let executed = payload.head.executed.height;
        let record = encode(&CertificateRecord { executed, certificate: certificate.clone() });
        let succession = record_of(&payload, certificate);
        self.write(Durability::None, |txn| {
            txn.open_table(CERTIFICATES)?.insert(height, record.as_slice())?;
            successions::keep(txn, succession.as_ref())
        })?;
        Ok(Some(height))
    }

    /// Stores an executed block, durably, with everything stored before it. A block that is stored already is compared
    /// and changes nothing.
    ///
    /// # Errors
    /// [`BlockStoreError::Diverged`], [`BlockStoreError::Gap`], [`BlockStoreError::NotInPayload`],
    /// [`BlockStoreError::OtherWrites`]; any error of writing.
    pub fn store_block(&self, block: &BlockRow<'_>) -> Result<(), BlockStoreError> {
        let height = block.header.number;
        if block.writes.height != height || block.writes.root.0 != block.header.state_root.0 {
            return Err(BlockStoreError::OtherWrites { height });
        }
        let executed = self.executed();
        let expected = executed.map_or(0, |mark| mark.height + 1);
        if height < expected {
            let stored = self.block_hash(height)?.ok_or_else(|| self.damaged("block", height))?;
            return if stored == block.hash {
                Ok(())
            } else {
                Err(BlockStoreError::Diverged { height, stored, found: block.hash })
            };
        }
        if height > expected {
            return Err(BlockStoreError::Gap { expected, found: height });
        }
        let payload = match self.payload(height)? {
            Some(row) => body(&row.payload).ok_or_else(|| self.damaged("payload", height))?,
            None => Vec::new(),
        };
        let left_out = left_out(&payload, block.transactions).ok_or(BlockStoreError::NotInPayload { height })?;
        let record = encode(&BlockRecord::new(block, left_out));
        let (below, archive) = (self.prune_below(height), self.archive_from().is_some());
        self.write(Durability::Immediate, |txn| {
            write_block(txn, block, &record)?;
            writes::write(txn, block, archive)?;
            if height.is_multiple_of(HISTORY_STRIDE) { prune::prune(txn, below) } else { Ok(()) }
        })?;
        *self.0.executed.lock().unwrap_or_else(PoisonError::into_inner) = Some(ExecutedMark {
            height,
            block_hash: block.hash,
            state_root: block.writes.root,
            tree_operations: block.writes.operations,
        });
        Ok(())
    }

    fn write<T>(
        &self,
        durability: Durability,
        action: impl FnOnce(&WriteTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, BlockStoreError> {
        let run = || {
            let mut txn = self.0.db.begin_write()?;
            txn.set_durability(durability)?;
            let result = action(&txn)?;
            txn.commit()?;
            Ok(result)
        };
        run().map_err(|error| BlockStoreError::of(&self.0.path, error))
    }

    fn damaged(&self, record: &'static str, height: Height) -> BlockStoreError {
        BlockStoreError::Record { path: self.0.path.clone(), record, height }
    }
}

fn write_block(txn: &WriteTransaction, block: &BlockRow<'_>, record: &[u8]) -> Result<(), redb::Error> {
    let height = block.header.number;
    txn.open_table(BLOCKS)?.insert(height, record)?;
    let mut index = txn.open_table(INDEX)?;
    index.insert(block.hash.0, height)?;
    for (at, row) in (0..).zip(block.transactions) {
        index.insert(row.hash.0, height << POSITION_BITS | at)?;
    }
    if !block.transactions.is_empty() {
        let receipts: Vec<ReceiptRecord> = block.transactions.iter().cloned().map(ReceiptRecord).collect();
        txn.open_table(RECEIPTS)?.insert(height, encode(&receipts).as_slice())?;
    }
    if !block.content.is_empty() {
        let mut content = txn.open_table(CONTENT)?;
        for (digest, bytes) in block.content {
            content.insert(digest.0, bytes.as_slice())?;
        }
    }
    let mut history = txn.open_table(HISTORY)?;
    for change in &block.writes.changes {
        history.insert(history_key(height, &change.key), old_value(change).as_slice())?;
    }
    if height.is_multiple_of(HISTORY_STRIDE)
        && let Some(oldest) = height.checked_sub(HISTORY_WINDOW)
    {
        let end = history_key(oldest + 1, &Digest::ZERO);
        history.retain_in(history_key(0, &Digest::ZERO)..end, |_, _| false)?;
    }
    Ok(())
}

/// A value before a change, as history keeps it.
fn old_value(change: &super::Change) -> Vec<u8> {
    change.old.as_ref().map_or_else(Vec::new, |value| [&[1], value.as_slice()].concat())
}

fn history_key(height: Height, key: &Digest) -> [u8; 40] {
    let mut bytes = [0; 40];
    bytes[..8].copy_from_slice(&height.to_be_bytes());
    bytes[8..].copy_from_slice(&key.0);
    bytes
}
