//! Masters of the derivation key: asked for by the governor, made in the next term, in force from the one after
//! (`spec/key-service.md` §9).
//!
//! What a term does about them stands in an entry of that term, which nothing changes once the term runs. Invariants: apps'
//! keys are under two masters at most; a master's public key never changes.

use alloy_primitives::Address;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure, ViewError};
use freehold_primitives::{
    Generation, Genesis, MASTER_GENERATION_MAX, MASTER_KEEP_S_MIN, Term, TermTurn, UnixSeconds,
    entries::{EntryKind, MasterEntry, MasterRound, MastersEntry, RosterEntry},
};

use super::{
    super::{
        abi::IValidators::{MasterAsked, MasterBegun},
        apps::require_governor,
        entries::{load, store},
        refusal::ModuleRefusal,
    },
    standing::{log, roster},
};

fn find(ctx: &mut ModuleContext<'_>, term: Term) -> Result<Option<MastersEntry>, ModuleFailure> {
    load(ctx, EntryKind::Masters, &slots::term_id(term))
}

fn keep(ctx: &mut ModuleContext<'_>, entry: &MastersEntry) -> Result<(), ModuleFailure> {
    store(ctx, EntryKind::Masters, &slots::term_id(entry.term), entry).map(|_| ())
}

/// A master's entry; `None` where it never began, and for the genesis' one until another begins.
pub(in super::super) fn master(
    ctx: &mut ModuleContext<'_>,
    generation: Generation,
) -> Result<Option<MasterEntry>, ModuleFailure> {
    load(ctx, EntryKind::Master, &slots::master_id(generation))
}

fn keep_master(ctx: &mut ModuleContext<'_>, entry: &MasterEntry) -> Result<(), ModuleFailure> {
    store(ctx, EntryKind::Master, &slots::master_id(entry.generation), entry).map(|_| ())
}

/// Generation of the newest master: what new generations of contexts are under.
pub(in super::super) fn newest_master(ctx: &mut ModuleContext<'_>) -> Result<Generation, ModuleFailure> {
    let roster: Option<RosterEntry> = load(ctx, EntryKind::Roster, &slots::ROSTER_ID)?;
    let Some(roster) = roster else { return Ok(0) };
    Ok(find(ctx, roster.term)?.as_ref().map_or(0, newest))
}

fn newest(entry: &MastersEntry) -> Generation {
    entry.live.last().map_or(0, |master| master.generation)
}

/// The governor asks for another master: the next term makes it.
pub(super) fn ask(
    ctx: &mut ModuleContext<'_>,
    caller: &Address,
    genesis: &Genesis,
    keep_s: UnixSeconds,
) -> Result<(), ModuleFailure> {
    require_governor(ctx, caller)?;
    if genesis.membership.term_blocks == 0 {
        return Err(ModuleRefusal::TermsNone.into());
    }
    if genesis.is_production() && keep_s < MASTER_KEEP_S_MIN {
        return Err(ModuleRefusal::MasterKeep.into());
    }
    let term = roster(ctx)?.term;
    let (running, next) = (find(ctx, term)?, find(ctx, term.saturating_add(1))?);
    let newest = running.as_ref().map_or(0, newest);
    let now = ctx.environment().parent_time_unix_s;
    let before = match newest.checked_sub(1) {
        Some(before) => master(ctx, before)?,
        None => None,
    };
    let runs = running.is_some_and(|entry| entry.round.is_some()) || next.is_some();
    if runs || before.is_some_and(|before| before.serves(now)) {
        return Err(ModuleRefusal::MasterRuns.into());
    }
    if newest >= MASTER_GENERATION_MAX {
        return Err(ModuleRefusal::MastersSpent.into());
    }
    let (term, generation) = (term.saturating_add(1), newest + 1);
    let round = Some(MasterRound { generation, asked_at: ctx.environment().height, keep_s });
    keep(ctx, &MastersEntry { term, round, live: Vec::new(), reshared: Vec::new() })?;
    log(ctx, &MasterAsked { term, generation })
}

/// The turn to a term: a master that was made is the newest from now on; a round that made none is repeated; one that has
/// ended is reshared no more.
pub(super) fn turn(ctx: &mut ModuleContext<'_>, genesis: &Genesis, said: &TermTurn) -> Result<(), ModuleFailure> {
    let before = match said.term.checked_sub(1) {
        Some(before) => find(ctx, before)?,
        None => None,
    };
    let asked = find(ctx, said.term)?.and_then(|entry| entry.round);
    let round = before.and_then(|entry| entry.round);
    if asked.is_none() && round.is_none() && said.masters.is_empty() {
        return Ok(());
    }
    let made = round.filter(|round| said.masters.iter().any(|master| master.generation == round.generation));
    if let Some(round) = &made {
        begin(ctx, genesis, said, round)?;
    }
    let now = ctx.environment().parent_time_unix_s;
    let mut reshared = Vec::new();
    for live in &said.masters {
        if master(ctx, live.generation)?.is_none_or(|entry| entry.serves(now)) {
            reshared.push(live.generation);
        }
    }
    let round = asked.or(if made.is_some() { None } else { round });
    keep(ctx, &MastersEntry { term: said.term, round, live: said.masters.clone(), reshared })
}

/// A new master begins, and the end of the one before is known.
fn begin(
    ctx: &mut ModuleContext<'_>,
    genesis: &Genesis,
    said: &TermTurn,
    round: &MasterRound,
) -> Result<(), ModuleFailure> {
    let now = ctx.environment().parent_time_unix_s;
    let end = now.saturating_add(round.keep_s);
    let before = round.generation.saturating_sub(1);
    let before = match master(ctx, before)? {
        Some(entry) => entry,
        None => first(genesis)?,
    };
    keep_master(ctx, &MasterEntry { ends_at: Some(end), ..before })?;
    let polynomial = said.masters.last().map(|master| &master.polynomial);
    let public_key = polynomial.and_then(|polynomial| polynomial.first()).copied().ok_or(ViewError::Malformed)?;
    let generation = round.generation;
    keep_master(ctx, &MasterEntry { generation, public_key, first_term: said.term, begun_at: now, ends_at: None })?;
    log(ctx, &MasterBegun { generation, publicKey: public_key.0.to_vec().into(), previousUntil: end })
}

/// The genesis' master.
fn first(genesis: &Genesis) -> Result<MasterEntry, ModuleFailure> {
    let public_key = genesis.derivation_polynomial.first().copied().ok_or(ViewError::Malformed)?;
    Ok(MasterEntry { generation: 0, public_key, first_term: 0, begun_at: 0, ends_at: None })
}
