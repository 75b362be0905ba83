//! What the disk keeps of certificates, sealed: the chain of the app's domains, and when an authority may be asked again.
//!
//! So a restart orders nothing, and a loop of restarts is no loop of orders. A host that puts an older disk back loses a chain
//! or asks once more; it gets no key by it.

use std::{path::Path, sync::Arc};

use freehold_primitives::UnixSeconds;
use serde::{Deserialize, Serialize};

use super::certificate::CHAIN_BYTES_MAX;
use crate::{
    roots::HeldRoots,
    sealed_file::{SealedError, SealedFile},
};

/// Largest file, in bytes.
const BYTES_MAX: usize = 2 * CHAIN_BYTES_MAX;
/// Bound to the ciphertext.
const DOMAIN: &[u8] = b"freehold tls record v1";
/// Pause after a first failure, doubled with each further one up to the longest.
const PAUSE_S_MIN: u64 = 60;
const PAUSE_S_MAX: u64 = 12 * 3_600;
/// Shortest pause between two orders that succeeded, against whatever makes a fresh chain look old; a third of its life where that
/// is shorter.
const ORDER_PAUSE_S: u64 = 3_600;

/// What the disk keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsRecord {
    /// Names and directory that all the rest is of.
    pub(super) domains: Vec<String>,
    pub(super) directory: String,
    /// The chain, PEM; empty where there is none.
    pub(super) chain: String,
    /// When it was given.
    pub(super) issued_at: UnixSeconds,
    /// Failures since.
    pub(super) failures: u32,
    /// No order before this.
    pub(super) not_before: UnixSeconds,
}

impl TlsRecord {
    /// Notes that an order begins: written before it is sent, so that an end in between counts as a failure.
    pub(super) fn begins(&mut self, now: UnixSeconds) {
        let pause = PAUSE_S_MIN.saturating_mul(1 << self.failures.min(16)).min(PAUSE_S_MAX);
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.saturating_add(pause);
    }

    /// Notes a new chain, which ends then.
    pub(super) fn succeeded(&mut self, chain: String, not_after: UnixSeconds, now: UnixSeconds) {
        (self.chain, self.issued_at, self.failures) = (chain, now, 0);
        let third = not_after.saturating_sub(now) / 3;
        self.not_before = now.saturating_add(third.clamp(PAUSE_S_MIN, ORDER_PAUSE_S));
    }

    /// When a chain that ends then is to be replaced: a third of its life before its end.
    pub(super) const fn renew_at(&self, not_after: UnixSeconds) -> UnixSeconds {
        not_after.saturating_sub(not_after.saturating_sub(self.issued_at) / 3)
    }
}

/// The file.
#[derive(Clone)]
pub(super) struct RecordFile(SealedFile);

impl RecordFile {
    pub(super) fn new(state_dir: &Path, roots: Arc<HeldRoots>) -> Self {
        let path = state_dir.join("tls");
        Self(SealedFile { path, salt: "tls".to_owned(), domain: DOMAIN, bytes_max: BYTES_MAX, roots })
    }

    /// What is kept for these names and this directory; nothing of others.
    pub(super) fn load(&self, domains: &[String], directory: &str) -> TlsRecord {
        let read = self.0.load();
        if let Err(error) = &read {
            tracing::warn!(%error, "the record of certificates is not used");
        }
        let kept = read.ok().flatten().and_then(|text| serde_json::from_slice::<TlsRecord>(&text).ok());
        let fresh = TlsRecord { domains: domains.to_vec(), directory: directory.to_owned(), ..TlsRecord::default() };
        kept.filter(|kept| kept.domains == domains && kept.directory == directory).unwrap_or(fresh)
    }

    pub(super) fn store(&self, record: &TlsRecord) -> Result<(), SealedError> {
        self.0.store(&serde_json::to_vec(record).expect("a record is JSON"))
    }
}
