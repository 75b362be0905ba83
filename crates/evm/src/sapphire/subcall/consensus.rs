//! `consensus.*`: there is no staking layer to move tokens to, and the methods say so.
//!
//! Nothing is delegated and no receipt is stored, so the methods that read answer with nothing; those that would move
//! tokens are refused, as a Sapphire does on which they are switched off.

use freehold_primitives::CborValue;

use super::{Subcall, SubcallFailure, SubcallRefusal, read_tokens};
use crate::module::ModuleContext;

const METHODS: [&str; 8] =
    ["Deposit", "Withdraw", "Delegate", "Undelegate", "TakeReceipt", "Delegation", "SharesToTokens", "RoundRoot"];
/// Gas of any of these methods.
const GAS: u64 = 10;
const INVALID_ARGUMENT: SubcallRefusal = SubcallRefusal { module: "consensus_accounts", code: 1 };
const FORBIDDEN: SubcallRefusal = SubcallRefusal { module: "consensus_accounts", code: 4 };
/// Kinds of receipts: delegated, undelegation begun, undelegation done.
const RECEIPT_KINDS: ::core::ops::RangeInclusive<u64> = 1..=3;
/// Kinds of roots: state, and inputs and outputs.
const ROOT_KINDS: ::core::ops::RangeInclusive<u64> = 1..=2;

pub(super) fn call(
    method: &str,
    subcall: &Subcall<'_>,
    ctx: &mut ModuleContext<'_>,
) -> Result<Vec<u8>, SubcallFailure> {
    if !METHODS.contains(&method) {
        return Err(SubcallRefusal::INVALID_METHOD.into());
    }
    ctx.charge(GAS)?;
    let mut fields = subcall.body.clone().into_fields()?;
    let answer = match method {
        "Deposit" | "Withdraw" => {
            if let Some(to) = fields.optional("to").filter(|to| !to.is_null()) {
                to.array_of::<21>()?;
            }
            read_tokens(fields.required("amount")?)?;
            Err(FORBIDDEN)
        }
        "Delegate" => {
            fields.required("to")?.array_of::<21>()?;
            read_tokens(fields.required("amount")?)?;
            fields.optional("receipt").map_or(Ok(0), |receipt| receipt.unsigned())?;
            Err(FORBIDDEN)
        }
        "Undelegate" => {
            fields.required("from")?.array_of::<21>()?;
            fields.required("shares")?.amount()?;
            fields.optional("receipt").map_or(Ok(0), |receipt| receipt.unsigned())?;
            Err(FORBIDDEN)
        }
        "TakeReceipt" => {
            let (_, kind) = (fields.required("id")?.unsigned()?, fields.required("kind")?.unsigned()?);
            if RECEIPT_KINDS.contains(&kind) { Ok(CborValue::Null) } else { Err(INVALID_ARGUMENT) }
        }
        "Delegation" => {
            fields.required("from")?.array_of::<21>()?;
            fields.required("to")?.array_of::<21>()?;
            Ok(CborValue::map([("shares", CborValue::Bytes(&[]))]))
        }
        "SharesToTokens" => {
            fields.required("address")?.array_of::<21>()?;
            fields.required("pool")?.unsigned()?;
            fields.required("shares")?.amount()?;
            // No pool has shares, so there is no price.
            Err(INVALID_ARGUMENT)
        }
        // `RoundRoot`, the last of the list.
        _ => {
            fields.required("runtime_id")?.array_of::<32>()?;
            fields.required("round")?.unsigned()?;
            let kind = fields.required("kind")?.unsigned()?;
            // No other runtime's roots are known here.
            if ROOT_KINDS.contains(&kind) { Ok(CborValue::Null) } else { Err(SubcallRefusal::INVALID_ARGUMENT) }
        }
    };
    fields.finish()?;
    Ok(answer?.to_vec())
}
