//! Walks over recent payloads.

use super::*;

fn hash(byte: u8) -> B256 {
    B256::repeat_byte(byte)
}

fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

#[test]
fn collects_what_unexecuted_ancestors_hold() {
    let mut ancestry = Ancestry::default();
    ancestry.note(1, digest(1), digest(0), vec![hash(1)]);
    ancestry.note(2, digest(2), digest(1), vec![hash(2)]);
    ancestry.note(2, digest(9), digest(1), vec![hash(9)]);
    assert_eq!(ancestry.taken(2, digest(2), 0), Taken::Known(BTreeSet::from([hash(1), hash(2)])));
    assert_eq!(ancestry.taken(2, digest(2), 1), Taken::Known(BTreeSet::from([hash(2)])));
    assert_eq!(ancestry.taken(2, digest(2), 2), Taken::Known(BTreeSet::new()));
}

#[test]
fn an_unknown_ancestor_is_told() {
    let mut ancestry = Ancestry::default();
    ancestry.note(2, digest(2), digest(1), vec![]);
    assert_eq!(ancestry.taken(2, digest(2), 0), Taken::Unknown);
    ancestry.executed(1);
    assert_eq!(ancestry.taken(2, digest(2), 1), Taken::Known(BTreeSet::new()));
    ancestry.executed(2);
    assert_eq!(ancestry.taken(2, digest(2), 1), Taken::Unknown);
}

#[test]
fn memory_is_bounded() {
    let mut ancestry = Ancestry::default();
    for height in 0..2 * RECENT_MAX as u64 {
        ancestry.note(height, digest(1), digest(1), vec![]);
    }
    assert_eq!(ancestry.payloads.len(), RECENT_MAX);
}
