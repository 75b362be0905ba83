//! Calls outside of any block: `eth_call`, `eth_estimateGas`, `eth_createAccessList`.

use alloy_eips::{BlockId, eip2930::AccessList};
use alloy_primitives::{Bytes, TxKind, U64};
use alloy_rpc_types_eth::TransactionRequest;
use freehold_ledger::{CallError, CallRequest, Outcome, Parent, Status};
use jsonrpsee::{
    RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use serde_json::{Value, json};

use super::{
    error::{internal, invalid_params, refused, reverted},
    server::{Rpc, method},
};

type Answer<T> = Result<T, ErrorObjectOwned>;

/// Adds the methods of this file.
pub(super) fn add(module: &mut RpcModule<Rpc>) -> Result<(), RegisterMethodError> {
    method(module, "eth_call", call)?;
    method(module, "eth_estimateGas", estimate)?;
    method(module, "eth_createAccessList", access_list)?;
    Ok(())
}

fn call(rpc: &Rpc, params: Params<'_>) -> Answer<Bytes> {
    let (request, id) = read(&params)?;
    let outcome = run(rpc, id, |ctx, parent, state| freehold_ledger::call(ctx, parent, state, &request))?;
    output(outcome)
}

fn estimate(rpc: &Rpc, params: Params<'_>) -> Answer<U64> {
    let (request, id) = read(&params)?;
    run(rpc, id, |ctx, parent, state| freehold_ledger::estimate_gas(ctx, parent, state, &request)).map(U64::from)
}

/// An access list saves nothing where storage is one tree, so the empty list is the best one.
fn access_list(rpc: &Rpc, params: Params<'_>) -> Answer<Value> {
    let (request, id) = read(&params)?;
    let gas = run(rpc, id, |ctx, parent, state| freehold_ledger::estimate_gas(ctx, parent, state, &request))?;
    Ok(json!({ "accessList": AccessList::default(), "gasUsed": U64::from(gas) }))
}

fn read(params: &Params<'_>) -> Answer<(CallRequest, Option<BlockId>)> {
    let mut sequence = params.sequence();
    let request: TransactionRequest = sequence.next().map_err(invalid_params)?;
    let id: Option<BlockId> = sequence.optional_next().map_err(invalid_params)?;
    let overrides: Option<Value> = sequence.optional_next().map_err(invalid_params)?;
    if overrides.is_some_and(|overrides| !overrides.is_null() && overrides != json!({})) {
        return Err(invalid_params("state overrides are not supported"));
    }
    let to = match request.to {
        Some(TxKind::Call(address)) => Some(address),
        Some(TxKind::Create) | None => None,
    };
    let data = request.input.try_into_unique_input().map_err(invalid_params)?.unwrap_or_default();
    let request = CallRequest {
        from: request.from.unwrap_or_default(),
        to,
        value: request.value.unwrap_or_default(),
        data,
        gas: request.gas,
        gas_price: request.max_fee_per_gas.or(request.gas_price),
        access_list: request.access_list.unwrap_or_default(),
    };
    Ok((request, id))
}

fn run<T>(
    rpc: &Rpc,
    id: Option<BlockId>,
    work: impl FnOnce(&freehold_ledger::ChainContext, Parent<'_>, &dyn freehold_ledger::StateTree) -> Result<T, CallError>,
) -> Answer<T> {
    let height = rpc.existing(id)?;
    let chain = rpc.chain();
    let header = chain.store.header(height).map_err(internal)?.ok_or_else(|| internal("the header is missing"))?;
    let state = chain.state(height).map_err(internal)?;
    let parent = Parent { header: &header, content: &chain.store, hashes: &chain.store };
    work(chain.context(), parent, &state).map_err(|error| match error {
        CallError::Fails(outcome) => failure(&outcome),
        CallError::Invalid(_) => refused(error),
        other => internal(other),
    })
}

fn output(outcome: Outcome) -> Answer<Bytes> {
    if outcome.is_success() { Ok(outcome.output) } else { Err(failure(&outcome)) }
}

fn failure(outcome: &Outcome) -> ErrorObjectOwned {
    match &outcome.status {
        Status::Halt(reason) => refused(format!("execution stopped: {reason:?}")),
        _ => reverted(&outcome.output),
    }
}
