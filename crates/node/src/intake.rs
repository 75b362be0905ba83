//! The way of a transaction into the pool: static checks, its account's state, the pool, and on to the other validators.
//!
//! A message above a peer's quota is lost without a word, so that what this node's clients sent and what still waits after a
//! while is told again ([`Retold`]), ever more seldom. What other nodes told is theirs to tell.

mod retold;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use freehold_consensus::{GossipReceiver, GossipSender};
use freehold_ledger::TransactionRefusal;
use freehold_primitives::{Blob, Canonical as _};
use thiserror::Error;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use self::retold::Retold;
use crate::{
    chain::ChainError,
    mempool::{AccountState, Pending, PoolError},
    shared::Shared,
    wire::{BATCH_BYTES_MAX, Transactions},
};

/// Transactions waiting to be told to the other validators.
const OUTGOING_MAX: usize = 8_192;
/// Pause after a message: a flood goes in few large messages, well below the channel's quota, beyond which they are lost.
const PAUSE: Duration = Duration::from_millis(5);
/// How often is looked for transactions to tell again.
const LOOK: Duration = Duration::from_millis(500);

/// Why a transaction is refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum IntakeError {
    /// It can never be valid here.
    #[error(transparent)]
    Admission(#[from] TransactionRefusal),
    /// The pool does not take it.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// State could not be read.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// Takes transactions; cheap to clone.
#[derive(Clone)]
pub(crate) struct Intake {
    shared: Arc<Shared>,
    outgoing: mpsc::Sender<Vec<u8>>,
    retold: Arc<Mutex<Retold>>,
}

impl Intake {
    /// Makes the intake and the tasks that tell the other validators.
    pub(crate) fn start(shared: Arc<Shared>, gossip: GossipSender) -> Self {
        let (outgoing, queue) = mpsc::channel(OUTGOING_MAX);
        tokio::spawn(tell(queue, gossip));
        let intake = Self { shared, outgoing, retold: Arc::default() };
        // Ends with the queue: it must not keep the stores open.
        tokio::spawn(tell_again(Arc::downgrade(&intake.shared), intake.outgoing.clone(), Arc::clone(&intake.retold)));
        intake
    }

    /// Takes a transaction from a client: into the pool, and on to the other validators. Blocks on the store.
    pub(crate) fn submit(&self, raw: Vec<u8>) -> Result<B256, IntakeError> {
        let hash = self.hear(raw.clone()).inspect_err(|why| self.shared.counts.transactions_refused.refused(why))?;
        let now = Instant::now();
        self.shared.counts.submitted(hash, now);
        lock(&self.retold).add(hash, now);
        // A full queue delays what others hear: it is told again.
        let _full = self.outgoing.try_send(raw);
        Ok(hash)
    }

    /// Takes a transaction that another validator told of.
    pub(crate) fn hear(&self, raw: Vec<u8>) -> Result<B256, IntakeError> {
        hear(&self.shared, raw)
    }

    /// Takes transactions that other validators tell of, until the channel ends.
    pub(crate) async fn listen(self, mut receiver: GossipReceiver) {
        while let Some((peer, bytes)) = receiver.recv().await {
            let Ok(batch) = Transactions::from_canonical(&bytes) else {
                self.shared.counts.messages_refused.count("TransactionsMalformed".to_owned());
                warn!(%peer, "transaction message of no known form dropped");
                continue;
            };
            let intake = self.clone();
            let taken = tokio::task::spawn_blocking(move || {
                for raw in batch.0 {
                    match intake.hear(raw.0) {
                        // What is told again is known to most.
                        Ok(_) | Err(IntakeError::Pool(PoolError::Known)) => {}
                        Err(error) => {
                            intake.shared.counts.transactions_refused.refused(&error);
                            debug!(%error, "transaction of a peer refused");
                        }
                    }
                }
            });
            let _panicked = taken.await;
        }
    }
}

/// Takes a transaction into the pool, and tells nobody. Blocks on the store.
pub(crate) fn hear(shared: &Shared, raw: Vec<u8>) -> Result<B256, IntakeError> {
    let pending: Pending = shared.chain.admit(raw)?;
    let (hash, sender) = (pending.hash, pending.sender);
    let mut pool = shared.pool();
    let account = shared.chain.account_now(&sender)?;
    pool.mempool.add(pending, AccountState { nonce: account.nonce, balance: account.balance })?;
    drop(pool);
    shared.pool_changed();
    let _nobody = shared.entered.send(hash);
    Ok(hash)
}

/// Tells the other validators, several transactions in a message when they come fast.
async fn tell(mut queue: mpsc::Receiver<Vec<u8>>, gossip: GossipSender) {
    while let Some(first) = queue.recv().await {
        let mut bytes = first.len();
        let mut batch = vec![Blob(first)];
        while bytes < BATCH_BYTES_MAX - freehold_primitives::TRANSACTION_BYTES_MAX {
            let Ok(next) = queue.try_recv() else { break };
            bytes += next.len() + 4;
            batch.push(Blob(next));
        }
        let _full = gossip.broadcast(Transactions(batch).to_canonical());
        tokio::time::sleep(PAUSE).await;
    }
}

/// Puts what still waits into the queue again, until the node has ended.
async fn tell_again(shared: std::sync::Weak<Shared>, outgoing: mpsc::Sender<Vec<u8>>, retold: Arc<Mutex<Retold>>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(shared) = shared.upgrade() else { return };
        let waiting = |hash: &B256| shared.pool().mempool.get(hash).map(|tx| tx.raw.clone());
        let due = lock(&retold).due(Instant::now(), waiting);
        for raw in due {
            if outgoing.try_send(raw).is_ok() {
                shared.counts.told_again.inc();
            }
        }
    }
}

fn lock(retold: &Mutex<Retold>) -> MutexGuard<'_, Retold> {
    retold.lock().unwrap_or_else(PoisonError::into_inner)
}
