//! Calls outside of any block: `eth_call`, `eth_estimateGas`, `eth_createAccessList`.

use alloy_eips::BlockId;
use alloy_primitives::{Bytes, U64};
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use freehold_crypto::{CallDataRefusal, SignedQuery};
use freehold_ledger::{AccessListed, CallError, CallRequest, ChainContext, Outcome, Parent, StateTree, Status};
use freehold_primitives::Height;
use jsonrpsee::{
    RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use serde_json::{Value, json};

use super::{
    error::{failure, failure_text, internal, refused_call, refused_call_data, unread_state},
    params::call_params,
    request::{call_request, overrides},
    server::{Rpc, method},
};

type Answer<T> = Result<T, ErrorObjectOwned>;
type Work<'w, T> = dyn Fn(&ChainContext, Parent<'_>, &dyn StateTree, &CallRequest) -> Result<T, CallError> + 'w;

/// Adds the methods of this file.
pub(super) fn add(module: &mut RpcModule<Rpc>) -> Result<(), RegisterMethodError> {
    method(module, "eth_call", call)?;
    method(module, "eth_estimateGas", estimate)?;
    method(module, "eth_createAccessList", access_list)?;
    Ok(())
}

fn call(rpc: &Rpc, params: Params<'_>) -> Answer<Bytes> {
    let answer = rpc.run_call(read(&params)?, &freehold_ledger::call).and_then(output);
    rpc.or_forward("eth_call", &params, answer)
}

fn estimate(rpc: &Rpc, params: Params<'_>) -> Answer<U64> {
    let answer = rpc.run_call(read(&params)?, &freehold_ledger::estimate_gas).map(U64::from);
    rpc.or_forward("eth_estimateGas", &params, answer)
}

/// A failure of the call stands beside its list, as geth does it.
fn access_list(rpc: &Rpc, params: Params<'_>) -> Answer<Value> {
    let AccessListed { list, gas_used, status } = rpc.run_call(read(&params)?, &freehold_ledger::access_list)?;
    let mut answer = json!({ "accessList": list, "gasUsed": U64::from(gas_used) });
    if status != Status::Success {
        answer["error"] = failure_text(&status).into();
    }
    Ok(answer)
}

fn read(params: &Params<'_>) -> Answer<(CallRequest, Option<BlockId>)> {
    let (request, id, state, block) =
        call_params::<TransactionRequest, BlockId, StateOverride, BlockOverrides>(params)?;
    Ok((call_request(request, overrides(state, block)?)?, id))
}

impl Rpc {
    /// Works on a call over the state behind a block.
    pub(super) fn run_call<T>(&self, (request, id): (CallRequest, Option<BlockId>), work: &Work<'_, T>) -> Answer<T> {
        let newest = self.newest();
        let height = self.existing(id)?;
        if height < newest && SignedQuery::read(&request.data).is_some() {
            // A leash is judged at the block that is asked for: an old one would bring an old query back to life.
            return Err(refused_call_data(CallDataRefusal::OldBlock));
        }
        self.run_at(height, request, work)?.map_err(refused_call)
    }

    /// Works on a call over the state behind the block of a height that is executed.
    pub(super) fn run_at<T>(
        &self,
        height: Height,
        request: CallRequest,
        work: &Work<'_, T>,
    ) -> Answer<Result<T, CallError>> {
        let chain = self.chain();
        let header = chain.store.header(height).map_err(internal)?.ok_or_else(|| internal("the header is missing"))?;
        let state = chain.state(height).map_err(unread_state)?;
        Ok(request
            .within_means(&state)
            .and_then(|request| work(chain.context(), chain.parent(&header), &state, &request)))
    }
}

fn output(outcome: Outcome) -> Answer<Bytes> {
    if outcome.is_success() { Ok(outcome.output) } else { Err(failure(&outcome)) }
}
