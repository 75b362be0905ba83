//! One batch of increments, without I/O: what each increment gets, what the chain is told, and what its answer means.

use std::collections::BTreeMap;

use freehold_primitives::{
    Digest,
    entries::{COUNTERS_MAX, CountersEntry, LeaseEntry},
};

use super::LeaseError;

#[cfg(test)]
mod tests;

/// The counters as the newest proven batch left them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) sequence: u64,
    pub(super) batch: Digest,
    values: BTreeMap<String, u64>,
}

impl Base {
    pub(super) fn of(chain: Option<&CountersEntry>) -> Self {
        chain.map_or_else(Self::default, |entry| Self {
            sequence: entry.sequence,
            batch: entry.batch,
            values: entry.values.iter().map(|one| (one.name.clone(), one.value)).collect(),
        })
    }
}

/// Increments that go to the chain together.
#[derive(Debug)]
pub(super) struct Batch {
    values: BTreeMap<String, u64>,
    raised: BTreeMap<String, u64>,
}

impl Batch {
    pub(super) fn on(base: &Base) -> Self {
        Self { values: base.values.clone(), raised: BTreeMap::new() }
    }

    /// Adds an increment; gives the value that is its own.
    pub(super) fn add(&mut self, counter: &str, by: u64) -> Result<u64, LeaseError> {
        let before = self.values.get(counter).copied();
        if before.is_none() && self.values.len() >= COUNTERS_MAX {
            return Err(LeaseError::CountersFull);
        }
        let value = before.unwrap_or(0).checked_add(by).ok_or(LeaseError::By)?;
        self.values.insert(counter.to_owned(), value);
        self.raised.insert(counter.to_owned(), value);
        Ok(value)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.raised.is_empty()
    }

    /// Counters and the values that they are raised to.
    pub(super) fn raised(&self) -> &BTreeMap<String, u64> {
        &self.raised
    }
}

/// What the chain shows after a batch was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The batch stands.
    Landed,
    /// It does not stand yet, and still may.
    NotYet,
    /// An earlier try of this instance stands instead: what it wrote was given to nobody.
    Earlier,
    /// A later holder wrote.
    Fenced,
    /// Another copy of this very instance wrote.
    Copied,
}

/// Judges the chain's entry: `tries` are the ids of all batches that this instance sent since `base`, the newest last.
pub(super) fn judge(base: &Base, lease: &LeaseEntry, tries: &[Digest], chain: Option<&CountersEntry>) -> Outcome {
    let Some(entry) = chain.filter(|entry| entry.sequence > base.sequence) else { return Outcome::NotYet };
    if entry.fence != lease.fence || entry.instance_id != lease.instance_id {
        return Outcome::Fenced;
    }
    let next = entry.sequence == base.sequence + 1;
    match tries.iter().rposition(|id| *id == entry.batch) {
        Some(at) if next && at + 1 == tries.len() => Outcome::Landed,
        Some(_) if next => Outcome::Earlier,
        _ => Outcome::Copied,
    }
}
