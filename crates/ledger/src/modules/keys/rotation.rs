//! Asking for a new generation of the state root key, on development networks.
//!
//! The call only asks: the next block begins the generation before its first transaction, so that one block seals under
//! one generation.

use alloy_primitives::Address;
use alloy_sol_types::SolEvent as _;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    Account, Generation,
    entries::{EntryKind, StateKeyStatus},
};

use super::super::{
    abi::IKeys::StateKeyRotation,
    entries::{load, store},
    refusal::ModuleRefusal,
};
use crate::state::{to_account, to_address};

/// Asks for the generation after the newest; `rotator` alone may.
pub(super) fn request(
    ctx: &mut ModuleContext<'_>,
    caller: &Address,
    rotator: Option<Account>,
) -> Result<Generation, ModuleFailure> {
    if rotator != Some(to_account(caller)) {
        return Err(ModuleRefusal::RotationCaller.into());
    }
    let id = slots::STATE_KEY_STATUS_ID;
    let status: StateKeyStatus = load(ctx, EntryKind::StateKeyStatus, &id)?.ok_or(ModuleRefusal::Unknown)?;
    let next = status.newest.checked_add(1);
    let (Some(generation), None, false) = (next, status.previous, status.requested) else {
        return Err(ModuleRefusal::RotationRuns.into());
    };
    store(ctx, EntryKind::StateKeyStatus, &id, &StateKeyStatus { requested: true, ..status })?;
    ctx.log(to_address(&slots::KEYS), StateKeyRotation { generation }.encode_log_data())?;
    Ok(generation)
}
