//! The way of a transaction into the pool: static checks, its account's state, the pool, and on to the other validators.

use std::{sync::Arc, time::Duration};

use alloy_primitives::B256;
use freehold_consensus::GossipSender;
use freehold_ledger::TransactionRefusal;
use freehold_primitives::{Blob, Canonical as _};
use thiserror::Error;
use tokio::sync::mpsc;

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
}

impl Intake {
    /// Makes the intake and the task that tells the other validators.
    pub(crate) fn start(shared: Arc<Shared>, gossip: GossipSender) -> Self {
        let (outgoing, queue) = mpsc::channel(OUTGOING_MAX);
        tokio::spawn(tell(queue, gossip));
        Self { shared, outgoing }
    }

    /// Takes a transaction from a client: into the pool, and on to the other validators. Blocks on the store.
    pub(crate) fn submit(&self, raw: Vec<u8>) -> Result<B256, IntakeError> {
        let hash = self.hear(raw.clone())?;
        // A full queue delays what others hear; this validator proposes it in any case.
        let _full = self.outgoing.try_send(raw);
        Ok(hash)
    }

    /// Takes a transaction that another validator told of.
    pub(crate) fn hear(&self, raw: Vec<u8>) -> Result<B256, IntakeError> {
        let pending: Pending = self.shared.chain.admit(raw)?;
        let (hash, sender) = (pending.hash, pending.sender);
        let mut pool = self.shared.pool();
        let account = self.shared.chain.account_now(&sender)?;
        pool.mempool.add(pending, AccountState { nonce: account.nonce, balance: account.balance })?;
        drop(pool);
        self.shared.pool_changed();
        let _nobody = self.shared.entered.send(hash);
        Ok(hash)
    }
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
