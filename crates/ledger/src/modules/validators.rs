//! `Validators`: who may validate, what that binds, and the turn from term to term (`spec/membership.md`).
//!
//! Joining, leaving and reports are calls; what they ask for takes effect at the turn to the next term, which the chain
//! itself executes before a block's transactions. The sum of all bonds stands in one slot: what the module's balance is above
//! it are fees, and the turn pays them out.

mod bonds;
mod founding;
mod join;
mod masters;
mod reports;
mod rules;
mod shares;
mod standing;
mod succession;
mod turn;
mod views;

use std::sync::Arc;

use alloy_eips::eip4788::SYSTEM_ADDRESS;
use alloy_primitives::{Address, Bytes};
use freehold_crypto::slots;
use freehold_evm::{Module, ModuleCall, ModuleContext, ModuleFailure};
use freehold_primitives::{Digest, Genesis};

pub use founding::MembershipFault;
pub(crate) use founding::{bonded_at_first, check_membership, first_entries};
pub(super) use masters::{master, newest_master};
pub(crate) use rules::SEATS_MAX;

use super::{
    Payable,
    abi::IValidators::{self, IValidatorsCalls},
    check_value, read_call,
    refusal::ModuleRefusal,
};
use crate::state::to_address;

/// Most candidates at one time.
const CANDIDATES_MAX: usize = 64;

/// Call data of the turn to a new term.
pub(crate) fn turn_call(said: Vec<u8>, balance: alloy_primitives::U256) -> Bytes {
    use alloy_sol_types::SolCall as _;
    IValidators::turnCall { said: said.into(), balance }.abi_encode().into()
}

pub(super) struct Validators {
    genesis: Arc<Genesis>,
    genesis_hash: Digest,
}

impl Validators {
    pub(super) const fn new(genesis: Arc<Genesis>, genesis_hash: Digest) -> Self {
        Self { genesis, genesis_hash }
    }

    fn change(
        &self,
        call: &ModuleCall,
        calls: IValidatorsCalls,
        ctx: &mut ModuleContext<'_>,
    ) -> Result<(), ModuleFailure> {
        ctx.require_mutable()?;
        let caller = &call.caller;
        let rules = &self.genesis.membership;
        let registrar = join::Registrar { genesis: &self.genesis, genesis_hash: self.genesis_hash };
        match calls {
            IValidatorsCalls::join(args) => registrar.join(ctx, call, &args),
            IValidatorsCalls::attest(args) => registrar.attest(ctx, caller, &args),
            IValidatorsCalls::bond(args) => bonds::add(ctx, &standing::identity(&args.identity), call.value),
            IValidatorsCalls::resign(args) => bonds::resign(ctx, caller, &args.identity, rules),
            IValidatorsCalls::withdraw(args) => bonds::withdraw(ctx, caller, &args.identity),
            IValidatorsCalls::unjail(args) => bonds::unjail(ctx, caller, &args.identity, rules),
            IValidatorsCalls::setAddress(args) => join::set_address(ctx, caller, &args),
            IValidatorsCalls::setPayee(args) => join::set_payee(ctx, caller, &args),
            IValidatorsCalls::reportDoubleProposal(args) => {
                reports::double_proposal(ctx, caller, &args, rules.jail_terms)
            }
            IValidatorsCalls::reportWrongShare(args) => {
                shares::wrong_share(ctx, caller, &args.report, (&self.genesis_hash, rules.jail_terms))
            }
            IValidatorsCalls::succeedNetworkKey(_) => succession::ask(ctx, caller, rules),
            IValidatorsCalls::succeedMaster(args) => masters::ask(ctx, caller, &self.genesis, args.keepS),
            // Nobody signs as the chain: its address has no key.
            IValidatorsCalls::turn(args) if *caller == SYSTEM_ADDRESS => turn::turn(ctx, &self.genesis, &args),
            _ => Err(ModuleRefusal::Call.into()),
        }
    }
}

impl Module for Validators {
    fn address(&self) -> Address {
        to_address(&slots::VALIDATORS)
    }

    fn call(&self, call: &ModuleCall, ctx: &mut ModuleContext<'_>) -> Result<Bytes, ModuleFailure> {
        let calls = read_call(call, ctx)?;
        let takes_value = matches!(calls, IValidatorsCalls::join(_) | IValidatorsCalls::bond(_));
        check_value(call, if takes_value { Payable::Yes } else { Payable::No })?;
        match views::answer(ctx, &calls)? {
            Some(answer) => Ok(answer),
            None => self.change(call, calls, ctx).map(|()| Bytes::new()),
        }
    }
}
