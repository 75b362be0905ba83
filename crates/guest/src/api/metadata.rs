//! Metadata of the instance as appd keeps it: pairs in memory, bounded as on Oasis.
//!
//! Pairs live as long as the boot. Publishing them on the chain is not here.

use std::collections::BTreeMap;

use thiserror::Error;

/// Most pairs: 64, less the ten that are the platform's.
pub(crate) const PAIRS_MAX: usize = 54;
/// Longest key in bytes, the prefix `net.oasis.app.` included.
pub(crate) const KEY_BYTES_MAX: usize = 1024;
/// Longest value in bytes.
pub(crate) const VALUE_BYTES_MAX: usize = 16 * 1024;
/// Prefix under which keys stand outside.
pub(crate) const PREFIX: &str = "net.oasis.app.";

/// Why metadata is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum MetadataError {
    /// Too many pairs, or one too long.
    #[error("invalid argument")]
    Bound,
}

/// The pairs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    pairs: BTreeMap<String, String>,
}

impl Metadata {
    pub(crate) const fn pairs(&self) -> &BTreeMap<String, String> {
        &self.pairs
    }

    /// Puts these pairs in the place of all.
    pub(crate) fn replace(&mut self, pairs: BTreeMap<String, String>) -> Result<(), MetadataError> {
        check(&pairs)?;
        self.pairs = pairs;
        Ok(())
    }

    /// Adds pairs, or changes them.
    pub(crate) fn upsert(&mut self, pairs: BTreeMap<String, String>) -> Result<(), MetadataError> {
        let mut all = self.pairs.clone();
        all.extend(pairs);
        self.replace(all)
    }

    /// Removes keys; those that are not there are skipped.
    pub(crate) fn delete(&mut self, keys: &[String]) {
        for key in keys {
            self.pairs.remove(key);
        }
    }
}

fn check(pairs: &BTreeMap<String, String>) -> Result<(), MetadataError> {
    let fits = |(key, value): (&String, &String)| {
        !key.is_empty() && PREFIX.len() + key.len() <= KEY_BYTES_MAX && value.len() <= VALUE_BYTES_MAX
    };
    if pairs.len() <= PAIRS_MAX && pairs.iter().all(fits) { Ok(()) } else { Err(MetadataError::Bound) }
}
