//! `Keys`: grants, the ledger's permission to receive a derived key (design D5).
//!
//! Registration grants the boot contexts of the app's policy; a grant lives and dies with its instance.

mod grants;
mod views;

use alloy_primitives::{Address, Bytes};
use freehold_crypto::slots;
use freehold_evm::{Module, ModuleCall, ModuleContext, ModuleFailure};

pub(super) use grants::{close_all, close_unlisted, grant_boot_contexts};

use super::{
    Payable,
    abi::IKeys::{self, IKeysCalls},
    check_value, read_call, returned,
};
use crate::state::to_address;

pub(super) struct Keys;

impl Module for Keys {
    fn address(&self) -> Address {
        to_address(&slots::KEYS)
    }

    fn call(&self, call: &ModuleCall, ctx: &mut ModuleContext<'_>) -> Result<Bytes, ModuleFailure> {
        check_value(call, Payable::No)?;
        match read_call(call, ctx)? {
            IKeysCalls::request(args) => {
                ctx.require_mutable()?;
                let id = grants::request(ctx, &call.caller, &args.context)?;
                Ok(returned::<IKeys::requestCall>(&id.0.into()))
            }
            IKeysCalls::grant(args) => Ok(returned::<IKeys::grantCall>(&views::grant(ctx, args.id)?)),
            IKeysCalls::grants(args) => Ok(returned::<IKeys::grantsCall>(&views::grants(ctx, args.instance)?)),
        }
    }
}
