//! Reading validators and terms from state, for consensus' questions to a node (`spec/membership.md`).

use std::collections::BTreeSet;

use freehold_crypto::slots;
use freehold_evm::ViewError;
use freehold_primitives::{
    Ed25519Key, Generation, Term,
    entries::{
        CommitteeEntry, EntryKind, MasterEntry, MastersEntry, Peer, PlayersEntry, RosterEntry, SuccessionEntry,
        TurnEntry, ValidatorEntry,
    },
};

use super::read_entry;
use crate::state::{Content, StateTree};

/// Who signs in a term and with which keys; `None` where it has not begun.
///
/// # Errors
/// As [`read_entry`].
pub fn read_committee(
    term: Term,
    state: &dyn StateTree,
    content: &dyn Content,
) -> Result<Option<CommitteeEntry>, ViewError> {
    read_entry(EntryKind::Committee, &slots::term_id(term), state, content)
}

/// Who shall hold the keys in the term after this one; `None` where the term has not begun.
///
/// # Errors
/// As [`read_entry`].
pub fn read_players(
    term: Term,
    state: &dyn StateTree,
    content: &dyn Content,
) -> Result<Option<PlayersEntry>, ViewError> {
    read_entry(EntryKind::Players, &slots::term_id(term), state, content)
}

/// What the turn to a term did; `None` where there was none.
///
/// # Errors
/// As [`read_entry`].
pub fn read_turn(term: Term, state: &dyn StateTree, content: &dyn Content) -> Result<Option<TurnEntry>, ViewError> {
    read_entry(EntryKind::Turn, &slots::term_id(term), state, content)
}

/// What a term does about the network key; `None` where nothing.
///
/// # Errors
/// As [`read_entry`].
pub fn read_succession(
    term: Term,
    state: &dyn StateTree,
    content: &dyn Content,
) -> Result<Option<SuccessionEntry>, ViewError> {
    read_entry(EntryKind::Succession, &slots::term_id(term), state, content)
}

/// What a term does about masters; `None` where there is none beside the genesis'.
///
/// # Errors
/// As [`read_entry`].
pub fn read_masters(
    term: Term,
    state: &dyn StateTree,
    content: &dyn Content,
) -> Result<Option<MastersEntry>, ViewError> {
    read_entry(EntryKind::Masters, &slots::term_id(term), state, content)
}

/// A master; `None` where it never began, and for the genesis' one until another begins.
///
/// # Errors
/// As [`read_entry`].
pub fn read_master(
    generation: Generation,
    state: &dyn StateTree,
    content: &dyn Content,
) -> Result<Option<MasterEntry>, ViewError> {
    read_entry(EntryKind::Master, &slots::master_id(generation), state, content)
}

/// The running term, who has a seat and who waits; `None` before block 0.
///
/// # Errors
/// As [`read_entry`].
pub fn read_roster(state: &dyn StateTree, content: &dyn Content) -> Result<Option<RosterEntry>, ViewError> {
    read_entry(EntryKind::Roster, &slots::ROSTER_ID, state, content)
}

/// A validator; `None` where it never joined.
///
/// # Errors
/// As [`read_entry`].
pub fn read_validator(
    identity: &Ed25519Key,
    state: &dyn StateTree,
    content: &dyn Content,
) -> Result<Option<ValidatorEntry>, ViewError> {
    read_entry(EntryKind::Validator, identity.as_bytes(), state, content)
}

/// Whom validators connect to, sorted: who signs, who shall hold the keys next, and who waits for a seat.
///
/// # Errors
/// As [`read_entry`]; [`ViewError::Malformed`] where an entry is missing that another names.
pub fn read_peers(state: &dyn StateTree, content: &dyn Content) -> Result<Vec<Peer>, ViewError> {
    let Some(roster) = read_roster(state, content)? else { return Ok(Vec::new()) };
    let committee = read_committee(roster.term, state, content)?.ok_or(ViewError::Malformed)?;
    let all: BTreeSet<_> = [committee.members, roster.seats, roster.candidates].into_iter().flatten().collect();
    all.into_iter()
        .map(|identity| {
            let entry = read_validator(&identity, state, content)?.ok_or(ViewError::Malformed)?;
            Ok(Peer { identity, address: entry.address })
        })
        .collect()
}
