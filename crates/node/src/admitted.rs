//! Transactions that were admitted a short while ago, so that their senders are recovered once and not again for the vote
//! and for execution.
//!
//! Invariant: what stands here was admitted on this chain by [`freehold_ledger::admit`], so that asking here and admitting
//! again give the same; entries are bounded by count and bytes. Forgetting costs a recovery and is never wrong.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use alloy_consensus::Transaction as _;
use alloy_primitives::B256;
use freehold_ledger::{Admitted, Recovered};

#[cfg(test)]
mod tests;

/// Transactions of one of the two generations.
const GENERATION_COUNT_MAX: usize = 16_384;
/// Bytes of call data of one generation; what stands around a transaction's data is small.
const GENERATION_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What a transaction takes beside its data, roughly.
const ENTRY_BYTES: usize = 512;

/// Two generations: when the young one is full it takes the place of the old one.
#[derive(Default)]
pub(crate) struct AdmittedCache(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<B256, Recovered>,
    old: HashMap<B256, Recovered>,
    young_bytes: usize,
}

impl AdmittedCache {
    /// Keeps an admitted transaction for a while.
    pub(crate) fn keep(&self, recovered: Recovered) {
        let transaction = recovered.transaction();
        let access: usize = transaction.access_list().map_or(0, alloy_eips::eip2930::AccessList::size);
        let authorizations = transaction.authorization_list().map_or(0, <[_]>::len);
        let bytes = transaction.input().len() + access + (authorizations + 1) * ENTRY_BYTES;
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full =
            generations.young.len() >= GENERATION_COUNT_MAX || generations.young_bytes + bytes > GENERATION_BYTES_MAX;
        if is_full {
            generations.old = std::mem::take(&mut generations.young);
            generations.young_bytes = 0;
        }
        generations.young_bytes += bytes;
        generations.young.insert(recovered.hash(), recovered);
    }
}

impl Admitted for AdmittedCache {
    fn get(&self, hash: &B256) -> Option<Recovered> {
        let generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.young.get(hash).or_else(|| generations.old.get(hash)).cloned()
    }
}
