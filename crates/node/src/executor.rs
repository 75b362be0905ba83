//! Execution: final payloads in, blocks out, once and in order, on a thread of its own (design D3).
//!
//! Order of each height: payload, execution into the tree (memory), block store (the one durable write), pool, tip,
//! acknowledgement. A crash anywhere is made good at the next start by executing again what the block store lacks. Not
//! here: what makes a block valid, which is the ledger's.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use freehold_consensus::FinalizedPayload;
use freehold_crypto::payload_digest;
use freehold_ledger::{ExecutedBlock, ExecutedTransaction, LedgerError, Write, read_account_value};
use freehold_primitives::{Body, Certificate, Digest, G1Point, Height};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error, info, warn};

use crate::{
    chain::{ChainError, Machine},
    counts::Executed,
    mempool::AccountState,
    shared::{Shared, Tip},
    store::{BlockStore, BlockStoreError, Durable, MEND, PayloadRow, QmdbTree, TreeError},
};

/// Certificates that came before their payloads and are kept to be offered again.
const EARLY_CERTIFICATES_MAX: usize = 64;
/// Blocks between two looks at what version of the protocol comes: an hour of idle ones.
const LOOK_AHEAD_BLOCKS: u64 = 3_600;

/// How often a worker that waits for keys, or for content, looks again.
const KEYS_LOOK: Duration = Duration::from_millis(100);
/// How often content is waited for that a synced store lacks: a minute.
const CONTENT_LOOKS: u32 = 600;

/// What the executor is told.
pub(crate) enum Command {
    /// A payload is final; answered once it is durable.
    Finalized(Box<FinalizedPayload>, oneshot::Sender<()>),
    /// A certificate was seen.
    Certificate(Certificate),
    /// Flush the stores and end.
    Stop(oneshot::Sender<()>),
}

/// Why execution stopped: the validator must not go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExecutorError {
    /// The block store failed.
    #[error(transparent)]
    Blocks(#[from] BlockStoreError),
    /// The state tree failed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A block could not be executed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The block store lacks what it should hold.
    #[error("the block store lacks height {0}: {MEND}")]
    Missing(Height),
}

/// Handle of the executor's thread.
pub(crate) struct Executor {
    commands: mpsc::UnboundedSender<Command>,
    shared: Arc<Shared>,
}

impl Executor {
    /// Where commands go.
    pub(crate) fn commands(&self) -> mpsc::UnboundedSender<Command> {
        self.commands.clone()
    }

    /// Starts the thread; `failed` is told when execution cannot go on.
    pub(crate) fn start(worker: Worker, failed: mpsc::UnboundedSender<ExecutorError>) -> std::io::Result<Self> {
        let (commands, queue) = mpsc::unbounded_channel();
        let shared = Arc::clone(&worker.shared);
        thread::Builder::new().name("executor".to_owned()).spawn(move || {
            // Whoever waits is told when the stores are closed, not before: their files are then free for another.
            match worker.run(queue) {
                Ok(Some(done)) => drop(done.send(())),
                Ok(None) => {}
                Err(error) => {
                    error!(%error, "execution stopped");
                    let _nobody = failed.send(error);
                }
            }
        })?;
        Ok(Self { commands, shared })
    }

    /// Flushes the stores, closes the executor's hold on them and ends the thread.
    pub(crate) async fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        let (done, wait) = oneshot::channel();
        if self.commands.send(Command::Stop(done)).is_ok() {
            let _gone = wait.await;
        }
    }
}

/// What the thread works with.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) machine: Machine,
    pub(crate) tree: QmdbTree,
    pub(crate) store: BlockStore,
    /// A final payload whose seed is not known yet; the next payload's head carries it.
    waiting: Option<PayloadRow>,
    early: Vec<Certificate>,
    /// Whether keys that are missing may still come.
    awaits_keys: bool,
    /// Time of the newest executed payload, in milliseconds; 0 before the first.
    before_ms: u64,
    /// Height of the newest look at the version of the protocol.
    looked_at: Option<Height>,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, machine: Machine, tree: QmdbTree, store: BlockStore) -> Self {
        Self {
            shared,
            machine,
            tree,
            store,
            waiting: None,
            early: Vec::new(),
            awaits_keys: false,
            before_ms: 0,
            looked_at: None,
        }
    }

    /// Works until the queue ends, or until it is told to stop: then it gives back who asked.
    fn run(
        mut self,
        mut queue: mpsc::UnboundedReceiver<Command>,
    ) -> Result<Option<oneshot::Sender<()>>, ExecutorError> {
        while let Some(command) = queue.blocking_recv() {
            match command {
                Command::Finalized(payload, done) => {
                    self.finalized(*payload)?;
                    let _gone = done.send(());
                }
                Command::Certificate(certificate) => self.certificate(certificate)?,
                Command::Stop(done) => {
                    self.tree.flush()?;
                    return Ok(Some(done));
                }
            }
        }
        Ok(None)
    }

    fn finalized(&mut self, payload: FinalizedPayload) -> Result<(), ExecutorError> {
        let height = payload.payload.head.height;
        if let Some(mut row) = self.waiting.take() {
            if row.payload.head.height >= height {
                // Delivered again after a restart of consensus alone.
                self.waiting = Some(row);
                return Ok(());
            }
            row.seed = payload.payload.head.parent_seed;
            self.execute(row)?;
        }
        if height <= self.shared.tip().height() {
            debug!(height, "already executed");
            return Ok(());
        }
        let row = PayloadRow { payload: payload.payload, seed: payload.seed, certificate: payload.certificate };
        if row.seed.is_none() {
            self.store.store_payload(&row, Durable::Now)?;
            self.waiting = Some(row);
            return Ok(());
        }
        self.store.store_payload(&row, Durable::WithBlock)?;
        self.execute(row)
    }

    fn execute(&mut self, row: PayloadRow) -> Result<(), ExecutorError> {
        let (parent, begun) = (self.shared.tip(), Instant::now());
        let Some(block) = self.execute_with_keys(&parent, &row)? else { return Ok(()) };
        let body = Body::read(&row.payload.body.0).ok().map(Body::ordinary);
        self.shared.standing.note(&row.payload.head, body.as_ref());
        self.machine.store(&self.store, &self.tree.reader(), &block)?;
        let height = block.header.number;
        let busy = if block.transactions.is_empty() { parent.busy } else { height };
        let tip = Tip { header: block.header, hash: Digest(block.hash.0), busy };
        let gone = publish(&self.shared, tip, &block.writes);
        self.tree.persist();
        self.count(&row, (&parent, begun), &block.transactions);
        self.shared.counts.forget(gone);
        self.look_ahead(height)?;
        self.offer_again()
    }

    /// Executes as soon as this validator holds the state keys in use; `None` where it stops first. A synced store may lack
    /// documents, which are then asked for.
    fn execute_with_keys(&mut self, parent: &Tip, row: &PayloadRow) -> Result<Option<ExecutedBlock>, ExecutorError> {
        let (mut told, mut looks) = (false, 0);
        loop {
            match self.machine.execute(&parent.header, &row.payload, row.seed.as_ref(), &mut self.tree) {
                Err(ChainError::Ledger(LedgerError::GenerationMissing(generation))) if self.awaits_keys => {
                    if !std::mem::replace(&mut told, true) {
                        info!(generation, "waits for the quorum to give this validator the state root key");
                    }
                    if self.shared.stopping.load(Ordering::Relaxed) {
                        return Ok(None);
                    }
                    thread::sleep(KEYS_LOOK);
                }
                Err(ChainError::Ledger(_)) if self.store.seeded() > 0 && looks < CONTENT_LOOKS => {
                    looks += 1;
                    if self.shared.stopping.load(Ordering::Relaxed) {
                        return Ok(None);
                    }
                    thread::sleep(KEYS_LOOK);
                }
                other => return Ok(Some(other?)),
            }
        }
    }

    fn count(&mut self, row: &PayloadRow, (parent, begun): (&Tip, Instant), transactions: &[ExecutedTransaction]) {
        let timestamp_ms = row.payload.head.timestamp_ms;
        // The parent's header has whole seconds; its payload's time is that of the payload before this one.
        let before_ms = std::mem::replace(&mut self.before_ms, timestamp_ms);
        let before_ms = if before_ms == 0 { parent.header.timestamp * 1_000 } else { before_ms };
        let now = Instant::now();
        let executed = Executed {
            spacing: Duration::from_millis(timestamp_ms.saturating_sub(before_ms)),
            timestamp_ms,
            now_ms: self.shared.clock.now_ms(),
            took: now - begun,
            transactions: &mut transactions.iter().map(|transaction| transaction.hash),
        };
        self.shared.counts.executed(executed, now);
    }

    /// Warns of a version of the protocol to come that this program does not know: at the start, and now and then.
    fn look_ahead(&mut self, height: Height) -> Result<(), ExecutorError> {
        if self.looked_at.is_some_and(|looked| height < looked + LOOK_AHEAD_BLOCKS) {
            return Ok(());
        }
        self.looked_at = Some(height);
        let protocol = self.shared.chain.protocol(height)?;
        let known = self.shared.chain.context().protocol_newest();
        if protocol.next > known {
            warn!(
                version = protocol.next,
                from_height = protocol.next_from,
                release = protocol.release,
                "a version of the protocol is coming that this program does not know: install that release before its height"
            );
        }
        Ok(())
    }

    fn certificate(&mut self, certificate: Certificate) -> Result<(), ExecutorError> {
        if self.store.store_certificate(&certificate)?.is_none() {
            if self.early.len() >= EARLY_CERTIFICATES_MAX {
                self.early.remove(0);
            }
            self.early.push(certificate);
        }
        Ok(())
    }

    fn offer_again(&mut self) -> Result<(), ExecutorError> {
        for certificate in std::mem::take(&mut self.early) {
            self.certificate(certificate)?;
        }
        Ok(())
    }
}

/// Refreshes the pool for a block and moves the tip to it. Only accounts that the block wrote have changed. Says which
/// transactions can no longer be paid.
pub(crate) fn publish(shared: &Shared, tip: Tip, writes: &[Write]) -> Vec<B256> {
    let mut pool = shared.pool();
    let mut gone = Vec::new();
    for (key, value) in writes {
        let Some(sender) = pool.mempool.sender_at(key) else { continue };
        let account = value.as_deref().and_then(read_account_value).unwrap_or_default();
        let state = AccountState { nonce: account.nonce, balance: account.balance };
        gone.extend(pool.mempool.refresh(&sender, state));
    }
    pool.ancestry.executed(tip.height());
    shared.tip.send_replace(tip);
    drop(pool);
    shared.pool_changed();
    gone
}

/// Opens a validator's stores, executes again what the block store lacks, and gives the newest block.
///
/// # Errors
/// Any [`ExecutorError`].
pub(crate) fn recover(
    machine: &Machine,
    tree: &mut QmdbTree,
    store: &BlockStore,
) -> Result<(Tip, Option<PayloadRow>), ExecutorError> {
    let recovery = store.recover()?;
    let mut waiting = None;
    for height in recovery.redo(tree.reader().applied()) {
        let block = if height == 0 {
            machine.genesis_block(tree)?
        } else {
            let row = store.payload(height)?.ok_or(ExecutorError::Missing(height))?;
            let Some(seed) = seed_of(store, &row)? else {
                waiting = Some(row);
                break;
            };
            let parent = store.header(height - 1)?.ok_or(ExecutorError::Missing(height - 1))?;
            machine.execute(&parent, &row.payload, Some(&seed), tree)?
        };
        machine.store(store, &tree.reader(), &block)?;
        tree.persist();
    }
    Ok((newest(store)?, waiting))
}

/// Seed of a stored payload: its own, or the one that the next payload's head carries.
pub(crate) fn seed_of(store: &BlockStore, row: &PayloadRow) -> Result<Option<G1Point>, BlockStoreError> {
    if row.seed.is_some() {
        return Ok(row.seed);
    }
    let next = store.payload(row.payload.head.height + 1)?;
    let follows = next.filter(|next| next.payload.head.parent == payload_digest(&row.payload.head));
    Ok(follows.and_then(|next| next.payload.head.parent_seed))
}

pub(crate) fn newest(store: &BlockStore) -> Result<Tip, ExecutorError> {
    let mark = store.executed().ok_or(ExecutorError::Missing(0))?;
    let header = store.header(mark.height)?.ok_or(ExecutorError::Missing(mark.height))?;
    let mut busy = mark.height;
    // Only the blocks that may still be unproven matter.
    let oldest = store.finalized()?.unwrap_or(0);
    while busy > oldest {
        let empty = store.header(busy)?.is_some_and(|header| header.gas_used == 0);
        if !empty {
            break;
        }
        busy -= 1;
    }
    Ok(Tip { header, hash: mark.block_hash, busy: if busy > oldest { busy } else { 0 } })
}

impl Worker {
    /// Makes it wait for state keys that this validator lacks, because somebody asks the quorum for them.
    pub(crate) fn awaiting_keys(self) -> Self {
        Self { awaits_keys: true, ..self }
    }

    /// Takes the payload that waited for its seed when the validator stopped.
    pub(crate) fn with_waiting(mut self, waiting: Option<PayloadRow>) -> Self {
        self.waiting = waiting;
        self
    }
}
