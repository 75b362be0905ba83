//! What this disk remembers of a lease's counters, sealed under the app's root key (`spec/leases.md` §4).
//!
//! The record is written before a batch is sent and names it as pending, so that a death in between is told from a disk
//! that was rolled back. Sealed: Deoxys-II with a key from root key and file name, a random nonce before the ciphertext.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use freehold_crypto::{DEOXYS_NONCE_BYTES, Deoxys, hkdf_sha256};
use freehold_primitives::{Canonical as _, Digest, canonical_struct, entries::CountersEntry};
use freehold_rpc::{DiskReport, DiskState};
use rand::{
    SeedableRng as _, TryRng as _,
    rngs::{StdRng, SysRng},
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    roots::{HeldRoots, Root},
    seen::replace,
};

#[cfg(test)]
mod tests;

/// Largest record file.
const BYTES_MAX: usize = 16 * 1024;
/// Batches that may be pending at once: tries whose outcome is not known.
pub(super) const PENDING_MAX: usize = 32;
/// Bound to the ciphertext.
const DOMAIN: &[u8] = b"freehold counters record v1";

/// Why a record cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum RecordError {
    /// Disk or randomness.
    #[error("the counters' record {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// It does not open under the app's root key.
    #[error(
        "the counters' record {0} does not open: it was changed, or is another app's; its root key was retired; remove it to start as a new disk"
    )]
    Sealed(PathBuf),
}

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
pub(super) struct RecordFile {
    path: PathBuf,
    lease: String,
    roots: Arc<HeldRoots>,
}

impl RecordFile {
    /// The name is one of a lease, whose characters are safe in a path.
    pub(super) fn new(dir: &Path, lease: &str, roots: Arc<HeldRoots>) -> Self {
        Self { path: dir.join(format!("lease-{lease}.counters")), lease: lease.to_owned(), roots }
    }

    fn key(&self, root: &Root) -> Deoxys {
        let mut key = Zeroizing::new([0; 32]);
        hkdf_sha256(self.lease.as_bytes(), &root.secret[..], &[DOMAIN], &mut *key);
        Deoxys::new(&key)
    }

    /// The record, under any root key that is held; an empty one where the disk has none.
    pub(super) fn load(&self) -> Result<Record, RecordError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Record::default()),
            Err(source) => return Err(RecordError::Io { path: self.path.clone(), source }),
        };
        let opened = bytes.split_first_chunk::<DEOXYS_NONCE_BYTES>().filter(|_| bytes.len() <= BYTES_MAX);
        let roots = self.roots.held();
        let opened = opened
            .and_then(|(nonce, sealed)| roots.all().find_map(|root| self.key(root).open(nonce, sealed, DOMAIN).ok()));
        opened.and_then(|text| Record::from_canonical(&text).ok()).ok_or_else(|| RecordError::Sealed(self.path.clone()))
    }

    /// Writes a record, durably, under the newest root key.
    pub(super) fn store(&self, record: &Record) -> Result<(), RecordError> {
        let failed = |source| RecordError::Io { path: self.path.clone(), source };
        let mut nonce = [0; DEOXYS_NONCE_BYTES];
        let mut rng = StdRng::try_from_rng(&mut SysRng).map_err(|error| failed(io::Error::other(error)))?;
        let _ = rng.try_fill_bytes(&mut nonce);
        let sealed = self.key(&self.roots.held().newest).seal(&nonce, &record.to_canonical(), DOMAIN);
        replace(&self.path, &[&nonce[..], &sealed].concat()).map_err(failed)
    }
}
