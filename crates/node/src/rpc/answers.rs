//! Calls with a signature (`spec/call-answer.md`): an executor says what a call gave behind a named block, for clients that
//! cannot make it again; and the state root keys that executors hold, from the quorum.

use std::sync::Arc;

use alloy_primitives::Bytes;
use alloy_rpc_types_eth::TransactionRequest;
use freehold_crypto::{answer_output_digest, asked_call_digest};
use freehold_ledger::{CallError, ExecutorRefusal, Outcome, Overrides, Status};
use freehold_primitives::{AnswerPurpose, AnswerStatus, CallAnswer, Canonical as _, Digest, Generation};
use freehold_rpc::{CallPurpose, HexBytes, KeyShares, SignedAnswer};
use jsonrpsee::{
    Extensions, RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use serde_json::json;

use super::{
    error::{internal, no_executor, refused_call},
    ours::released,
    params::pair,
    request::call_request,
    server::{Duty, Rpc, method},
};

type Answer<T> = Result<T, ErrorObjectOwned>;

/// Adds the methods of this file.
pub(super) fn add(module: &mut RpcModule<Rpc>) -> Result<(), RegisterMethodError> {
    method(module, "freehold_call", signed_call)?;
    module.register_async_method("freehold_stateKeyShares", state_key_shares).map(|_| ())
}

fn signed_call(rpc: &Rpc, params: Params<'_>) -> Answer<SignedAnswer> {
    let Some(signer) = &rpc.signer else {
        return match &rpc.duty {
            Duty::Follower(forward) => rpc.forwarded(forward, "freehold_call", &params),
            Duty::Validator { .. } => Err(no_executor("this node is no registered executor and signs no answers")),
        };
    };
    let (request, purpose) = pair::<TransactionRequest, CallPurpose>(&params)?;
    let request = call_request(request, Overrides::default())?;
    let (chain, height, instance_id) = (rpc.chain(), rpc.newest(), signer.instance_id());
    // Nobody counts what an executor signs that the chain does not know any more.
    chain.executor(&instance_id).map_err(internal)?.map_err(|refusal: ExecutorRefusal| no_executor(refusal))?;
    let call = asked_call_digest(&request.asked());
    let (purpose, status, output) = match purpose {
        CallPurpose::Call => {
            let outcome = rpc.run_at(height, request, &freehold_ledger::call)?.map_err(refused_call)?;
            let (status, output) = ended(outcome);
            (AnswerPurpose::Call, status, output)
        }
        CallPurpose::Estimate => {
            let (status, output) = match rpc.run_at(height, request, &freehold_ledger::estimate_gas)? {
                Ok(gas) => (AnswerStatus::Success, Bytes::from(gas.to_be_bytes())),
                Err(CallError::Fails(outcome)) => ended(*outcome),
                Err(error) => return Err(refused_call(error)),
            };
            (AnswerPurpose::Estimate, status, output)
        }
    };
    let block_hash = chain.block_hash(height).ok_or_else(|| internal("a hash is missing"))?;
    let answer = CallAnswer {
        chain_id: chain.genesis().chain_id,
        genesis_hash: chain.context().genesis_hash(),
        instance_id,
        height,
        block_hash,
        purpose,
        call,
        status,
        output: answer_output_digest(&output),
    };
    let signature = signer.sign(&answer).ok_or_else(|| internal("the answer names another instance"))?;
    Ok(SignedAnswer {
        answer: HexBytes(answer.to_canonical()),
        output: HexBytes(output.to_vec()),
        signature: HexBytes(signature.to_vec()),
    })
}

fn ended(outcome: Outcome) -> (AnswerStatus, Bytes) {
    match outcome.status {
        Status::Success => (AnswerStatus::Success, outcome.output),
        Status::Revert => (AnswerStatus::Revert, outcome.output),
        Status::Halt(_) => (AnswerStatus::Halt, Bytes::new()),
    }
}

async fn state_key_shares(params: Params<'static>, rpc: Arc<Rpc>, _: Extensions) -> Answer<KeyShares> {
    let (instance, generation) = pair::<Digest, Generation>(&params)?;
    let service = match &rpc.duty {
        Duty::Validator { service, .. } => service,
        Duty::Follower(forward) => {
            let params = json!([format!("0x{instance}"), generation]);
            let shares = forward.ask("freehold_stateKeyShares", params).await?;
            return serde_json::from_value(shares).map_err(internal);
        }
    };
    released(&rpc, Arc::clone(service).collect_state(instance, generation).await)
}
