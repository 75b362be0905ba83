//! Who is replaced, that a liar's seat is the price of an honest one, and what holds whatever is decided upon.
#![allow(clippy::unwrap_used)]

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;

fn key(byte: u8) -> Ed25519Key {
    Ed25519Key([byte; 32])
}

fn keys(bytes: &[u8]) -> Vec<Ed25519Key> {
    bytes.iter().copied().map(key).collect()
}

/// A validator of its own operator, not attested.
fn alone(byte: u8) -> Standing {
    Standing { identity: key(byte), operator: Some(Account([byte; 20])), vendor: None }
}

fn of(byte: u8, operator: u8, vendor: TrustDomain) -> Standing {
    Standing { identity: key(byte), operator: Some(Account([operator; 20])), vendor: Some(vendor) }
}

fn disputes(pairs: &[(u8, u8)]) -> Vec<Dispute> {
    pairs.iter().map(|(dealer, player)| Dispute { dealer: key(*dealer), player: key(*player) }).collect()
}

/// Seats after a round among `seated` in which `silent` said nothing and `pairs` are open.
fn check(seated: &[u8], waiting: &[u8], silent: &[u8], pairs: &[(u8, u8)], expect: &[u8]) {
    let faults = Faults::judge(&keys(silent), &disputes(pairs), faulty_max(seated.len()));
    check_with(seated, waiting, &faults, &[], expect);
}

fn check_with(seated: &[u8], waiting: &[u8], faults: &Faults, departing: &[u8], expect: &[u8]) {
    let standings = |bytes: &[u8]| bytes.iter().copied().map(alone).collect::<Vec<_>>();
    let (seated, waiting) = (standings(seated), standings(waiting));
    let ballot = Ballot {
        seated: &seated,
        waiting: &waiting,
        faults,
        departing: &keys(departing),
        diversity: Diversity::Required,
        term_blocks: 512,
    };
    assert_eq!(ballot.decide().into_iter().collect::<Vec<_>>(), keys(expect), "{faults:?}");
}

#[test]
fn silent_member_is_replaced_by_a_candidate() {
    check(&[1, 2, 3, 4], &[9], &[3], &[], &[1, 2, 4, 9]);
}

#[test]
fn without_candidates_all_keep_their_seats() {
    check(&[1, 2, 3, 4], &[], &[3], &[(1, 2)], &[1, 2, 3, 4]);
    check_with(&[1, 2, 3, 4], &[], &Faults::default(), &[1, 2], &[1, 2, 3, 4]);
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
            let faults = Faults::judge(&[], &disputes(&[(7, first), (second, 7)]), 2);
            let seated: Vec<_> = players.iter().copied().map(alone).collect();
            let waiting: Vec<_> = (20..24).map(alone).collect();
            let ballot = Ballot {
                seated: &seated,
                waiting: &waiting,
                faults: &faults,
                departing: &[],
                diversity: Diversity::Required,
                term_blocks: 512,
            };
            let next = ballot.decide();
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

#[test]
fn seats_are_taken_in_the_order_of_waiting() {
    check_with(&[1, 2, 3, 4], &[9, 8], &Faults::default(), &[2], &[1, 3, 4, 9]);
    check_with(&[1, 2, 3, 4], &[9, 8], &Faults::default(), &[2, 1], &[3, 4, 8, 9]);
    check_with(&[1, 2, 3, 4], &[9], &Faults::default(), &[2, 1], &[1, 3, 4, 9]);
}

#[test]
fn seats_grow_in_steps_that_pay() {
    check_with(&[1, 2, 3, 4], &[11, 12], &Faults::default(), &[], &[1, 2, 3, 4]);
    check_with(&[1, 2, 3, 4], &[11, 12, 13], &Faults::default(), &[], &[1, 2, 3, 4, 11, 12, 13]);
    check_with(&[1], &[11, 12, 13], &Faults::default(), &[], &[1, 11, 12, 13]);
    check_with(&[1, 2, 3, 4, 5], &[11, 12], &Faults::default(), &[], &[1, 2, 3, 4, 5, 11, 12]);
    // One step a term, and replacements come first.
    let seven: Vec<u8> = (11..=17).collect();
    check_with(&[1, 2, 3, 4], &seven, &Faults::default(), &[4], &[1, 2, 3, 11, 12, 13, 14]);
    // A term must be long enough for all of them.
    let (seated, waiting) = ([1, 2, 3, 4].map(alone), [11, 12, 13].map(alone));
    for (term_blocks, size) in [(55, 4), (56, 7)] {
        let (faults, diversity) = (&Faults::default(), Diversity::Required);
        let ballot = Ballot { seated: &seated, waiting: &waiting, faults, departing: &[], diversity, term_blocks };
        assert_eq!(ballot.decide().len(), size);
    }
    let full: Vec<u8> = (1..=64).collect();
    check_with(&full, &[70, 71, 72], &Faults::default(), &[], &full);
}

#[test]
fn no_vendor_and_no_operator_comes_to_a_threshold() {
    let intel = |byte| of(byte, byte, TrustDomain::Intel);
    let seated = [intel(1), intel(2), of(3, 3, TrustDomain::Amd), of(4, 4, TrustDomain::Amd)];
    let decide = |waiting: &[Standing], departing: &[Ed25519Key], diversity| {
        let faults = Faults::default();
        Ballot { seated: &seated, waiting, faults: &faults, departing, diversity, term_blocks: 512 }.decide()
    };
    let next = decide(&[intel(9), of(10, 10, TrustDomain::Aws)], &[key(3)], Diversity::Required);
    assert_eq!(next.into_iter().collect::<Vec<_>>(), keys(&[1, 2, 4, 10]), "the one that fits is taken");
    let next = decide(&[intel(9)], &[key(3)], Diversity::Required);
    assert_eq!(next.into_iter().collect::<Vec<_>>(), keys(&[1, 2, 3, 4]), "a leaver stays where none fits");
    let next = decide(&[intel(9)], &[key(3)], Diversity::Waived);
    assert_eq!(next.into_iter().collect::<Vec<_>>(), keys(&[1, 2, 4, 9]));
    let next =
        decide(&[of(9, 1, TrustDomain::Aws), of(10, 1, TrustDomain::Aws)], &[key(3), key(4)], Diversity::Required);
    assert_eq!(next.into_iter().collect::<Vec<_>>(), keys(&[1, 2, 4, 9]), "one operator runs two of four, not three");
}

/// Whatever stands on the ballot: as many seats as before or a step more, nobody new who did not wait, no new threshold
/// in one hand, and of one dispute both or none.
#[test]
fn decisions_keep_their_bounds() {
    let seed = 20_251_126;
    let mut rng = StdRng::seed_from_u64(seed);
    for round in 0..4_000 {
        let size = [1, 4, 5, 7, 10, 13][rng.random_range(0..6)];
        let mut validators: Vec<Standing> = (1..=size + rng.random_range(0..12))
            .map(|byte: u8| Standing {
                identity: key(byte),
                operator: (rng.random_range(0..5) > 0).then(|| Account([rng.random_range(0..6); 20])),
                vendor: TrustDomain::ALL.get(rng.random_range(0..6)).copied(),
            })
            .collect();
        let waiting = validators.split_off(usize::from(size));
        let some = |rng: &mut StdRng, most| {
            let count = rng.random_range(0..=most);
            (0..count).map(|_| key(rng.random_range(1..=size))).collect::<Vec<_>>()
        };
        let silent = some(&mut rng, 2);
        let disputes: Vec<Dispute> = some(&mut rng, 3)
            .into_iter()
            .map(|dealer| Dispute { dealer, player: key(rng.random_range(1..=size)) })
            .filter(|dispute| dispute.dealer != dispute.player)
            .collect();
        let departing = some(&mut rng, 3);
        let faults = Faults::judge(&silent, &disputes, faulty_max(validators.len()));
        let diversity = if rng.random_range(0..4) == 0 { Diversity::Waived } else { Diversity::Required };
        let ballot = Ballot {
            seated: &validators,
            waiting: &waiting,
            faults: &faults,
            departing: &departing,
            diversity,
            term_blocks: 512,
        };
        let next = ballot.decide();
        let context = format!("seed {seed}, round {round}: {faults:?}");
        let size = usize::from(size);
        assert!(next.len() == size || next.len() == size.div_ceil(3) * 3 + 1, "{} of {size}; {context}", next.len());
        let all: Vec<_> = validators.iter().chain(&waiting).collect();
        assert!(next.iter().all(|identity| all.iter().any(|known| known.identity == *identity)), "{context}");
        for pair in &faults.pairs {
            let stay = pair.map(|member| next.contains(&member));
            let departs = pair.iter().any(|member| departing.contains(member));
            assert!(stay[0] == stay[1] || departs, "half a pair went; {context}");
        }
        let accused: BTreeSet<_> =
            faults.guilty.iter().chain(faults.pairs.iter().flatten()).chain(&departing).copied().collect();
        for member in validators.iter().filter(|member| !accused.contains(&member.identity)) {
            assert!(next.contains(&member.identity), "one went without a reason; {context}");
        }
        if diversity == Diversity::Required && next.len() >= SEATS_DIVERSE_MIN {
            let seats: Vec<_> = all.iter().filter(|standing| next.contains(&standing.identity)).collect();
            for newcomer in seats.iter().filter(|seat| waiting.contains(seat)) {
                let held = |by: &dyn Fn(&Standing) -> bool| seats.iter().filter(|seat| by(seat)).count();
                let operated = held(&|seat| seat.operator.is_some() && seat.operator == newcomer.operator);
                let made = held(&|seat| seat.vendor.is_some() && seat.vendor == newcomer.vendor);
                assert!(operated.max(made) <= seats_held_max(next.len()), "a threshold in one hand; {context}");
            }
        }
    }
}
