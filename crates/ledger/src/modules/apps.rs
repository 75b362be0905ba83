//! `Apps`: the registry of apps and of their instances (`spec/apps.md`, `spec/registration.md`).

mod attest;
mod audits;
mod denials;
mod governor;
mod instances;
mod leases;
mod metadata;
mod owner;
mod protocol;
mod register;
mod rofl;
mod settings;
mod shadow;
mod upgrades;
mod views;

use std::sync::Arc;

use alloy_primitives::{Address, Bytes, FixedBytes};
use freehold_crypto::slots;
use freehold_evm::{Module, ModuleCall, ModuleContext, ModuleFailure};
use freehold_primitives::{AppId, Digest, Genesis};

pub use attest::{AttestationTerms, attest};
pub(super) use governor::require_governor;
pub(super) use leases::require_held;
pub(crate) use protocol::{check_protocol, protocol_schedule};

use super::{
    Payable,
    abi::IApps::{self, IAppsCalls},
    check_value, read_call,
    refusal::ModuleRefusal,
    returned,
};
use crate::state::to_address;

/// Most live instances of an app: as many as one transaction can judge again and close, with all their grants.
const INSTANCES_MAX: usize = 64;
/// Longest policy document, in bytes.
const POLICY_BYTES_MAX: usize = 16 * 1024;
/// Most key contexts that a policy grants at boot.
const BOOT_CONTEXTS_MAX: usize = 8;
/// Places of a shadow that one answer of `shadow` looks at.
pub(crate) const SHADOW_PAGE: u64 = 32;
/// Ids in one answer of `instances`.
const INSTANCES_PAGE: usize = 32;

pub(super) struct Apps {
    genesis: Arc<Genesis>,
    genesis_hash: Digest,
}

impl Apps {
    pub(super) const fn new(genesis: Arc<Genesis>, genesis_hash: Digest) -> Self {
        Self { genesis, genesis_hash }
    }

    fn change(
        &self,
        call: &ModuleCall,
        calls: IAppsCalls,
        ctx: &mut ModuleContext<'_>,
    ) -> Result<Bytes, ModuleFailure> {
        ctx.require_mutable()?;
        let caller = &call.caller;
        match calls {
            IAppsCalls::create(args) => {
                let app = owner::create(ctx, caller, args.scheme, &args.policy)?;
                return Ok(returned::<IApps::createCall>(&(*app.as_bytes()).into()));
            }
            IAppsCalls::update(args) => {
                owner::update(ctx, &self.genesis, &owner::Owned { app: app_id(args.app)?, caller }, &args.policy)?;
            }
            IAppsCalls::setOwner(args) => {
                owner::set_owner(ctx, &owner::Owned { app: app_id(args.app)?, caller }, &args.newOwner)?;
            }
            IAppsCalls::close(args) => owner::close(ctx, &owner::Owned { app: app_id(args.app)?, caller })?,
            IAppsCalls::register(args) => {
                let registrar = register::Registrar { genesis: &self.genesis, genesis_hash: self.genesis_hash };
                registrar.register(ctx, call, &args)?;
            }
            IAppsCalls::deregister(args) => instances::deregister(ctx, caller, &Digest(args.instance.0))?,
            IAppsCalls::revoke(args) => {
                let owned = owner::Owned { app: app_id(args.app)?, caller };
                owner::revoke(ctx, &owned, &Digest(args.instance.0), args.reason)?;
            }
            IAppsCalls::deny(args) => denials::deny(ctx, caller, app_id(args.app)?, &args)?,
            IAppsCalls::lift(args) => denials::lift(ctx, caller, &args)?,
            IAppsCalls::setGovernor(args) => governor::set_governor(ctx, caller, &args.newGovernor)?,
            IAppsCalls::setTier(args) => governor::set_tier(ctx, caller, &args)?,
            IAppsCalls::scheduleProtocol(args) => protocol::announce(ctx, &self.genesis, caller, &args)?,
            IAppsCalls::acquireLease(args) => {
                let taken = leases::acquire(ctx, caller, &args.name, args.lengthS)?;
                return Ok(returned::<IApps::acquireLeaseCall>(&taken));
            }
            IAppsCalls::setSettings(args) => {
                let owned = owner::Owned { app: app_id(args.app)?, caller };
                settings::set(ctx, &owned, &args.settings)?;
            }
            IAppsCalls::setMetadata(args) => metadata::set(ctx, caller, &args.metadata)?,
            IAppsCalls::releaseLease(args) => leases::release(ctx, caller, &args.name, args.fence)?,
            other => return self.upgrade(caller, other, ctx),
        }
        Ok(Bytes::new())
    }

    /// Calls about upgrades.
    fn upgrade(
        &self,
        caller: &Address,
        calls: IAppsCalls,
        ctx: &mut ModuleContext<'_>,
    ) -> Result<Bytes, ModuleFailure> {
        let owned = |app| Ok::<_, ModuleFailure>(owner::Owned { app: app_id(app)?, caller });
        match calls {
            IAppsCalls::setUpgradeRule(args) => upgrades::set_rule(ctx, &owned(args.app)?, &args)?,
            IAppsCalls::announceUpgrade(args) => {
                let digest = upgrades::announce(ctx, &owned(args.app)?, &args.change)?;
                return Ok(returned::<IApps::announceUpgradeCall>(&digest.0.into()));
            }
            IAppsCalls::approveUpgrade(args) => {
                let named = (&app_id(args.app)?, &Digest(args.change.0));
                upgrades::approve(ctx, caller, named, upgrades::Approval::Given)?;
            }
            IAppsCalls::disapproveUpgrade(args) => {
                let named = (&app_id(args.app)?, &Digest(args.change.0));
                upgrades::approve(ctx, caller, named, upgrades::Approval::TakenBack)?;
            }
            IAppsCalls::withdrawUpgrade(args) => upgrades::withdraw(ctx, &owned(args.app)?)?,
            IAppsCalls::activateUpgrade(args) => upgrades::activate(ctx, &self.genesis, &owned(args.app)?)?,
            IAppsCalls::rollBack(args) => {
                let in_force = upgrades::roll_back(ctx, &self.genesis, &owned(args.app)?, args.version)?;
                return Ok(returned::<IApps::rollBackCall>(&in_force));
            }
            IAppsCalls::audit(args) => audits::say(ctx, caller, &args)?,
            _ => return Err(ModuleRefusal::Call.into()),
        }
        Ok(Bytes::new())
    }
}

impl Module for Apps {
    fn address(&self) -> Address {
        to_address(&slots::APPS)
    }

    fn call(&self, call: &ModuleCall, ctx: &mut ModuleContext<'_>) -> Result<Bytes, ModuleFailure> {
        let calls = read_call(call, ctx)?;
        let payable = if matches!(calls, IAppsCalls::register(_)) { Payable::Yes } else { Payable::No };
        check_value(call, payable)?;
        match views::answer(ctx, &calls)? {
            Some(answer) => Ok(answer),
            None => self.change(call, calls, ctx),
        }
    }
}

pub(super) fn app_id(id: FixedBytes<21>) -> Result<AppId, ModuleFailure> {
    AppId::from_bytes(id.0).map_err(|_| ModuleRefusal::AppUnknown.into())
}
