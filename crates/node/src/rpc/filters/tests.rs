//! Filters see everything once, and the idle ones go.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_poll_starts_where_the_last_one_ended() {
    let mut filters = Filters::default();
    let id = filters.install(Watch::Blocks, 10, 0);
    assert_eq!(filters.poll(id, 12, 1).unwrap().from, 11);
    assert_eq!(filters.poll(id, 12, 2).unwrap().from, 13);
    assert_eq!(filters.poll(id, 13, 3).unwrap().from, 13);
    assert!(filters.uninstall(id));
    assert!(filters.poll(id, 13, 4).is_none());
}

#[test]
fn waiting_transactions_are_told_once() {
    let mut filters = Filters::default();
    let id = filters.install(Watch::Pending(Vec::new()), 0, 0);
    filters.pending(B256::repeat_byte(1));
    let told = |poll: Poll| match poll.watch {
        Watch::Pending(hashes) => hashes.len(),
        _ => usize::MAX,
    };
    assert_eq!(told(filters.poll(id, 0, 1).unwrap()), 1);
    assert_eq!(told(filters.poll(id, 0, 1).unwrap()), 0);
}

#[test]
fn idle_filters_go_and_the_number_is_bounded() {
    let mut filters = Filters::default();
    let first = filters.install(Watch::Blocks, 0, 0);
    assert!(filters.poll(first, 0, IDLE_S_MAX + 1).is_none());
    for _ in 0..FILTERS_MAX + 5 {
        filters.install(Watch::Blocks, 0, IDLE_S_MAX + 1);
    }
    assert_eq!(filters.entries.len(), FILTERS_MAX);
}
