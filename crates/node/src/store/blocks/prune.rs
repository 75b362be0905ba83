//! Pruning: bodies of old blocks go, their headers stay.
//!
//! Invariant: what execution reads (headers, content) is never pruned, so that a pruned validator and one that keeps
//! everything compute the same blocks. A body goes whole: payload, certificate, receipts, and what the index says of them.

use std::sync::atomic::Ordering;

use freehold_crypto::payload_digest;
use freehold_primitives::Height;
use redb::{ReadableTable as _, WriteTransaction};

use super::{
    BlockStore, CERTIFICATES, HISTORY_WINDOW, INDEX, PAYLOADS, PayloadRecord, RECEIPTS, ReceiptRecord, decode,
};

/// Fewest newest blocks whose bodies are kept: what state that can still be read may need, with room for a restart.
pub const BODIES_MIN: u64 = 4 * HISTORY_WINDOW;
/// Most bodies dropped with one block, so that the first pruning of a long chain does not hold it up.
const BODIES_AT_ONCE: usize = 1_024;

impl BlockStore {
    /// Keeps the bodies of this many newest blocks from now on, [`BODIES_MIN`] at least; `u64::MAX` keeps all.
    pub fn keep_bodies(&self, newest: u64) {
        self.0.bodies.store(newest.max(BODIES_MIN), Ordering::Relaxed);
    }

    /// Height below which bodies may go once `newest` is stored.
    pub(super) fn prune_below(&self, newest: Height) -> Height {
        newest.saturating_sub(self.0.bodies.load(Ordering::Relaxed))
    }
}

/// Drops bodies below a height, a bounded number of them.
pub(super) fn prune(txn: &WriteTransaction, below: Height) -> Result<(), redb::Error> {
    let mut payloads = txn.open_table(PAYLOADS)?;
    let mut receipts = txn.open_table(RECEIPTS)?;
    let mut certificates = txn.open_table(CERTIFICATES)?;
    let mut index = txn.open_table(INDEX)?;
    let mut gone = Vec::new();
    for entry in payloads.range(..below)?.take(BODIES_AT_ONCE) {
        let (height, record) = entry?;
        // A record that cannot be read has no index entry worth keeping; reading it would have said so.
        let digest = decode::<PayloadRecord>(record.value()).map(|record| payload_digest(&record.payload.head));
        gone.push((height.value(), digest));
    }
    for (height, digest) in gone {
        payloads.remove(height)?;
        certificates.remove(height)?;
        if let Some(digest) = digest {
            index.remove(digest.0)?;
        }
        let rows = receipts.remove(height)?.and_then(|record| decode::<Vec<ReceiptRecord>>(record.value()));
        for row in rows.unwrap_or_default() {
            index.remove(row.0.hash.0)?;
        }
    }
    Ok(())
}
