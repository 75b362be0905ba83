//! JSON-RPC errors as Ethereum's clients know them: code, sentence, and data where it helps.
//!
//! Codes: JSON-RPC 2.0 (−32700 to −32600), EIP-1474 (−32000 server error, −32001 not found, −32005 limit), and 3 for a
//! revert with its data; 4444 for blocks that this node has pruned and for state that is no longer kept; −380xx for
//! simulations (execution-apis, `eth_simulateV1`). Where a secret is what stands in the way, the data is
//! `{"reason": "confidential"}`.

use alloy_primitives::{Address, Bytes};
use freehold_crypto::CallDataRefusal;
use freehold_ledger::{
    CallError, Invalid, LedgerError, Outcome, OverrideRefusal, Status, TraceError, TransactionRefusal,
};
use jsonrpsee::types::{ErrorObjectOwned, error::INVALID_PARAMS_CODE};
use serde_json::json;

use super::forward::needs_keys;
use crate::{
    chain::ChainError,
    store::{BlockStoreError, OldStateError},
};

const SERVER_ERROR: i32 = -32_000;
const RESOURCE_NOT_FOUND: i32 = -32_001;
const LIMIT_EXCEEDED: i32 = -32_005;
const INTERNAL_ERROR: i32 = -32_603;
const REVERTED: i32 = 3;
/// As geth says it of history that a node no longer keeps.
const PRUNED: i32 = 4_444;

/// The request's parameters are wrong.
pub(crate) fn invalid_params(text: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INVALID_PARAMS_CODE, text.to_string(), None::<()>)
}

/// The request is understood and refused.
pub(crate) fn refused(text: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(SERVER_ERROR, text.to_string(), None::<()>)
}

/// No share is served, with the stable code of why (`spec/key-service.md` §8).
pub(crate) fn refused_share(text: impl ToString, code: u8) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(SERVER_ERROR, text.to_string(), Some(json!({ "reason": "key-share", "code": code })))
}

/// Nobody here signs answers that count.
pub(crate) fn no_executor(text: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(SERVER_ERROR, text.to_string(), Some(json!({ "reason": "no-executor" })))
}

/// A secret stands in the way.
pub(crate) fn secret(text: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(SERVER_ERROR, text.to_string(), Some(json!({ "reason": "confidential" })))
}

/// The account's storage is confidential: it has no proofs that anyone could read.
pub(crate) fn confidential(address: Address) -> ErrorObjectOwned {
    secret(format!("the storage of {address} is confidential: its slots can be neither read nor proven"))
}

/// What was asked for is not here: not yet, or no longer.
pub(crate) fn not_found(text: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(RESOURCE_NOT_FOUND, text.to_string(), None::<()>)
}

/// State or a block could not be read: mostly because it is too old.
pub(crate) fn unread_state(error: ChainError) -> ErrorObjectOwned {
    match error {
        ChainError::Old(old @ OldStateError::NotKept(_)) => pruned(old),
        other => internal(other),
    }
}

/// What was asked for is too old to be kept.
pub(crate) fn pruned(text: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(PRUNED, text.to_string(), None::<()>)
}

/// An error with any code.
pub(crate) fn coded(code: i32, text: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, text.to_string(), None::<()>)
}

/// Why a call, an estimate or the trace of a call is refused.
pub(crate) fn refused_call(error: CallError) -> ErrorObjectOwned {
    match error {
        CallError::Fails(outcome) => failure(&outcome),
        CallError::Invalid(invalid) => no_call(&invalid),
        CallError::CallData(refusal) if refusal != CallDataRefusal::Unavailable => refused_call_data(refusal),
        CallError::Overrides(refusal) => refused_overrides(&refusal),
        secret_stands @ (CallError::Withheld(_) | CallError::Sealed) => secret(secret_stands),
        CallError::Trace(error) => refused_trace(error),
        CallError::Follower | CallError::CallData(CallDataRefusal::Unavailable) => needs_keys(error),
        CallError::Ledger(error) => unexecuted(error),
        other => internal(other),
    }
}

/// Why a trace is refused.
pub(crate) fn refused_trace(error: TraceError) -> ErrorObjectOwned {
    match error {
        TraceError::TooLarge => limit(error),
        other => invalid_params(other),
    }
}

/// Why overrides are refused.
pub(crate) fn refused_overrides(refusal: &OverrideRefusal) -> ErrorObjectOwned {
    match refusal {
        OverrideRefusal::Confidential(_) => secret(refusal),
        OverrideRefusal::SelfReference(_) => coded(-38_022, refusal),
        OverrideRefusal::Twice(_) => coded(-38_023, refusal),
        OverrideRefusal::NoPrecompile(_) => invalid_params(refusal),
        other => internal(other),
    }
}

/// The ledger could not execute.
pub(crate) fn unexecuted(error: LedgerError) -> ErrorObjectOwned {
    match error {
        LedgerError::KeysMissing => refused(error),
        other => internal(other),
    }
}

/// How a call failed.
pub(crate) fn failure(outcome: &Outcome) -> ErrorObjectOwned {
    match &outcome.status {
        Status::Halt(_) => refused(failure_text(&outcome.status)),
        _ => reverted(&outcome.output),
    }
}

/// A failure in words.
pub(crate) fn failure_text(status: &Status) -> String {
    match status {
        Status::Halt(reason) => format!("execution stopped: {reason:?}"),
        Status::Revert | Status::Success => "execution reverted".to_owned(),
    }
}

/// The answer would be above a bound.
pub(crate) fn limit(text: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(LIMIT_EXCEEDED, text.to_string(), None::<()>)
}

/// The store's bodies of old blocks: pruned, or a failure of the node.
pub(crate) fn unread(error: BlockStoreError) -> ErrorObjectOwned {
    match error {
        BlockStoreError::Pruned { .. } => ErrorObjectOwned::owned(PRUNED, error.to_string(), None::<()>),
        other => internal(other),
    }
}

/// The node itself failed.
pub(crate) fn internal(text: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INTERNAL_ERROR, text.to_string(), None::<()>)
}

/// Encrypted call data or a signed query is refused. Sentences are Sapphire's, because its clients compare them; the data
/// holds the refusal's stable code (`spec/call-data.md` §6).
pub(crate) fn refused_call_data(refusal: CallDataRefusal) -> ErrorObjectOwned {
    let place =
        if refusal.is_query() { "evm: invalid signed simulate call query" } else { "core: invalid call format" };
    let data = json!({ "refusal": refusal.code() });
    ErrorObjectOwned::owned(SERVER_ERROR, format!("{place}: {refusal}"), Some(data))
}

/// The call reverted with this data.
pub(crate) fn reverted(data: &Bytes) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(REVERTED, revert_text(data), Some(data.to_string()))
}

/// A revert in words.
pub(crate) fn revert_text(data: &[u8]) -> String {
    match freehold_rpc::revert_reason(data) {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".to_owned(),
    }
}

/// The ledger refused a transaction for good. The data holds the refusal's stable code (`spec/block.md` §2).
pub(crate) fn refused_for_good(refusal: TransactionRefusal) -> ErrorObjectOwned {
    // Tools of Ethereum know some refusals by these words.
    let text = match refusal {
        TransactionRefusal::Chain => format!("invalid chain id: {refusal}"),
        TransactionRefusal::Signature => format!("invalid sender: {refusal}"),
        TransactionRefusal::IntrinsicGas => format!("intrinsic gas too low: {refusal}"),
        TransactionRefusal::GasCap => format!("exceeds maximum per-transaction gas: {refusal}"),
        TransactionRefusal::FeeCap => format!("max fee per gas less than block base fee: {refusal}"),
        TransactionRefusal::PriorityFee => format!("tip higher than fee cap: {refusal}"),
        TransactionRefusal::InitCode => format!("max initcode size exceeded: {refusal}"),
        TransactionRefusal::Type => format!("transaction type not supported: {refusal}"),
        other => other.to_string(),
    };
    ErrorObjectOwned::owned(SERVER_ERROR, text, Some(json!({ "refusal": refusal.code() })))
}

/// A call may not be made.
pub(crate) fn no_call(invalid: &Invalid) -> ErrorObjectOwned {
    refused(match invalid {
        Invalid::LackOfFundForMaxFee { fee, balance } => {
            format!("insufficient funds for gas * price + value: have {balance}, need {fee}")
        }
        Invalid::GasPriceLessThanBasefee => format!("max fee per gas less than block base fee: {invalid}"),
        Invalid::PriorityFeeGreaterThanMaxFee => format!("tip higher than fee cap: {invalid}"),
        other => format!("the call cannot be made: {other}"),
    })
}
