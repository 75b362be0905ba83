//! Whom a failed round replaces: a rule that a liar cannot turn against others without losing its own seat.
//!
//! A dispute is a pair of which at least one is at fault; who of the two, nobody else can tell. So a member in
//! dispute with more others than there can be faulty ones is at fault itself, and of every dispute that remains both
//! go. A liar that blocks rounds thus takes at most one honest member with it, and only where a candidate waits for
//! each seat: without candidates members keep their seats, the old shares stay in force and the round is repeated.

use std::collections::{BTreeMap, BTreeSet};

use freehold_primitives::Ed25519Key;

use super::Report;

/// The players of the next round: `players` without those whom `report` replaces, each by the next of `candidates`.
/// Both are sorted; the result is sorted and as long as `players`.
pub fn next_players(players: &[Ed25519Key], candidates: &[Ed25519Key], report: &Report) -> Vec<Ed25519Key> {
    let seated: BTreeSet<_> = players.iter().copied().collect();
    let mut waiting = candidates.iter().copied().filter(|candidate| !seated.contains(candidate));
    let free = waiting.clone().count();
    let mut leaving = BTreeSet::new();
    for group in to_replace(&seated, report) {
        let group: Vec<_> = group.into_iter().filter(|member| seated.contains(member)).collect();
        if leaving.len() + group.len() <= free {
            leaving.extend(group);
        }
    }
    let joining: Vec<_> = waiting.by_ref().take(leaving.len()).collect();
    seated.difference(&leaving).copied().chain(joining).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Who goes, in the order of replacement; a group goes whole or not at all.
fn to_replace(players: &BTreeSet<Ed25519Key>, report: &Report) -> Vec<Vec<Ed25519Key>> {
    let faulty_max = players.len().saturating_sub(1) / 3;
    let mut opponents: BTreeMap<Ed25519Key, BTreeSet<Ed25519Key>> = BTreeMap::new();
    for (dealer, player) in &report.disputes {
        opponents.entry(*dealer).or_default().insert(*player);
        opponents.entry(*player).or_default().insert(*dealer);
    }
    let mut gone: BTreeSet<Ed25519Key> = report.silent.iter().copied().collect();
    gone.extend(opponents.iter().filter(|(_, others)| others.len() > faulty_max).map(|(member, _)| *member));
    let mut groups: Vec<Vec<_>> = gone.iter().map(|member| vec![*member]).collect();
    let mut disputes = report.disputes.clone();
    disputes.sort_unstable();
    for (dealer, player) in disputes {
        if !gone.contains(&dealer) && !gone.contains(&player) {
            gone.extend([dealer, player]);
            groups.push(vec![dealer, player]);
        }
    }
    groups
}

#[cfg(test)]
mod tests;
