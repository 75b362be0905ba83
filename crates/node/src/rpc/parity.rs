//! `trace_*`: Parity's traces, of past transactions and of calls.

use alloy_eips::BlockId;
use alloy_primitives::{B256, U64, map::HashSet};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::parity::TraceType;
use freehold_ledger::{Selection, TraceKind, TracedTransaction};
use jsonrpsee::{
    RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use serde_json::{Value, json};

use super::{
    error::invalid_params,
    params::{call_params, one, pair},
    request::{call_request, overrides},
    server::{Rpc, method},
    traces::{TracedBlock, shown},
};

type Answer<T> = Result<T, ErrorObjectOwned>;

/// Adds the methods of this file.
pub(super) fn add(module: &mut RpcModule<Rpc>) -> Result<(), RegisterMethodError> {
    method(module, "trace_transaction", transaction)?;
    method(module, "trace_get", get)?;
    method(module, "trace_block", block)?;
    method(module, "trace_call", call)?;
    method(module, "trace_replayTransaction", replay_transaction)?;
    method(module, "trace_replayBlockTransactions", replay_block)
}

fn calls_only() -> TraceKind {
    TraceKind::Parity(HashSet::from_iter([TraceType::Trace]))
}

fn kinds(types: Vec<TraceType>) -> Answer<TraceKind> {
    if types.is_empty() {
        return Err(invalid_params("no type of trace is named: trace, vmTrace and stateDiff are served"));
    }
    Ok(TraceKind::Parity(types.into_iter().collect()))
}

/// The frames of a transaction, each with its place.
fn localized(block: &TracedBlock, traced: TracedTransaction) -> Answer<Vec<Value>> {
    let TracedTransaction { hash, index, traced, .. } = traced;
    let mut results = shown(traced)?;
    let Some(Value::Array(mut frames)) = results.get_mut("trace").map(Value::take) else { return Ok(Vec::new()) };
    for frame in &mut frames {
        frame["blockHash"] = json!(block.hash);
        frame["blockNumber"] = json!(block.height);
        frame["transactionHash"] = json!(hash);
        frame["transactionPosition"] = json!(index);
    }
    Ok(frames)
}

fn transaction(rpc: &Rpc, params: Params<'_>) -> Answer<Vec<Value>> {
    let (block, traced) = rpc.trace_one(&one(&params)?, calls_only())?;
    localized(&block, traced)
}

/// One frame of a transaction, by its address.
fn get(rpc: &Rpc, params: Params<'_>) -> Answer<Option<Value>> {
    let (hash, address) = pair::<B256, Vec<U64>>(&params)?;
    let (block, traced) = rpc.trace_one(&hash, calls_only())?;
    let wanted: Vec<Value> = address.iter().map(|index| json!(index.to::<u64>())).collect();
    let frames = localized(&block, traced)?;
    Ok(frames.into_iter().find(|frame| frame["traceAddress"].as_array() == Some(&wanted)))
}

fn block(rpc: &Rpc, params: Params<'_>) -> Answer<Vec<Value>> {
    let height = rpc.existing(Some(one::<BlockId>(&params)?))?;
    let mut block = rpc.trace_block(height, Selection::All, calls_only())?;
    let mut frames = Vec::new();
    for traced in std::mem::take(&mut block.transactions) {
        frames.extend(localized(&block, traced)?);
    }
    Ok(frames)
}

fn call(rpc: &Rpc, params: Params<'_>) -> Answer<Value> {
    let (request, types, id, _) = call_params::<TransactionRequest, Vec<TraceType>, BlockId, Value>(&params)?;
    let request = call_request(request, overrides(None, None)?)?;
    let _turn = rpc.heavy_turn()?;
    let plan = rpc.trace_plan(kinds(types.unwrap_or_default())?, None);
    let traced = rpc.run_call((request, id), &|ctx, parent, state, request| {
        freehold_ledger::trace_call(ctx, parent, state, (request, &plan))
    })?;
    shown(Ok(traced.1))
}

fn replay_transaction(rpc: &Rpc, params: Params<'_>) -> Answer<Value> {
    let (hash, types) = pair::<B256, Vec<TraceType>>(&params)?;
    let (_, traced) = rpc.trace_one(&hash, kinds(types)?)?;
    shown(traced.traced)
}

fn replay_block(rpc: &Rpc, params: Params<'_>) -> Answer<Vec<Value>> {
    let (id, types) = pair::<BlockId, Vec<TraceType>>(&params)?;
    let height = rpc.existing(Some(id))?;
    let block = rpc.trace_block(height, Selection::All, kinds(types)?)?;
    let replayed = block.transactions.into_iter().map(|traced| {
        let mut results = shown(traced.traced)?;
        results["transactionHash"] = json!(traced.hash);
        Ok(results)
    });
    replayed.collect()
}
