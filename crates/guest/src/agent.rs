//! The agent: what the state machine asks for, done. One task follows the chain, one takes quotes, one writes receipts,
//! one anchors; this module starts them and carries what happened to [`Lifecycle`].
//!
//! The host is trusted for nothing here: its relay is checked under certificates, its control channel only carries
//! signed documents, and its silence ends the instance before its lease does.

mod boot;
mod executor;
mod owner;
mod rotation;
mod tasks;

use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use freehold_ledger::{ChainContext, LedgerError};
use freehold_primitives::{BlockMoment, Digest};
use freehold_rpc::{HttpClient, VerifiedClient};
use thiserror::Error;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use crate::{
    clock::boot_ms,
    config::{ConfigError, Settings},
    dstack::EmittedEvents,
    events::Subscriptions,
    evidence::{EvidenceError, QuoteService},
    fetch::Fetcher,
    ingress,
    keys::{BootKeys, Identity},
    leases::Leases,
    metadata::{self, Metadata},
    owner::OwnerSettings,
    peers::Peers,
    receipts::{ReceiptStore, ReceiptWriter},
    release::{Committees, Granted, Release},
    roots::HeldRoots,
    seen::{SeenError, SeenFile},
    sender::AccountSender,
    spending::Spending,
    state::{Effect, Input, Lifecycle, Stage, StopReason},
    state_disk::StateDisk,
};

pub use executor::ExecutorGiven;
use executor::ExecutorSide;

/// How often time is looked at.
const TICK: Duration = Duration::from_millis(250);
/// Longest wait for the last anchor when the host asks to stop.
const LAST_ANCHOR_WAIT: Duration = Duration::from_secs(3);
/// Evidence that is remembered as the guest's own: far more than can be under way.
const SUBMITTED_MAX: usize = 64;
/// Inputs that may wait.
const INPUTS_MAX: usize = 64;

/// Why a guest does not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GuestError {
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The system gives no randomness.
    #[error("the system gives no randomness: {0}")]
    Randomness(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The evidence source cannot be used.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// Another guest uses the state directory.
    #[error("another guest uses {0}: stop it first, or give this one a directory of its own")]
    Locked(PathBuf),
    /// What this disk has seen of the chain cannot be read.
    #[error(transparent)]
    Seen(#[from] SeenError),
    /// A directory, socket or thread cannot be made.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// What the instance has once it holds its keys.
pub(crate) struct Serving {
    pub(crate) roots: Arc<HeldRoots>,
    pub(crate) store: Arc<ReceiptStore>,
    pub(crate) writer: ReceiptWriter,
    pub(crate) leases: Arc<Leases>,
    pub(crate) spending: Spending,
}

/// Everything that tasks and handlers share.
pub(crate) struct Guest {
    settings: Settings,
    keys: BootKeys,
    chain: VerifiedClient,
    sender: Arc<AccountSender>,
    seen: SeenFile,
    /// The same on the state disk, once that is open.
    kept: OnceLock<SeenFile>,
    disk: Arc<StateDisk>,
    /// Newest header that an earlier boot on this disk has seen.
    floor: Option<BlockMoment>,
    /// Digests of the evidence that this very guest has sent, the newest last.
    submitted: Mutex<VecDeque<Digest>>,
    inputs: mpsc::Sender<Input>,
    control: HttpClient,
    quotes: QuoteService,
    fetcher: Fetcher,
    life: Mutex<Lifecycle>,
    identity: OnceLock<Identity>,
    serving: OnceLock<Serving>,
    metadata: Metadata,
    owner: OwnerSettings,
    peers: Peers,
    subscriptions: Subscriptions,
    emitted: Mutex<EmittedEvents>,
    trouble: Mutex<Option<String>>,
    granted: Mutex<Option<Granted>>,
    committees: Committees,
    ledger: OnceLock<Arc<ChainContext>>,
    appended: Arc<Notify>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Guest {
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }
    pub(crate) const fn chain(&self) -> &VerifiedClient {
        &self.chain
    }
    pub(crate) fn sender(&self) -> &AccountSender {
        &self.sender
    }
    /// The chain's own rules, for calls that are run again; made at the first use.
    pub(crate) fn ledger(&self) -> Result<Arc<ChainContext>, LedgerError> {
        if let Some(context) = self.ledger.get() {
            return Ok(Arc::clone(context));
        }
        let context = Arc::new(ChainContext::new(self.settings.genesis.clone())?);
        Ok(Arc::clone(self.ledger.get_or_init(|| context)))
    }
    /// The state disk.
    pub(crate) fn disk(&self) -> &StateDisk {
        &self.disk
    }
    /// What the app's owner set.
    pub(crate) const fn owner(&self) -> &OwnerSettings {
        &self.owner
    }
    /// The other instances of the app.
    pub(crate) const fn peers(&self) -> &Peers {
        &self.peers
    }
    /// Places for those who listen to events.
    pub(crate) const fn subscriptions(&self) -> &Subscriptions {
        &self.subscriptions
    }
    pub(crate) const fn keys(&self) -> &BootKeys {
        &self.keys
    }
    pub(crate) const fn quotes(&self) -> &QuoteService {
        &self.quotes
    }
    pub(crate) const fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }
    pub(crate) fn life(&self) -> MutexGuard<'_, Lifecycle> {
        lock(&self.life)
    }
    pub(crate) fn stage(&self) -> Stage {
        self.life().stage()
    }
    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.get()
    }
    pub(crate) fn serving(&self) -> Option<&Serving> {
        self.serving.get()
    }
    /// What the instance says of itself.
    pub(crate) const fn metadata(&self) -> &Metadata {
        &self.metadata
    }
    /// Events that the app emitted through dstack's API.
    pub(crate) fn emitted(&self) -> MutexGuard<'_, EmittedEvents> {
        lock(&self.emitted)
    }
    /// What went wrong last, while the instance does not serve.
    pub(crate) fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }
    fn keep_granted(&self, granted: Option<Granted>) {
        *lock(&self.granted) = granted;
    }
    fn take_granted(&self) -> Option<Granted> {
        lock(&self.granted).take()
    }
    /// What a key release works with, once the identity is known.
    pub(crate) fn release(&self) -> Option<Release<'_>> {
        let identity = self.identity.get()?;
        let (chain, settings, keys) = (&self.chain, &self.settings, &self.keys);
        Some(Release { chain, settings, identity, keys, committees: &self.committees, sender: &self.sender })
    }
    /// Remembers evidence before it is sent.
    fn submits(&self, evidence: Digest) {
        let mut submitted = lock(&self.submitted);
        if submitted.len() == SUBMITTED_MAX {
            submitted.pop_front();
        }
        submitted.push_back(evidence);
    }
    fn has_submitted(&self, evidence: &Digest) -> bool {
        lock(&self.submitted).contains(evidence)
    }
    fn note(&self, trouble: Option<String>) {
        *lock(&self.trouble) = trouble;
    }
}

/// A future whose type is its result alone.
type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs one instance until its life ends, and says why it ended. `asked` resolves when the host wants it to stop.
///
/// # Errors
/// Every [`GuestError`], before anything is served.
pub async fn run(
    config: crate::GuestConfig,
    asked: impl Future<Output = ()> + Send + 'static,
) -> Result<StopReason, GuestError> {
    live(config, Box::pin(asked)).await
}

/// Runs the instance of an executor, a node in this very process, until its life ends. `given` is told the state root keys
/// and what signs answers, as soon as the quorum gave all that are in use; later generations come into the same keys.
///
/// # Errors
/// Every [`GuestError`], before anything is given; [`ConfigError::Value`] where the genesis names another app for executors.
pub async fn run_executor(
    config: crate::GuestConfig,
    given: oneshot::Sender<ExecutorGiven>,
    asked: impl Future<Output = ()> + Send + 'static,
) -> Result<StopReason, GuestError> {
    let role = Role::Executor(Arc::new(ExecutorSide::new(given)));
    Box::pin(live_until(config, role, Box::pin(asked))).await
}

/// What an instance lives for.
#[derive(Clone)]
enum Role {
    /// The app beside it, over the local API.
    App,
    /// The node in this process.
    Executor(Arc<ExecutorSide>),
}

/// An instance's life, boxed, so that its servers are compiled once, with this crate, and not in every program that awaits it.
fn live(config: crate::GuestConfig, asked: Boxed<()>) -> Boxed<Result<StopReason, GuestError>> {
    Box::pin(live_until(config, Role::App, asked))
}

async fn live_until(config: crate::GuestConfig, role: Role, mut asked: Boxed<()>) -> Result<StopReason, GuestError> {
    let (inputs, mut happened) = mpsc::channel(INPUTS_MAX);
    let settings = config.check()?;
    if matches!(role, Role::Executor(_)) && settings.genesis.membership.app != Some(settings.app_id) {
        return Err(ConfigError::Value("trust.app_id").into());
    }
    let (guest, _lock) = boot::prepare(settings, inputs.clone())?;
    let mut tasks = JoinSet::new();
    if matches!(role, Role::App) {
        boot::serve_api(&guest, &mut tasks)?;
    }
    tasks.spawn(tasks::follow(Arc::clone(&guest), inputs.clone()));
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let input = tokio::select! {
            input = happened.recv() => input.unwrap_or(Input::Tick),
            () = &mut asked => Input::Stop,
            _ = ticks.tick() => Input::Tick,
        };
        let effects = guest.life().step(input, boot_ms());
        for effect in effects {
            tracing::debug!(?effect, "next");
            if let Effect::Stop(reason) = effect {
                tracing::info!(reason = reason.as_str(), "the instance stops");
                if reason == StopReason::Asked {
                    last_anchor(&guest).await;
                }
                tasks.shutdown().await;
                let _ = std::fs::remove_file(&guest.settings.paths.local_api);
                return Ok(reason);
            }
            act((&guest, &role), effect, &inputs, &mut tasks);
        }
        // Tasks that ended leave nothing behind.
        while tasks.try_join_next().is_some() {}
    }
}

fn act((guest, role): (&Arc<Guest>, &Role), effect: Effect, inputs: &mpsc::Sender<Input>, tasks: &mut JoinSet<()>) {
    let (guest, role, inputs) = (Arc::clone(guest), role.clone(), inputs.clone());
    match effect {
        Effect::Register(moment) => drop(tasks.spawn(async move {
            let input = tasks::register(&guest, moment).await;
            let _ = inputs.send(input).await;
        })),
        Effect::Recheck => drop(tasks.spawn(async move {
            let input = tasks::recheck(&guest).await;
            let _ = inputs.send(input).await;
        })),
        Effect::FetchKeys => drop(tasks.spawn(async move {
            let input = match &role {
                Role::App => tasks::fetch_keys(&guest).await,
                Role::Executor(side) => side.fetch_keys(&guest).await,
            };
            let _ = inputs.send(input).await;
        })),
        Effect::Serve => {
            guest.note(None);
            tracing::info!("the instance serves");
            if let Role::Executor(side) = role {
                side.give(&guest);
                tasks.spawn(side.follow(guest));
                return;
            }
            if let Some(anchorer) = tasks::anchorer(&guest) {
                tasks.spawn(anchorer.run());
            }
            tasks.spawn(rotation::follow(Arc::clone(&guest)));
            tasks.spawn(owner::follow(Arc::clone(&guest)));
            tasks.spawn(ingress::run(Arc::clone(&guest)));
            tasks.spawn(metadata::publish(Arc::clone(&guest)));
            if let Some(serving) = guest.serving() {
                tasks.spawn(Arc::clone(&serving.leases).run());
            }
        }
        Effect::Stop(_) => {}
    }
}

/// Gives the last receipts a moment to be anchored; a successor adopts what is left.
async fn last_anchor(guest: &Guest) {
    let Some(serving) = guest.serving() else { return };
    let end = Instant::now() + LAST_ANCHOR_WAIT;
    while Instant::now() < end {
        let head = serving.store.head();
        if head.anchored >= head.size {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
}
