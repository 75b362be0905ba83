//! The client itself: what it trusts, which header it holds for the newest, and what it remembers.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use alloy_primitives::Address;
use freehold_crypto::genesis_hash;
use freehold_ledger::ChainContext;
use freehold_primitives::{Genesis, Height, NetworkKey, SuccessionRecord, UnixSeconds};
use freehold_rpc::{ChainTrust, Endpoint, VerifiedClient, VerifiedError};
use freehold_verify::{Head, HeadRules, VerifiedBlock, VerifiedHeader};
use tokio::time::sleep;

use super::{
    checkpoint,
    error::LightError,
    filters::LightFilters,
    upstreams::{self, Upstreams},
};

/// For how long a head counts without asking again.
const HEAD_FOR: Duration = Duration::from_millis(100);
/// Tries of a read that a node answers at an older height than is known, and the pause between two.
const BEHIND_TRIES: u32 = 20;
const BEHIND_PAUSE: Duration = Duration::from_millis(100);
/// Blocks that are remembered.
const BLOCKS_MAX: usize = 32;
/// Longest time between two writes of the checkpoint.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);

/// What happens with calls that nobody can make again: those that reach confidential storage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unproven {
    /// They are refused; `freehold_unprovenCall` answers them, marked.
    #[default]
    Refused,
    /// `eth_call` and `eth_estimateGas` pass them on to a node, because the user asked for it.
    PassedOn,
}

/// Settings of a light client.
#[derive(Clone)]
pub struct LightConfig {
    /// The network key: all that is trusted.
    pub network_key: NetworkKey,
    /// Records by which that key named its successors, oldest first (`spec/succession.md`).
    pub succession: Vec<SuccessionRecord>,
    /// Nodes to ask, in order of preference.
    pub nodes: Vec<Endpoint>,
    /// How old and how young the newest header may be.
    pub rules: HeadRules,
    /// What happens with confidential calls.
    pub unproven: Unproven,
    /// File in which the newest header is kept, so that a restart does not go back.
    pub checkpoint: Option<PathBuf>,
    /// Longest time for a whole answer of one node.
    pub attempt_max: Duration,
    /// The clock, in Unix seconds.
    pub now: fn() -> UnixSeconds,
}

/// A light client of one chain.
pub struct LightClient {
    pub(crate) upstreams: Upstreams,
    pub(crate) context: Arc<ChainContext>,
    pub(crate) config: LightConfig,
    trust: ChainTrust,
    head: Mutex<Head>,
    refreshed: tokio::sync::Mutex<Option<Instant>>,
    saved: tokio::sync::Mutex<Option<Instant>>,
    blocks: Mutex<VecDeque<Arc<VerifiedBlock>>>,
    pub(crate) filters: Mutex<LightFilters>,
    /// Nonces of transactions that were sent through this client, with the moment.
    pub(crate) sent: Mutex<BTreeMap<(Address, u64), Instant>>,
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LightClient {
    /// Finds the chain of the network key: the genesis that a node tells counts where a certificate covers its digest.
    ///
    /// # Errors
    /// Every [`LightError`]; [`LightError::ForeignGenesis`] where the node is of another network.
    pub async fn open(config: LightConfig) -> Result<Self, LightError> {
        let mut worst = LightError::NoNodes;
        for endpoint in &config.nodes {
            match tokio::time::timeout(config.attempt_max, Self::try_open(&config, endpoint)).await {
                Ok(Ok(client)) => return Ok(client),
                Ok(Err(error)) if error.is_final() => return Err(error),
                Ok(Err(error)) => worst = error,
                Err(_) => worst = LightError::Timeout(config.attempt_max),
            }
        }
        Err(worst)
    }

    async fn try_open(config: &LightConfig, endpoint: &Endpoint) -> Result<Self, LightError> {
        let node = upstreams::node(endpoint);
        let genesis: Genesis = node.genesis().await?;
        let trust = ChainTrust {
            network_key: config.network_key,
            chain_id: genesis.chain_id,
            genesis_hash: genesis_hash(&genesis),
        };
        let node = VerifiedClient::new(node, trust).succeeded_by(&config.succession)?;
        let newest = loop {
            match node.newest_above(None).await {
                Ok(Some(newest)) => break newest,
                // The first block of a network is not final yet.
                Ok(None) => sleep(BEHIND_PAUSE).await,
                Err(VerifiedError::Finality(_)) => return Err(LightError::ForeignGenesis),
                Err(error) => return Err(error.into()),
            }
        };
        let mut head = Head::new(config.rules);
        if let Some(path) = &config.checkpoint
            && let Some(header) = checkpoint::load(path, &node.network_keys(), &trust)?
        {
            head.note(&header)?;
        }
        let floor = head.newest().map_or(0, VerifiedHeader::height);
        head.accept(&newest, floor, (config.now)())?;
        let context = ChainContext::new(genesis).map_err(|_| LightError::ForeignGenesis)?;
        Ok(Self {
            upstreams: Upstreams::new(&config.nodes, &node, config.attempt_max),
            context: Arc::new(context),
            config: config.clone(),
            trust,
            head: Mutex::new(head),
            refreshed: tokio::sync::Mutex::default(),
            saved: tokio::sync::Mutex::default(),
            blocks: Mutex::default(),
            filters: Mutex::default(),
            sent: Mutex::default(),
        })
    }

    /// What answers are held to.
    pub const fn trust(&self) -> &ChainTrust {
        &self.trust
    }

    fn now(&self) -> UnixSeconds {
        (self.config.now)()
    }

    /// Height of the newest header that was accepted.
    pub(crate) fn seen(&self) -> Height {
        locked(&self.head).newest().map_or(0, VerifiedHeader::height)
    }

    /// Takes a header that an answer about now stands under.
    pub(crate) fn accept(&self, header: &VerifiedHeader, floor: Height) -> Result<(), LightError> {
        Ok(locked(&self.head).accept(header, floor, self.now())?)
    }

    /// Takes a header of an old block.
    pub(crate) fn note(&self, header: &VerifiedHeader) -> Result<(), LightError> {
        Ok(locked(&self.head).note(header)?)
    }

    /// The newest header there is: under a certificate, not older than the bound, not below one seen before.
    ///
    /// # Errors
    /// Every [`LightError`]; [`LightError::Head`] where every node withholds newer blocks.
    pub async fn head(&self) -> Result<VerifiedHeader, LightError> {
        let mut refreshed = self.refreshed.lock().await;
        if refreshed.is_some_and(|at| at.elapsed() < HEAD_FOR) {
            return Ok(*locked(&self.head).fresh(self.now())?);
        }
        let newest = self
            .upstreams
            .ask(|node| async move {
                let floor = self.seen();
                if let Some(header) = node.newest_above(Some(floor)).await? {
                    self.accept(&header, floor)?;
                }
                Ok(*locked(&self.head).fresh(self.now())?)
            })
            .await?;
        *refreshed = Some(Instant::now());
        drop(refreshed);
        self.keep_checkpoint(newest.height()).await?;
        Ok(newest)
    }

    /// A read at the newest height, of a node that is not behind what was seen before.
    pub(crate) async fn read_now<T, F>(
        &self,
        read: impl Fn(VerifiedClient) -> F,
    ) -> Result<(VerifiedHeader, T), LightError>
    where
        F: Future<Output = Result<(VerifiedHeader, T), LightError>>,
    {
        let floor = self.head().await?.height();
        let read = &read;
        self.upstreams
            .ask(|node| async move {
                let mut tries = 1;
                loop {
                    let (header, value) = read(node.clone()).await?;
                    match self.accept(&header, floor) {
                        Ok(()) => return Ok((header, value)),
                        Err(error) if tries == BEHIND_TRIES || error.code() != 32 => return Err(error),
                        Err(_) => tries += 1,
                    }
                    sleep(BEHIND_PAUSE).await;
                }
            })
            .await
    }

    /// A block that is remembered.
    pub(crate) fn remembered(&self, height: Height) -> Option<Arc<VerifiedBlock>> {
        locked(&self.blocks).iter().find(|block| block.verified().height() == height).cloned()
    }

    /// Remembers a block.
    pub(crate) fn remember(&self, block: &Arc<VerifiedBlock>) {
        let mut blocks = locked(&self.blocks);
        blocks.push_front(Arc::clone(block));
        blocks.truncate(BLOCKS_MAX);
    }

    /// Writes the newest header down, where that is asked for and due.
    async fn keep_checkpoint(&self, height: Height) -> Result<(), LightError> {
        let Some(path) = &self.config.checkpoint else { return Ok(()) };
        let mut saved = self.saved.lock().await;
        if saved.is_some_and(|at| at.elapsed() < CHECKPOINT_EVERY) {
            return Ok(());
        }
        *saved = Some(Instant::now());
        checkpoint::save(self, path, height).await
    }
}
