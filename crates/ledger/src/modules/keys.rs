//! `Keys`: grants, the ledger's permission to receive a derived key (design D5).
//!
//! Registration grants the boot contexts of the app's policy; a grant lives and dies with its instance. Beside them stand
//! the generations of the state root key, which the chain itself writes (`crate::confidential`).

mod contexts;
mod grants;
mod rotation;
mod views;

use alloy_primitives::{Address, Bytes, FixedBytes};
use freehold_crypto::slots;
use freehold_evm::{Module, ModuleCall, ModuleContext, ModuleFailure};
use freehold_primitives::{Account, AppId, Genesis, entries::EntryKind};

pub(super) use grants::{close_all, close_unlisted, grant_boot_contexts};

use super::{
    Payable,
    abi::IKeys::{self, IKeysCalls},
    check_value, read_call,
    refusal::ModuleRefusal,
    returned,
};
use crate::state::to_address;

pub(super) struct Keys {
    /// Who may rotate the state root key: the first account of a development genesis.
    rotator: Option<Account>,
}

impl Keys {
    pub(super) fn new(genesis: &Genesis) -> Self {
        let first = genesis.allocations.first().map(|allocation| allocation.account);
        Self { rotator: first.filter(|_| !genesis.is_production()) }
    }
}

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
            IKeysCalls::grant(args) => {
                let entry = views::entry(ctx, EntryKind::Grant, args.id.as_slice())?;
                Ok(returned::<IKeys::grantCall>(&entry))
            }
            IKeysCalls::rotateStateKey(_) => {
                ctx.require_mutable()?;
                let generation = rotation::request(ctx, &call.caller, self.rotator)?;
                Ok(returned::<IKeys::rotateStateKeyCall>(&generation))
            }
            IKeysCalls::stateKeyStatus(_) => {
                let entry = views::entry(ctx, EntryKind::StateKeyStatus, &slots::STATE_KEY_STATUS_ID)?;
                Ok(returned::<IKeys::stateKeyStatusCall>(&entry))
            }
            IKeysCalls::stateKey(args) => {
                let entry = views::entry(ctx, EntryKind::StateKey, &slots::state_key_id(args.generation))?;
                Ok(returned::<IKeys::stateKeyCall>(&entry))
            }
            IKeysCalls::callDataKey(args) => {
                let entry = views::entry(ctx, EntryKind::CallDataKey, &slots::call_data_key_id(args.epoch))?;
                Ok(returned::<IKeys::callDataKeyCall>(&entry))
            }
            IKeysCalls::setContext(args) => {
                ctx.require_mutable()?;
                let rule = contexts::Rule { max_age_s: args.maxAgeS, keep_s: args.keepS };
                contexts::set_rule(ctx, (&call.caller, &app_id(args.app)?, &args.context), rule)?;
                Ok(returned::<IKeys::setContextCall>(&IKeys::setContextReturn {}))
            }
            IKeysCalls::rotate(args) => {
                ctx.require_mutable()?;
                let generation = contexts::rotate(ctx, (&call.caller, &app_id(args.app)?, &args.context))?;
                Ok(returned::<IKeys::rotateCall>(&generation))
            }
            IKeysCalls::retire(args) => {
                ctx.require_mutable()?;
                contexts::retire(ctx, (&call.caller, &app_id(args.app)?, &args.context))?;
                Ok(returned::<IKeys::retireCall>(&IKeys::retireReturn {}))
            }
            IKeysCalls::keyContext(args) => {
                let id = slots::key_context_id(&app_id(args.app)?, &args.context);
                let entry = views::entry(ctx, EntryKind::KeyContext, &id)?;
                Ok(returned::<IKeys::keyContextCall>(&entry))
            }
            IKeysCalls::grantCount(args) => {
                let (made, live) = views::count(ctx, &app_id(args.app)?)?;
                Ok(returned::<IKeys::grantCountCall>(&IKeys::grantCountReturn { made, live }))
            }
            IKeysCalls::grants(args) => Ok(returned::<IKeys::grantsCall>(&views::grants(ctx, args.instance)?)),
        }
    }
}

fn app_id(id: FixedBytes<21>) -> Result<AppId, ModuleFailure> {
    AppId::from_bytes(id.0).map_err(|_| ModuleRefusal::AppUnknown.into())
}
