//! A follower's stores: opened, and what a crash left made good from the write sets that they hold.

use std::sync::Arc;

use freehold_primitives::Digest;

use super::{
    FollowerConfig, FollowerError, KeepStates,
    apply::{Applier, Work},
};
use crate::{
    chain::{Chain, Machine},
    executor::{ExecutorError, newest},
    genesis::read_state_keys,
    shared::{Shared, Tip},
    store::{BlockStore, QmdbTree, StoreIdentity},
    sync::{SourceChain, SyncError},
};

/// Open stores.
pub(super) struct Opened {
    pub(super) shared: Arc<Shared>,
    pub(super) applier: Applier,
}

/// Opens the stores of a follower.
pub(super) async fn open(config: &FollowerConfig, chain: &SourceChain) -> Result<Opened, FollowerError> {
    let (config, genesis) = (config.clone(), chain.genesis.clone());
    let folder = config.folder.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let identity =
            StoreIdentity { chain_id: genesis.chain_id, genesis_hash: freehold_crypto::genesis_hash(&genesis) };
        let given = config.executor.as_ref().map(|executor| Arc::clone(&executor.state));
        let awaits_keys = given.is_some();
        let keys = given.map_or_else(|| read_state_keys(&config.folder), |keys| Ok(Some(keys)))?;
        let work = match (&keys, awaits_keys) {
            (None, _) => Work::Apply,
            (Some(_), false) => Work::Execute,
            (Some(_), true) => Work::ExecuteAwaitingKeys,
        };
        let store = BlockStore::open(&config.folder.join("blocks.redb"), &identity)?;
        store.keep_bodies(config.keep_blocks.unwrap_or(u64::MAX));
        if config.keep_states == KeepStates::All {
            store.keep_states()?;
        }
        let recovery = store.recover()?;
        let mut tree = QmdbTree::open(&config.folder.join("state"), recovery.tree_operations)?;
        let machine = Machine::new(&genesis, store.clone(), keys)?;
        let tip = recover(&machine, &mut tree, &store)?;
        let chain = Chain::new(genesis, store.clone(), tree.reader(), machine.clone());
        let shared = Arc::new(Shared::new(chain, config.clock, tip));
        let applier = Applier::new(Arc::clone(&shared), machine, tree, store, work);
        Ok::<_, SyncError>(Opened { shared, applier })
    });
    match opened.await {
        Ok(opened) => opened.map_err(FollowerError::Stores),
        // The stores panic on some damage: as good as an error that says so.
        Err(_) => {
            tracing::warn!(folder = %folder.display(), "the stores panicked when they were opened");
            Err(FollowerError::Stores(SyncError::Disk))
        }
    }
}

/// Brings the tree up to the block store: with the genesis, or the write sets in between.
fn recover(machine: &Machine, tree: &mut QmdbTree, store: &BlockStore) -> Result<Tip, SyncError> {
    let Some(executed) = store.executed().map(|mark| mark.height) else {
        let block = machine.genesis_block(tree)?;
        machine.store(store, &tree.reader(), &block)?;
        return Ok(newest(store)?);
    };
    let from = tree.reader().applied().map_or(0, |height| height + 1);
    for height in from..=executed {
        let (Some(stored), Some(header)) = (store.writes(height)?, store.header(height)?) else {
            return Err(ExecutorError::Missing(height).into());
        };
        tree.apply_certified(height, stored.writes, Digest(header.state_root.0))?;
        tree.persist();
    }
    Ok(newest(store)?)
}
