//! What this disk remembers of a lease's counters, sealed under the app's root key (`spec/leases.md` §4).
//!
//! The record is written before a batch is sent and names it as pending, so that a death in between is told from a disk
//! that was rolled back.

use std::{path::Path, sync::Arc};

use freehold_primitives::{Canonical as _, Digest, canonical_struct, entries::CountersEntry};
use freehold_rpc::{DiskReport, DiskState};

use crate::{
    roots::HeldRoots,
    sealed_file::{SealedError, SealedFile},
};

#[cfg(test)]
mod tests;

/// Largest record file.
const BYTES_MAX: usize = 16 * 1024;
/// Batches that may be pending at once: tries whose outcome is not known.
pub(super) const PENDING_MAX: usize = 32;
/// Bound to the ciphertext.
const DOMAIN: &[u8] = b"freehold counters record v1";

canonical_struct! {
    /// What the disk remembers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Record {
        /// Number of the newest batch that was seen under a certificate; 0 for none.
        pub sequence: u64,
        /// Its id.
        pub batch: Digest,
        /// Ids of batches that were sent since, of which none is known to stand.
        pub pending: Vec<Digest>,
    }
}

impl Record {
    /// Compares with what the chain holds.
    pub(super) fn compare(&self, chain: Option<&CountersEntry>) -> DiskReport {
        let (chain_sequence, batch) = chain.map_or((0, Digest::ZERO), |entry| (entry.sequence, entry.batch));
        let same = chain_sequence == self.sequence && batch == self.batch;
        let landed = chain_sequence == self.sequence.saturating_add(1) && self.pending.contains(&batch);
        let state = if same || landed { DiskState::Current } else { DiskState::Behind };
        DiskReport { state, disk_sequence: self.sequence, chain_sequence }
    }

    /// The record of a disk that has seen this.
    pub(super) fn of(chain: Option<&CountersEntry>) -> Self {
        let (sequence, batch) = chain.map_or((0, Digest::ZERO), |entry| (entry.sequence, entry.batch));
        Self { sequence, batch, pending: Vec::new() }
    }
}

/// One lease's record on disk.
#[derive(Clone)]
pub(super) struct RecordFile(SealedFile);

impl RecordFile {
    /// The name is one of a lease, whose characters are safe in a path.
    pub(super) fn new(dir: &Path, lease: &str, roots: Arc<HeldRoots>) -> Self {
        let path = dir.join(format!("lease-{lease}.counters"));
        Self(SealedFile { path, salt: lease.to_owned(), domain: DOMAIN, bytes_max: BYTES_MAX, roots })
    }

    /// The record, under any root key that is held; an empty one where the disk has none.
    pub(super) fn load(&self) -> Result<Record, SealedError> {
        let Some(text) = self.0.load()? else { return Ok(Record::default()) };
        Record::from_canonical(&text).map_err(|_| SealedError::Sealed(self.0.path.clone()))
    }

    /// Writes a record, durably, under the newest root key.
    pub(super) fn store(&self, record: &Record) -> Result<(), SealedError> {
        self.0.store(&record.to_canonical())
    }
}
