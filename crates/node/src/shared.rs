//! What the parts of one validator share: the chain to read, the pool, and the newest executed block.
//!
//! Invariant: the pool is refreshed for a block before the tip moves to it, both under the pool's lock, so that a proposer
//! never sees a transaction as ready that the tip has executed.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use alloy_consensus::Header;
use alloy_primitives::B256;
use freehold_primitives::{Digest, Height};
use tokio::sync::watch;

use crate::{ancestry::Ancestry, chain::Chain, clock::Clock, counts::Counts, mempool::Mempool, standing::Standing};

/// The newest executed block.
#[derive(Debug, Clone)]
pub(crate) struct Tip {
    pub(crate) header: Header,
    pub(crate) hash: Digest,
    /// Newest executed block that holds transactions: unproven until a payload names it or a later one.
    pub(crate) busy: Height,
}

impl Tip {
    pub(crate) const fn height(&self) -> Height {
        self.header.number
    }
}

/// Pool and ancestry, which change together.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) mempool: Mempool,
    pub(crate) ancestry: Ancestry,
}

/// What the parts of one validator share.
pub(crate) struct Shared {
    pub(crate) chain: Chain,
    pub(crate) clock: Clock,
    pub(crate) counts: Counts,
    pub(crate) standing: Standing,
    pool: Mutex<Pool>,
    pub(crate) tip: watch::Sender<Tip>,
    /// Counts changes of the pool; proposers wait on it.
    pub(crate) pool_changes: watch::Sender<u64>,
    /// Height of the newest final payload that consensus brought since the start.
    offered: AtomicU64,
    /// Set when the validator is about to end.
    pub(crate) stopping: AtomicBool,
    /// Hash of each transaction that enters the pool.
    pub(crate) entered: tokio::sync::broadcast::Sender<B256>,
}

impl Shared {
    pub(crate) fn new(chain: Chain, clock: Clock, tip: Tip) -> Self {
        let standing = Standing::resume(chain.genesis(), &chain.store, tip.height());
        Self {
            chain,
            clock,
            counts: Counts::default(),
            standing,
            pool: Mutex::default(),
            tip: watch::Sender::new(tip),
            pool_changes: watch::Sender::new(0),
            offered: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            entered: tokio::sync::broadcast::Sender::new(4_096),
        }
    }

    /// The pool. A panic under the lock leaves a pool that is at worst incomplete, never wrong: go on with it.
    pub(crate) fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest executed block.
    pub(crate) fn tip(&self) -> Tip {
        self.tip.borrow().clone()
    }

    /// Height of the newest final payload that consensus brought since the start; 0 before the first.
    pub(crate) fn offered(&self) -> Height {
        self.offered.load(Ordering::Relaxed)
    }

    /// Notes that consensus brought the final payload at a height.
    pub(crate) fn offer(&self, height: Height) {
        self.offered.fetch_max(height, Ordering::Relaxed);
    }

    /// Tells proposers that the pool changed.
    pub(crate) fn pool_changed(&self) {
        self.pool_changes.send_modify(|count| *count = count.wrapping_add(1));
    }
}
