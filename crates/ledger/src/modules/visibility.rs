//! `Visibility`: a constructor makes its contract's storage public (`spec/confidential-state.md` §1).

use alloy_primitives::{Address, Bytes};
use freehold_crypto::slots;
use freehold_evm::{Construction, Module, ModuleCall, ModuleContext, ModuleFailure};

use super::{
    Payable,
    abi::IVisibility::{self, IVisibilityCalls},
    check_value, read_call,
    refusal::ModuleRefusal,
    returned,
};
use crate::state::to_address;

pub(super) struct VisibilityModule;

impl Module for VisibilityModule {
    fn address(&self) -> Address {
        to_address(&slots::VISIBILITY)
    }

    fn call(&self, call: &ModuleCall, ctx: &mut ModuleContext<'_>) -> Result<Bytes, ModuleFailure> {
        check_value(call, Payable::No)?;
        match read_call(call, ctx)? {
            IVisibilityCalls::makePublic(_) => {
                ctx.require_mutable()?;
                match ctx.construction(call.caller)? {
                    Construction::Open => ctx.mark_public(call.caller)?,
                    Construction::Written => return Err(ModuleRefusal::VisibilityWritten.into()),
                    Construction::Ended => return Err(ModuleRefusal::VisibilityEnded.into()),
                }
                Ok(Bytes::new())
            }
            IVisibilityCalls::visibilityOf(args) => {
                let visibility = ctx.visibility(args.account)?;
                Ok(returned::<IVisibility::visibilityOfCall>(&visibility.as_byte()))
            }
        }
    }
}
