//! Another network key: asked for by the governor, made in the next term, waiting in the one after (`spec/succession.md` §4).
//!
//! What a term does about it stands in an entry of that term, which nothing changes once the term runs, so that all
//! validators read the same whenever they ask.

use alloy_primitives::Address;
use freehold_crypto::slots;
use freehold_evm::{ModuleContext, ModuleFailure};
use freehold_primitives::{
    Membership, Term, TermTurn,
    entries::{EntryKind, SuccessionEntry},
};

use super::{
    super::{
        abi::IValidators::SuccessionAsked,
        apps::require_governor,
        entries::{load, store},
        refusal::ModuleRefusal,
    },
    standing::{log, roster},
};

fn find(ctx: &mut ModuleContext<'_>, term: Term) -> Result<Option<SuccessionEntry>, ModuleFailure> {
    load(ctx, EntryKind::Succession, &slots::term_id(term))
}

fn keep(ctx: &mut ModuleContext<'_>, entry: &SuccessionEntry) -> Result<(), ModuleFailure> {
    store(ctx, EntryKind::Succession, &slots::term_id(entry.term), entry).map(|_| ())
}

/// The governor asks for another network key: the next term makes it.
pub(super) fn ask(ctx: &mut ModuleContext<'_>, caller: &Address, rules: &Membership) -> Result<(), ModuleFailure> {
    require_governor(ctx, caller)?;
    if rules.term_blocks == 0 {
        return Err(ModuleRefusal::TermsNone.into());
    }
    let now = roster(ctx)?.term;
    let term = now.saturating_add(1);
    if find(ctx, now)?.is_some() || find(ctx, term)?.is_some() {
        return Err(ModuleRefusal::SuccessionRuns.into());
    }
    let asked_at = ctx.environment().height;
    keep(ctx, &SuccessionEntry { term, asked_at, waiting: None })?;
    log(ctx, &SuccessionAsked { term })
}

/// The turn to a term: a key that was made waits in it; a round that made none is repeated.
pub(super) fn turn(ctx: &mut ModuleContext<'_>, said: &TermTurn) -> Result<(), ModuleFailure> {
    let Some(before) = said.term.checked_sub(1) else { return Ok(()) };
    match find(ctx, before)? {
        Some(SuccessionEntry { asked_at, waiting: None, .. }) => {
            keep(ctx, &SuccessionEntry { term: said.term, asked_at, waiting: said.waiting.clone() })
        }
        _ => Ok(()),
    }
}
