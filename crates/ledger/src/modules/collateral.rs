//! `Collateral`: what hardware vendors say about their platforms, brought by anyone, never going back (design D6).

mod submit;
mod verifier;
mod views;

use std::sync::Arc;

use alloy_primitives::{Address, Bytes};
use freehold_crypto::slots;
use freehold_evm::{Module, ModuleCall, ModuleContext, ModuleFailure};
use freehold_primitives::Genesis;

pub(crate) use verifier::check_known;
pub(super) use verifier::in_force;
pub(super) use views::newest;

use super::{
    Payable,
    abi::ICollateral::{self, ICollateralCalls},
    check_value, read_call, returned,
};
use crate::state::to_address;

pub(super) struct Collateral {
    genesis: Arc<Genesis>,
}

impl Collateral {
    pub(super) const fn new(genesis: Arc<Genesis>) -> Self {
        Self { genesis }
    }
}

impl Module for Collateral {
    fn address(&self) -> Address {
        to_address(&slots::COLLATERAL)
    }

    fn call(&self, call: &ModuleCall, ctx: &mut ModuleContext<'_>) -> Result<Bytes, ModuleFailure> {
        check_value(call, Payable::No)?;
        match read_call(call, ctx)? {
            ICollateralCalls::submit(args) => {
                ctx.require_mutable()?;
                submit::submit(ctx, &self.genesis.trust_roots, &args)?;
                Ok(Bytes::new())
            }
            ICollateralCalls::scheduleVerifier(args) => {
                ctx.require_mutable()?;
                verifier::announce(ctx, &self.genesis, &call.caller, &args)?;
                Ok(Bytes::new())
            }
            ICollateralCalls::verifier(_) => Ok(returned::<ICollateral::verifierCall>(&verifier::view(ctx)?)),
            ICollateralCalls::collateral(args) => {
                let entry = views::entry_bytes(ctx, args.kind, &args.key)?;
                Ok(returned::<ICollateral::collateralCall>(&entry))
            }
            ICollateralCalls::document(args) => {
                let document = views::document(ctx, args.kind, &args.key)?;
                Ok(returned::<ICollateral::documentCall>(&document))
            }
        }
    }
}
