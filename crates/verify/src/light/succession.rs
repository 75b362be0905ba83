//! Network keys after the one that is trusted: a walk over succession records (`spec/succession.md`).
//!
//! Invariant: a [`NetworkKeys`] holds the trusted key and those that it leads to, each named under a certificate of the one
//! before; every term has one key. Records are carried by whoever asks for a check; a missing one makes certificates of
//! later terms refused, never accepted.

use freehold_crypto::{SuccessionError, verify_succession};
use freehold_primitives::{NetworkKey, SUCCESSIONS_MAX, SuccessionRecord, Term};
use thiserror::Error;

use super::finality::ChainTrust;

/// Why records lead nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeysError {
    /// Too many records.
    #[error("{0} succession records, where {SUCCESSIONS_MAX} may stand")]
    Count(usize),
    /// A record is not newer than the one before.
    #[error("succession record {0} is of no later term than the one before")]
    Order(usize),
    /// A record does not hold.
    #[error("succession record {index}: {source}")]
    Record {
        /// Its place, from 0.
        index: usize,
        /// Why.
        source: SuccessionError,
    },
}

/// Of the records that a node serves, those that follow on a key: all of them where none names it.
pub fn records_after<'a>(key: &NetworkKey, records: &'a [SuccessionRecord]) -> &'a [SuccessionRecord] {
    let named = records.iter().position(|record| record.network_key == *key);
    named.map_or(records, |at| &records[at + 1..])
}

/// Which network key signs in which term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkKeys {
    first: NetworkKey,
    later: Vec<(Term, NetworkKey)>,
}

impl NetworkKeys {
    /// One key for every term.
    pub const fn one(key: NetworkKey) -> Self {
        Self { first: key, later: Vec::new() }
    }

    /// Walks from the trusted key along records, oldest first.
    ///
    /// # Errors
    /// Every [`KeysError`].
    pub fn walk(trust: &ChainTrust, records: &[SuccessionRecord]) -> Result<Self, KeysError> {
        if records.len() > SUCCESSIONS_MAX {
            return Err(KeysError::Count(records.len()));
        }
        let mut keys = Self::one(trust.network_key);
        let chain = (trust.chain_id, &trust.genesis_hash);
        for (index, record) in records.iter().enumerate() {
            let refused = |source| KeysError::Record { index, source };
            let next = verify_succession(keys.newest(), chain, record).map_err(refused)?;
            if keys.later.last().is_some_and(|(from, _)| next.from_term <= *from) {
                return Err(KeysError::Order(index));
            }
            keys.later.push((next.from_term, next.network_key));
        }
        Ok(keys)
    }

    /// Walks along records of which some may be older than the trusted key, as a node serves them.
    ///
    /// # Errors
    /// Every [`KeysError`].
    pub fn walk_served(trust: &ChainTrust, records: &[SuccessionRecord]) -> Result<Self, KeysError> {
        Self::walk(trust, records_after(&trust.network_key, records))
    }

    /// Whether these are the keys of `before` and more.
    pub fn extends(&self, before: &Self) -> bool {
        self.first == before.first && self.later.len() > before.later.len() && self.later.starts_with(&before.later)
    }

    /// All keys with the first term of each, oldest first; the trusted one is given from term 0.
    pub fn all(&self) -> impl Iterator<Item = (Term, &NetworkKey)> {
        std::iter::once((0, &self.first)).chain(self.later.iter().map(|(from, key)| (*from, key)))
    }

    /// The key that signs in a term.
    pub fn at(&self, term: Term) -> &NetworkKey {
        let newest = self.later.iter().rev().find(|(from, _)| *from <= term);
        newest.map_or(&self.first, |(_, key)| key)
    }

    /// The newest key that the records lead to.
    pub fn newest(&self) -> &NetworkKey {
        self.later.last().map_or(&self.first, |(_, key)| key)
    }
}
