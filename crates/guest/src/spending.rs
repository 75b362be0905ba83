//! Limits that the app's owner sets on what the instance's account may spend for its app (`spec/settings.md` §4).
//!
//! Invariant: what a transaction may cost at most is counted, durably, before it is sent, one at a time; what it did cost
//! takes its place afterwards and is never more. So neither a restart nor two askers at once get more than the limits. A
//! host that puts back an older disk makes the count begin again; the account is another one after every boot.

use std::{path::Path, sync::Arc};

use freehold_primitives::{Account, Canonical as _, UnixSeconds, canonical_struct, entries::SpendingLimits};
use thiserror::Error;
use tokio::sync::Mutex;

use crate::{
    roots::HeldRoots,
    sealed_file::{SealedError, SealedFile},
};

#[cfg(test)]
mod tests;

/// Length of a day, in seconds: the count is of the last one, at every moment.
const DAY_S: u64 = 86_400;
/// Most transactions that are remembered; no limit is above it.
pub(crate) const SPENT_MAX: usize = 4_096;
/// Largest file, in bytes.
const BYTES_MAX: usize = 64 + SPENT_MAX * 32;
/// Bound to the ciphertext.
const DOMAIN: &[u8] = b"freehold spending record v1";

/// Why a transaction is not made. Every sentence begins with a stable word.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum SpendingError {
    #[error("spending_per_transaction: it may cost {cost} wei, and the owner's limit is {limit}")]
    PerTransaction { cost: u128, limit: u128 },
    #[error(
        "spending_per_day: it may cost {cost} wei, {spent} were spent within 24 hours, and the owner's limit is {limit}"
    )]
    PerDay { cost: u128, spent: u128, limit: u128 },
    #[error("spending_count: {count} transactions were made within 24 hours, which is the owner's limit")]
    Count { count: usize },
    #[error("spending_contract: the owner's limits do not name 0x{0}")]
    Contract(Account),
    #[error("spending_create: the owner's limits let the app create no contract")]
    Create,
    #[error("spending_unknown: the owner's limits are not known yet: {0}")]
    Unknown(String),
    #[error("spending_record: {0}")]
    Record(#[from] SealedError),
}

canonical_struct! {
    /// What one transaction cost, or may cost.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Spent {
        /// Tells it from the others.
        pub sequence: u64,
        /// When it was sent.
        pub at: UnixSeconds,
        /// Wei, value and fees together.
        pub cost_wei: u128,
    }
}

canonical_struct! {
    /// What the disk remembers.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct SpendingRecord {
        /// Number of the next transaction.
        pub next: u64,
        /// Those of the last 24 hours, oldest first.
        pub spent: Vec<Spent>,
    }
}

/// What is about to be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Callee; `None` to create a contract.
    pub(crate) to: Option<Account>,
    /// Most that it may cost, in wei.
    pub(crate) cost_wei: u128,
    pub(crate) now: UnixSeconds,
}

/// What was spent.
pub(crate) struct Spending {
    file: SealedFile,
    /// Read from disk at the first use.
    record: Mutex<Option<SpendingRecord>>,
}

impl Spending {
    pub(crate) fn new(dir: &Path, roots: Arc<HeldRoots>) -> Self {
        let path = dir.join("spending");
        let file = SealedFile { path, salt: "spending".to_owned(), domain: DOMAIN, bytes_max: BYTES_MAX, roots };
        Self { file, record: Mutex::default() }
    }

    /// Counts a transaction before it is sent, where the limits allow it; gives its number.
    pub(crate) async fn reserve(&self, limits: Option<&SpendingLimits>, wanted: Wanted) -> Result<u64, SpendingError> {
        let mut held = self.record.lock().await;
        let mut record = match held.take() {
            Some(record) => record,
            None => self.load()?,
        };
        record.spent.retain(|spent| spent.at.saturating_add(DAY_S) > wanted.now);
        let allowed = limits.map_or(Ok(()), |limits| check(limits, &record.spent, &wanted));
        if let Err(refused) = allowed {
            *held = Some(record);
            return Err(refused);
        }
        if record.spent.len() >= SPENT_MAX {
            record.spent.remove(0);
        }
        let sequence = record.next;
        record.next = sequence.saturating_add(1);
        record.spent.push(Spent { sequence, at: wanted.now, cost_wei: wanted.cost_wei });
        let stored = self.store(&record).await;
        *held = Some(record);
        stored.map(|()| sequence)
    }

    /// Puts what a transaction did cost in the place of what it might.
    pub(crate) async fn settle(&self, sequence: u64, cost_wei: u128) {
        let mut held = self.record.lock().await;
        let Some(record) = held.as_mut() else { return };
        let Some(spent) = record.spent.iter_mut().find(|spent| spent.sequence == sequence) else { return };
        spent.cost_wei = spent.cost_wei.min(cost_wei);
        // A disk that fails keeps the higher figure.
        if let Err(error) = self.store(record).await {
            tracing::warn!(%error, "what a transaction cost is not kept");
        }
    }

    fn load(&self) -> Result<SpendingRecord, SpendingError> {
        let Some(text) = self.file.load()? else { return Ok(SpendingRecord::default()) };
        SpendingRecord::from_canonical(&text).map_err(|_| SealedError::Sealed(self.file.path.clone()).into())
    }

    async fn store(&self, record: &SpendingRecord) -> Result<(), SpendingError> {
        let (file, text) = (self.file.clone(), record.to_canonical());
        let stored = tokio::task::spawn_blocking(move || file.store(&text)).await;
        Ok(stored.map_err(|_| SpendingError::Unknown("the instance stops".to_owned()))??)
    }
}

/// Whether the limits allow it beside what was spent within a day.
fn check(limits: &SpendingLimits, spent: &[Spent], wanted: &Wanted) -> Result<(), SpendingError> {
    match wanted.to {
        Some(to) if limits.contracts.binary_search(&to).is_err() => return Err(SpendingError::Contract(to)),
        None if !limits.may_create => return Err(SpendingError::Create),
        _ => {}
    }
    let cost = wanted.cost_wei;
    if cost > limits.per_transaction_wei {
        return Err(SpendingError::PerTransaction { cost, limit: limits.per_transaction_wei });
    }
    let count_max = usize::try_from(limits.per_day_count).unwrap_or(usize::MAX).min(SPENT_MAX);
    if spent.len() >= count_max {
        return Err(SpendingError::Count { count: spent.len() });
    }
    let before = spent.iter().fold(0_u128, |sum, spent| sum.saturating_add(spent.cost_wei));
    if before.saturating_add(cost) > limits.per_day_wei {
        return Err(SpendingError::PerDay { cost, spent: before, limit: limits.per_day_wei });
    }
    Ok(())
}
