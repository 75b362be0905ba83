//! Accepting newer collateral.
//!
//! Monotone: issue date, evaluation number and the numbers of both revocation lists may not fall, and one of them must
//! rise. Without the lists' numbers a new TCB info beside an old list would bring a revoked platform back.

use alloy_primitives::B256;
use alloy_sol_types::SolEvent as _;
use freehold_attestation::{VerifiedCollateral, read_collateral};
use freehold_crypto::{content_digest, slots};
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    Blob, TrustRoot,
    entries::{CollateralEntry, CollateralKind, EntryKind},
};

use super::{
    super::{
        abi::ICollateral::{Accepted, submitCall},
        entries::{IndexKind, load, load_word, store, store_word},
        refusal::ModuleRefusal,
    },
    views::{dcap_key, kind_of},
};
use crate::state::to_address;

/// Gas of verifying collateral: chains, lists, and five signatures over P-256.
const COLLATERAL_GAS: u64 = 300_000;

pub(super) fn submit(ctx: &mut ModuleContext<'_>, roots: &[TrustRoot], args: &submitCall) -> Result<(), ModuleFailure> {
    ctx.charge(COLLATERAL_GAS)?;
    let CollateralKind::Dcap = kind_of(args.kind)?;
    let now = ctx.environment().parent_time_unix_s;
    let verified = read_collateral(&args.document, roots, now);
    let verified = verified.map_err(|refusal| ModuleRefusal::CollateralRefused.because(refusal))?;
    let key = dcap_key(verified.trust_domain(), &verified.fmspc());
    if args.key.as_ref() != key {
        return Err(ModuleRefusal::CollateralKey.into());
    }
    let id = slots::collateral_id(CollateralKind::Dcap, &key);
    let before: Option<CollateralEntry> = load(ctx, EntryKind::Collateral, &id)?;
    let numbers = load_word(ctx, IndexKind::ListNumbers, &id)?;
    if before.is_some_and(|before| !is_newer(&verified, &before, &numbers)) {
        return Err(ModuleRefusal::CollateralOld.into());
    }
    let digest = content_digest(&args.document);
    ctx.put(digest, args.document.to_vec())?;
    let entry = CollateralEntry {
        kind: CollateralKind::Dcap,
        key: Blob(key.to_vec()),
        digest,
        issued_at: verified.issued_at(),
        expires_at: verified.expires_at(),
        evaluation_data_number: verified.evaluation_data_number(),
        height: ctx.environment().height,
    };
    store(ctx, EntryKind::Collateral, &id, &entry)?;
    store_word(ctx, IndexKind::ListNumbers, &id, list_numbers(&verified))?;
    let event = Accepted {
        kind: args.kind,
        key: args.key.clone(),
        digest: digest.0.into(),
        issuedAt: entry.issued_at,
        expiresAt: entry.expires_at,
    };
    ctx.log(to_address(&slots::COLLATERAL), event.encode_log_data())
}

/// Numbers of the root's and the PCK CA's lists, four bytes each, at the end of a word.
fn list_numbers(verified: &VerifiedCollateral) -> B256 {
    let mut word = [0; 32];
    word[24..28].copy_from_slice(&verified.root_crl_number().to_be_bytes());
    word[28..].copy_from_slice(&verified.pck_crl_number().to_be_bytes());
    word.into()
}

fn is_newer(new: &VerifiedCollateral, before: &CollateralEntry, numbers: &B256) -> bool {
    let number =
        |at: usize| u64::from_be_bytes([0, 0, 0, 0, numbers[at], numbers[at + 1], numbers[at + 2], numbers[at + 3]]);
    let pairs = [
        (new.issued_at(), before.issued_at),
        (new.evaluation_data_number().into(), before.evaluation_data_number.into()),
        (new.root_crl_number().into(), number(24)),
        (new.pck_crl_number().into(), number(28)),
    ];
    pairs.iter().all(|(new, old)| new >= old) && pairs.iter().any(|(new, old)| new > old)
}
