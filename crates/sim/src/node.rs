//! A simulated validator's application: proposes, judges and executes by the rules of `freehold-node`, or breaks one.
//!
//! The rules of execution and of payloads are the ledger's and the consensus crate's own code. What stands here is what
//! the node does between them: which block a proposer names, what a voter waits for, and a pool that is as plain as can be.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, UNIX_EPOCH},
};

use alloy_primitives::{B256, keccak256};
use commonware_runtime::Clock as _;
use freehold_consensus::{
    Application, FinalizedPayload, GossipReceiver, GossipSender, History, Players, ProposalContext, SeenCertificate,
};
use freehold_ledger::check_payload;
use freehold_primitives::{Blob, Body, Digest, Executed, G1Point, Height, Payload, PayloadBody, PayloadHead, Term};

use crate::{
    chain::{Chain, Ground},
    machine::{Machine, MachineId},
    monitor::{Monitor, Violation},
    seeds::Seeds,
};

/// Longest wait for own execution before a vote.
const EXECUTION_WAIT: Duration = Duration::from_millis(500);
/// A payload may be this far ahead of a voter's clock, in milliseconds.
const AHEAD_MS_MAX: u64 = 2_000;
/// How often something that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// Most transactions of one payload.
const PICKED_MAX: usize = 64;
/// Most transactions that wait.
const POOL_MAX: usize = 4_096;

/// How a validator breaks the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Lie {
    /// It proposes nothing.
    Silent,
    /// It votes for nothing.
    Refuses,
    /// It proposes payloads that name a block which nobody executed.
    WrongExecuted,
    /// It proposes bodies that are no bodies.
    WrongBody,
    /// It proposes payloads of the future.
    WrongTime,
    /// It votes for everything that consensus itself does not refuse, without executing.
    RubberStamp,
    /// It names what it executed with a bit turned, in every payload, and votes only for its own.
    Contrary,
    /// It executes with a seed that the network did not make. No role of a plan: tests show that it is seen.
    Misexecutes,
}

impl Lie {
    /// Those that plans draw from.
    pub const ALL: [Self; 7] = [
        Self::Silent,
        Self::Refuses,
        Self::WrongExecuted,
        Self::WrongBody,
        Self::WrongTime,
        Self::RubberStamp,
        Self::Contrary,
    ];
}

/// What a validator's application is made of.
pub(crate) struct Settings {
    pub(crate) machine: MachineId,
    pub(crate) ground: Arc<Ground>,
    pub(crate) monitor: Monitor,
    pub(crate) lie: Option<Lie>,
    /// Milliseconds between a payload and the next.
    pub(crate) pace_ms: Arc<AtomicU64>,
    /// Simulated start of the run.
    pub(crate) start: std::time::SystemTime,
}

/// The application of one validator, from one start to its next crash; clones are the same.
#[derive(Clone)]
pub(crate) struct Node(Arc<Inner>);

struct Inner {
    settings: Settings,
    clock: Machine,
    chain: Mutex<Chain>,
    pool: Mutex<Pool>,
    seeds: Seeds,
}

#[derive(Default)]
struct Pool {
    waiting: Vec<(B256, Vec<u8>)>,
    /// Parent, height and transactions of payloads that were seen.
    seen: BTreeMap<Digest, (Digest, Height, Vec<B256>)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    /// A validator whose ledger stands at the genesis.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) async fn open(clock: Machine, settings: Settings) -> Result<Self, commonware_runtime::Error> {
        let chain = Mutex::new(Chain::new(Arc::clone(&settings.ground)));
        let seeds = Seeds::open(&clock).await?;
        Ok(Self(Arc::new(Inner { settings, clock, chain, pool: Mutex::default(), seeds })))
    }

    /// Height of the newest executed block.
    pub(crate) fn height(&self) -> Height {
        lock(&self.0.chain).tip().0
    }

    /// Executes again what the archive holds, up to `delivered` at least, with the seeds that were kept.
    pub(crate) async fn recover(&self, history: History, delivered: Height) {
        loop {
            let next = lock(&self.0.chain).next();
            let Some(payload) = history.payload(next).await else {
                if next <= delivered {
                    let machine = self.0.settings.machine;
                    self.0.settings.monitor.violated(Violation::Lost { machine, delivered, found: next - 1 });
                }
                return;
            };
            let seed = self.0.seeds.get(next).await;
            self.take(payload, seed.as_ref());
        }
    }

    /// Takes a transaction from a client and tells the others.
    pub(crate) fn submit(&self, raw: Vec<u8>, gossip: &GossipSender) {
        let _full = gossip.broadcast(raw.clone());
        self.hear(raw);
    }

    /// Takes the transactions that others tell of.
    pub(crate) async fn listen(self, mut gossip: GossipReceiver) {
        while let Some((_, bytes)) = gossip.recv().await {
            self.hear(bytes.to_vec());
        }
    }

    fn hear(&self, raw: Vec<u8>) {
        let hash = keccak256(&raw);
        if freehold_ledger::admit(&self.0.settings.ground.context, &raw).is_err() {
            return;
        }
        let mut pool = lock(&self.0.pool);
        if pool.waiting.len() < POOL_MAX && !pool.waiting.iter().any(|(known, _)| *known == hash) {
            pool.waiting.push((hash, raw));
        }
    }

    fn now_ms(&self) -> u64 {
        let since = self.0.clock.current().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.0.clock.current().duration_since(self.0.settings.start).unwrap_or_default()
    }

    fn lie(&self) -> Option<Lie> {
        self.0.settings.lie
    }

    /// Executes a final payload, where it is the next one: the archive and the engine may both bring it.
    fn take(&self, payload: Payload, seed: Option<&G1Point>) {
        let (machine, monitor) = (self.0.settings.machine, &self.0.settings.monitor);
        let height = payload.head.height;
        self.note(&payload);
        let misread = self.lie() == Some(Lie::Misexecutes);
        let mut chain = lock(&self.0.chain);
        if chain.next() != height {
            return;
        }
        let taken = chain.take(payload, if misread { Some(&G1Point([7; G1Point::SIZE])) } else { seed });
        drop(chain);
        let Ok(executed) = taken else {
            return monitor.violated(Violation::Execution { machine, height });
        };
        for block in executed {
            monitor.executed(self.elapsed(), machine, (block.height, block.hash));
            let done: BTreeSet<_> = block.transactions.into_iter().collect();
            lock(&self.0.pool).waiting.retain(|(hash, _)| !done.contains(hash));
        }
    }

    fn note(&self, payload: &Payload) {
        let Ok(body) = Body::read(&payload.body.0).map(Body::ordinary) else { return };
        let hashes = body.transactions.iter().map(|raw| keccak256(&raw.0)).collect();
        let digest = freehold_crypto::payload_digest(&payload.head);
        lock(&self.0.pool).seen.insert(digest, (payload.head.parent, payload.head.height, hashes));
    }

    /// What waits and stands in no ancestor that is not executed yet; nothing where an ancestor is unknown.
    fn pick(&self, context: &ProposalContext, executed: Height) -> Vec<Blob> {
        let pool = lock(&self.0.pool);
        let (mut digest, mut height) = (context.parent_digest, context.parent.height);
        let mut taken: BTreeSet<B256> = BTreeSet::new();
        while height > executed {
            let Some((parent, at, hashes)) = pool.seen.get(&digest) else { return Vec::new() };
            taken.extend(hashes);
            (digest, height) = (*parent, at - 1);
        }
        let free = pool.waiting.iter().filter(|(hash, _)| !taken.contains(hash));
        free.take(PICKED_MAX).map(|(_, raw)| Blob(raw.clone())).collect()
    }

    fn build(&self, context: &ProposalContext) -> Payload {
        let (tip, hash) = lock(&self.0.chain).tip();
        let mut executed = newest_executed(&context.parent, (tip, hash));
        let mut now_ms = self.now_ms();
        match self.lie() {
            Some(Lie::WrongExecuted | Lie::Contrary) => executed.block_hash.0[0] ^= 1,
            Some(Lie::WrongTime) => now_ms += 60_000,
            _ => {}
        }
        let transactions = if context.lags(&executed) { Vec::new() } else { self.pick(context, tip) };
        let statements = context.statements.iter().cloned().map(Blob).collect();
        let body = PayloadBody { transactions, statements, turn: context.turn.clone() };
        let mut payload = context.payload(now_ms, executed, &body);
        if self.lie() == Some(Lie::WrongBody) {
            payload.body = Blob(vec![0xff; 40]);
            payload.head.body = freehold_crypto::body_digest(&payload.body.0);
        }
        payload
    }

    /// Whether this validator has executed the block that the head names, waiting for it a while.
    async fn agrees(&self, head: &PayloadHead) -> bool {
        let height = head.executed.height;
        let deadline = self.0.clock.current() + EXECUTION_WAIT;
        loop {
            if let Some(hash) = lock(&self.0.chain).hash(height) {
                return hash == head.executed.block_hash;
            }
            if self.0.clock.current() >= deadline {
                return false;
            }
            self.0.clock.sleep(LOOK).await;
        }
    }
}

/// The newest block that a proposer may name: its own tip, or what the parent named when it is behind.
fn newest_executed(parent: &PayloadHead, (height, block_hash): (Height, Digest)) -> Executed {
    if height >= parent.executed.height && height <= parent.height {
        Executed { height, block_hash }
    } else {
        parent.executed
    }
}

impl Application for Node {
    async fn propose(&self, context: ProposalContext) -> Option<Payload> {
        if self.lie() == Some(Lie::Silent) {
            return None;
        }
        let pace_ms = self.0.settings.pace_ms.load(Ordering::Relaxed);
        let due = context.parent.timestamp_ms.saturating_add(pace_ms);
        let wait = due.saturating_sub(self.now_ms()).min(pace_ms);
        self.0.clock.sleep(Duration::from_millis(wait)).await;
        let payload = self.build(&context);
        self.0.settings.monitor.proposed(self.elapsed(), freehold_crypto::payload_digest(&payload.head));
        self.note(&payload);
        Some(payload)
    }

    fn statements(&self, payload: &Payload) -> Vec<Vec<u8>> {
        let body = Body::read(&payload.body.0).map(Body::ordinary).unwrap_or_default();
        body.statements.into_iter().map(|statement| statement.0).collect()
    }

    async fn players(&self, term: Term) -> Option<Players> {
        let first = term * self.0.settings.ground.context.genesis().membership.term_blocks;
        loop {
            {
                let chain = lock(&self.0.chain);
                if chain.tip().0 >= first {
                    return chain.players(term);
                }
            }
            self.0.clock.sleep(LOOK).await;
        }
    }

    async fn verify(&self, context: ProposalContext, payload: Payload) -> bool {
        match self.lie() {
            Some(Lie::Refuses | Lie::Contrary) => return false,
            Some(Lie::RubberStamp) => return true,
            _ => {}
        }
        let head = &payload.head;
        let ahead = head.timestamp_ms.saturating_sub(self.now_ms());
        let Ok(body) = Body::read(&payload.body.0).map(Body::ordinary) else { return false };
        if check_payload(&self.0.settings.ground.context, &payload).is_err()
            || ahead > AHEAD_MS_MAX
            || body.turn != context.turn
            || (context.lags(&head.executed) && !body.transactions.is_empty())
        {
            return false;
        }
        if !self.agrees(head).await {
            return false;
        }
        self.note(&payload);
        true
    }

    async fn finalized(&self, payload: FinalizedPayload) {
        let height = payload.payload.head.height;
        self.0.settings.monitor.finalized(self.elapsed(), self.0.settings.machine, &payload);
        // After a restart the archive's payloads come first.
        loop {
            let next = lock(&self.0.chain).next();
            if height < next {
                return;
            }
            if height == next {
                break;
            }
            self.0.clock.sleep(LOOK).await;
        }
        // A block is executed only once what it takes to execute it again is on disk.
        if let Some(seed) = &payload.seed
            && self.0.seeds.put(height, seed).await.is_err()
        {
            return std::future::pending().await;
        }
        self.take(payload.payload, payload.seed.as_ref());
    }

    async fn certificate(&self, seen: SeenCertificate) {
        self.0.settings.monitor.certificate(self.0.settings.machine, &seen.certificate);
    }
}
