//! JSON-RPC errors as Ethereum's clients know them: code, sentence, and data where it helps.
//!
//! Codes: JSON-RPC 2.0 (−32700 to −32600), EIP-1474 (−32000 server error, −32001 not found, −32005 limit), and 3 for a
//! revert with its data.

use alloy_primitives::{Address, Bytes};
use freehold_crypto::CallDataRefusal;
use freehold_ledger::{Invalid, TransactionRefusal};
use jsonrpsee::types::{ErrorObjectOwned, error::INVALID_PARAMS_CODE};
use serde_json::json;

const SERVER_ERROR: i32 = -32_000;
const RESOURCE_NOT_FOUND: i32 = -32_001;
const LIMIT_EXCEEDED: i32 = -32_005;
const INTERNAL_ERROR: i32 = -32_603;
const REVERTED: i32 = 3;

/// The request's parameters are wrong.
pub(crate) fn invalid_params(text: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(INVALID_PARAMS_CODE, text.to_string(), None::<()>)
}

/// The request is understood and refused.
pub(crate) fn refused(text: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(SERVER_ERROR, text.to_string(), None::<()>)
}

/// The account's storage is confidential: it has no proofs that anyone could read.
pub(crate) fn confidential(address: Address) -> ErrorObjectOwned {
    let text = format!("the storage of {address} is confidential: its slots can be neither read nor proven");
    ErrorObjectOwned::owned(SERVER_ERROR, text, Some(json!({ "reason": "confidential" })))
}

/// What was asked for is not here: not yet, or no longer.
pub(crate) fn not_found(text: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(RESOURCE_NOT_FOUND, text.to_string(), None::<()>)
}

/// The answer would be above a bound.
pub(crate) fn limit(text: impl ToString) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(LIMIT_EXCEEDED, text.to_string(), None::<()>)
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
    let text = match freehold_rpc::revert_reason(data) {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".to_owned(),
    };
    ErrorObjectOwned::owned(REVERTED, text, Some(data.to_string()))
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
