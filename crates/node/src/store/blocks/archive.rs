//! An archive: state at every height since it became one, found by key and height in one step.
//!
//! Invariant: a store that is an archive stays one, so that there is no gap in what it answers for. Other stores keep the
//! newest [`HISTORY_WINDOW`] heights by height, which costs a block less.

use std::{ops::RangeInclusive, sync::atomic::Ordering};

use freehold_primitives::{Digest, Height};
use redb::{Durability, ReadTransaction, ReadableTable as _};

use super::{
    ARCHIVE, ARCHIVE_ROW, BlockStore, BlockStoreError, HISTORY, HISTORY_WINDOW, IDENTITY, SEEDED_ROW, history_key,
};

impl BlockStore {
    /// Keeps the state of every height from now on, and of those that are kept now.
    ///
    /// # Errors
    /// Any error of reading or writing.
    pub fn keep_states(&self) -> Result<(), BlockStoreError> {
        if self.archive_from().is_some() {
            return Ok(());
        }
        let from = self.executed().map_or(0, |mark| self.oldest_state(mark.height));
        self.write(Durability::Immediate, |txn| {
            let mut archive = txn.open_table(ARCHIVE)?;
            for entry in txn.open_table(HISTORY)?.range(history_key(from + 1, &Digest::ZERO)..)? {
                let (place, old) = entry?;
                let (height, key) = split(&place.value());
                archive.insert(archive_key(&key, height), old.value())?;
            }
            txn.open_table(IDENTITY)?.insert(ARCHIVE_ROW, from.to_be_bytes().as_slice())?;
            Ok(())
        })?;
        self.0.archive.store(from, Ordering::Relaxed);
        Ok(())
    }

    /// The first height whose state this archive answers for; `None` where this is no archive.
    pub(crate) fn archive_from(&self) -> Option<Height> {
        Some(self.0.archive.load(Ordering::Relaxed)).filter(|height| *height != u64::MAX)
    }

    /// The height at which the store was seeded, else 0.
    pub(crate) fn seeded(&self) -> Height {
        self.0.seeded.load(Ordering::Relaxed)
    }

    /// Oldest height whose state is kept while `newest` is the newest block.
    pub(super) fn oldest_state(&self, newest: Height) -> Height {
        self.archive_from().unwrap_or_else(|| self.seeded().max((newest + 1).saturating_sub(HISTORY_WINDOW)))
    }

    /// The value that `key` had before the first of `heights` that changed it, from the archive.
    pub(super) fn archived_before(
        &self,
        txn: &ReadTransaction,
        key: &Digest,
        heights: &RangeInclusive<Height>,
    ) -> Result<Option<Option<Vec<u8>>>, BlockStoreError> {
        if heights.is_empty() {
            return Ok(None);
        }
        let table = txn.open_table(ARCHIVE).map_err(|error| self.failed(error))?;
        let range = archive_key(key, *heights.start())..=archive_key(key, *heights.end());
        let mut found = table.range(range).map_err(|error| self.failed(error))?;
        let Some(entry) = found.next() else { return Ok(None) };
        let (_, old) = entry.map_err(|error| self.failed(error))?;
        Ok(Some(old.value().split_first().map(|(_, value)| value.to_vec())))
    }

    /// Reads the marks that the file holds.
    pub(super) fn read_marks(&self) -> Result<(), BlockStoreError> {
        let txn = self.begin()?;
        let table = txn.open_table(IDENTITY).map_err(|error| self.failed(error))?;
        for (row, mark) in [(SEEDED_ROW, &self.0.seeded), (ARCHIVE_ROW, &self.0.archive)] {
            let Some(bytes) = table.get(row).map_err(|error| self.failed(error))? else { continue };
            let height = bytes.value().try_into().map(Height::from_be_bytes);
            mark.store(height.map_err(|_| self.damaged("mark", u64::from(row)))?, Ordering::Relaxed);
        }
        Ok(())
    }
}

pub(super) fn archive_key(key: &Digest, height: Height) -> [u8; 40] {
    let mut bytes = [0; 40];
    bytes[..32].copy_from_slice(&key.0);
    bytes[32..].copy_from_slice(&height.to_be_bytes());
    bytes
}

fn split(place: &[u8; 40]) -> (Height, Digest) {
    let (mut height, mut key) = ([0; 8], Digest::ZERO);
    height.copy_from_slice(&place[..8]);
    key.0.copy_from_slice(&place[8..]);
    (Height::from_be_bytes(height), key)
}
