//! The system modules (design D1): what needs heavy cryptography or consensus, behind Solidity interfaces.
//!
//! One folder per module: the module and its calls, what changes state, and what only reads it. Shared by all: the ABI
//! (`contracts/interfaces`, the one source), refusals, and access to entries.

mod abi;
mod apps;
mod collateral;
mod entries;
mod keys;
mod log;
mod refusal;
#[cfg(test)]
mod tests;
mod validators;
mod visibility;

use std::sync::Arc;

use alloy_primitives::Bytes;
use alloy_sol_types::SolInterface;
use freehold_evm::{Module, ModuleCall, ModuleContext, ModuleFailure, SubcallHandler};
use freehold_primitives::{Digest, Genesis};

pub use apps::{AttestationTerms, attest};
pub(crate) use apps::{SHADOW_PAGE, check_protocol, protocol_schedule};
pub(crate) use collateral::check_known as check_verifier;
pub(crate) use entries::grants_slot;
pub use refusal::ModuleRefusal;
pub use validators::MembershipFault;
pub(crate) use validators::{SEATS_MAX, bonded_at_first, check_membership, first_entries, turn_call};

/// Gas of any call to a module: dispatch and reading its arguments.
const CALL_GAS: u64 = 500;
/// Gas of a word of call data.
const CALL_WORD_GAS: u64 = 6;

/// All modules of the chain that this genesis opens.
pub(crate) fn all(genesis: &Arc<Genesis>, genesis_hash: Digest) -> Vec<Arc<dyn Module>> {
    vec![
        Arc::new(apps::Apps::new(Arc::clone(genesis), genesis_hash)),
        Arc::new(keys::Keys::new(genesis)),
        Arc::new(log::Log),
        Arc::new(collateral::Collateral::new(Arc::clone(genesis))),
        Arc::new(validators::Validators::new(Arc::clone(genesis), genesis_hash)),
        Arc::new(visibility::VisibilityModule),
    ]
}

/// Who answers the methods of `SUBCALL` that need a module's state.
pub(crate) fn subcalls(genesis: &Arc<Genesis>, genesis_hash: Digest) -> Arc<dyn SubcallHandler> {
    Arc::new(apps::Apps::new(Arc::clone(genesis), genesis_hash))
}

/// Whether a call may carry value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Payable {
    Yes,
    No,
}

/// Pays for reading a call and reads it in its one strict form.
fn read_call<I: SolInterface>(call: &ModuleCall, ctx: &mut ModuleContext<'_>) -> Result<I, ModuleFailure> {
    ctx.charge(CALL_GAS + CALL_WORD_GAS * (call.input.len() as u64).div_ceil(32))?;
    I::abi_decode_validate(&call.input).map_err(|_| ModuleRefusal::Call.into())
}

/// Refuses value where none belongs.
fn check_value(call: &ModuleCall, payable: Payable) -> Result<(), ModuleFailure> {
    if payable == Payable::No && !call.value.is_zero() { Err(ModuleRefusal::Value.into()) } else { Ok(()) }
}

/// ABI-encoded return values of a call.
fn returned<C: alloy_sol_types::SolCall>(values: &C::Return) -> Bytes {
    C::abi_encode_returns(values).into()
}
