//! A follower: a full node that is no validator. It takes certified blocks from nodes over JSON-RPC, and trusts the network
//! key alone (`spec/sync.md`).
//!
//! Without state keys it applies each block's write set, whose root must be the certified one; with them it executes. It
//! serves the whole JSON-RPC and hands on what it cannot answer. Invariant: what it serves is certified. Where a store is
//! damaged, or too old to go on from, the state is synced anew, unless it is an archive's; the store is moved aside when the
//! new one is whole.

mod apply;
mod stores;

use std::{
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use commonware_runtime::{Runner as _, tokio as engine_runtime};
use freehold_crypto::{AnswerSigner, StateKeys};
use freehold_primitives::NetworkKey;
use freehold_rpc::Endpoint;
use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep},
};
use tracing::{info, warn};

use crate::{
    clock::Clock,
    metrics::{Gauges, Own},
    rpc::{Duty, Forward, NodeMethods, RpcServer, ServerError},
    sync::{Onto, SourceChain, Sources, Staging, Successor, SyncError, SyncedState, sync_into},
};
use apply::Applier;
use stores::{Opened, open};

/// Worker threads of a follower's runtime.
const WORKERS: usize = 2;
/// Pause between two looks for new blocks: below the spacing of blocks.
const POLL: Duration = Duration::from_millis(100);
/// Time without a block after which another source is asked: three heartbeats.
const IDLE_MAX: Duration = Duration::from_secs(3);
/// Pause while no source answers.
const AWAY_PAUSE: Duration = Duration::from_secs(1);

/// Where a new follower begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncFrom {
    /// With the newest certified state.
    State,
    /// With the genesis, from sources that keep everything.
    Genesis,
}

/// Which old states are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepStates {
    /// Those of the newest [`HISTORY_WINDOW`](crate::HISTORY_WINDOW) blocks.
    Window,
    /// All, from where it begins: an archive.
    All,
}

/// Settings of a follower.
#[derive(Clone)]
pub struct FollowerConfig {
    /// Folder of its stores; with state keys in it, the follower executes.
    pub folder: PathBuf,
    /// The network key: all that is trusted.
    pub network_key: NetworkKey,
    /// Nodes that it follows.
    pub sources: Vec<Endpoint>,
    /// Where it serves JSON-RPC, if it does.
    pub rpc: Option<SocketAddr>,
    /// Where it begins, when the folder is empty.
    pub from: SyncFrom,
    /// Which old states it keeps.
    pub keep_states: KeepStates,
    /// How many newest blocks keep their transactions and receipts, [`BODIES_MIN`](crate::BODIES_MIN) at least; all
    /// where `None`.
    pub keep_blocks: Option<u64>,
    /// Its clock.
    pub clock: Clock,
    /// What it is given as a registered executor; a follower that has it executes and signs.
    pub executor: Option<ExecutorKeys>,
}

/// What a registered executor holds. No `Debug`: it is secret.
#[derive(Clone)]
pub struct ExecutorKeys {
    /// State root keys, which the quorum gives; what is missing may come later.
    pub state: Arc<StateKeys>,
    /// What it signs answers to calls with.
    pub signer: Arc<AnswerSigner>,
}

/// Why a follower does not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FollowerError {
    /// It cannot catch up.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// Its stores cannot be opened, or have no way forward.
    #[error("the follower's stores do not serve: {0}")]
    Stores(#[source] SyncError),
    /// The JSON-RPC server did not start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// An archive's store is damaged or too old, and is not thrown away for it.
    #[error(
        "the archive in {folder} cannot go on: {source}. Restore it from a backup, or name a source that keeps the blocks it \
         lacks; without its old states, move blocks.redb and state away and start again: it syncs into the folder anew"
    )]
    Archive {
        /// Its folder.
        folder: PathBuf,
        /// What is wrong.
        source: Box<SyncError>,
    },
    /// A thread could not be started.
    #[error("a thread could not be started")]
    Thread(#[source] std::io::Error),
    /// A store gave up.
    #[error(
        "the follower in {folder} ended ({reason}). Check the free space and the rights of the folder and start again; if that \
         does not help, give it a fresh folder: it syncs anew"
    )]
    Failed {
        /// Its folder.
        folder: PathBuf,
        /// What was said.
        reason: String,
    },
}

/// A running follower. Dropping it stops it.
pub struct Follower {
    /// Where it serves JSON-RPC.
    pub rpc: Option<SocketAddr>,
    /// Chain id of the network.
    pub chain_id: u64,
    /// The state that it began with, where it began now.
    pub synced: Option<SyncedState>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// What it tells when it is ready.
struct Ready {
    rpc: Option<SocketAddr>,
    chain_id: u64,
    synced: Option<SyncedState>,
}

impl Follower {
    /// Starts a follower on a thread of its own and waits until it has a state and serves. `ended` is told when it ends
    /// without being asked to.
    ///
    /// # Errors
    /// Any [`FollowerError`].
    pub async fn start(
        config: FollowerConfig,
        ended: mpsc::UnboundedSender<FollowerError>,
    ) -> Result<Self, FollowerError> {
        let folder = config.folder.clone();
        let (ready_tx, ready) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let run = move || on_thread(config, Signals { ready: Some(ready_tx), stopped, ended });
        let thread = thread::Builder::new().name("follower".to_owned()).spawn(run).map_err(FollowerError::Thread)?;
        let failed = |_| FollowerError::Failed { folder, reason: "before it was ready".to_owned() };
        let Ready { rpc, chain_id, synced } = ready.await.map_err(failed)??;
        Ok(Self { rpc, chain_id, synced, stop: Some(stop), thread: Some(thread) })
    }

    /// Stops it: stores are flushed, and its thread has ended when this returns.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _panicked = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// How a follower's thread and whoever started it hear of each other.
struct Signals {
    ready: Option<oneshot::Sender<Result<Ready, FollowerError>>>,
    stopped: oneshot::Receiver<()>,
    ended: mpsc::UnboundedSender<FollowerError>,
}

impl Signals {
    /// Tells why it does not go on, to whoever waits.
    fn fail(&mut self, error: FollowerError) {
        match self.ready.take() {
            Some(ready) => drop(ready.send(Err(error))),
            None => drop(self.ended.send(error)),
        }
    }
}

fn on_thread(config: FollowerConfig, mut signals: Signals) {
    let folder = config.folder.clone();
    let settings = engine_runtime::Config::new()
        .with_worker_threads(WORKERS)
        .with_tcp_nodelay(Some(true))
        .with_storage_directory(folder.join("runtime"));
    let run = AssertUnwindSafe(|| {
        engine_runtime::Runner::new(settings).start(|context| async {
            let end = run(context, &config, &mut signals).await;
            end.err().into_iter().for_each(|error| signals.fail(error));
        });
    });
    if let Err(panic) = catch_unwind(run) {
        signals.fail(FollowerError::Failed { folder, reason: crate::member::message(&*panic) });
    }
}

/// Runs until it is stopped: from a sync or from its own stores on, and again where those do not serve.
async fn run(
    context: engine_runtime::Context,
    config: &FollowerConfig,
    signals: &mut Signals,
) -> Result<(), FollowerError> {
    let sources = Arc::new(Sources::new(&config.sources)?);
    let chain = tokio::select! {
        chain = SourceChain::open(&sources, &config.network_key, &config.folder) => chain?,
        _ = &mut signals.stopped => return Ok(()),
    };
    let run = Run { context, config, sources, chain };
    let (mut rpc, mut onto) = (config.rpc, None);
    Staging::new(&config.folder).resume()?;
    if config.from == SyncFrom::State && !config.folder.join("blocks.redb").exists() {
        onto = Some(Onto::Empty);
    }
    loop {
        let again = onto == Some(Onto::Stores);
        let error = match run.once(&mut rpc, onto.take(), signals).await {
            Ok(()) => return Ok(()),
            Err(FollowerError::Stores(error)) if is_damage(&error) => error,
            Err(FollowerError::Sync(error)) if again && may_pass(&error) => {
                warn!(%error, "no state is to be had; going on with what is here, and asking again");
                sleep(AWAY_PAUSE).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        if config.keep_states == KeepStates::All {
            return Err(FollowerError::Archive { folder: config.folder.clone(), source: Box::new(error) });
        }
        warn!(%error, "the stores here do not serve any more: the state is synced anew, and then they are moved to `damaged`");
        onto = Some(Onto::Stores);
        sleep(AWAY_PAUSE).await;
    }
}

/// Whether stores that cannot be opened are damaged or have no way forward, and are not just held or refused by the system.
const fn is_damage(error: &SyncError) -> bool {
    match error {
        SyncError::Disk | SyncError::Tree(_) | SyncError::Chain(_) | SyncError::Executor(_) => true,
        other => is_stuck(other),
    }
}

/// Whether stores that were in use have no way forward.
const fn is_stuck(error: &SyncError) -> bool {
    match error {
        SyncError::Blocks(error) => error.is_damage(),
        SyncError::Diverged(_) | SyncError::NotKept { .. } => true,
        _ => false,
    }
}

/// Whether sources may give what they did not.
const fn may_pass(error: &SyncError) -> bool {
    matches!(error, SyncError::Away { .. } | SyncError::NotKept { .. } | SyncError::NotFinal(_) | SyncError::Outrun(_))
}

struct Run<'a> {
    context: engine_runtime::Context,
    config: &'a FollowerConfig,
    sources: Arc<Sources>,
    chain: SourceChain,
}

impl Run<'_> {
    /// Syncs where there is nothing yet, opens, serves and follows.
    async fn once(
        &self,
        rpc: &mut Option<SocketAddr>,
        onto: Option<Onto>,
        signals: &mut Signals,
    ) -> Result<(), FollowerError> {
        let mut synced = None;
        if let Some(onto) = onto {
            let begin = (onto, Successor::Follower);
            tokio::select! {
                done = sync_into(&self.sources, &self.chain, &self.config.folder, begin) => synced = Some(done?),
                _ = &mut signals.stopped => return Ok(()),
            }
        }
        let Opened { shared, applier } = open(self.config, &self.chain).await?;
        let own = Own { identity: None, folder: self.config.folder.clone() };
        let gauges = Gauges::new(&self.context, Arc::clone(&shared), own);
        let server = match *rpc {
            Some(address) => {
                let duty = Duty::Follower(Forward(Arc::clone(&self.sources)));
                let signer = self.config.executor.as_ref().map(|executor| Arc::clone(&executor.signer));
                let methods = NodeMethods::new(shared, duty, gauges, signer)?;
                Some(RpcServer::start(address, methods).await?)
            }
            None => None,
        };
        *rpc = server.as_ref().map(RpcServer::address).or(*rpc);
        if let Some(ready) = signals.ready.take() {
            let told = Ready { rpc: *rpc, chain_id: self.chain.genesis.chain_id, synced };
            let _gone = ready.send(Ok(told));
        }
        let mut applier = applier;
        let end = tokio::select! {
            error = self.follow(&mut applier) => {
                Err(if is_stuck(&error) { FollowerError::Stores(error) } else { error.into() })
            }
            _ = &mut signals.stopped => Ok(()),
        };
        if let Some(server) = server {
            server.stop().await;
        }
        if end.is_ok() {
            applier.flush()?;
        }
        end
    }

    /// Takes one page after another, for ever.
    async fn follow(&self, applier: &mut Applier) -> SyncError {
        let (mut was_away, mut newest) = (false, Instant::now());
        loop {
            applier.fetch_missed(&self.sources).await;
            match applier.next(&self.sources, &self.chain).await {
                Ok(0) => {
                    // It may be holding blocks back.
                    if newest.elapsed() > IDLE_MAX {
                        self.sources.rotate();
                        newest = Instant::now();
                    }
                    sleep(POLL).await;
                }
                Ok(_) => (was_away, newest) = (false, Instant::now()),
                Err(SyncError::Away { endpoint, source }) => {
                    if !was_away {
                        info!(%endpoint, error = %source, "no source answers; going on with what is here");
                    }
                    was_away = true;
                    sleep(AWAY_PAUSE).await;
                }
                Err(error) => return error,
            }
        }
    }
}
