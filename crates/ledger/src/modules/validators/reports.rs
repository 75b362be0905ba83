//! Proofs of faults that carry the validator's own signature (`spec/membership.md` §6).
//!
//! Two heads of one view count only where both name a block of this chain as executed: a head that does not is one that
//! nobody votes for, and may be of another network with the same keys.

use alloy_primitives::{Address, U256};
use freehold_crypto::{payload_digest, proposal_message, verify_ed25519};
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    Canonical as _, Digest, Ed25519Key, PayloadHead, Term,
    entries::{ValidatorEntry, ValidatorState},
};

use super::{
    super::{
        abi::IValidators::{Jailed, Slashed, reportDoubleProposalCall},
        refusal::ModuleRefusal,
    },
    join::SIGNATURE_GAS,
    standing::{committee, keep, keep_roster, log, moved, pay, roster, take_bond, validator},
};

/// Blocks that a report may be late: hashes of older ones are not known.
const REPORT_BLOCKS_MAX: u64 = 8_000;
/// Part of a slashed bond that the reporter receives, as a denominator.
const REPORTER_DENOMINATOR: u64 = 8;

/// Slashes and jails who proposed twice in one view.
pub(super) fn double_proposal(
    ctx: &mut ModuleContext<'_>,
    reporter: &Address,
    args: &reportDoubleProposalCall,
    jail_terms: u32,
) -> Result<(), ModuleFailure> {
    let (one, other) = (read_head(ctx, &args.head1)?, read_head(ctx, &args.head2)?);
    let same = (one.term, one.view, one.proposer) == (other.term, other.view, other.proposer);
    if !same || one == other || one.view == 0 {
        return Err(ModuleRefusal::NoDouble.into());
    }
    let committee = committee(ctx, one.term)?.ok_or(ModuleRefusal::NoDouble)?;
    let proposer = *committee.members.get(one.proposer as usize).ok_or(ModuleRefusal::NoDouble)?;
    check_signature(ctx, &proposer, &one, &args.signature1)?;
    check_signature(ctx, &proposer, &other, &args.signature2)?;
    punish(ctx, &proposer, &Offence { reporter: *reporter, term: one.term, view: one.view, jail_terms })
}

/// What was proven, and by whom.
pub(super) struct Offence {
    pub(super) reporter: Address,
    pub(super) term: Term,
    /// View of two proposals; 0 for a wrong share.
    pub(super) view: u64,
    pub(super) jail_terms: u32,
}

/// Slashes and jails a validator, once for all that it did up to the term in which that happens.
pub(super) fn punish(
    ctx: &mut ModuleContext<'_>,
    identity: &Ed25519Key,
    offence: &Offence,
) -> Result<(), ModuleFailure> {
    let Offence { reporter, term, view, jail_terms } = *offence;
    let mut entry = validator(ctx, identity)?;
    if entry.slashed_in.is_some_and(|slashed| term <= slashed) {
        return Err(ModuleRefusal::SlashedAlready.into());
    }
    let (amount, reward) = slash(ctx, &mut entry, &reporter, jail_terms)?;
    log(ctx, &Slashed { identity: identity.0.into(), reporter, term, view_: view, amount, reward })?;
    log(ctx, &Jailed { identity: identity.0.into(), jailedUntil: entry.jailed_until })
}

fn read_head(ctx: &mut ModuleContext<'_>, bytes: &[u8]) -> Result<PayloadHead, ModuleFailure> {
    let head = PayloadHead::from_canonical(bytes).map_err(|_| ModuleRefusal::HeadMalformed)?;
    let environment = *ctx.environment();
    if head.chain_id != environment.chain_id {
        return Err(ModuleRefusal::HeadForeign.into());
    }
    let executed = head.executed;
    if executed.height >= environment.height || environment.height - executed.height > REPORT_BLOCKS_MAX {
        return Err(ModuleRefusal::HeadOld.into());
    }
    let block = ctx.moment(executed.height)?;
    if block.is_some_and(|block| block.block_hash == executed.block_hash) {
        Ok(head)
    } else {
        Err(ModuleRefusal::HeadForeign.into())
    }
}

fn check_signature(
    ctx: &mut ModuleContext<'_>,
    proposer: &Ed25519Key,
    head: &PayloadHead,
    signature: &[u8],
) -> Result<(), ModuleFailure> {
    ctx.charge(SIGNATURE_GAS)?;
    let digest: Digest = payload_digest(head);
    let signature = signature.try_into().map_err(|_| ModuleRefusal::HeadSignature)?;
    let checked = verify_ed25519(proposer, &proposal_message(&digest), signature);
    Ok(checked.map_err(|_| ModuleRefusal::HeadSignature)?)
}

/// Takes the whole bond and jails; gives what was taken, and the reporter's part of it.
fn slash(
    ctx: &mut ModuleContext<'_>,
    entry: &mut ValidatorEntry,
    reporter: &Address,
    jail_terms: u32,
) -> Result<(U256, U256), ModuleFailure> {
    let mut roster = roster(ctx)?;
    let amount = take_bond(ctx, entry)?;
    let reward = amount / U256::from(REPORTER_DENOMINATOR);
    pay(ctx, *reporter, reward)?;
    pay(ctx, Address::ZERO, amount - reward)?;
    entry.slashed_in = Some(roster.term);
    entry.jailed_until = entry.jailed_until.max(roster.term.saturating_add(1).saturating_add(jail_terms.into()));
    if matches!(entry.state, ValidatorState::Active | ValidatorState::Candidate) {
        let height = ctx.environment().height;
        moved(entry, ValidatorState::Jailed, height);
    }
    keep(ctx, entry)?;
    if roster.candidates.contains(&entry.identity) {
        roster.candidates.retain(|candidate| *candidate != entry.identity);
        keep_roster(ctx, &roster)?;
    }
    Ok((amount, reward))
}
