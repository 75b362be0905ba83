//! `Log`: roots of the instances' receipt logs, which give receipts their order and time (design D9).

mod anchors;
mod views;

use alloy_primitives::{Address, Bytes};
use freehold_crypto::slots;
use freehold_evm::{Module, ModuleCall, ModuleContext, ModuleFailure};

use super::{
    Payable,
    abi::ILog::{self, ILogCalls},
    check_value, read_call, returned,
};
use crate::state::to_address;

pub(super) struct Log;

impl Module for Log {
    fn address(&self) -> Address {
        to_address(&slots::LOG)
    }

    fn call(&self, call: &ModuleCall, ctx: &mut ModuleContext<'_>) -> Result<Bytes, ModuleFailure> {
        check_value(call, Payable::No)?;
        match read_call(call, ctx)? {
            ILogCalls::anchor(args) => {
                ctx.require_mutable()?;
                let index = anchors::anchor(ctx, &call.caller, &args)?;
                Ok(returned::<ILog::anchorCall>(&index))
            }
            ILogCalls::log(args) => Ok(returned::<ILog::logCall>(&views::log(ctx, args.instance)?)),
            ILogCalls::anchorAt(args) => Ok(returned::<ILog::anchorAtCall>(&views::anchor_at(ctx, &args)?)),
        }
    }
}
