//! A validator that has no blocks, or is further behind than its peers keep payloads: it takes the newest state of the network
//! before it starts, and consensus then begins in the running term (`spec/sync.md` §6).
//!
//! Its peers are asked over their authenticated links, after the nodes that its operator names. Invariants: the stores in
//! use are replaced only by whole ones; a validator that took the state has no share and signs only after the next
//! resharing, as one whose disk was lost. Where nobody answers it goes on with what it has, and asks its peers for payloads.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use commonware_runtime::{Runner as _, tokio as engine_runtime};
use freehold_consensus::{Links, Validator};
use freehold_primitives::{Ed25519Key, Genesis, Height};
use freehold_rpc::Endpoint;
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep},
};
use tracing::{info, warn};

use super::{CATCH_UP_PLACE, MemberConfig, MemberError, validator};
use crate::{
    exchange::PeerExchange,
    genesis::{has_new_shares, read_keys},
    shared::Shared,
    store::BODIES_MIN,
    sync::{ENGINE_FOLDER, Onto, SourceChain, Sources, Staging, Successor, SyncError, sync_into},
};

/// Worker threads while the state is taken.
const WORKERS: usize = 2;
/// How long a validator without blocks waits for somebody who tells it the newest block.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two questions.
const PAUSE: Duration = Duration::from_millis(500);
/// How often a running validator looks whether it gets on, and without what progress it asks how far the others are.
const LOOK: Duration = Duration::from_secs(2);
const STUCK: Duration = Duration::from_secs(20);

/// How far the state that a node serves may be below its newest block.
const STATE_LAG_MAX: u64 = 64;

/// Why a state is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// There are no blocks here.
    Empty,
    /// Nobody has the next payload any more.
    Stuck,
}

/// How taking the state ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The validator starts, with the state or with what it had.
    Go,
    /// It was asked to stop.
    Stopped,
}

/// Payloads that every validator keeps for the others: those of two terms.
pub(super) const fn kept_min(genesis: &Genesis) -> u64 {
    match genesis.membership.term_blocks {
        0 => BODIES_MIN,
        length => length.saturating_mul(2),
    }
}

/// Whether nothing is left here of a validator that has run. One with shares that never served is new, as its network may be.
pub(super) fn is_wiped(folder: &Path) -> bool {
    let has_files = |folder: &Path| fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    !folder.join("blocks.redb").exists() && !has_files(&folder.join(ENGINE_FOLDER)) && !has_new_shares(folder)
}

/// Takes the newest state; where no source gives one, the validator goes on with what it has.
pub(super) fn take_state(
    config: &MemberConfig,
    reason: Reason,
    stopped: &mut oneshot::Receiver<()>,
) -> Result<Taken, MemberError> {
    match try_state(config, reason, stopped) {
        Err(MemberError::Sync(error)) if is_theirs(&error) => {
            warn!(code = error.code(), %error, "no state is to be had; this validator goes on with what it has");
            Ok(Taken::Go)
        }
        done => done,
    }
}

/// Takes the newest state, on a runtime of its own. Goes on where an earlier run was interrupted.
pub(crate) fn try_state(
    config: &MemberConfig,
    reason: Reason,
    stopped: &mut oneshot::Receiver<()>,
) -> Result<Taken, MemberError> {
    let staging = Staging::new(&config.folder);
    let settings = engine_runtime::Config::new()
        .with_worker_threads(WORKERS)
        .with_tcp_nodelay(Some(true))
        .with_storage_directory(staging.incoming.join("runtime"));
    let result = engine_runtime::Runner::new(settings).start(|context| async move {
        tokio::select! {
            done = take(context, config, reason) => Some(done),
            _ = stopped => None,
        }
    });
    match result {
        None => Ok(Taken::Stopped),
        Some(done) => done.map(|()| Taken::Go),
    }
}

/// Whether the fault is the sources', and another time may do better.
const fn is_theirs(error: &SyncError) -> bool {
    matches!(
        error,
        SyncError::NoSources
            | SyncError::Lied { .. }
            | SyncError::Away { .. }
            | SyncError::NotFinal(_)
            | SyncError::Outrun(_)
            | SyncError::NotKept { .. }
    )
}

async fn take(context: engine_runtime::Context, config: &MemberConfig, reason: Reason) -> Result<(), MemberError> {
    let keys = read_keys(&config.folder)?;
    let own = keys.identity.public();
    let (_peers, peers) = watch::channel(config.peers.clone());
    let mut links = Links::join(&context, &Validator { shares: None, ..validator(config, keys, peers) })?;
    let Some(gossip) = links.take_gossip().into_iter().nth(CATCH_UP_PLACE) else { return Ok(()) };
    let sources = Arc::new(sources(config, &PeerExchange::start(gossip), own)?);
    let network_key = freehold_consensus::network_key(&config.genesis)?;
    let chain = SourceChain::known(config.genesis.clone(), &network_key);
    let newest = newest(&sources, &chain).await?;
    if reason == Reason::Empty && newest <= kept_min(&config.genesis) {
        info!(newest, "the chain is short: all of it is fetched and executed");
        return Ok(());
    }
    let onto = if reason == Reason::Empty { Onto::Empty } else { Onto::Stores };
    info!(newest, "taking the state of the network instead of its blocks");
    let least = newest.saturating_sub(kept_min(&config.genesis).max(STATE_LAG_MAX));
    let synced = sync_into(&sources, &chain, &config.folder, (onto, Successor::Validator(least))).await?;
    info!(height = synced.height, "this validator follows from here, and signs after the next resharing");
    Ok(())
}

/// The newest block that somebody proves.
async fn newest(sources: &Sources, chain: &SourceChain) -> Result<Height, SyncError> {
    let end = Instant::now() + PATIENCE;
    loop {
        match chain.newest(sources, None).await {
            Ok(newest) => return Ok(newest.map_or(0, |header| header.height())),
            Err(SyncError::Away { .. } | SyncError::NotKept { .. }) if Instant::now() < end => sleep(PAUSE).await,
            Err(error) => return Err(error),
        }
    }
}

/// The nodes that the operator names, then the peers.
pub(super) fn sources(config: &MemberConfig, exchange: &PeerExchange, own: Ed25519Key) -> Result<Sources, SyncError> {
    let peers: BTreeMap<Ed25519Key, SocketAddr> = config.peers.iter().copied().collect();
    let client = |(peer, address): (Ed25519Key, SocketAddr)| {
        let host = match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        exchange.client(peer, Endpoint::Tcp { host, port: address.port() })
    };
    let clients = peers.into_iter().filter(|(peer, _)| *peer != own).map(client).collect();
    Sources::with(&config.sources, clients)
}

/// Ends when this validator gets no payload any more while the network is further than its peers keep payloads.
pub(super) async fn left_behind(shared: Arc<Shared>, sources: Arc<Sources>) {
    let genesis = shared.chain.genesis().clone();
    let Ok(network_key) = freehold_consensus::network_key(&genesis) else { return std::future::pending().await };
    let (kept, chain) = (kept_min(&genesis), SourceChain::known(genesis, &network_key));
    let (mut at, mut since) = (0, Instant::now());
    loop {
        sleep(LOOK).await;
        // A payload that waits for its execution is progress too: it is here.
        let reached = shared.tip().height().max(shared.offered());
        if reached > at {
            (at, since) = (reached, Instant::now());
        }
        if since.elapsed() < STUCK || shared.offered() > shared.tip().height() {
            continue;
        }
        since = Instant::now();
        let newest = chain.newest(&sources, Some(at)).await.ok().flatten();
        if let Some(newest) = newest.map(|header| header.height()).filter(|newest| *newest > at + kept) {
            warn!(height = at, newest, "nobody has the next payload any more: the state of the network is taken anew");
            return;
        }
    }
}

/// Brings content that execution or a call missed: documents that the state's sources withheld.
pub(super) async fn bring_missed(shared: Arc<Shared>, sources: Arc<Sources>) {
    let store = shared.chain.store.clone();
    drop(shared);
    if store.seeded() == 0 {
        return;
    }
    loop {
        for digest in store.take_missed() {
            if let Ok(bytes) = sources.content(digest).await {
                let _full = store.store_content(&[(digest, bytes)]);
            }
        }
        sleep(PAUSE).await;
    }
}
