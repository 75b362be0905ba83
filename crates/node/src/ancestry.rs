//! Recent payloads: which transactions stand in payloads that are ordered or proposed but not executed yet.
//!
//! A proposer that builds on a parent leaves out what the parent's unexecuted ancestors already hold. Bounded: payloads
//! at or below the executed height are forgotten, and so are the oldest above [`RECENT_MAX`].

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::B256;
use freehold_primitives::{Digest, Height};

#[cfg(test)]
mod tests;

/// Most payloads remembered: sixteen heights of lag with a few competing payloads each.
pub(crate) const RECENT_MAX: usize = 256;

#[derive(Debug)]
struct Recent {
    parent: Digest,
    transactions: Vec<B256>,
}

/// Payloads above the executed height.
#[derive(Debug, Default)]
pub(crate) struct Ancestry {
    payloads: BTreeMap<(Height, Digest), Recent>,
}

/// What a walk from a parent down to the executed height found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Transactions of all unexecuted ancestors.
    Known(BTreeSet<B256>),
    /// An ancestor is not known here (after a restart): propose nothing until it is executed.
    Unknown,
}

impl Ancestry {
    /// Remembers a payload that was proposed, verified or finalised.
    pub(crate) fn note(&mut self, height: Height, digest: Digest, parent: Digest, transactions: Vec<B256>) {
        self.payloads.insert((height, digest), Recent { parent, transactions });
        while self.payloads.len() > RECENT_MAX {
            self.payloads.pop_first();
        }
    }

    /// Forgets what is executed.
    pub(crate) fn executed(&mut self, height: Height) {
        self.payloads = self.payloads.split_off(&(height.saturating_add(1), Digest::ZERO));
    }

    /// Transactions of the ancestors from `parent` (at `height`) down to above `executed`.
    pub(crate) fn taken(&self, height: Height, parent: Digest, executed: Height) -> Taken {
        let (mut height, mut digest, mut taken) = (height, parent, BTreeSet::new());
        while height > executed {
            let Some(recent) = self.payloads.get(&(height, digest)) else { return Taken::Unknown };
            taken.extend(recent.transactions.iter().copied());
            digest = recent.parent;
            height -= 1;
        }
        Taken::Known(taken)
    }
}
