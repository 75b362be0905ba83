//! What a genesis says about its validators: whether that may be, and the entries with which block 0 begins.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use freehold_crypto::slots;
use freehold_primitives::{
    Account, Canonical as _, Diversity, Ed25519Key, Genesis, Seat, TermOutcome,
    entries::{CommitteeEntry, EntryKind, Peer, PlayersEntry, RosterEntry, ValidatorEntry, ValidatorState},
};
use thiserror::Error;

use super::{
    join::is_address,
    rules::{SEATS_DIVERSE_MIN, SEATS_MAX, seats_held_max},
};

/// Why a genesis' membership is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MembershipFault {
    /// Seats that are not as many as validators, or more than a committee has.
    #[error("a genesis names a seat for each of its validators, at most 64, or none")]
    Seats,
    /// An address that is neither empty nor an IP address and a port.
    #[error("the address of seat {0} is neither empty nor an IP address and a port")]
    Address(usize),
    /// A bond below the least.
    #[error("the bond of seat {0} is less than bond_min")]
    Bond(usize),
    /// The sum of the bonds has no place in an account.
    #[error("the bonds add up to more than an account can hold")]
    BondSum,
    /// Diversity is asked for where fewer than four validators cannot give it, nobody owns them, or one account would hold a
    /// threshold.
    #[error(
        "diversity is required, but the validators are fewer than four, have no seats, or one account holds a threshold"
    )]
    Diversity,
    /// A genesis for production that lets anybody validate.
    #[error("a production genesis names the app whose instances may validate (membership.app)")]
    AppMissing,
}

/// Whether the membership of a genesis may be.
///
/// # Errors
/// A [`MembershipFault`].
pub(crate) fn check_membership(genesis: &Genesis) -> Result<(), MembershipFault> {
    let rules = &genesis.membership;
    let seats = &rules.seats;
    if genesis.validators.len() > SEATS_MAX || !(seats.is_empty() || seats.len() == genesis.validators.len()) {
        return Err(MembershipFault::Seats);
    }
    let mut held: BTreeMap<&Account, usize> = BTreeMap::new();
    for (place, seat) in seats.iter().enumerate() {
        if !(seat.address.is_empty() || is_address(&seat.address)) {
            return Err(MembershipFault::Address(place));
        }
        if seat.bond < rules.bond_min {
            return Err(MembershipFault::Bond(place));
        }
        *held.entry(&seat.account).or_default() += 1;
    }
    bonded_at_first(genesis).ok_or(MembershipFault::BondSum)?;
    let (count, most) = (genesis.validators.len(), held.values().copied().max().unwrap_or_default());
    let is_diverse = count >= SEATS_DIVERSE_MIN && (1..=seats_held_max(count)).contains(&most);
    if rules.diversity == Diversity::Required && !is_diverse {
        return Err(MembershipFault::Diversity);
    }
    if genesis.is_production() && rules.app.is_none() {
        return Err(MembershipFault::AppMissing);
    }
    Ok(())
}

/// The sum of the first bonds; `None` where it is too large for an account.
pub(crate) fn bonded_at_first(genesis: &Genesis) -> Option<U256> {
    let bonds = genesis.membership.seats.iter().map(|seat| U256::from_be_bytes(seat.bond));
    bonds.into_iter().try_fold(U256::ZERO, U256::checked_add)
}

/// Kind, id and document of each entry with which block 0 begins.
pub(crate) fn first_entries(genesis: &Genesis) -> Vec<(EntryKind, Vec<u8>, Vec<u8>)> {
    let nobody = Seat { account: Account::ZERO, bond: [0; 32], address: String::new() };
    let seats = genesis.membership.seats.iter().chain(std::iter::repeat(&nobody));
    let mut entries = Vec::new();
    let mut players = Vec::new();
    for (identity, seat) in genesis.validators.iter().zip(seats) {
        let entry = first_validator(identity, seat);
        players.push(Peer { identity: *identity, address: entry.address.clone() });
        entries.push((EntryKind::Validator, identity.as_bytes().to_vec(), entry.to_canonical()));
    }
    let committee = CommitteeEntry {
        term: 0,
        members: genesis.validators.clone(),
        consensus_polynomial: genesis.consensus_polynomial.clone(),
        derivation_polynomial: genesis.derivation_polynomial.clone(),
        outcome: TermOutcome::Reshared,
        decided_at: 0,
    };
    let roster = RosterEntry { term: 0, seats: genesis.validators.clone(), candidates: Vec::new() };
    let term = slots::term_id(0).to_vec();
    entries.push((EntryKind::Committee, term.clone(), committee.to_canonical()));
    entries.push((EntryKind::Players, term, PlayersEntry { term: 0, players }.to_canonical()));
    entries.push((EntryKind::Roster, slots::ROSTER_ID.to_vec(), roster.to_canonical()));
    entries
}

fn first_validator(identity: &Ed25519Key, seat: &Seat) -> ValidatorEntry {
    ValidatorEntry {
        identity: *identity,
        account: seat.account,
        operator: seat.account,
        payee: seat.account,
        bond: seat.bond,
        address: seat.address.clone(),
        instance_id: None,
        vendor: None,
        state: ValidatorState::Active,
        joined_at: 0,
        since: 0,
        jailed_until: 0,
        locked_until: 0,
        slashed_in: None,
    }
}
