//! What the instance says of itself, in appd's words (`spec/local-api.md` §1): the pairs that its app sets, held in memory and
//! put on the chain by the instance's own account.
//!
//! Invariant: pairs that the chain would refuse are refused at once, and change nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use alloy_sol_types::SolCall as _;
use freehold_crypto::slots::APPS;
use freehold_primitives::{
    Canonical as _, Digest,
    entries::{self, MetadataEntry, MetadataPair},
};
use freehold_rpc::VerifiedError;
use freehold_verify::EntryKey;
use thiserror::Error;
use tokio::{sync::Notify, time::sleep};

use crate::{abi::IApps, agent::Guest, sender::SendError};

/// Least time between two transactions: an app that changes its pairs all the time pays for the newest of them.
const PAUSE: Duration = Duration::from_secs(10);

/// The pairs, by their keys.
pub(crate) type Pairs = BTreeMap<String, String>;

/// Why pairs are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum MetadataError {
    /// Too many of them, one too long, or all together.
    #[error("invalid argument")]
    Bound,
}

/// The pairs of this boot.
#[derive(Debug, Default)]
pub(crate) struct Metadata {
    pairs: Mutex<Pairs>,
    changed: Notify,
}

impl Metadata {
    fn lock(&self) -> MutexGuard<'_, Pairs> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pairs(&self) -> Pairs {
        self.lock().clone()
    }

    /// Puts these pairs in the place of all.
    pub(crate) fn replace(&self, pairs: Pairs) -> Result<(), MetadataError> {
        self.change(|all| *all = pairs)
    }

    /// Adds pairs, or changes them.
    pub(crate) fn upsert(&self, pairs: Pairs) -> Result<(), MetadataError> {
        self.change(|all| all.extend(pairs))
    }

    /// Removes keys; those that are not there are skipped.
    pub(crate) fn delete(&self, keys: &[String]) -> Result<(), MetadataError> {
        self.change(|all| all.retain(|key, _| !keys.contains(key)))
    }

    fn change(&self, change: impl FnOnce(&mut Pairs)) -> Result<(), MetadataError> {
        let mut held = self.lock();
        let mut pairs = held.clone();
        change(&mut pairs);
        if !document(&pairs).is_sound() {
            return Err(MetadataError::Bound);
        }
        *held = pairs;
        self.changed.notify_one();
        Ok(())
    }
}

/// The pairs as they stand on the chain.
fn document(pairs: &Pairs) -> entries::Metadata {
    let pair = |(key, value): (&String, &String)| MetadataPair { key: key.clone(), value: value.clone() };
    entries::Metadata { pairs: pairs.iter().map(pair).collect() }
}

/// Why the chain does not hold the pairs yet.
#[derive(Debug, Error)]
enum PublishError {
    #[error(transparent)]
    Chain(#[from] VerifiedError),
    #[error(transparent)]
    Send(#[from] SendError),
}

/// Keeps the chain's entry as the pairs are, until it is dropped.
pub(crate) async fn publish(guest: Arc<Guest>) {
    let Some(instance) = guest.identity().map(|identity| identity.instance_id) else { return };
    // A new instance has said nothing.
    let mut said = Pairs::new();
    loop {
        let pairs = guest.metadata().pairs();
        if pairs == said {
            guest.metadata().changed.notified().await;
            continue;
        }
        match publish_once(&guest, instance, &pairs).await {
            Ok(Standing::Shown) => said = pairs,
            Ok(Standing::Sent) => sleep(PAUSE).await,
            Err(error) => {
                tracing::warn!(%error, "the metadata are not on the chain yet");
                sleep(PAUSE).await;
            }
        }
    }
}

/// How far the pairs are.
enum Standing {
    /// A certified entry shows them.
    Shown,
    /// They were sent; what became of that, the next look tells.
    Sent,
}

async fn publish_once(guest: &Guest, instance: Digest, pairs: &Pairs) -> Result<Standing, PublishError> {
    let metadata = document(pairs);
    let shown = guest.chain().entry::<MetadataEntry>(&EntryKey::Metadata(instance)).await?.entry;
    if shown.is_some_and(|shown| shown.metadata == metadata) {
        return Ok(Standing::Shown);
    }
    let call = IApps::setMetadataCall { metadata: metadata.to_canonical().into() };
    guest.sender().send(APPS, call.abi_encode()).await?;
    Ok(Standing::Sent)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use freehold_primitives::entries::{METADATA_BYTES_MAX, METADATA_KEY_BYTES_MAX, METADATA_PAIRS_MAX};

    use super::*;

    fn pairs(count: usize) -> Pairs {
        (0..count).map(|index| (format!("k{index}"), "v".to_owned())).collect()
    }

    #[test]
    fn pairs_are_replaced_changed_and_removed_and_a_refused_change_changes_nothing() {
        let metadata = Metadata::default();
        metadata.replace(pairs(METADATA_PAIRS_MAX)).unwrap();
        assert!(metadata.upsert([("new".to_owned(), String::new())].into()).is_err());
        metadata.upsert([("k0".to_owned(), "w".to_owned())].into()).unwrap();
        metadata.delete(&["k1".to_owned(), "unknown".to_owned()]).unwrap();
        let held = metadata.pairs();
        assert_eq!((held.len(), held["k0"].as_str()), (METADATA_PAIRS_MAX - 1, "w"));
        for bad in [
            pairs(METADATA_PAIRS_MAX + 1),
            [(String::new(), String::new())].into(),
            [("k".repeat(METADATA_KEY_BYTES_MAX + 1), String::new())].into(),
            (0..4).map(|index| (index.to_string(), "v".repeat(METADATA_BYTES_MAX / 4))).collect(),
        ] {
            assert_eq!(metadata.replace(bad), Err(MetadataError::Bound));
        }
        assert_eq!(metadata.pairs(), held);
    }
}
