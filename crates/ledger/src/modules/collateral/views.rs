//! Reading collateral.

use alloy_primitives::Bytes;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    Digest, TrustDomain,
    entries::{CollateralEntry, CollateralKind, EntryKind},
};

use super::super::{
    entries::{load, load_bytes},
    refusal::ModuleRefusal,
};

/// Key of DCAP collateral: trust domain, platform family.
pub(super) fn dcap_key(domain: TrustDomain, fmspc: &[u8; 6]) -> [u8; 7] {
    let mut key = [domain as u8; 7];
    key[1..].copy_from_slice(fmspc);
    key
}

pub(super) fn kind_of(kind: u8) -> Result<CollateralKind, ModuleFailure> {
    if kind == CollateralKind::Dcap as u8 {
        Ok(CollateralKind::Dcap)
    } else {
        Err(ModuleRefusal::CollateralKind.into())
    }
}

/// Digest and bytes of the newest DCAP collateral of a platform family.
pub(in super::super) fn newest_dcap(
    ctx: &mut ModuleContext<'_>,
    domain: TrustDomain,
    fmspc: &[u8; 6],
) -> Result<Option<(Digest, Vec<u8>)>, ModuleFailure> {
    let id = slots::collateral_id(CollateralKind::Dcap, &dcap_key(domain, fmspc));
    let Some(entry) = load::<CollateralEntry>(ctx, EntryKind::Collateral, &id)? else { return Ok(None) };
    Ok(Some((entry.digest, ctx.content(&entry.digest)?)))
}

pub(super) fn entry_bytes(ctx: &mut ModuleContext<'_>, kind: u8, key: &[u8]) -> Result<Bytes, ModuleFailure> {
    let id = slots::collateral_id(kind_of(kind)?, key);
    let bytes = load_bytes(ctx, EntryKind::Collateral, &id)?.ok_or(ModuleRefusal::Unknown)?;
    Ok(bytes.into())
}

pub(super) fn document(ctx: &mut ModuleContext<'_>, kind: u8, key: &[u8]) -> Result<Bytes, ModuleFailure> {
    let id = slots::collateral_id(kind_of(kind)?, key);
    let entry: CollateralEntry = load(ctx, EntryKind::Collateral, &id)?.ok_or(ModuleRefusal::Unknown)?;
    Ok(ctx.content(&entry.digest)?.into())
}
