//! One validator, whole: stores, executor, consensus, gossip, key service and, where asked for, the JSON-RPC server; on a
//! runtime and a thread of its own, so that several in one process share nothing but the machine.
//!
//! One that has no blocks, or is left behind, takes the network's state first, in `catch_up`; its stores are then opened on a
//! runtime that is new.

mod catch_up;
mod pruning;

pub use pruning::PAYLOADS_KEPT;

use std::{
    any::Any,
    net::{SocketAddr, TcpListener},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    thread,
};

use commonware_runtime::{Runner as _, tokio as engine_runtime};
use freehold_consensus::{ConfigError, KeyError, Peers, Reach, Start, StartError, TermKeys, Timers, Validator};
use freehold_crypto::{AnswerSigner, StateKeys};
use freehold_primitives::{Ed25519Key, Genesis, KeyCeremony};
use freehold_rpc::Endpoint;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{debug, warn};

use crate::{
    application::NodeApplication,
    chain::{Chain, Machine},
    clock::Clock,
    exchange::{CATCH_UP, PeerExchange},
    executor::{Executor, ExecutorError, Worker, recover},
    genesis::{GenesisError, ValidatorKeys, claim_shares, erase_folder, erase_shares, read_keys},
    intake::Intake,
    key_service::KeyService,
    metrics::{Gauges, Own},
    peers::{Told, tell_peers},
    rpc::{Duty, NodeMethods, RpcServer, ServerError},
    shared::Shared,
    state_keys::{STATE_KEYS, StateKeyExchange},
    store::{BlockStore, MEND, QmdbTree, StoreIdentity},
    sync::{ENGINE_FOLDER, REPLACED, Sources, Staging, SyncError, forget_floor, read_floor},
    wire,
};
pub(crate) use catch_up::{Reason, Taken, try_state};

/// Where the channel of catching up stands among the gossip channels.
const CATCH_UP_PLACE: usize = 3;
/// Worker threads of a validator's runtime.
const WORKERS: usize = 2;

/// Settings of one validator of a network.
#[derive(Clone)]
pub struct MemberConfig {
    /// Folder with its keys and stores.
    pub folder: PathBuf,
    /// The chain.
    pub genesis: Genesis,
    /// What people call it in messages: `validator 0`.
    pub name: String,
    /// Where it listens for other validators.
    pub listen: SocketAddr,
    /// Where validators are that the chain does not tell of, or tells otherwise: those of the genesis.
    pub peers: Vec<(Ed25519Key, SocketAddr)>,
    /// Where it serves JSON-RPC, if it does.
    pub rpc: Option<SocketAddr>,
    /// How many newest blocks keep their transactions and receipts, [`BODIES_MIN`](crate::BODIES_MIN) at least; all
    /// where `None`.
    pub keep_blocks: Option<u64>,
    /// How many newest final payloads it keeps for validators that catch up, two terms at least; [`PAYLOADS_KEPT`] where
    /// `None`.
    pub keep_payloads: Option<u64>,
    /// Nodes that it asks before its peers for the state, where it has no blocks or is left behind.
    pub sources: Vec<Endpoint>,
    /// Its clock.
    pub clock: Clock,
    /// What it signs answers to calls with, where it is a registered executor too.
    pub signer: Option<Arc<AnswerSigner>>,
}

/// Why a validator does not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MemberError {
    /// Keys or genesis.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The keys do not fit the genesis.
    #[error("the validator's keys do not fit the genesis")]
    Keys(#[from] KeyError),
    /// A store did not open.
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    /// Consensus did not start.
    #[error("consensus did not start")]
    Consensus(#[from] StartError),
    /// Settings do not serve.
    #[error("the validator's settings do not serve")]
    Config(#[from] ConfigError),
    /// The network's state could not be taken, by this machine's fault.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The JSON-RPC server did not start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// Its address for other validators is taken, or not this machine's.
    #[error("{name} cannot listen on {address}: {source}; stop what holds it, or choose another address")]
    Listen {
        /// Its name.
        name: String,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// A thread could not be started.
    #[error("a thread could not be started")]
    Thread(#[source] std::io::Error),
    /// The engine or a store gave up: it does so where the disk fails, or what it reads back makes no sense.
    #[error(
        "{name} cannot go on with what is in {folder} ({reason}). Check the free space and the rights of the \
         folder and start again; if that does not help, {MEND}"
    )]
    Failed {
        /// Its name.
        name: String,
        /// Its folder.
        folder: PathBuf,
        /// What the engine said.
        reason: String,
    },
    /// It ended by itself.
    #[error("{name} ended: {reason}")]
    Ended {
        /// Its name.
        name: String,
        /// What ended.
        reason: String,
    },
}

/// A running validator. Dropping it stops the validator.
pub struct Member {
    /// Where it serves JSON-RPC.
    pub rpc: Option<SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<Option<MemberError>>>,
}

impl Member {
    /// Starts a validator on a thread of its own and waits until its stores are open and it listens. `ended` is told
    /// when it ends without being asked to.
    ///
    /// # Errors
    /// Any [`MemberError`].
    pub async fn start(config: MemberConfig, ended: mpsc::UnboundedSender<MemberError>) -> Result<Self, MemberError> {
        let name = config.name.clone();
        // The engine panics where it cannot listen, so that is tried first.
        let address = config.listen;
        if let Err(source) = TcpListener::bind(address) {
            return Err(MemberError::Listen { name, address, source });
        }
        let (ready_tx, ready) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let run = move || on_thread(config, Signals { ready: Some(ready_tx), stopped, ended });
        let thread = thread::Builder::new().name(name.clone()).spawn(run).map_err(MemberError::Thread)?;
        match ready.await {
            Ok(started) => Ok(Self { rpc: started?, stop: Some(stop), thread: Some(thread) }),
            Err(_) => {
                let failed = tokio::task::spawn_blocking(move || thread.join()).await;
                let failed = failed.ok().and_then(Result::ok).flatten();
                Err(failed.unwrap_or_else(|| MemberError::Ended { name, reason: "before it was ready".to_owned() }))
            }
        }
    }

    /// Stops it: stores are flushed, and its thread has ended when this returns.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _panicked = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// How a validator's thread and whoever started it hear of each other.
struct Signals {
    ready: Option<oneshot::Sender<Result<Option<SocketAddr>, MemberError>>>,
    stopped: oneshot::Receiver<()>,
    ended: mpsc::UnboundedSender<MemberError>,
}

impl Signals {
    /// Tells why it does not go on, to whoever waits.
    fn fail(&mut self, error: MemberError) {
        match self.ready.take() {
            Some(ready) => drop(ready.send(Err(error))),
            None => drop(self.ended.send(error)),
        }
    }
}

/// How a run of a validator ended.
enum End {
    /// It was asked to stop, or cannot go on and said so.
    Over,
    /// It is left behind: it takes the state, and runs again with these peers.
    LeftBehind(Peers),
}

/// A validator's thread, from start to end. Not async, so that the engine is compiled once, with this crate, and not in
/// every program that awaits a start.
fn on_thread(config: MemberConfig, mut signals: Signals) -> Option<MemberError> {
    let (name, folder) = (config.name.clone(), config.folder.clone());
    // The engine panics where its storage fails; the network goes down in order then, with a sentence.
    let runs = AssertUnwindSafe(|| {
        if let Err(error) = runs(config, &mut signals) {
            signals.fail(error);
        }
    });
    catch_unwind(runs).err().map(|panic| {
        let reason = message(&*panic);
        let _gone = signals.ended.send(MemberError::Failed {
            name: name.clone(),
            folder: folder.clone(),
            reason: reason.clone(),
        });
        MemberError::Failed { name, folder, reason }
    })
}

/// One run after another: with what is there, or after the state was taken.
fn runs(mut config: MemberConfig, signals: &mut Signals) -> Result<(), MemberError> {
    Staging::new(&config.folder).resume()?;
    let mut reason = catch_up::is_wiped(&config.folder).then_some(Reason::Empty);
    if reason.is_some() {
        forget_floor(&config.folder)?;
    }
    loop {
        if let Some(reason) = reason.take()
            && catch_up::take_state(&config, reason, &mut signals.stopped)? == Taken::Stopped
        {
            return Ok(());
        }
        let settings = engine_runtime::Config::new()
            .with_worker_threads(WORKERS)
            .with_tcp_nodelay(Some(true))
            .with_storage_directory(config.folder.join(ENGINE_FOLDER));
        match engine_runtime::Runner::new(settings).start(|context| run(context, &mut config, signals)) {
            End::Over => return Ok(()),
            End::LeftBehind(peers) => {
                reason = Some(Reason::Stuck);
                let known: Vec<_> = config.peers.iter().map(|(identity, _)| *identity).collect();
                config.peers.extend(peers.into_iter().filter(|(identity, _)| !known.contains(identity)));
            }
        }
    }
}

/// Parts that live as long as the validator.
struct Parts {
    consensus: freehold_consensus::ValidatorHandle,
    executor: Executor,
    server: Option<RpcServer>,
    failures: mpsc::UnboundedReceiver<ExecutorError>,
    peers: watch::Receiver<Peers>,
    shared: Arc<Shared>,
    /// Whom it asks when it is left behind; `None` where it is alone.
    sources: Option<Arc<Sources>>,
}

async fn run(context: engine_runtime::Context, config: &mut MemberConfig, signals: &mut Signals) -> End {
    let name = config.name.clone();
    let mut parts = match start(context, config).await {
        Ok(parts) => parts,
        Err(error) => {
            signals.fail(error);
            return End::Over;
        }
    };
    let rpc = parts.server.as_ref().map(RpcServer::address);
    config.rpc = rpc;
    if let Some(ready) = signals.ready.take() {
        let _gone = ready.send(Ok(rpc));
    }
    let left_behind = {
        let (shared, sources) = (Arc::clone(&parts.shared), parts.sources.clone());
        async move {
            match sources {
                Some(sources) => catch_up::left_behind(shared, sources).await,
                None => std::future::pending().await,
            }
        }
    };
    let (error, end) = tokio::select! {
        _ = &mut signals.stopped => (None, End::Over),
        why = parts.consensus.ended() => (Some(MemberError::Ended { name, reason: why.to_string() }), End::Over),
        failed = parts.failures.recv() => {
            let error = failed.map_or_else(
                || MemberError::Ended { name, reason: "its executor stopped".to_owned() },
                MemberError::Executor,
            );
            (Some(error), End::Over)
        }
        () = left_behind => (None, End::LeftBehind(parts.peers.borrow().clone())),
    };
    if let Some(server) = parts.server.take() {
        server.stop().await;
    }
    parts.consensus.stop().await;
    parts.executor.stop().await;
    if let Some(error) = error {
        signals.fail(error);
    }
    end
}

/// What consensus is told of this validator, where it begins with the genesis.
fn validator(config: &MemberConfig, keys: ValidatorKeys, peers: watch::Receiver<Peers>) -> Validator {
    Validator {
        identity: keys.identity,
        shares: keys.shares,
        genesis: config.genesis.clone(),
        listen: config.listen,
        peers,
        partition: "validator".to_owned(),
        start: Start::Genesis,
        timers: Timers::default(),
        reach: Reach::Local,
        gossip: vec![wire::TRANSACTIONS, wire::KEY_SHARES, STATE_KEYS, CATCH_UP],
    }
}

async fn start(context: engine_runtime::Context, config: &MemberConfig) -> Result<Parts, MemberError> {
    let mut keys = read_keys(&config.folder)?;
    let (own, signs) = (keys.identity.public(), keys.identity.clone());
    let distributed = config.genesis.key_ceremony == KeyCeremony::Distributed;
    let state = keys.state.clone().or_else(|| distributed.then(|| Arc::new(StateKeys::from_quorum([]))));
    let (shared, worker) = open(config, state.clone()).await?;
    let worker = if state.is_some() { worker.awaiting_keys() } else { worker };
    let (failed, failures) = mpsc::unbounded_channel();
    let executor = Executor::start(worker, failed).map_err(MemberError::Thread)?;

    let application = NodeApplication::new(Arc::clone(&shared), &executor, &config.folder);
    let told = Told::default();
    let claimed = claim_shares(&config.folder, &config.folder.join(ENGINE_FOLDER))?;
    if !claimed && keys.shares.take().is_some() {
        warn!("the storage beside the key shares is new: this validator follows until the next resharing");
    }
    let peers = tell_peers(Arc::clone(&shared), config.peers.clone(), told.clone());
    let start = read_floor(&config.folder)?.map_or(Start::Genesis, |floor| Start::At(Box::new(floor)));
    let validator = Validator { start, ..validator(config, keys, peers.clone()) };
    let gauges = Gauges::new(&context, Arc::clone(&shared), Own { identity: Some(own), folder: config.folder.clone() });
    let mut consensus = freehold_consensus::start(context, validator, application).await?;
    let mut gossip = consensus.take_gossip().into_iter();
    let mut next = || gossip.next().ok_or(MemberError::Config(ConfigError::Gossip));
    let (transactions, shares, state_shares, catching_up) = (next()?, next()?, next()?, next()?);
    if let Some(keys) = state {
        let (shared, folder, terms) = (Arc::clone(&shared), config.folder.clone(), consensus.term_keys());
        let said = config.peers.iter().map(|(identity, _)| *identity).collect();
        StateKeyExchange { shared, keys, folder, terms, said, told }.start(state_shares);
    }
    let intake = Intake::start(Arc::clone(&shared), transactions.sender);
    tokio::spawn(intake.clone().listen(transactions.receiver));
    let gauges = gauges.of_member(consensus.term_keys());
    let signs = (signs, config.folder.clone());
    let service = KeyService::start(Arc::clone(&shared), consensus.term_keys(), shares, signs);
    tokio::spawn(erase_first_shares(config.folder.clone(), consensus.term_keys()));
    tokio::spawn(pruning::prune(Arc::clone(&shared), consensus.history(), pruning::window(config)));
    let duty = Duty::Validator { intake, service };
    let methods = NodeMethods::new(Arc::clone(&shared), duty, gauges, config.signer.clone())?;
    let exchange = PeerExchange::start(catching_up);
    exchange.serve(methods.methods());
    let known = MemberConfig { peers: peers.borrow().clone(), ..config.clone() };
    let sources = catch_up::sources(&known, &exchange, own).ok().map(Arc::new);
    if let Some(sources) = sources.clone() {
        tokio::spawn(catch_up::bring_missed(Arc::clone(&shared), sources));
    }
    let server = match config.rpc {
        Some(address) => Some(RpcServer::start(address, methods).await?),
        None => None,
    };
    Ok(Parts { consensus, executor, server, failures, peers, shared, sources })
}

/// Erases the shares of the genesis' keys when newer ones are in force, and those in a storage that was replaced.
async fn erase_first_shares(folder: PathBuf, mut terms: watch::Receiver<TermKeys>) {
    if terms.wait_for(|keys| keys.since > 0).await.is_err() {
        return;
    }
    let erased = erase_shares(&folder).and_then(|()| erase_folder(&folder.join(REPLACED).join(ENGINE_FOLDER)));
    if let Err(error) = erased {
        warn!(%error, "old key shares could not be erased: a quorum of them still makes the keys");
    }
}

/// Opens the stores and makes good what a crash left.
async fn open(config: &MemberConfig, keys: Option<Arc<StateKeys>>) -> Result<(Arc<Shared>, Worker), MemberError> {
    let (folder, genesis, clock) = (config.folder.clone(), config.genesis.clone(), config.clock.clone());
    let keep_blocks = config.keep_blocks;
    let opened = tokio::task::spawn_blocking(move || {
        let identity =
            StoreIdentity { chain_id: genesis.chain_id, genesis_hash: freehold_crypto::genesis_hash(&genesis) };
        let store = BlockStore::open(&folder.join("blocks.redb"), &identity).map_err(ExecutorError::from)?;
        store.keep_bodies(keep_blocks.unwrap_or(u64::MAX));
        let recovery = store.recover().map_err(ExecutorError::from)?;
        let mut tree = QmdbTree::open(&folder.join("state"), recovery.tree_operations).map_err(ExecutorError::from)?;
        let machine = Machine::new(&genesis, store.clone(), keys).map_err(ExecutorError::from)?;
        let (tip, waiting) = recover(&machine, &mut tree, &store)?;
        debug!(height = tip.height(), "stores are open");
        let chain = Chain::new(genesis, store.clone(), tree.reader(), machine.clone());
        let shared = Arc::new(Shared::new(chain, clock, tip));
        let worker = Worker::new(Arc::clone(&shared), machine, tree, store).with_waiting(waiting);
        Ok::<_, ExecutorError>((shared, worker))
    });
    // The stores panic on some damage.
    let failed = |error: tokio::task::JoinError| MemberError::Failed {
        name: config.name.clone(),
        folder: config.folder.clone(),
        reason: error.try_into_panic().map_or_else(|_| "interrupted".to_owned(), |panic| message(&*panic)),
    };
    opened.await.map_err(failed)?.map_err(MemberError::from)
}

/// What a panic says.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".to_owned())
}
