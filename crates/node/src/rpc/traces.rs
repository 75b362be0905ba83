//! What `debug_*` and `trace_*` have in common: executing a block once more, and saying where a trace ends.
//!
//! Traces show what is public; how far that is, the machine decides (`freehold_evm::trace`). A trace that ends at a secret
//! is marked `"confidential": true` in every frame that was open there; forms that cannot be marked are refused.

use alloy_primitives::B256;
use freehold_ledger::{Selection, Trace, TraceKind, TracePlan, Traced, TracedTransaction, trace_payload};
use freehold_primitives::{Digest, Height};
use jsonrpsee::types::ErrorObjectOwned;
use serde_json::{Map, Value};

use super::{
    error::{internal, limit, not_found, refused, refused_trace, secret, unexecuted, unread, unread_state},
    server::Rpc,
};
use crate::store::{BlockStoreError, TransactionPlace};

/// What a frame is marked with where a secret entered before it ended.
const MARK: &str = "confidential";

type Answer<T> = Result<T, ErrorObjectOwned>;

/// A block with traces of its transactions.
pub(super) struct TracedBlock {
    pub(super) height: Height,
    pub(super) hash: B256,
    pub(super) transactions: Vec<TracedTransaction>,
}

impl Rpc {
    /// A place among those that work hard at once, as long as it is held.
    pub(super) fn heavy_turn(&self) -> Answer<tokio::sync::SemaphorePermit<'_>> {
        self.heavy.try_acquire().map_err(|_| limit("too many traces and simulations run at once: try again later"))
    }

    /// A trace to be made.
    pub(super) fn trace_plan(&self, kind: TraceKind, block_hash: Option<B256>) -> TracePlan {
        TracePlan { kind, sight: self.chain().context().sight(), block_hash, tx_hash: None }
    }

    /// Where a transaction stands.
    pub(super) fn trace_place(&self, hash: &B256) -> Answer<TransactionPlace> {
        let place = self.chain().store.transaction_place(&Digest(hash.0)).map_err(internal)?;
        place.ok_or_else(|| not_found(format!("no executed transaction {hash}")))
    }

    /// Executes a block once more and traces its transactions.
    pub(super) fn trace_block(&self, height: Height, selection: Selection, kind: TraceKind) -> Answer<TracedBlock> {
        let _turn = self.heavy_turn()?;
        let parent = height.checked_sub(1).ok_or_else(|| not_found("block 0 executed no transaction"))?;
        let chain = self.chain();
        let missing = || internal("a block is missing");
        let store = |error: BlockStoreError| unread(error);
        let header = chain.store.header(parent).map_err(store)?.ok_or_else(missing)?;
        let hash = B256::from(chain.store.block_hash(height).map_err(store)?.ok_or_else(missing)?.0);
        let row = chain.store.payload(height).map_err(store)?.ok_or_else(missing)?;
        let seed = match row.seed {
            Some(seed) => Some(seed),
            None => chain.store.payload(height + 1).map_err(store)?.and_then(|next| next.payload.head.parent_seed),
        };
        let state = chain.state(parent).map_err(unread_state)?;
        let keys = chain.state_key_status(parent).map_err(unread_state)?.unwrap_or_default();
        if keys.previous.is_some() || keys.requested {
            return Err(refused("this block moved confidential state to new keys: such a block is not executed again"));
        }
        let plan = self.trace_plan(kind, Some(hash));
        let payload = (&row.payload, seed.as_ref());
        let transactions = trace_payload(chain.context(), chain.parent(&header), payload, &state, (selection, &plan));
        Ok(TracedBlock { height, hash, transactions: transactions.map_err(unexecuted)? })
    }

    /// The trace of one past transaction.
    pub(super) fn trace_one(&self, hash: &B256, kind: TraceKind) -> Answer<(TracedBlock, TracedTransaction)> {
        let place = self.trace_place(hash)?;
        let mut block = self.trace_block(place.height, Selection::One(*hash), kind)?;
        let traced = block.transactions.pop().ok_or_else(|| internal("the transaction is not in its block"))?;
        Ok((block, traced))
    }
}

/// A trace as JSON, marked where it ends at a secret.
pub(super) fn shown(traced: Result<Traced, freehold_ledger::TraceError>) -> Answer<Value> {
    let Traced { trace, closed, .. } = traced.map_err(refused_trace)?;
    let mut value = match &trace {
        Trace::Geth(trace) => serde_json::to_value(trace),
        Trace::Parity(results) => serde_json::to_value(results),
        Trace::AccessList(list) => serde_json::to_value(list),
    }
    .map_err(internal)?;
    let Some(open) = closed else { return Ok(value) };
    match &mut value {
        Value::Array(frames) => mark_flat(frames, open),
        Value::Object(members) if members.contains_key("structLogs") || members.is_empty() => mark(members),
        Value::Object(members) if members.contains_key("type") => mark_tree(members, open),
        Value::Object(members) if members.contains_key("pre") && members.contains_key("post") => mark(members),
        Value::Object(members) if members.contains_key("vmTrace") => {
            if let Some(Value::Array(frames)) = members.get_mut("trace") {
                mark_flat(frames, open);
            }
            mark(members);
        }
        _ => return Err(secret("the transaction came to confidential state: this tracer could only mislead about it")),
    }
    Ok(value)
}

fn mark(members: &mut Map<String, Value>) {
    members.insert(MARK.to_owned(), Value::Bool(true));
}

/// Marks the frames on the way down to the last one that was open.
fn mark_tree(root: &mut Map<String, Value>, open: usize) {
    mark(root);
    let mut frame = root;
    for _ in 1..open {
        let Some(Value::Array(calls)) = frame.get_mut("calls") else { return };
        let Some(Value::Object(last)) = calls.last_mut() else { return };
        mark(last);
        frame = last;
    }
}

/// The same where each frame says by its address where it hangs.
fn mark_flat(frames: &mut [Value], open: usize) {
    let address = |frame: &Value| frame["traceAddress"].as_array().cloned().unwrap_or_default();
    let Some(last) = frames.last().map(address) else { return };
    for frame in frames {
        let here = address(frame);
        if here.len() < open.max(1)
            && last.starts_with(&here)
            && let Value::Object(members) = frame
        {
            mark(members);
        }
    }
}

#[cfg(test)]
mod tests;
