//! Filters: what a poller has seen so far, and what came since, proven like any log or header.
//!
//! Bounded: one that nobody polls goes after [`IDLE_MAX`]. A poll that fails moves nothing on, so that no log is skipped;
//! one that is far behind is answered in pieces. Not here: waiting transactions, of which a light client sees none.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use alloy_rpc_types_eth::{Filter, FilterBlockOption, FilterChanges, Log};
use freehold_primitives::Height;

use super::{
    error::LightError,
    head::{LightClient, locked},
    logs::LIGHT_LOG_BLOCKS_MAX,
};

/// Most filters of all clients together.
pub const LIGHT_FILTERS_MAX: usize = 256;
/// Time without a poll after which a filter goes.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// Most hashes of blocks in one answer.
const HASHES_MAX: u64 = 1_024;

/// What a filter watches.
#[derive(Debug, Clone)]
pub enum LightWatch {
    /// Logs.
    Logs(Box<Filter>),
    /// Blocks.
    Blocks,
}

#[derive(Debug)]
struct Entry {
    watch: LightWatch,
    /// First height that it was to see.
    first: Height,
    next: Height,
    polled: Instant,
}

/// All filters of a client.
#[derive(Debug, Default)]
pub(crate) struct LightFilters {
    entries: BTreeMap<u64, Entry>,
    last: u64,
}

impl LightFilters {
    fn install(&mut self, watch: LightWatch, first: Height) -> Result<u64, LightError> {
        self.entries.retain(|_, entry| entry.polled.elapsed() < IDLE_MAX);
        if self.entries.len() >= LIGHT_FILTERS_MAX {
            return Err(LightError::Filters);
        }
        self.last += 1;
        self.entries.insert(self.last, Entry { watch, first, next: first, polled: Instant::now() });
        Ok(self.last)
    }

    /// The filter, which counts as polled: what it watches, its first height, and the next that it has not seen.
    fn look(&mut self, id: u64) -> Option<(LightWatch, Height, Height)> {
        self.entries.retain(|_, entry| entry.polled.elapsed() < IDLE_MAX);
        let entry = self.entries.get_mut(&id)?;
        entry.polled = Instant::now();
        Some((entry.watch.clone(), entry.first, entry.next))
    }

    fn moved(&mut self, id: u64, next: Height) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.next = entry.next.max(next);
        }
    }
}

impl LightClient {
    /// Makes a filter that has seen everything up to the newest block; of logs with a first block of their own, up to there.
    ///
    /// # Errors
    /// Every [`LightError`]; [`LightError::Filters`] where there are too many.
    pub async fn new_filter(&self, watch: LightWatch) -> Result<u64, LightError> {
        let newest = self.head().await?.height();
        let first = match &watch {
            LightWatch::Logs(filter) => match filter.block_option {
                FilterBlockOption::Range { from_block: Some(from), .. } => {
                    from.as_number().map_or(newest + 1, |from| from.min(newest + 1))
                }
                _ => newest + 1,
            },
            LightWatch::Blocks => newest + 1,
        };
        locked(&self.filters).install(watch, first)
    }

    /// What is new to a filter: logs, or hashes of blocks. Of very many blocks the oldest are told first, and the others by
    /// the polls that follow.
    ///
    /// # Errors
    /// Every [`LightError`]; [`LightError::NoFilter`].
    pub async fn filter_changes(&self, id: u64) -> Result<FilterChanges, LightError> {
        let (watch, _, from) = locked(&self.filters).look(id).ok_or(LightError::NoFilter(id))?;
        let newest = self.head().await?.height();
        let (changes, to) = match watch {
            LightWatch::Logs(filter) => {
                let last = match filter.block_option {
                    FilterBlockOption::Range { to_block: Some(to), .. } => to.as_number().unwrap_or(newest).min(newest),
                    _ => newest,
                };
                let to = last.min(from.saturating_add(LIGHT_LOG_BLOCKS_MAX - 1));
                (FilterChanges::Logs(self.logs_in(&filter, from, to).await?), to)
            }
            LightWatch::Blocks => {
                let to = newest.min(from.saturating_add(HASHES_MAX - 1));
                (FilterChanges::Hashes(self.hashes(from, to).await?), to)
            }
        };
        locked(&self.filters).moved(id, to.saturating_add(1));
        Ok(changes)
    }

    /// All logs that a filter of logs matches.
    ///
    /// # Errors
    /// Every [`LightError`]; [`LightError::NoFilter`], also for a filter of blocks.
    pub async fn filter_logs(&self, id: u64) -> Result<Vec<Log>, LightError> {
        let (watch, first, _) = locked(&self.filters).look(id).ok_or(LightError::NoFilter(id))?;
        let LightWatch::Logs(filter) = watch else { return Err(LightError::NoFilter(id)) };
        match filter.block_option {
            // Without a start of its own it holds what came since it was made.
            FilterBlockOption::Range { from_block: None, to_block: None } => {
                let newest = self.head().await?.height();
                if newest.saturating_sub(first) >= LIGHT_LOG_BLOCKS_MAX {
                    return Err(LightError::LogBlocks(newest - first + 1));
                }
                self.logs_in(&filter, first, newest).await
            }
            _ => self.logs(&filter).await,
        }
    }

    /// Removes a filter; whether it was there.
    pub fn uninstall_filter(&self, id: u64) -> bool {
        locked(&self.filters).entries.remove(&id).is_some()
    }

    /// Logs of proven heights; none where the range is empty.
    async fn logs_in(&self, filter: &Filter, from: Height, to: Height) -> Result<Vec<Log>, LightError> {
        if from > to {
            return Ok(Vec::new());
        }
        self.upstreams.ask(|node| async move { self.logs_of(&node, filter, (from, to)).await }).await
    }

    /// Hashes of the blocks of proven heights, oldest first.
    async fn hashes(&self, from: Height, to: Height) -> Result<Vec<B256>, LightError> {
        if from > to {
            return Ok(Vec::new());
        }
        self.upstreams
            .ask(|node| async move {
                let headers = node.headers(to).await?.ok_or(freehold_rpc::VerifiedError::Withheld(to))?;
                let child = *headers.first();
                self.note(&child)?;
                let below = node.ancestors(&child, from).await?;
                let headers = below.into_iter().map(|(header, _)| header).chain([child]);
                Ok(headers.map(|header| B256::from(header.block_hash().0)).collect())
            })
            .await
    }
}

#[cfg(test)]
mod tests;
