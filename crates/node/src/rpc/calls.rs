//! Calls outside of any block: `eth_call`, `eth_estimateGas`, `eth_createAccessList`.

use alloy_eips::{BlockId, eip2930::AccessList};
use alloy_primitives::{B256, Bytes, TxKind, U64};
use alloy_rpc_types_eth::TransactionRequest;
use freehold_crypto::{CallDataRefusal, SignedQuery};
use freehold_ledger::{CallError, CallRequest, Outcome, Parent, StateTree, Status};
use jsonrpsee::{
    RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use rand::{rand_core::TryRng as _, rngs::SysRng};
use serde_json::{Value, json};

use super::{
    error::{internal, invalid_params, no_call, refused, refused_call_data, reverted},
    params::one_two_and_more,
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
    output(run(rpc, (request, id), freehold_ledger::call)?)
}

fn estimate(rpc: &Rpc, params: Params<'_>) -> Answer<U64> {
    estimated(rpc, &params).map(U64::from)
}

/// An access list saves nothing where storage is one tree, so the empty list is the best one.
fn access_list(rpc: &Rpc, params: Params<'_>) -> Answer<Value> {
    let gas = estimated(rpc, &params)?;
    Ok(json!({ "accessList": AccessList::default(), "gasUsed": U64::from(gas) }))
}

fn estimated(rpc: &Rpc, params: &Params<'_>) -> Answer<u64> {
    run(rpc, read(params)?, freehold_ledger::estimate_gas)
}

fn read(params: &Params<'_>) -> Answer<(CallRequest, Option<BlockId>)> {
    let (request, id, overrides) = one_two_and_more::<TransactionRequest, BlockId, Value>(params)?;
    if overrides.iter().any(|overrides| !overrides.is_null() && *overrides != json!({})) {
        return Err(invalid_params("overrides of state and block are not supported"));
    }
    Ok((call_request(request, entropy()?)?, id))
}

/// A request as the ledger takes it.
pub(super) fn call_request(request: TransactionRequest, entropy: B256) -> Answer<CallRequest> {
    let to = match request.to {
        Some(TxKind::Call(address)) => Some(address),
        Some(TxKind::Create) | None => None,
    };
    let data = request.input.try_into_unique_input().map_err(invalid_params)?.unwrap_or_default();
    Ok(CallRequest {
        from: request.from.unwrap_or_default(),
        to,
        value: request.value.unwrap_or_default(),
        data,
        gas: request.gas,
        gas_price: request.max_fee_per_gas.or(request.gas_price),
        access_list: request.access_list.unwrap_or_default(),
        entropy,
    })
}

/// Fresh entropy of a call.
fn entropy() -> Answer<B256> {
    let mut entropy = B256::ZERO;
    SysRng.try_fill_bytes(&mut entropy.0).map_err(internal)?;
    Ok(entropy)
}

fn run<T>(
    rpc: &Rpc,
    (request, id): (CallRequest, Option<BlockId>),
    work: fn(&freehold_ledger::ChainContext, Parent<'_>, &dyn StateTree, &CallRequest) -> Result<T, CallError>,
) -> Answer<T> {
    let newest = rpc.newest();
    let height = rpc.existing(id)?;
    if height < newest && SignedQuery::read(&request.data).is_some() {
        // A leash is judged at the block that is asked for: an old one would bring an old query back to life.
        return Err(refused_call_data(CallDataRefusal::OldBlock));
    }
    let chain = rpc.chain();
    let header = chain.store.header(height).map_err(internal)?.ok_or_else(|| internal("the header is missing"))?;
    let state = chain.state(height).map_err(internal)?;
    let done =
        request.within_means(&state).and_then(|request| work(chain.context(), chain.parent(&header), &state, &request));
    done.map_err(|error| match error {
        CallError::Fails(outcome) => failure(&outcome),
        CallError::Invalid(invalid) => no_call(&invalid),
        CallError::CallData(refusal) => refused_call_data(refusal),
        follower @ CallError::Follower => refused(follower),
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
