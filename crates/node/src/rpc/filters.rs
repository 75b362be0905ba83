//! Filters of `eth_newFilter` and its kin: what a poller has seen so far.
//!
//! Sans-I/O: time comes as an argument. Bounded: the filter that was polled least recently goes when there are too many,
//! and one not polled for [`IDLE_S_MAX`] goes in any case.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use alloy_rpc_types_eth::Filter;
use freehold_primitives::Height;

#[cfg(test)]
mod tests;

/// Most filters of all clients together.
pub(crate) const FILTERS_MAX: usize = 1_024;
/// Seconds without a poll after which a filter goes.
pub(crate) const IDLE_S_MAX: u64 = 300;
/// Most hashes of waiting transactions kept for a filter that is not polled.
const PENDING_MAX: usize = 16_384;

/// What a filter watches.
#[derive(Debug, Clone)]
pub(crate) enum Watch {
    Logs(Box<Filter>),
    Blocks,
    Pending(Vec<B256>),
}

#[derive(Debug)]
struct Entry {
    watch: Watch,
    /// First height that the filter was to see.
    first: Height,
    next: Height,
    polled_s: u64,
}

/// What a poll must look at: heights from `from` up to the newest.
#[derive(Debug)]
pub(crate) struct Poll {
    pub(crate) watch: Watch,
    pub(crate) from: Height,
}

/// All filters.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    entries: BTreeMap<u64, Entry>,
    last: u64,
}

impl Filters {
    /// Installs a filter that has seen everything up to `newest`.
    pub(crate) fn install(&mut self, watch: Watch, newest: Height, now_s: u64) -> u64 {
        self.entries.retain(|_, entry| entry.polled_s.saturating_add(IDLE_S_MAX) >= now_s);
        if self.entries.len() >= FILTERS_MAX {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.polled_s).map(|(id, _)| *id);
            oldest.map(|id| self.entries.remove(&id));
        }
        self.last += 1;
        self.entries.insert(self.last, Entry { watch, first: newest + 1, next: newest + 1, polled_s: now_s });
        self.last
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
        let watch = match &mut entry.watch {
            Watch::Pending(hashes) => Watch::Pending(std::mem::take(hashes)),
            other => other.clone(),
        };
        Some(Poll { watch, from })
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
        for entry in self.entries.values_mut() {
            if let Watch::Pending(hashes) = &mut entry.watch
                && hashes.len() < PENDING_MAX
            {
                hashes.push(hash);
            }
        }
    }

    /// Removes a filter; whether it was there.
    pub(crate) fn uninstall(&mut self, id: u64) -> bool {
        self.entries.remove(&id).is_some()
    }
}
