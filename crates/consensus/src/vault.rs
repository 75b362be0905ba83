//! Where a validator keeps what must survive a crash and then vanish: seeds, dealings, shares of terms to come.
//!
//! Invariant: when `keep` or `begin` returns, what it was given is durable, and what `begin` replaced stands in neither
//! of the two files that the engine's store writes by turns. How a medium forgets is not here: encrypt the disk.

use commonware_runtime::{Clock, Metrics, Storage};
use commonware_storage::metadata::{Config, Metadata};
use commonware_utils::sequence::U64;
use zeroize::{Zeroize as _, Zeroizing};

/// Largest record, in bytes: what is in force, with the disputes of every pair of 64 members.
const RECORD_BYTES_MAX: usize = 512 * 1024;
/// Most records.
const RECORDS_MAX: u64 = 4_096;

/// The store failed, or is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store of secrets failed")]
pub(crate) struct VaultError;

/// An ordered list of secret records on disk.
pub(crate) struct Vault<E: Storage + Clock + Metrics> {
    /// Taken only while it syncs; the engine's store is consumed by a failed sync.
    store: Option<Metadata<E, U64, Vec<u8>>>,
    next: u64,
}

impl<E: Storage + Clock + Metrics> Vault<E> {
    /// Opens the vault in a partition and reads what is in it, in the order in which it was kept.
    pub(crate) async fn open(context: E, partition: String) -> Result<(Self, Vec<Zeroizing<Vec<u8>>>), VaultError> {
        let config = Config { partition, codec_config: ((0..=RECORD_BYTES_MAX).into(), ()) };
        let store = Metadata::<E, U64, Vec<u8>>::init(context, config).await.map_err(|_| VaultError)?;
        let mut keys: Vec<u64> = store.keys().map(u64::from).collect();
        keys.sort_unstable();
        let records = keys.iter().filter_map(|key| store.get(&U64::new(*key)).cloned().map(Zeroizing::new)).collect();
        Ok((Self { next: keys.last().map_or(0, |last| last + 1), store: Some(store) }, records))
    }

    /// Keeps one record more.
    pub(crate) async fn keep(&mut self, record: &[u8]) -> Result<(), VaultError> {
        if record.len() > RECORD_BYTES_MAX || self.next >= RECORDS_MAX {
            return Err(VaultError);
        }
        let store = self.store.take().ok_or(VaultError)?;
        self.store = Some(store.put_sync(U64::new(self.next), record.to_vec()).await.map_err(|_| VaultError)?);
        self.next += 1;
        Ok(())
    }

    /// Replaces everything by one record.
    pub(crate) async fn begin(&mut self, record: &[u8]) -> Result<(), VaultError> {
        let mut store = self.store.take().ok_or(VaultError)?;
        let keys: Vec<_> = store.keys().cloned().collect();
        for key in keys {
            if let Some(mut old) = store.remove(&key) {
                old.zeroize();
            }
        }
        self.next = 1;
        // Twice, because the store writes its two files by turns.
        let store = store.put_sync(U64::new(0), record.to_vec()).await.map_err(|_| VaultError)?;
        self.store = Some(store.put_sync(U64::new(0), record.to_vec()).await.map_err(|_| VaultError)?);
        Ok(())
    }

    /// Removes the files.
    pub(crate) async fn destroy(mut self) -> Result<(), VaultError> {
        self.begin(&[]).await?;
        self.store.take().ok_or(VaultError)?.destroy().await.map_err(|_| VaultError)
    }
}
