//! Refusals as JSON-RPC errors: Ethereum's codes where it has one, the light client's own code in the data.

use alloy_primitives::Bytes;
use freehold_ledger::CallError;
use freehold_primitives::AnswerStatus;
use freehold_rpc::{NodeError, VerifiedError};
use jsonrpsee::types::ErrorObjectOwned;
use serde_json::json;

use super::{calls::LightOutcome, error::LightError};

const SERVER_ERROR: i32 = -32_000;
const RESOURCE_NOT_FOUND: i32 = -32_001;
const LIMIT_EXCEEDED: i32 = -32_005;
const INVALID_PARAMS: i32 = -32_602;
const REVERTED: i32 = 3;

/// The error that a client of Ethereum sees.
pub(crate) fn refusal(error: &LightError) -> ErrorObjectOwned {
    if let LightError::Fails(outcome) = error {
        return failed(outcome);
    }
    if let LightError::Call(call) = error
        && let CallError::Fails(outcome) = &**call
    {
        return failed(&LightOutcome::recomputed((**outcome).clone()));
    }
    // What a node says of a transaction that it does not take is told in its words: tools know them.
    if let LightError::Verified(verified) = error
        && let VerifiedError::Node(NodeError::Refused { code, message, data, .. }) = &**verified
    {
        return ErrorObjectOwned::owned(i32::try_from(*code).unwrap_or(SERVER_ERROR), message.clone(), data.clone());
    }
    let code = match error {
        LightError::Request(_) | LightError::Range { .. } => INVALID_PARAMS,
        LightError::NoBlock(_) | LightError::OldState { .. } | LightError::NoFilter(_) => RESOURCE_NOT_FOUND,
        LightError::LogBlocks(_) | LightError::Logs | LightError::Filters => LIMIT_EXCEEDED,
        _ => SERVER_ERROR,
    };
    let data = match error {
        LightError::ConfidentialCall(why) => json!({ "light": error.code(), "why": why.as_str() }),
        _ => json!({ "light": error.code() }),
    };
    ErrorObjectOwned::owned(code, error.to_string(), Some(data))
}

/// The output of a call, or the error of one that failed.
pub(crate) fn output(outcome: LightOutcome) -> Result<Bytes, ErrorObjectOwned> {
    if outcome.is_success() { Ok(outcome.output) } else { Err(failed(&outcome)) }
}

fn failed(outcome: &LightOutcome) -> ErrorObjectOwned {
    if outcome.status == AnswerStatus::Halt {
        let text = outcome
            .halt
            .as_ref()
            .map_or_else(|| "execution stopped".to_owned(), |reason| format!("execution stopped: {reason:?}"));
        return ErrorObjectOwned::owned(SERVER_ERROR, text, None::<()>);
    }
    let text = match freehold_rpc::revert_reason(&outcome.output) {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".to_owned(),
    };
    ErrorObjectOwned::owned(REVERTED, text, Some(outcome.output.to_string()))
}
