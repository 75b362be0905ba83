//! Who has a seat in the next round: pure rules over what is known of each validator (`spec/membership.md` §4).
//!
//! A set of seats is never shrunk: each that goes is one for which a candidate comes. A dispute is a pair of which at
//! least one is at fault; who of the two, nobody else can tell. So a member in dispute with more others than there can
//! be faulty ones is at fault itself, and of every dispute that remains both go. A liar that blocks rounds thus takes at
//! most one honest member with it, and only where a candidate waits for each seat.

use std::collections::{BTreeMap, BTreeSet};

use freehold_primitives::{Account, Dispute, Diversity, Ed25519Key, TrustDomain};

/// Most seats: the engine's bound on the members of a committee.
pub(crate) const SEATS_MAX: usize = 64;
/// Payloads of a term that each seat needs, as consensus asks: with more seats a round would not end within the term.
const TERM_BLOCKS_PER_SEAT: u64 = 8;
/// Fewest seats at which one may fail, and so the fewest at which diversity can be asked for.
pub(super) const SEATS_DIVERSE_MIN: usize = 4;

/// What the rules know of a validator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) identity: Ed25519Key,
    /// Who runs it; `None` where it is nobody's.
    pub(super) operator: Option<Account>,
    /// Whose TEE it runs in; `None` where it is not attested.
    pub(super) vendor: Option<TrustDomain>,
}

/// Whom a failed round accuses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Faults {
    /// At fault themselves: silent, or in dispute with more than can be faulty.
    pub(super) guilty: BTreeSet<Ed25519Key>,
    /// Pairs of which one is at fault, in order, no member twice.
    pub(super) pairs: Vec<[Ed25519Key; 2]>,
}

impl Faults {
    /// Judges what a round left behind, in which `faulty_max` may have been faulty.
    pub(super) fn judge(silent: &[Ed25519Key], disputes: &[Dispute], faulty_max: usize) -> Self {
        let mut opponents: BTreeMap<Ed25519Key, BTreeSet<Ed25519Key>> = BTreeMap::new();
        for Dispute { dealer, player } in disputes {
            opponents.entry(*dealer).or_default().insert(*player);
            opponents.entry(*player).or_default().insert(*dealer);
        }
        let mut guilty: BTreeSet<Ed25519Key> = silent.iter().copied().collect();
        guilty.extend(opponents.iter().filter(|(_, others)| others.len() > faulty_max).map(|(member, _)| *member));
        let mut gone = guilty.clone();
        let mut disputes = disputes.to_vec();
        disputes.sort_unstable();
        let mut pairs = Vec::new();
        for Dispute { dealer, player } in disputes {
            if !gone.contains(&dealer) && !gone.contains(&player) {
                gone.extend([dealer, player]);
                pairs.push([dealer, player]);
            }
        }
        Self { guilty, pairs }
    }

    /// Whether it stands in one of the pairs.
    pub(super) fn disputes(&self, identity: &Ed25519Key) -> bool {
        self.pairs.iter().any(|pair| pair.contains(identity))
    }
}

/// What is decided upon.
pub(super) struct Ballot<'a> {
    /// Who holds the keys now.
    pub(super) seated: &'a [Standing],
    /// Who waits for a seat and may have one, in their order.
    pub(super) waiting: &'a [Standing],
    /// Whom the round accuses.
    pub(super) faults: &'a Faults,
    /// Who else gives up a seat, in order.
    pub(super) departing: &'a [Ed25519Key],
    pub(super) diversity: Diversity,
    /// Length of a term, in payloads.
    pub(super) term_blocks: u64,
}

impl Ballot<'_> {
    /// Who shall hold the keys next.
    pub(super) fn decide(&self) -> BTreeSet<Ed25519Key> {
        let mut house = House {
            seats: self.seated.iter().map(|standing| (standing.identity, standing)).collect(),
            waiting: self.waiting.iter().collect(),
            diversity: self.diversity,
        };
        for guilty in &self.faults.guilty {
            house.replace(&[*guilty]);
        }
        for pair in &self.faults.pairs {
            house.replace(pair);
        }
        for departing in self.departing {
            house.replace(&[*departing]);
        }
        if house.grown() as u64 <= self.term_blocks / TERM_BLOCKS_PER_SEAT {
            house.grow();
        }
        house.seats.into_keys().collect()
    }
}

struct House<'a> {
    seats: BTreeMap<Ed25519Key, &'a Standing>,
    waiting: Vec<&'a Standing>,
    diversity: Diversity,
}

impl<'a> House<'a> {
    /// Gives the seats of a group to those who wait, all of them or none.
    fn replace(&mut self, group: &[Ed25519Key]) {
        let mut seats = self.seats.clone();
        let size = seats.len();
        seats.retain(|identity, _| !group.contains(identity));
        if seats.len() < size {
            self.fill(seats, size);
        }
    }

    /// As many seats as let one more fail: only n = 3f + 1 pays.
    fn grown(&self) -> usize {
        self.seats.len().div_ceil(3) * 3 + 1
    }

    /// Adds that many, where enough wait.
    fn grow(&mut self) {
        let size = self.grown();
        if !self.seats.is_empty() && size <= SEATS_MAX {
            self.fill(self.seats.clone(), size);
        }
    }

    /// Fills `seats` up to `size`, or changes nothing.
    fn fill(&mut self, mut seats: BTreeMap<Ed25519Key, &'a Standing>, size: usize) {
        let mut waiting = self.waiting.clone();
        while seats.len() < size {
            let fits = |standing: &&Standing| {
                !seats.contains_key(&standing.identity) && fits(seats.values().copied(), standing, size, self.diversity)
            };
            let Some(place) = waiting.iter().position(fits) else { return };
            let standing = waiting.remove(place);
            seats.insert(standing.identity, standing);
        }
        (self.seats, self.waiting) = (seats, waiting);
    }
}

/// Whether one more fits into `size` seats, so that neither its operator nor its vendor has a threshold of them.
pub(super) fn fits<'a>(
    seats: impl Iterator<Item = &'a Standing> + Clone,
    more: &Standing,
    size: usize,
    diversity: Diversity,
) -> bool {
    if diversity == Diversity::Waived || size < SEATS_DIVERSE_MIN {
        return true;
    }
    let cap = seats_held_max(size);
    let operated = seats.clone().filter(|seat| seat.operator.is_some() && seat.operator == more.operator).count();
    let made = seats.filter(|seat| seat.vendor.is_some() && seat.vendor == more.vendor).count();
    operated < cap && made < cap
}

/// Most of `size` seats that are below a threshold of shares.
pub(super) const fn seats_held_max(size: usize) -> usize {
    size - faulty_max(size) - 1
}

/// How many of `size` members may be faulty.
pub(super) const fn faulty_max(size: usize) -> usize {
    size.saturating_sub(1) / 3
}

#[cfg(test)]
mod tests;
