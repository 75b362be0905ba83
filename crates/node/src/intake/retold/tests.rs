//! A lost message is told again until its transaction stands in a block, ever more seldom, and never in a flood.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use alloy_primitives::B256;

use super::{BYTES_MAX, Retold};
use crate::mempool::POOL_COUNT_MAX;

#[test]
fn what_waits_is_told_again_ever_more_seldom_until_it_is_gone() {
    let (mut retold, begun) = (Retold::default(), Instant::now());
    let hash = B256::repeat_byte(7);
    retold.add(hash, begun);
    let waits = |_: &B256| Some(vec![7; 100]);
    let mut told = Vec::new();
    for second in 0..200 {
        let due = retold.due(begun + Duration::from_secs(second), waits);
        told.extend(due.iter().map(|_| second));
    }
    assert_eq!(told, [2, 6, 14, 30, 62, 126, 190]);
    // In a block by now: it is forgotten at the next look.
    assert!(retold.due(begun + Duration::from_secs(300), |_| None).is_empty());
    assert!(retold.due(begun + Duration::from_secs(1_000), waits).is_empty());
}

#[test]
fn a_look_gives_a_bounded_number_of_bytes_and_the_rest_comes_next() {
    let (mut retold, begun) = (Retold::default(), Instant::now());
    for number in 0..POOL_COUNT_MAX + 10 {
        retold.add(B256::from(alloy_primitives::U256::from(number)), begun);
    }
    let waits = |_: &B256| Some(vec![0; 1_024]);
    let at = begun + Duration::from_secs(2);
    let mut total = 0;
    while let due @ [_, ..] = &*retold.due(at, waits) {
        assert!(due.len() * 1_024 <= BYTES_MAX);
        total += due.len();
    }
    assert_eq!(total, POOL_COUNT_MAX);
}
