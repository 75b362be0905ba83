//! `Log`: roots of the instances' receipt logs, which give receipts their order and time (design D9), and counters that
//! never fall (design D11).

mod anchors;
mod counters;
mod views;

use alloy_primitives::{Address, Bytes};
use freehold_crypto::slots;
use freehold_evm::{Module, ModuleCall, ModuleContext, ModuleFailure};

use super::{
    Payable,
    abi::ILog::{self, ILogCalls},
    apps::app_id,
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
            ILogCalls::raiseCounters(args) => {
                ctx.require_mutable()?;
                let sequence = counters::raise(ctx, &call.caller, &args)?;
                Ok(returned::<ILog::raiseCountersCall>(&sequence))
            }
            ILogCalls::counters(args) => {
                let entry = counters::entry_bytes(ctx, &app_id(args.app)?, &args.lease)?;
                Ok(returned::<ILog::countersCall>(&entry))
            }
            ILogCalls::counter(args) => {
                let value = counters::value(ctx, &app_id(args.app)?, &args.lease, &args.name)?;
                Ok(returned::<ILog::counterCall>(&value))
            }
            ILogCalls::log(args) => Ok(returned::<ILog::logCall>(&views::log(ctx, args.instance)?)),
            ILogCalls::anchorAt(args) => Ok(returned::<ILog::anchorAtCall>(&views::anchor_at(ctx, &args)?)),
        }
    }
}
