//! Reading collateral.

use alloy_primitives::Bytes;
use freehold_attestation::collateral_wanted;
use freehold_crypto::{content_digest, slots};
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    Digest, Registration,
    entries::{CollateralEntry, CollateralKind, EntryKind},
};

use super::super::{
    entries::{load, load_bytes},
    refusal::ModuleRefusal,
};

pub(super) fn kind_of(kind: u8) -> Result<CollateralKind, ModuleFailure> {
    CollateralKind::from_tag(kind).ok_or_else(|| ModuleRefusal::CollateralKind.into())
}

/// Digest and bytes of the newest collateral for a registration's evidence: of the primary, then of each GPU.
pub(in super::super) fn newest(
    ctx: &mut ModuleContext<'_>,
    registration: &Registration,
    evidence: &[u8],
) -> Result<Vec<(Digest, Vec<u8>)>, ModuleFailure> {
    let stated = (registration.trust_domain, registration.family);
    let wanted = collateral_wanted(registration.evidence_kind, evidence, stated);
    let mut found = Vec::new();
    for (kind, key) in wanted.map_err(|refusal| ModuleRefusal::EvidenceMalformed.because(refusal))? {
        found.push(match newest_of(ctx, kind, &key)? {
            Some(newest) => newest,
            // Their evidence carries its chain: without collateral it is judged by itself, and nothing is known of revocation.
            None if matches!(kind, CollateralKind::Nitro | CollateralKind::Nvidia) => nothing(ctx)?,
            None => return Err(ModuleRefusal::CollateralMissing.into()),
        });
    }
    Ok(found)
}

/// The empty document, kept like any other, so that an entry can name it.
fn nothing(ctx: &mut ModuleContext<'_>) -> Result<(Digest, Vec<u8>), ModuleFailure> {
    let digest = content_digest(&[]);
    ctx.put(digest, Vec::new())?;
    Ok((digest, Vec::new()))
}

fn newest_of(
    ctx: &mut ModuleContext<'_>,
    kind: CollateralKind,
    key: &[u8],
) -> Result<Option<(Digest, Vec<u8>)>, ModuleFailure> {
    let id = slots::collateral_id(kind, key);
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
