//! Filters are bounded, and go when nobody polls them.

use std::time::Instant;

use super::{IDLE_MAX, LIGHT_FILTERS_MAX, LightFilters, LightWatch};
use crate::light::error::LightError;

#[test]
fn there_are_only_so_many_and_idle_ones_make_room() {
    let mut filters = LightFilters::default();
    let first = filters.install(LightWatch::Blocks, 1).unwrap();
    for _ in 1..LIGHT_FILTERS_MAX {
        filters.install(LightWatch::Blocks, 1).unwrap();
    }
    assert!(matches!(filters.install(LightWatch::Blocks, 1), Err(LightError::Filters)));
    // A machine that has run for less than that cannot tell such a time.
    let Some(long_ago) = Instant::now().checked_sub(IDLE_MAX) else { return };
    filters.entries.get_mut(&first).unwrap().polled = long_ago;
    assert!(filters.look(first).is_none());
    assert_eq!(filters.install(LightWatch::Blocks, 1).unwrap(), LIGHT_FILTERS_MAX as u64 + 1);
}

#[test]
fn a_poll_moves_on_and_never_back() {
    let mut filters = LightFilters::default();
    let id = filters.install(LightWatch::Blocks, 5).unwrap();
    filters.moved(id, 9);
    filters.moved(id, 7);
    let (_, first, next) = filters.look(id).unwrap();
    assert_eq!((first, next), (5, 9));
    assert!(filters.look(id + 1).is_none());
}
