//! `accounts.Transfer`: moves native balance of the calling contract.

use freehold_primitives::CborValue;

use super::{Subcall, SubcallFailure, SubcallRefusal, read_address, read_tokens};
use crate::module::ModuleContext;

/// Gas of a transfer.
const TRANSFER_GAS: u64 = 1_000;
/// Gas of making the account that receives it (EIP-161), which Sapphire does not charge.
const NEW_ACCOUNT_GAS: u64 = 25_000;
const INSUFFICIENT_BALANCE: SubcallRefusal = SubcallRefusal { module: "accounts", code: 2 };

pub(super) fn call(
    method: &str,
    subcall: &Subcall<'_>,
    ctx: &mut ModuleContext<'_>,
) -> Result<Vec<u8>, SubcallFailure> {
    if method != "Transfer" {
        return Err(SubcallRefusal::INVALID_METHOD.into());
    }
    let mut fields = subcall.body.clone().into_fields()?;
    let to = read_address(&fields.required("to")?)?;
    let amount = read_tokens(fields.required("amount")?)?;
    fields.finish()?;
    ctx.charge(TRANSFER_GAS)?;
    ctx.require_mutable()?;
    // Nobody holds any other denomination.
    let amount = amount.ok_or(INSUFFICIENT_BALANCE)?;
    if !amount.is_zero() && ctx.journal.is_new_account(to)? {
        ctx.charge(NEW_ACCOUNT_GAS)?;
    }
    if !ctx.journal.transfer(subcall.caller, to, amount)? {
        return Err(INSUFFICIENT_BALANCE.into());
    }
    Ok(CborValue::Null.to_vec())
}
