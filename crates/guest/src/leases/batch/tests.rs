//! What a batch gives out, and what the chain's entry says of it.
#![allow(clippy::unwrap_used)]

use freehold_primitives::{Account, AppId, entries::CounterValue};

use super::*;

fn entry(sequence: u64, fence: u64, batch: u8, instance: u8) -> CountersEntry {
    CountersEntry {
        app_id: AppId::new([1; 20]),
        lease: "db".to_owned(),
        sequence,
        fence,
        instance_id: Digest([instance; 32]),
        batch: Digest([batch; 32]),
        values: vec![CounterValue { name: "a".to_owned(), value: 5 }],
        height: 9,
        time_unix_s: 99,
    }
}

fn lease() -> LeaseEntry {
    LeaseEntry {
        app_id: AppId::new([1; 20]),
        name: "db".to_owned(),
        fence: 3,
        instance_id: Digest([7; 32]),
        account: Account([7; 20]),
        taken_at: 1,
        renewed_at: 1,
        expires_at: 100,
        released_at: None,
    }
}

#[test]
fn each_increment_of_a_batch_has_a_value_of_its_own() {
    let base = Base::of(Some(&entry(4, 3, 4, 7)));
    let mut batch = Batch::on(&base);
    assert!(batch.is_empty());
    let given: Vec<u64> = [("a", 1), ("b", 10), ("a", 2), ("b", 1)].map(|(n, by)| batch.add(n, by).unwrap()).to_vec();
    assert_eq!(given, [6, 10, 8, 11]);
    assert_eq!(batch.raised(), &BTreeMap::from([("a".to_owned(), 8), ("b".to_owned(), 11)]));
    assert!(matches!(batch.add("a", u64::MAX), Err(LeaseError::By)));
    for index in 2..COUNTERS_MAX {
        batch.add(&format!("c{index}"), 1).unwrap();
    }
    assert!(matches!(batch.add("one-more", 1), Err(LeaseError::CountersFull)));
    assert_eq!(batch.add("a", 1).unwrap(), 9);
}

#[test]
fn the_chains_entry_tells_landed_fenced_and_copied_apart() {
    let base = Base::of(Some(&entry(4, 3, 4, 7)));
    let tries = [Digest([5; 32]), Digest([6; 32])];
    let outcome = |chain: CountersEntry| judge(&base, &lease(), &tries, Some(&chain));
    assert_eq!(judge(&Base::default(), &lease(), &tries, None), Outcome::NotYet);
    assert_eq!(outcome(entry(4, 3, 4, 7)), Outcome::NotYet);
    assert_eq!(outcome(entry(5, 3, 6, 7)), Outcome::Landed);
    assert_eq!(outcome(entry(5, 3, 5, 7)), Outcome::Earlier);
    assert_eq!(outcome(entry(5, 4, 9, 8)), Outcome::Fenced);
    assert_eq!(outcome(entry(5, 4, 6, 7)), Outcome::Fenced);
    // The same instance and fence, and a batch that this copy never sent, or one more after it.
    assert_eq!(outcome(entry(5, 3, 9, 7)), Outcome::Copied);
    assert_eq!(outcome(entry(6, 3, 6, 7)), Outcome::Copied);
}
