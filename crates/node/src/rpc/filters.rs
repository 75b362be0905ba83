//! Filters of `eth_newFilter` and its kin: what a poller has seen so far.
//!
//! Sans-I/O: time comes as an argument. Bounded: one not polled for [`IDLE_S_MAX`] goes, and where too many are left a new
//! one is refused. Waiting transactions are kept once for all filters.

use std::collections::{BTreeMap, VecDeque};

use alloy_primitives::B256;
use alloy_rpc_types_eth::Filter;
use freehold_primitives::Height;
use jsonrpsee::types::ErrorObjectOwned;
use thiserror::Error;

use super::error::limit;

#[cfg(test)]
mod tests;

/// Most filters of all clients together.
pub(crate) const FILTERS_MAX: usize = 1_024;
/// Seconds without a poll after which a filter goes.
pub(crate) const IDLE_S_MAX: u64 = 300;
/// Most hashes of waiting transactions that are kept for filters to see; who polls too rarely misses the oldest.
const PENDING_MAX: usize = 16_384;
/// Most addresses, and most topics at each place, of a filter.
const FILTER_ITEMS_MAX: usize = 1_024;

/// What a filter watches.
#[derive(Debug, Clone)]
pub(crate) enum Watch {
    Logs(Box<Filter>),
    Blocks,
    Pending,
}

/// Too many filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{FILTERS_MAX} filters are in use: uninstall some, or try again when others are no longer polled")]
pub(crate) struct FiltersFull;

/// Refuses a filter with too many addresses or topics.
pub(crate) fn check_filter(filter: &Filter) -> Result<(), ErrorObjectOwned> {
    let too_many = |count: usize| count > FILTER_ITEMS_MAX;
    if too_many(filter.address.iter().count()) || filter.topics.iter().any(|topic| too_many(topic.iter().count())) {
        return Err(limit(format!(
            "a filter names at most {FILTER_ITEMS_MAX} addresses, and as many topics at each place"
        )));
    }
    Ok(())
}

#[derive(Debug)]
struct Entry {
    watch: Watch,
    /// First height that the filter was to see.
    first: Height,
    next: Height,
    /// Which waiting transaction is the first that it has not seen.
    next_pending: u64,
    polled_s: u64,
}

/// What a poll must look at: heights from `from` up to the newest.
#[derive(Debug)]
pub(crate) struct Poll {
    pub(crate) watch: Watch,
    pub(crate) from: Height,
    /// Waiting transactions that are new.
    pub(crate) pending: Vec<B256>,
}

/// All filters.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    entries: BTreeMap<u64, Entry>,
    last: u64,
    /// Waiting transactions, and how many came before the first of them.
    recent: VecDeque<B256>,
    passed: u64,
}

impl Filters {
    /// Installs a filter that has seen everything up to `newest`.
    ///
    /// # Errors
    /// [`FiltersFull`].
    pub(crate) fn install(&mut self, watch: Watch, newest: Height, now_s: u64) -> Result<u64, FiltersFull> {
        self.entries.retain(|_, entry| entry.polled_s.saturating_add(IDLE_S_MAX) >= now_s);
        if self.entries.len() >= FILTERS_MAX {
            return Err(FiltersFull);
        }
        self.last += 1;
        let next_pending = self.passed + self.recent.len() as u64;
        let entry = Entry { watch, first: newest + 1, next: newest + 1, next_pending, polled_s: now_s };
        self.entries.insert(self.last, entry);
        Ok(self.last)
    }

    /// Polls a filter: what is new since the last poll, up to `newest`.
    pub(crate) fn poll(&mut self, id: u64, newest: Height, now_s: u64) -> Option<Poll> {
        let entry = self.entries.get_mut(&id)?;
        if entry.polled_s.saturating_add(IDLE_S_MAX) < now_s {
            self.entries.remove(&id);
            return None;
        }
        entry.polled_s = now_s;
        let from = entry.next;
        entry.next = entry.next.max(newest + 1);
        let pending = match entry.watch {
            Watch::Pending => {
                let seen = usize::try_from(entry.next_pending.saturating_sub(self.passed)).unwrap_or(usize::MAX);
                self.recent.iter().skip(seen).copied().collect()
            }
            Watch::Logs(_) | Watch::Blocks => Vec::new(),
        };
        entry.next_pending = self.passed + self.recent.len() as u64;
        Some(Poll { watch: entry.watch.clone(), from, pending })
    }

    /// The filter of `eth_getFilterLogs`, and the first height that it was to see.
    pub(crate) fn logs(&self, id: u64) -> Option<(&Filter, Height)> {
        let entry = self.entries.get(&id)?;
        match &entry.watch {
            Watch::Logs(filter) => Some((filter, entry.first)),
            _ => None,
        }
    }

    /// Takes note of a transaction that entered the pool.
    pub(crate) fn pending(&mut self, hash: B256) {
        if self.recent.len() == PENDING_MAX {
            self.recent.pop_front();
            self.passed += 1;
        }
        self.recent.push_back(hash);
    }

    /// Removes a filter; whether it was there.
    pub(crate) fn uninstall(&mut self, id: u64) -> bool {
        self.entries.remove(&id).is_some()
    }
}
