//! Proofs that a validator signed a wrong share of a key (`spec/membership.md` §6).
//!
//! A share is judged under the public polynomial that its term has for its master, as every receiver judges it. Invariant: where
//! the chain cannot tell what the right share would be, nobody is punished.

use alloy_primitives::Address;
use freehold_crypto::{
    Derivation, EncryptedShare, Polynomial, StateRootKey, check_transport_key, share_message, slots, state_grant_id,
    verify_ed25519, verify_share,
};
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    Canonical as _, Digest, Ed25519Key, G1Point, NetworkKey, ShareReport,
    entries::{CommitteeEntry, EntryKind, GrantEntry, MastersEntry},
};

use super::{
    super::{
        entries::{load, load_instance},
        refusal::ModuleRefusal,
    },
    join::SIGNATURE_GAS,
    reports::{Offence, punish},
    standing::committee,
};

/// Gas of judging a share: three pairings.
const SHARE_GAS: u64 = 200_000;
/// Gas for each coefficient of the polynomial.
const COEFFICIENT_GAS: u64 = 20_000;

/// Slashes and jails who signed a share that is not its share of the key.
pub(super) fn wrong_share(
    ctx: &mut ModuleContext<'_>,
    reporter: &Address,
    report: &[u8],
    (genesis_hash, jail_terms): (&Digest, u32),
) -> Result<(), ModuleFailure> {
    let report = ShareReport::from_canonical(report).map_err(|_| ModuleRefusal::ShareMalformed)?;
    let committee = committee(ctx, report.term)?.ok_or(ModuleRefusal::ShareUnknown)?;
    let identity = *committee.members.get(report.member as usize).ok_or(ModuleRefusal::ShareUnknown)?;
    check_signature(ctx, &identity, genesis_hash, &report)?;
    let coefficients = coefficients(ctx, committee, &report)?;
    ctx.charge(SHARE_GAS.saturating_add(COEFFICIENT_GAS.saturating_mul(coefficients.len() as u64)))?;
    let polynomial = Polynomial::new(&coefficients).map_err(|_| ModuleRefusal::ShareUnknown)?;
    let (derivation, transport_key) = key(ctx, polynomial.master(), &report)?;
    let read = EncryptedShare::from_bytes(&report.share.0).ok().filter(|read| read.index() == report.member);
    if read.is_some_and(|read| verify_share(&polynomial, &derivation, &transport_key, &read).is_ok()) {
        return Err(ModuleRefusal::ShareRight.into());
    }
    punish(ctx, &identity, &Offence { reporter: *reporter, term: report.term, view: 0, jail_terms })
}

fn check_signature(
    ctx: &mut ModuleContext<'_>,
    identity: &Ed25519Key,
    genesis_hash: &Digest,
    report: &ShareReport,
) -> Result<(), ModuleFailure> {
    ctx.charge(SIGNATURE_GAS)?;
    let message = share_message(genesis_hash, (report.term, report.master), &report.grant, &report.share.0);
    let checked = verify_ed25519(identity, &message, report.signature.as_bytes());
    Ok(checked.map_err(|_| ModuleRefusal::ShareSignature)?)
}

/// The public polynomial of the report's master in its term.
fn coefficients(
    ctx: &mut ModuleContext<'_>,
    committee: CommitteeEntry,
    report: &ShareReport,
) -> Result<Vec<NetworkKey>, ModuleFailure> {
    if report.master == 0 {
        return Ok(committee.derivation_polynomial);
    }
    let entry: Option<MastersEntry> = load(ctx, EntryKind::Masters, &slots::term_id(report.term))?;
    let live = entry.into_iter().flat_map(|entry| entry.live).find(|master| master.generation == report.master);
    Ok(live.ok_or(ModuleRefusal::ShareUnknown)?.polynomial)
}

/// The key that the share is of, and whom it is encrypted to, as the chain recorded it.
fn key(
    ctx: &mut ModuleContext<'_>,
    master: &NetworkKey,
    report: &ShareReport,
) -> Result<(Derivation, G1Point), ModuleFailure> {
    let (derivation, transport_key) = match report.state {
        None => {
            let grant: Option<GrantEntry> = load(ctx, EntryKind::Grant, report.grant.as_bytes())?;
            let grant = grant.ok_or(ModuleRefusal::ShareUnknown)?;
            (Derivation::new(master, &grant.app_id, &grant.context, grant.generation), grant.transport_key)
        }
        Some(state) => {
            let is_named = report.master == 0 && report.grant == state_grant_id(&state.instance, state.generation);
            let instance = load_instance(ctx, &state.instance)?.filter(|_| is_named);
            let instance = instance.ok_or(ModuleRefusal::ShareUnknown)?;
            (StateRootKey::derivation(master, state.generation), instance.transport_key)
        }
    };
    check_transport_key(&transport_key).map_err(|_| ModuleRefusal::ShareUnknown)?;
    Ok((derivation.map_err(|_| ModuleRefusal::ShareUnknown)?, transport_key))
}
