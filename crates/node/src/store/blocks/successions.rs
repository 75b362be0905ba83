//! Succession records (`spec/succession.md` §2): kept for ever, whatever else is pruned, and served to whoever walks.
//!
//! Not here: whether they hold. Those of a validator's own chain do; a follower keeps only what it has walked.

use freehold_primitives::{Body, Canonical as _, Certificate, Payload, SuccessionRecord};
use redb::{Durability, ReadableTable as _, WriteTransaction};

use super::{BlockStore, BlockStoreError, SUCCESSIONS};

/// The record that a payload and its certificate make, where the payload names a network key.
pub(super) fn record_of(payload: &Payload, certificate: &Certificate) -> Option<SuccessionRecord> {
    let Ok(Body::Succession(network_key)) = Body::read(&payload.body.0) else { return None };
    Some(SuccessionRecord { payload_head: payload.head.clone(), network_key, certificate: certificate.clone() })
}

/// Keeps a record.
pub(super) fn keep(txn: &WriteTransaction, record: Option<&SuccessionRecord>) -> Result<(), redb::Error> {
    if let Some(record) = record {
        txn.open_table(SUCCESSIONS)?.insert(record.payload_head.term, record.to_canonical().as_slice())?;
    }
    Ok(())
}

impl BlockStore {
    /// Keeps records that were walked.
    ///
    /// # Errors
    /// Any error of writing.
    pub fn store_successions(&self, records: &[SuccessionRecord]) -> Result<(), BlockStoreError> {
        self.write(Durability::Immediate, |txn| records.iter().try_for_each(|record| keep(txn, Some(record))))
    }

    /// All records, oldest first.
    ///
    /// # Errors
    /// Any error of reading.
    pub fn successions(&self) -> Result<Vec<SuccessionRecord>, BlockStoreError> {
        let txn = self.begin()?;
        let table = txn.open_table(SUCCESSIONS).map_err(|error| self.failed(error))?;
        let mut records = Vec::new();
        for entry in table.iter().map_err(|error| self.failed(error))? {
            let (term, bytes) = entry.map_err(|error| self.failed(error))?;
            let record = SuccessionRecord::from_canonical(bytes.value());
            records.push(record.map_err(|_| self.damaged("succession", term.value()))?);
        }
        Ok(records)
    }
}
