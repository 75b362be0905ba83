//! Reading logs and anchors.

use alloy_primitives::{B256, Bytes};
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{Digest, entries::EntryKind};

use super::super::{abi::ILog::anchorAtCall, entries::load_bytes, refusal::ModuleRefusal};

pub(super) fn log(ctx: &mut ModuleContext<'_>, instance: B256) -> Result<Bytes, ModuleFailure> {
    let bytes = load_bytes(ctx, EntryKind::Log, instance.as_slice())?.ok_or(ModuleRefusal::Unknown)?;
    Ok(bytes.into())
}

pub(super) fn anchor_at(ctx: &mut ModuleContext<'_>, args: &anchorAtCall) -> Result<Bytes, ModuleFailure> {
    let id = slots::anchor_id(&Digest(args.instance.0), args.index);
    let bytes = load_bytes(ctx, EntryKind::Anchor, &id)?.ok_or(ModuleRefusal::Unknown)?;
    Ok(bytes.into())
}
