//! Named leases and the counters under them (design D11, `spec/leases.md`): taken, renewed, let go and lost through the
//! chain, believed under certificates alone.
//!
//! Invariant: this instance counts a lease as its own only while its own clock, which no header turns back, is a margin
//! before the end that a certified entry named. What it wrote under a lost lease the chain refuses by its fence.

mod batch;
mod error;
mod record;
mod writer;

pub(crate) use error::LeaseError;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use alloy_sol_types::SolCall as _;
use freehold_crypto::slots::APPS;
use freehold_primitives::{
    AppId, Digest, UnixSeconds,
    entries::{CountersEntry, LEASE_HELD_CODE, LeaseEntry, NAMED_LEASE_S_RANGE, is_lease_name},
};
use freehold_rpc::{
    AcquireLease, Checked, CountersReport, DiskReport, DiskState, HeaderReference, IncrementCounter,
    IncrementedCounter, LeaseReport,
};
use freehold_verify::{EntryKey, VerifiedHeader};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use self::{
    record::{Record, RecordFile},
    writer::{CounterWriter, WriterParts},
};
use crate::{
    abi::IApps,
    roots::HeldRoots,
    sender::{AccountSender, SendError},
    state::{Input, LEASE_MARGIN_S},
};

/// Most leases that an instance holds.
const LEASES_MAX: usize = 32;
/// Length of a lease where none is asked for, in seconds.
const LENGTH_S: u64 = 60;
/// Longest wait for a lease that another instance holds, in seconds: below the client's wait for an answer.
const WAIT_S_MAX: u64 = 25;
/// Pause between two tries to take a lease that another instance holds.
const TRY_PAUSE: Duration = Duration::from_millis(500);
/// Pause between two looks at the leases that may need a renewal.
const RENEW_PAUSE: Duration = Duration::from_secs(1);

/// Seconds since the Unix epoch, by headers and the own clock, while the instance serves.
pub(crate) type Now = Arc<dyn Fn() -> Option<UnixSeconds> + Send + Sync>;

/// What leases are made with.
pub(crate) struct LeaseParts {
    pub(crate) sender: Arc<AccountSender>,
    pub(crate) app_id: AppId,
    pub(crate) instance: Digest,
    pub(crate) state_dir: PathBuf,
    pub(crate) roots: Arc<HeldRoots>,
    pub(crate) now: Now,
    /// Where it is told that another copy of this instance writes.
    pub(crate) inputs: mpsc::Sender<Input>,
}

/// Leases of this instance.
pub(crate) struct Leases {
    parts: LeaseParts,
    held: Mutex<BTreeMap<String, Held>>,
    /// One taking, renewal or release at a time.
    turn: tokio::sync::Mutex<()>,
}

/// A lease that the chain showed as this instance's own.
struct Held {
    entry: LeaseEntry,
    length_s: u64,
    /// Header time under which the newest renewal was seen.
    seen_at: UnixSeconds,
    disk: DiskReport,
    writer: CounterWriter,
}

impl Held {
    /// Whether it counts at this moment: a margin before its end.
    fn counts(&self, now: UnixSeconds) -> bool {
        let margin = LEASE_MARGIN_S.min(self.length_s / 4);
        now.saturating_add(margin) < self.entry.expires_at
    }
}

/// A header as answers name it.
fn reference(header: &VerifiedHeader) -> HeaderReference {
    let moment = header.moment();
    HeaderReference { height: moment.height, block_hash: moment.block_hash, time_unix_s: moment.time_unix_s }
}

impl Leases {
    pub(crate) fn new(parts: LeaseParts) -> Self {
        Self { parts, held: Mutex::new(BTreeMap::new()), turn: tokio::sync::Mutex::new(()) }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Result<UnixSeconds, LeaseError> {
        (self.parts.now)().ok_or(LeaseError::NotServing)
    }

    /// Renews what is held, until it is dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        loop {
            sleep(RENEW_PAUSE).await;
            let Ok(now) = self.now() else { continue };
            let mut due = Vec::new();
            self.held().retain(|name, held| {
                if !held.counts(now) {
                    tracing::warn!(%name, fence = held.entry.fence, "a lease is lost: no certified renewal came in time");
                    return false;
                }
                if now.saturating_sub(held.seen_at) >= held.length_s / 2 {
                    due.push((name.clone(), held.length_s));
                }
                true
            });
            for (name, length_s) in due {
                let _turn = self.turn.lock().await;
                if let Err(error) = self.take(&name, length_s).await {
                    tracing::warn!(%error, %name, "a lease is not renewed yet");
                    if matches!(error, LeaseError::Held { .. }) {
                        self.held().remove(&name);
                    }
                }
            }
        }
    }

    /// Takes a lease, or renews it, and waits for it where another instance holds it.
    pub(crate) async fn acquire(&self, name: &str, ask: AcquireLease) -> Result<LeaseReport, LeaseError> {
        check_name(name)?;
        let length_s = ask.length_s.unwrap_or(LENGTH_S);
        if !NAMED_LEASE_S_RANGE.contains(&length_s) {
            return Err(LeaseError::Length);
        }
        let wait = Duration::from_secs(ask.wait_s.unwrap_or(0).min(WAIT_S_MAX));
        let end = Instant::now() + wait;
        loop {
            let tried = {
                let _turn = self.turn.lock().await;
                self.take(name, length_s).await
            };
            match tried {
                Err(LeaseError::Held { .. }) if Instant::now() < end => sleep(TRY_PAUSE).await,
                Err(error) => return Err(error),
                Ok(()) => return self.report(name).await,
            }
        }
    }

    async fn take(&self, name: &str, length_s: u64) -> Result<(), LeaseError> {
        self.now()?;
        let full = {
            let held = self.held();
            held.len() >= LEASES_MAX && !held.contains_key(name)
        };
        if full {
            return Err(LeaseError::TooMany);
        }
        let call = IApps::acquireLeaseCall { name: name.to_owned(), lengthS: length_s };
        let sent = self.parts.sender.send(APPS, call.abi_encode()).await;
        let lost_race = matches!(&sent, Err(SendError::Refused { code: LEASE_HELD_CODE } | SendError::Reverted(_)));
        if let Err(error) = sent
            && !lost_race
        {
            return Err(error.into());
        }
        let Checked { header, entry } = self.entry(name).await?;
        let entry = entry.ok_or(LeaseError::Lost)?;
        let now = header.moment().time_unix_s;
        if entry.instance_id != self.parts.instance || !entry.stands(now) || lost_race {
            return Err(LeaseError::Held { fence: entry.fence, expires_at: entry.expires_at });
        }
        self.keep(name, entry, length_s, now).await
    }

    /// Takes in a lease that the chain showed as this instance's own.
    async fn keep(&self, name: &str, entry: LeaseEntry, length_s: u64, now: UnixSeconds) -> Result<(), LeaseError> {
        {
            let mut held = self.held();
            // A renewal: the same fence, and a later end.
            if let Some(held) = held.get_mut(name).filter(|held| held.entry.fence == entry.fence) {
                held.entry = entry;
                held.length_s = length_s;
                held.seen_at = now;
                return Ok(());
            }
        }
        let chain = self.counters_entry(name).await?.entry;
        let file = self.file(name);
        let disk = file.load()?.compare(chain.as_ref());
        if disk.disk_sequence > disk.chain_sequence {
            return Err(LeaseError::ChainBehind(disk));
        }
        if disk.state == DiskState::Behind {
            tracing::warn!(
                %name, disk = disk.disk_sequence, chain = disk.chain_sequence,
                "this disk has not seen the newest counters: it was rolled back or is new, or another instance wrote since"
            );
        }
        let writer = CounterWriter::start(WriterParts {
            sender: Arc::clone(&self.parts.sender),
            lease: entry.clone(),
            chain,
            file,
            inputs: self.parts.inputs.clone(),
        });
        self.held().insert(name.to_owned(), Held { entry, length_s, seen_at: now, disk, writer });
        Ok(())
    }

    fn file(&self, name: &str) -> RecordFile {
        RecordFile::new(&self.parts.state_dir, name, Arc::clone(&self.parts.roots))
    }

    async fn entry(&self, name: &str) -> Result<Checked<LeaseEntry>, LeaseError> {
        let key = EntryKey::Lease(self.parts.app_id, name.to_owned());
        Ok(self.parts.sender.chain().entry(&key).await?)
    }

    async fn counters_entry(&self, name: &str) -> Result<Checked<CountersEntry>, LeaseError> {
        let key = EntryKey::Counters(self.parts.app_id, name.to_owned());
        Ok(self.parts.sender.chain().entry(&key).await?)
    }

    /// Lets a lease go.
    pub(crate) async fn release(&self, name: &str) -> Result<LeaseReport, LeaseError> {
        check_name(name)?;
        let turn = self.turn.lock().await;
        // From here on nothing is written under it, whatever becomes of the transaction.
        let fence = self.held().remove(name).ok_or(LeaseError::Lost)?.entry.fence;
        let call = IApps::releaseLeaseCall { name: name.to_owned(), fence };
        self.parts.sender.send(APPS, call.abi_encode()).await?;
        drop(turn);
        self.report(name).await
    }

    /// Takes the app's word that its data are those of the chain's newest batch.
    pub(crate) async fn adopt(&self, name: &str, sequence: u64) -> Result<LeaseReport, LeaseError> {
        check_name(name)?;
        let now = self.now()?;
        let turn = self.turn.lock().await;
        let disk = {
            let held = self.held();
            held.get(name).filter(|held| held.counts(now)).ok_or(LeaseError::Lost)?.disk
        };
        if disk.state == DiskState::Behind {
            let chain = self.counters_entry(name).await?.entry;
            let chain_sequence = chain.as_ref().map_or(0, |entry| entry.sequence);
            if sequence != chain_sequence {
                return Err(LeaseError::DiskBehind(DiskReport { chain_sequence, ..disk }));
            }
            self.file(name).store(&Record::of(chain.as_ref()))?;
            let mut held = self.held();
            let held = held.get_mut(name).ok_or(LeaseError::Lost)?;
            held.disk = DiskReport { state: DiskState::Current, disk_sequence: chain_sequence, chain_sequence };
        }
        drop(turn);
        self.report(name).await
    }

    /// The lease as the chain shows it now, and what this instance has of it.
    pub(crate) async fn report(&self, name: &str) -> Result<LeaseReport, LeaseError> {
        check_name(name)?;
        let Checked { header, entry } = self.entry(name).await?;
        let now = self.now()?;
        let standing = entry.as_ref().filter(|entry| entry.stands(header.moment().time_unix_s));
        let held = self.held();
        let own = held.get(name).filter(|held| held.counts(now));
        Ok(LeaseReport {
            name: name.to_owned(),
            fence: entry.as_ref().map_or(0, |entry| entry.fence),
            holder: standing.map(|entry| entry.instance_id),
            account: standing.map(|entry| entry.account),
            expires_at: standing.map_or(0, |entry| entry.expires_at),
            held: own.is_some(),
            disk: own.map(|held| held.disk),
            header: reference(&header),
        })
    }

    /// All counters under a lease, as the chain shows them.
    pub(crate) async fn counters(&self, lease: &str) -> Result<CountersReport, LeaseError> {
        check_name(lease)?;
        let Checked { header, entry } = self.counters_entry(lease).await?;
        Ok(CountersReport {
            lease: lease.to_owned(),
            sequence: entry.as_ref().map_or(0, |entry| entry.sequence),
            fence: entry.as_ref().map_or(0, |entry| entry.fence),
            values: entry.into_iter().flat_map(|entry| entry.values).map(|one| (one.name, one.value)).collect(),
            header: reference(&header),
        })
    }

    /// Raises a counter; answers once the new value stands under a certificate.
    pub(crate) async fn increment(&self, ask: IncrementCounter) -> Result<IncrementedCounter, LeaseError> {
        check_name(&ask.lease)?;
        check_name(&ask.counter)?;
        let by = ask.by.unwrap_or(1);
        if by == 0 || by > 1 << 32 {
            return Err(LeaseError::By);
        }
        let now = self.now()?;
        let writer = {
            let held = self.held();
            let held = held.get(&ask.lease).filter(|held| held.counts(now)).ok_or(LeaseError::Lost)?;
            if held.disk.state == DiskState::Behind {
                return Err(LeaseError::DiskBehind(held.disk));
            }
            held.writer.clone()
        };
        writer.increment(ask.counter, by).await
    }
}

fn check_name(name: &str) -> Result<(), LeaseError> {
    if is_lease_name(name) { Ok(()) } else { Err(LeaseError::Name) }
}
