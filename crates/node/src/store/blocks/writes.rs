//! What each block wrote, in the form in which followers take it: new values, and digests of the content it brought.
//!
//! Invariant: a stored write set, applied to the tree behind the block before, gives the block's state root. The newest
//! [`WRITES_WINDOW`] are kept; an archive keeps all.

use freehold_ledger::Write;
use freehold_primitives::{Blob, Canonical, CodecError, Digest, Height, Reader};
use redb::WriteTransaction;

use super::{
    ARCHIVE, BlockRow, BlockStore, BlockStoreError, HISTORY_STRIDE, HISTORY_WINDOW, WRITES, archive::archive_key,
    encode, old_value,
};

/// Newest blocks whose write sets are kept: more than an hour of blocks without transactions.
const WRITES_WINDOW: u64 = 4 * HISTORY_WINDOW;

/// What a block wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredWrites {
    /// New values by tree key, sorted; `None` for a key that went.
    pub(crate) writes: Vec<Write>,
    /// Digests of the content that it brought.
    pub(crate) content: Vec<Digest>,
}

/// One write.
struct WriteRecord {
    key: Digest,
    value: Option<Blob>,
}

impl Canonical for WriteRecord {
    fn write(&self, out: &mut Vec<u8>) {
        self.key.write(out);
        self.value.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { key: Canonical::read(reader)?, value: Canonical::read(reader)? })
    }
}

impl Canonical for StoredWrites {
    fn write(&self, out: &mut Vec<u8>) {
        let record = |(key, value): &Write| WriteRecord { key: *key, value: value.clone().map(Blob) };
        self.writes.iter().map(record).collect::<Vec<_>>().write(out);
        self.content.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let writes: Vec<WriteRecord> = Canonical::read(reader)?;
        let writes = writes.into_iter().map(|record| (record.key, record.value.map(|value| value.0))).collect();
        Ok(Self { writes, content: Canonical::read(reader)? })
    }
}

/// Writes down what a block wrote, and drops what is too old.
pub(super) fn write(txn: &WriteTransaction, block: &BlockRow<'_>, archive: bool) -> Result<(), redb::Error> {
    let height = block.header.number;
    let changes = &block.writes.changes;
    let record = StoredWrites {
        writes: changes.iter().map(|change| (change.key, change.new.clone())).collect(),
        content: block.content.iter().map(|(digest, _)| *digest).collect(),
    };
    let mut table = txn.open_table(WRITES)?;
    table.insert(height, encode(&record).as_slice())?;
    if archive {
        let mut archive = txn.open_table(ARCHIVE)?;
        for change in changes {
            archive.insert(archive_key(&change.key, height), old_value(change).as_slice())?;
        }
    } else if height.is_multiple_of(HISTORY_STRIDE)
        && let Some(oldest) = height.checked_sub(WRITES_WINDOW)
    {
        table.retain_in(..=oldest, |_, _| false)?;
    }
    Ok(())
}

impl BlockStore {
    /// What the block at `height` wrote; `None` where it is not kept.
    ///
    /// # Errors
    /// Any error of reading.
    pub(crate) fn writes(&self, height: Height) -> Result<Option<StoredWrites>, BlockStoreError> {
        self.record(WRITES, height, "writes")
    }
}
