//! What consensus asks of a validator: fill a payload, judge one, take a final one (design D2 and D3).
//!
//! Invariants: `executed` names a block this validator has executed, or repeats the parent's; a vote says that this
//! validator executed the same block at that height. Not here: execution itself, which is the executor's thread.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use alloy_primitives::{B256, keccak256};
use freehold_consensus::{Application, DoubleProposal, FinalizedPayload, Players, ProposalContext, SeenCertificate};
use freehold_primitives::{
    Blob, Body, Canonical as _, Executed, PAYLOAD_BYTES_MAX, Payload, PayloadBody, PayloadHead, STATEMENTS_MAX, Term,
};
use tokio::{sync::mpsc, time::timeout};
use tracing::{debug, error, warn};

use crate::{
    ancestry::Taken,
    executor::{Command, Executor},
    mempool::Bounds,
    pacing::{Demand, due_in_ms},
    shared::{Shared, Tip},
};

/// Longest wait for own execution before a vote.
const EXECUTION_WAIT: Duration = Duration::from_millis(500);
/// A payload may be this far ahead of a voter's clock, in milliseconds.
const AHEAD_MS_MAX: u64 = 2_000;
/// Longest sleep of a proposer between two looks at the clock.
const LOOK_MS: u64 = 250;
/// Room for the version byte and the list's length in a body.
const BODY_OVERHEAD: usize = 16;

/// The application that consensus drives; one for each validator.
#[derive(Clone)]
pub(crate) struct NodeApplication {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
    /// Where proofs against proposers are kept.
    folder: Arc<Path>,
}

impl NodeApplication {
    pub(crate) fn new(shared: Arc<Shared>, executor: &Executor, folder: &Path) -> Self {
        Self { shared, commands: executor.commands(), folder: folder.into() }
    }

    /// What calls for a payload on `parent`, and what its unexecuted ancestors hold.
    fn demand(&self, context: &ProposalContext) -> (Demand, Option<BTreeSet<B256>>) {
        let pool = self.shared.pool();
        let tip = self.shared.tip();
        let taken = match pool.ancestry.taken(context.parent.height, context.parent_digest, tip.height()) {
            Taken::Known(taken) => Some(taken),
            Taken::Unknown => None,
        };
        let base_fee = self.shared.chain.next_base_fee(&tip.header);
        let ready = taken.as_ref().is_some_and(|taken| pool.mempool.has_ready(base_fee, taken));
        let unproven = tip.busy > context.parent.executed.height;
        (if ready || unproven { Demand::Waiting } else { Demand::None }, taken)
    }

    fn build(&self, context: &ProposalContext) -> Payload {
        let (_, taken) = self.demand(context);
        let tip = self.shared.tip();
        let executed = newest_executed(&context.parent, &tip);
        let lags = context.lags(&executed);
        let statements: Vec<Blob> = context.statements.iter().take(STATEMENTS_MAX).cloned().map(Blob).collect();
        let turn = context.turn.clone();
        let reserved = BODY_OVERHEAD
            + statements.iter().map(|statement| 4 + statement.0.len()).sum::<usize>()
            + turn.as_ref().map_or(0, |turn| turn.to_canonical().len());
        let transactions = match taken {
            Some(taken) if !lags => {
                let base_fee = self.shared.chain.next_base_fee(&tip.header);
                let gas_max = self.shared.chain.block_gas_max();
                let bounds = Bounds { gas_max, bytes_max: PAYLOAD_BYTES_MAX - reserved };
                self.shared.pool().mempool.pick(base_fee, &taken, bounds)
            }
            _ => Vec::new(),
        };
        let transactions = transactions.into_iter().map(Blob).collect();
        let body = PayloadBody { transactions, statements, turn };
        context.payload(self.shared.clock.now_ms(), executed, &body)
    }

    /// Whether this validator has executed the block that the head names, waiting for it a while.
    async fn agrees(&self, head: &PayloadHead) -> bool {
        let height = head.executed.height;
        let mut tip = self.shared.tip.subscribe();
        let reached = timeout(EXECUTION_WAIT, tip.wait_for(|tip| tip.height() >= height)).await;
        if !matches!(reached, Ok(Ok(_))) {
            debug!(height, "no vote: not executed yet");
            return false;
        }
        match self.shared.chain.block_hash(height) {
            Some(hash) if hash == head.executed.block_hash => true,
            Some(hash) => {
                warn!(height, ours = %hash, theirs = %head.executed.block_hash, "no vote: another block was executed");
                false
            }
            None => false,
        }
    }
}

impl Application for NodeApplication {
    async fn propose(&self, context: ProposalContext) -> Option<Payload> {
        let mut tip = self.shared.tip.subscribe();
        let mut pool = self.shared.pool_changes.subscribe();
        loop {
            tip.mark_unchanged();
            pool.mark_unchanged();
            let (demand, _) = self.demand(&context);
            let wait = due_in_ms(self.shared.clock.now_ms(), context.parent.timestamp_ms, demand);
            if wait == 0 {
                break;
            }
            let pause = tokio::time::sleep(Duration::from_millis(wait.min(LOOK_MS)));
            if demand == Demand::Waiting {
                // No change makes it due sooner, and under load the pool changes all the time.
                pause.await;
                continue;
            }
            tokio::select! {
                () = pause => {}
                changed = tip.changed() => changed.ok()?,
                changed = pool.changed() => changed.ok()?,
            }
        }
        let payload = self.build(&context);
        self.note(&payload);
        Some(payload)
    }

    async fn verify(&self, context: ProposalContext, payload: Payload) -> bool {
        let head = &payload.head;
        if !self.shared.chain.is_valid_payload(&payload) {
            debug!(height = context.height(), "no vote: the body is not valid");
            return false;
        }
        let turn = Body::read(&payload.body.0).map(|body| body.ordinary().turn);
        if turn.as_ref() != Ok(&context.turn) {
            warn!(height = context.height(), "no vote: the turn to the new term is not the one that follows");
            return false;
        }
        let ahead = head.timestamp_ms.saturating_sub(self.shared.clock.now_ms());
        if ahead > AHEAD_MS_MAX {
            debug!(height = context.height(), ahead, "no vote: ahead of this clock");
            return false;
        }
        if !self.agrees(head).await {
            return false;
        }
        self.note(&payload);
        true
    }

    async fn finalized(&self, payload: FinalizedPayload) {
        self.note(&payload.payload);
        self.shared.offer(payload.payload.head.height);
        let (done, wait) = tokio::sync::oneshot::channel();
        if self.commands.send(Command::Finalized(Box::new(payload), done)).is_ok() && wait.await.is_ok() {
            return;
        }
        // The executor has stopped: never acknowledge what is not durable; the runtime is about to end.
        std::future::pending::<()>().await;
    }

    fn statements(&self, payload: &Payload) -> Vec<Vec<u8>> {
        let body = Body::read(&payload.body.0).map(Body::ordinary).unwrap_or_default();
        body.statements.into_iter().map(|statement| statement.0).collect()
    }

    async fn players(&self, term: Term) -> Option<Players> {
        let first = term.checked_mul(self.shared.chain.genesis().membership.term_blocks)?;
        let mut tip = self.shared.tip.subscribe();
        tip.wait_for(|tip| tip.height() >= first).await.ok()?;
        match self.shared.chain.players(term) {
            Ok(players) => players,
            Err(error) => {
                // Another answer than the others' would split the round: rather none until a restart.
                error!(%error, term, "the players of a term could not be read");
                std::future::pending().await
            }
        }
    }

    fn double_proposal(&self, found: DoubleProposal) {
        let head = &found.one.head;
        let path = self.folder.join(format!("double-proposal-{}-{}.json", head.term, head.view));
        let hexed = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
        let proof = serde_json::json!({
            "head1": hexed(&found.one.head.to_canonical()), "signature1": hexed(found.one.signature.as_bytes()),
            "head2": hexed(&found.other.head.to_canonical()), "signature2": hexed(found.other.signature.as_bytes()),
        });
        warn!(proposer = head.proposer, proof = %path.display(), "a proposer signed two payloads of one view");
        if let Err(error) = std::fs::write(&path, format!("{proof}\n")) {
            error!(%error, "the proof of two proposals could not be kept");
        }
    }

    async fn certificate(&self, seen: SeenCertificate) {
        let _stopped = self.commands.send(Command::Certificate(seen.certificate));
    }
}

impl NodeApplication {
    fn note(&self, payload: &Payload) {
        let Ok(body) = Body::read(&payload.body.0).map(Body::ordinary) else { return };
        let hashes = body.transactions.iter().map(|raw| keccak256(&raw.0)).collect();
        let digest = freehold_crypto::payload_digest(&payload.head);
        self.shared.pool().ancestry.note(payload.head.height, digest, payload.head.parent, hashes);
    }
}

/// The newest block that a proposer may name: its own tip, or what the parent named when it is behind.
fn newest_executed(parent: &PayloadHead, tip: &Tip) -> Executed {
    if tip.height() >= parent.executed.height && tip.height() <= parent.height {
        Executed { height: tip.height(), block_hash: tip.hash }
    } else {
        parent.executed
    }
}
