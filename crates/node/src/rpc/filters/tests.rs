//! Filters see everything once, and the idle ones go.
#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_poll_starts_where_the_last_one_ended() {
    let mut filters = Filters::default();
    let id = filters.install(Watch::Blocks, 10, 0).unwrap();
    assert_eq!(filters.poll(id, 12, 1).unwrap().from, 11);
    assert_eq!(filters.poll(id, 12, 2).unwrap().from, 13);
    assert_eq!(filters.poll(id, 13, 3).unwrap().from, 13);
    assert!(filters.uninstall(id));
    assert!(filters.poll(id, 13, 4).is_none());
}

#[test]
fn waiting_transactions_are_told_once() {
    let mut filters = Filters::default();
    filters.pending(B256::repeat_byte(9));
    let id = filters.install(Watch::Pending, 0, 0).unwrap();
    filters.pending(B256::repeat_byte(1));
    assert_eq!(filters.poll(id, 0, 1).unwrap().pending, [B256::repeat_byte(1)]);
    assert!(filters.poll(id, 0, 1).unwrap().pending.is_empty());
}

#[test]
fn a_flood_of_waiting_transactions_is_kept_once_and_bounded() {
    let mut filters = Filters::default();
    let ids: Vec<u64> = (0..3).map(|_| filters.install(Watch::Pending, 0, 0).unwrap()).collect();
    for index in 0..PENDING_MAX + 7 {
        filters.pending(B256::from(alloy_primitives::U256::from(index)));
    }
    assert_eq!(filters.recent.len(), PENDING_MAX);
    for id in ids {
        let told = filters.poll(id, 0, 1).unwrap().pending;
        assert_eq!((told.len(), told[0]), (PENDING_MAX, B256::from(alloy_primitives::U256::from(7))));
        assert!(filters.poll(id, 0, 1).unwrap().pending.is_empty());
    }
}

#[test]
fn idle_filters_go_and_the_number_is_bounded() {
    let mut filters = Filters::default();
    let first = filters.install(Watch::Blocks, 0, 0).unwrap();
    assert!(filters.poll(first, 0, IDLE_S_MAX + 1).is_none());
    let now = IDLE_S_MAX + 1;
    let ids: Vec<u64> = (0..FILTERS_MAX).map(|_| filters.install(Watch::Blocks, 0, now).unwrap()).collect();
    assert_eq!(filters.install(Watch::Blocks, 0, now), Err(FiltersFull));
    assert!(filters.poll(ids[0], 0, now).is_some(), "a flood takes no filter from those who have one");
    assert!(filters.uninstall(ids[1]));
    filters.install(Watch::Blocks, 0, now).unwrap();
    assert!(filters.install(Watch::Blocks, 0, 2 * now + 1).is_ok(), "idle ones make room");
}

#[test]
fn filters_with_too_many_names_are_refused() {
    let addresses: Vec<_> = (0..=FILTER_ITEMS_MAX as u64)
        .map(|n| alloy_primitives::Address::from_word(alloy_primitives::U256::from(n).into()))
        .collect();
    assert!(check_filter(&Filter::new().address(addresses[1..].to_vec())).is_ok());
    assert!(check_filter(&Filter::new().address(addresses)).is_err());
}
