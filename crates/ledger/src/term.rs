//! The turn to a new term (`spec/membership.md` §1): where one must stand, what it must say, and that it is executed before the
//! transactions of its block.
//!
//! What needs no state is checked before a vote; all of it is checked again before execution, which is total: a payload
//! whose turn does not follow stops the chain with a named fault, as one of another height would.

use alloy_primitives::Bytes;
use freehold_crypto::slots;
use freehold_evm::Evm;
use freehold_primitives::{
    Body, Canonical as _, Ed25519Key, Generation, MASTERS_LIVE_MAX, PayloadHead, Term, TermOutcome, TermTurn,
};
use thiserror::Error;

use crate::{
    context::ChainContext,
    error::LedgerError,
    modules::{SEATS_MAX, turn_call},
    read::{read_committee, read_master, read_masters, read_players, read_roster, read_succession},
    state::{Content, StateTree, to_address},
};

/// Longest consensus polynomial in the engine's encoding, in bytes: one point for each seat, and counts.
const POLYNOMIAL_BYTES_MAX: usize = 8 + 96 * SEATS_MAX;
/// Most disputes: every pair of two committees.
const DISPUTES_MAX: usize = SEATS_MAX * SEATS_MAX;

/// Why the turn of a payload is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TurnFault {
    /// The first payload of a term without a turn.
    #[error("the first payload of a term has no turn")]
    Missing,
    /// A turn in any other payload.
    #[error("a turn stands in a payload that is not the first of its term")]
    Misplaced,
    /// The turn, or the head, names another term than the height is of.
    #[error("turn or head name another term than the height is of")]
    Term,
    /// Members, silent dealers or disputes are not in ascending order, or too many or none.
    #[error("a list of the turn is out of order or out of bounds")]
    Lists,
    /// A polynomial is out of bounds.
    #[error("a polynomial of the turn is out of bounds")]
    Polynomials,
    /// The derivation key would change.
    #[error("the turn changes the derivation key")]
    Key,
    /// The members are not those that the term before chose.
    #[error("the members are not those who were to hold the keys")]
    Members,
    /// A network key waits or is named where none may, another one than waits is named, or none where one waits.
    #[error("the payload does not do about the network key what its term does")]
    Succession,
    /// The masters are not those that the term before reshared, or another began that was not made.
    #[error("the turn does not have the masters that the term before reshared or made")]
    Masters,
}

/// What needs no state: whether a turn stands where it must, and whether its lists are in order and in bounds.
///
/// # Errors
/// A [`TurnFault`].
pub(crate) fn check_form(ctx: &ChainContext, head: &PayloadHead, body: &Body) -> Result<(), TurnFault> {
    let length = ctx.genesis().membership.term_blocks;
    let turn = match body {
        Body::Ordinary(body) => body.turn.as_ref(),
        Body::Succession(_) if is_last(length, head) => None,
        Body::Succession(_) => return Err(TurnFault::Succession),
    };
    let term = head.height.checked_div(length).unwrap_or_default();
    if head.term != term {
        return Err(TurnFault::Term);
    }
    let is_first = term > 0 && head.height.is_multiple_of(length);
    let turn = match (turn, is_first) {
        (None, false) => return Ok(()),
        (None, true) => return Err(TurnFault::Missing),
        (Some(_), false) => return Err(TurnFault::Misplaced),
        (Some(turn), true) => turn,
    };
    if turn.term != term {
        return Err(TurnFault::Term);
    }
    if !(1..=SEATS_MAX).contains(&turn.members.len())
        || !is_ascending(&turn.members)
        || turn.silent.len() > SEATS_MAX
        || !is_ascending(&turn.silent)
        || turn.disputes.len() > DISPUTES_MAX
        || !is_ascending(&turn.disputes)
    {
        return Err(TurnFault::Lists);
    }
    let derivation = &turn.derivation_polynomial;
    let waiting = turn.waiting.as_ref().map_or(0, |waiting| waiting.polynomial.0.len());
    if turn.consensus_polynomial.0.len().max(waiting) > POLYNOMIAL_BYTES_MAX || derivation.len() > SEATS_MAX {
        return Err(TurnFault::Polynomials);
    }
    if turn.masters.len() > MASTERS_LIVE_MAX || !turn.masters.is_sorted_by_key(|master| master.generation) {
        return Err(TurnFault::Masters);
    }
    if turn.masters.iter().any(|master| !(1..=SEATS_MAX).contains(&master.polynomial.len())) {
        return Err(TurnFault::Polynomials);
    }
    if derivation.first() == ctx.genesis().derivation_polynomial.first() { Ok(()) } else { Err(TurnFault::Key) }
}

/// Whether a payload is the last of its term.
fn is_last(length: u64, head: &PayloadHead) -> bool {
    length > 0 && head.height.checked_add(1).is_some_and(|next| next.is_multiple_of(length))
}

fn is_ascending<T: Ord>(items: &[T]) -> bool {
    items.is_sorted_by(|left, right| left < right)
}

/// Whether a turn is the one that follows from state, form included.
///
/// # Errors
/// [`LedgerError::Turn`], [`LedgerError::View`].
pub(crate) fn check_follows(
    ctx: &ChainContext,
    (head, body): (&PayloadHead, &Body),
    (state, content): (&dyn StateTree, &dyn Content),
) -> Result<(), LedgerError> {
    check_form(ctx, head, body)?;
    if is_last(ctx.genesis().membership.term_blocks, head) {
        check_named(head, body, (state, content))?;
    }
    let Body::Ordinary(body) = body else { return Ok(()) };
    let Some(turn) = &body.turn else { return Ok(()) };
    let before = read_roster(state, content)?.ok_or(TurnFault::Term)?.term;
    if before.checked_add(1) != Some(turn.term) {
        return Err(TurnFault::Term.into());
    }
    if turn.waiting.is_some() {
        let asked = read_succession(before, state, content)?.is_some_and(|entry| entry.waiting.is_none());
        if !asked || turn.outcome != TermOutcome::Reshared {
            return Err(TurnFault::Succession.into());
        }
    }
    check_masters(before, turn, (state, content))?;
    let members: Vec<Ed25519Key> = match turn.outcome {
        TermOutcome::Kept => read_committee(before, state, content)?.map(|committee| committee.members),
        TermOutcome::Reshared => read_players(before, state, content)?
            .map(|entry| entry.players.into_iter().map(|player| player.identity).collect()),
    }
    .unwrap_or_default();
    if members == turn.members { Ok(()) } else { Err(TurnFault::Members.into()) }
}

/// The masters of a term are those that the term before reshared, under the public keys that they have, and the one that it
/// made, where it made one and the resharing succeeded (`spec/key-service.md` §9).
fn check_masters(
    before: Term,
    turn: &TermTurn,
    (state, content): (&dyn StateTree, &dyn Content),
) -> Result<(), LedgerError> {
    let entry = read_masters(before, state, content)?;
    let (reshared, round) = entry.map_or((Vec::new(), None), |entry| (entry.reshared, entry.round));
    let said: Vec<Generation> = turn.masters.iter().map(|master| master.generation).collect();
    let made = said.strip_prefix(&reshared[..]).ok_or(TurnFault::Masters)?;
    let may = match (made, round) {
        ([], _) => true,
        ([made], Some(round)) => *made == round.generation && turn.outcome == TermOutcome::Reshared,
        _ => false,
    };
    if !may {
        return Err(TurnFault::Masters.into());
    }
    for master in &turn.masters[..reshared.len()] {
        let known = read_master(master.generation, state, content)?;
        if known.as_ref().map(|known| &known.public_key) != master.polynomial.first() {
            return Err(TurnFault::Masters.into());
        }
    }
    Ok(())
}

/// The last payload of a term names the network key that waits in it, and no other (`spec/succession.md` §4).
fn check_named(
    head: &PayloadHead,
    body: &Body,
    (state, content): (&dyn StateTree, &dyn Content),
) -> Result<(), LedgerError> {
    let waiting = read_succession(head.term, state, content)?.and_then(|entry| entry.waiting);
    let named = match body {
        Body::Succession(key) => Some(*key),
        Body::Ordinary(_) => None,
    };
    if waiting.map(|waiting| waiting.network_key) == named { Ok(()) } else { Err(TurnFault::Succession.into()) }
}

/// Executes the turn in the name of the chain itself.
///
/// # Errors
/// [`LedgerError::Evm`]; [`LedgerError::SystemCall`] where the module fails.
pub(crate) fn take_turn(evm: &mut Evm<'_>, turn: &TermTurn) -> Result<(), LedgerError> {
    let module = to_address(&slots::VALIDATORS);
    let balance = evm.account(&module)?.balance;
    let call: Bytes = turn_call(turn.to_canonical(), balance);
    let outcome = evm.system_call(module, call)?;
    if outcome.is_success() { Ok(()) } else { Err(LedgerError::SystemCall(module)) }
}

#[cfg(test)]
mod tests;
