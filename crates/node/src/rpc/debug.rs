//! `debug_*`: geth's traces, and raw forms of what blocks hold.

use alloy_consensus::{BlockBody, Header};
use alloy_eips::{BlockId, BlockNumberOrTag, eip2718::Encodable2718 as _};
use alloy_primitives::{B256, Bytes};
use alloy_rlp::Encodable as _;
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::geth::{GethDebugTracingCallOptions, GethDebugTracingOptions};
use freehold_ledger::{Selection, TraceKind};
use freehold_rpc::BlockView;
use jsonrpsee::{
    RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use serde_json::{Value, json};

use super::{
    error::{internal, invalid_params},
    params::{call_params, one, two},
    request::{call_request, overrides},
    server::{Rpc, method},
    traces::{TracedBlock, shown},
};

type Answer<T> = Result<T, ErrorObjectOwned>;

/// Adds the methods of this file.
pub(super) fn add(module: &mut RpcModule<Rpc>) -> Result<(), RegisterMethodError> {
    method(module, "debug_traceTransaction", trace_transaction)?;
    method(module, "debug_traceBlockByNumber", |rpc, params| {
        let (tag, options) = two::<BlockNumberOrTag, GethDebugTracingOptions>(&params)?;
        trace_block(rpc, tag.into(), options)
    })?;
    method(module, "debug_traceBlockByHash", |rpc, params| {
        let (hash, options) = two::<B256, GethDebugTracingOptions>(&params)?;
        trace_block(rpc, hash.into(), options)
    })?;
    method(module, "debug_traceCall", trace_call)?;
    method(module, "debug_getRawHeader", raw_header)?;
    method(module, "debug_getRawBlock", raw_block)?;
    method(module, "debug_getRawReceipts", raw_receipts)?;
    method(module, "debug_getRawTransaction", |rpc, params| {
        let hash: B256 = one(&params)?;
        let place = rpc.trace_place(&hash)?;
        let view = rpc.view(place.height)?.ok_or_else(|| internal("a block is missing"))?;
        Ok(view.transactions.get(place.index as usize).map(|found| Bytes::from(found.transaction.encoded_2718())))
    })
}

fn geth(options: Option<GethDebugTracingOptions>) -> TraceKind {
    TraceKind::Geth(Box::new(options.unwrap_or_default()))
}

fn trace_transaction(rpc: &Rpc, params: Params<'_>) -> Answer<Value> {
    let (hash, options) = two::<B256, GethDebugTracingOptions>(&params)?;
    let (_, traced) = rpc.trace_one(&hash, geth(options))?;
    shown(traced.traced)
}

/// What cannot be shown of one transaction does not hide the others.
fn trace_block(rpc: &Rpc, id: BlockId, options: Option<GethDebugTracingOptions>) -> Answer<Vec<Value>> {
    let height = rpc.existing(Some(id))?;
    let TracedBlock { transactions, .. } = rpc.trace_block(height, Selection::All, geth(options))?;
    let traces = transactions.into_iter().map(|traced| match shown(traced.traced) {
        Ok(result) => json!({ "txHash": traced.hash, "result": result }),
        Err(error) => json!({ "txHash": traced.hash, "error": error.message() }),
    });
    Ok(traces.collect())
}

fn trace_call(rpc: &Rpc, params: Params<'_>) -> Answer<Value> {
    let (request, id, options, _) =
        call_params::<TransactionRequest, BlockId, GethDebugTracingCallOptions, Value>(&params)?;
    let GethDebugTracingCallOptions { tracing_options, state_overrides, block_overrides, tx_index } =
        options.unwrap_or_default();
    if tx_index.is_some() {
        return Err(invalid_params("calls are traced behind a block, not between its transactions"));
    }
    let request = call_request(request, overrides(state_overrides, block_overrides)?)?;
    let _turn = rpc.heavy_turn()?;
    let plan = rpc.trace_plan(geth(Some(tracing_options)), None);
    let traced = rpc.run_call((request, id), &|ctx, parent, state, request| {
        freehold_ledger::trace_call(ctx, parent, state, (request, &plan))
    })?;
    shown(Ok(traced.1))
}

fn raw_view(rpc: &Rpc, params: &Params<'_>) -> Answer<BlockView> {
    let height = rpc.existing(Some(one(params)?))?;
    rpc.view(height)?.ok_or_else(|| internal("a block is missing"))
}

fn raw_header(rpc: &Rpc, params: Params<'_>) -> Answer<Bytes> {
    let view = raw_view(rpc, &params)?;
    let mut bytes = Vec::new();
    view.header.encode(&mut bytes);
    Ok(bytes.into())
}

fn raw_block(rpc: &Rpc, params: Params<'_>) -> Answer<Bytes> {
    let view = raw_view(rpc, &params)?;
    let transactions: Vec<freehold_ledger::Transaction> =
        view.transactions.into_iter().map(|found| found.transaction).collect();
    let withdrawals = Some(alloy_eips::eip4895::Withdrawals::default());
    let body = BlockBody { transactions, ommers: Vec::<Header>::new(), withdrawals };
    let mut bytes = Vec::new();
    alloy_consensus::Block { header: view.header, body }.encode(&mut bytes);
    Ok(bytes.into())
}

fn raw_receipts(rpc: &Rpc, params: Params<'_>) -> Answer<Vec<Bytes>> {
    let view = raw_view(rpc, &params)?;
    Ok(view.transactions.iter().map(|found| found.receipt.encoded_2718().into()).collect())
}
