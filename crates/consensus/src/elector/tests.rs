//! Fair, unpredictable as far as may be, and never the same twice in a row.

use freehold_primitives::G1Point;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::leader;

const SIZES: [u32; 11] = [1, 2, 3, 4, 5, 7, 10, 13, 16, 64, 100];

fn seed(rng: &mut StdRng) -> G1Point {
    let mut seed = [0; G1Point::SIZE];
    rng.fill(&mut seed[..]);
    G1Point(seed)
}

/// Leaders of the views of a term, from the first.
fn leaders(members: u32, term: u64, views: u64) -> Vec<u32> {
    let mut rng = StdRng::seed_from_u64(u64::from(members) << 32 | term);
    (1..=views).map(|view| leader(term, view, members, (view > 1).then(|| seed(&mut rng)).as_ref())).collect()
}

#[test]
fn nobody_leads_twice_in_a_row() {
    for members in SIZES.into_iter().filter(|members| *members > 1) {
        for term in 0..5 {
            let leaders = leaders(members, term, 2_000);
            assert!(leaders.iter().all(|leader| *leader < members));
            let twice = leaders.windows(2).position(|pair| pair[0] == pair[1]);
            assert_eq!(twice, None, "{members} members, term {term}");
        }
    }
    assert_eq!(leaders(1, 3, 3), [0, 0, 0]);
}

/// Whatever the seeds are: the halves themselves are disjoint.
#[test]
fn no_seed_elects_a_leader_of_the_view_before() {
    let mut rng = StdRng::seed_from_u64(1);
    let seeds: Vec<_> = (0..400).map(|_| seed(&mut rng)).collect();
    let half = |members, view| -> std::collections::BTreeSet<u32> {
        seeds.iter().map(|seed| leader(0, view, members, Some(seed))).collect()
    };
    for members in [4, 5, 7, 10, 16] {
        for view in [2, 3, 50, u64::MAX - 1] {
            let (now, next) = (half(members, view), half(members, view + 1));
            assert_eq!(now.len(), members as usize / 2, "{members} members");
            assert!(now.is_disjoint(&next), "{members} members, view {view}");
        }
    }
}

#[test]
fn everybody_leads_equally_often() {
    for members in SIZES {
        let per_member = 1_000_u64;
        let views = per_member * u64::from(members);
        let mut counts = vec![0_u64; members as usize];
        for leader in leaders(members, 0, views) {
            counts[leader as usize] += 1;
        }
        // Five standard deviations of a draw with one chance in `members`.
        for (member, count) in counts.iter().enumerate() {
            assert!(count.abs_diff(per_member) < 160, "{members} members, {member} led {count} of {views}");
        }
    }
}

#[test]
fn the_seed_decides_within_the_half() {
    let mut rng = StdRng::seed_from_u64(2);
    let mut counts = [0_u32; 8];
    for _ in 0..8_000 {
        let led = leader(0, 2, 16, Some(&seed(&mut rng)));
        counts[led as usize] += 1;
    }
    // View 2 draws from members 0 to 7.
    assert!(counts.iter().all(|count| count.abs_diff(1_000) < 160), "{counts:?}");
}

/// The example of the specification: another implementation must elect the same.
#[test]
fn election_is_the_one_of_the_specification() {
    let seed = G1Point([0x33; G1Point::SIZE]);
    let of = |term, view, members| leader(term, view, members, Some(&seed));
    assert_eq!([of(0, 2, 4), of(0, 3, 4), of(1, 2, 4), of(5, 9, 7), of(0, 2, 16)], [1, 3, 2, 5, 5]);
    assert_eq!([leader(0, 1, 4, None), leader(2, 1, 4, None), leader(3, 1, 1, None)], [2, 0, 0]);
}
