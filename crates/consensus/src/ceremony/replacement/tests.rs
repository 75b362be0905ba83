//! Whom a failed round replaces, and that a liar's seat is the price of an honest one.

use freehold_primitives::Ed25519Key;

use super::next_players;
use crate::ceremony::Report;

fn key(byte: u8) -> Ed25519Key {
    Ed25519Key([byte; 32])
}

fn keys(bytes: &[u8]) -> Vec<Ed25519Key> {
    bytes.iter().copied().map(key).collect()
}

/// Players after a round among `players` in which `silent` said nothing and `disputes` are open.
fn check(players: &[u8], candidates: &[u8], silent: &[u8], disputes: &[(u8, u8)], expect: &[u8]) {
    let report = Report {
        silent: keys(silent),
        disputes: disputes.iter().map(|(dealer, player)| (key(*dealer), key(*player))).collect(),
    };
    let next = next_players(&keys(players), &keys(candidates), &report);
    assert_eq!(next, keys(expect), "{report:?}");
}

#[test]
fn silent_member_is_replaced_by_a_candidate() {
    check(&[1, 2, 3, 4], &[9], &[3], &[], &[1, 2, 4, 9]);
}

#[test]
fn without_candidates_all_keep_their_seats() {
    check(&[1, 2, 3, 4], &[], &[3], &[(1, 2)], &[1, 2, 3, 4]);
}

#[test]
fn member_of_whom_more_than_f_complain_goes_alone() {
    check(&[1, 2, 3, 4], &[8, 9], &[], &[(1, 4), (2, 4)], &[1, 2, 3, 8]);
}

#[test]
fn accuser_of_more_than_f_goes_and_its_victims_stay() {
    check(&[1, 2, 3, 4], &[7, 8, 9], &[], &[(4, 1), (4, 2), (4, 3)], &[1, 2, 3, 7]);
}

#[test]
fn both_ends_of_one_dispute_go_or_neither() {
    check(&[1, 2, 3, 4], &[8, 9], &[], &[(2, 4)], &[1, 3, 8, 9]);
    check(&[1, 2, 3, 4], &[9], &[], &[(2, 4)], &[1, 2, 3, 4]);
}

#[test]
fn liar_takes_at_most_one_honest_member_with_it() {
    let players: Vec<u8> = (1..=7).collect();
    // Member 7 lies: it accuses any two others, and is accused by any two others. At most two of seven are faulty.
    for first in 1..7 {
        for second in 1..7 {
            let disputes = [(7, first), (second, 7)].map(|(dealer, player)| (key(dealer), key(player)));
            let report = Report { silent: Vec::new(), disputes: disputes.to_vec() };
            let next = next_players(&keys(&players), &keys(&[20, 21, 22, 23]), &report);
            let gone: Vec<_> = (1..=7).filter(|member| !next.contains(&key(*member))).collect();
            assert!(gone.len() <= 2, "{gone:?} are gone");
            assert!(gone.contains(&7), "the liar keeps its seat while {gone:?} are gone");
        }
    }
}

#[test]
fn candidate_that_sits_already_counts_once() {
    check(&[1, 2, 3, 4], &[1, 2], &[3], &[], &[1, 2, 3, 4]);
}
