//! Accepting newer collateral.
//!
//! Monotone: neither the issue date nor any of the numbers that a kind counts may fall, and one of them must rise. Without
//! the numbers of revocation lists a new TCB info beside an old list would bring a revoked platform back.

use alloy_sol_types::SolEvent as _;
use freehold_attestation::{VerifiedCollateral, VerifierVersion, read_collateral};
use freehold_crypto::{content_digest, slots};
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    Blob, TrustRoot,
    entries::{CollateralEntry, EntryKind},
};

use super::{
    super::{
        abi::ICollateral::{Accepted, submitCall},
        entries::{load, store},
        refusal::ModuleRefusal,
    },
    verifier::in_force,
    views::kind_of,
};
use crate::state::to_address;

/// Gas of verifying collateral: chains, lists, and their signatures.
const COLLATERAL_GAS: u64 = 300_000;

pub(super) fn submit(ctx: &mut ModuleContext<'_>, roots: &[TrustRoot], args: &submitCall) -> Result<(), ModuleFailure> {
    ctx.charge(COLLATERAL_GAS)?;
    let kind = kind_of(args.kind)?;
    let now = ctx.environment().parent_time_unix_s;
    let verified = match in_force(ctx)? {
        VerifierVersion::V1 => read_collateral(kind, &args.document, roots, now),
    };
    let verified = verified.map_err(|refusal| ModuleRefusal::CollateralRefused.because(refusal))?;
    let key = verified.key().as_slice();
    if args.key.as_ref() != key {
        return Err(ModuleRefusal::CollateralKey.into());
    }
    let id = slots::collateral_id(kind, key);
    let before: Option<CollateralEntry> = load(ctx, EntryKind::Collateral, &id)?;
    if before.is_some_and(|before| !is_newer(&verified, &before)) {
        return Err(ModuleRefusal::CollateralOld.into());
    }
    let digest = content_digest(&args.document);
    ctx.put(digest, args.document.to_vec())?;
    let entry = CollateralEntry {
        kind,
        key: Blob(key.to_vec()),
        digest,
        issued_at: verified.issued_at(),
        expires_at: verified.expires_at(),
        numbers: verified.numbers().clone(),
        height: ctx.environment().height,
    };
    store(ctx, EntryKind::Collateral, &id, &entry)?;
    let event = Accepted {
        kind: args.kind,
        key: args.key.clone(),
        digest: digest.0.into(),
        issuedAt: entry.issued_at,
        expiresAt: entry.expires_at,
    };
    ctx.log(to_address(&slots::COLLATERAL), event.encode_log_data())
}

/// Whether nothing falls and something rises. A kind always counts the same numbers.
fn is_newer(new: &VerifiedCollateral, before: &CollateralEntry) -> bool {
    let (numbers, old) = (new.numbers(), &before.numbers);
    let mut pairs = vec![(new.issued_at(), before.issued_at)];
    pairs.extend(numbers.iter().copied().zip(old.iter().copied()));
    numbers.len() == old.len() && pairs.iter().all(|(new, old)| new >= old) && pairs.iter().any(|(new, old)| new > old)
}
