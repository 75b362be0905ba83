//! The pacing rule at its edges.

use super::*;

#[test]
fn a_demand_waits_for_the_spacing_only() {
    assert_eq!(due_in_ms(10_000, 10_000, Demand::Waiting), SPACING_MS);
    assert_eq!(due_in_ms(10_099, 10_000, Demand::Waiting), 1);
    assert_eq!(due_in_ms(10_100, 10_000, Demand::Waiting), 0);
}

#[test]
fn without_demand_the_heartbeat_counts() {
    assert_eq!(due_in_ms(10_100, 10_000, Demand::None), 900);
    assert_eq!(due_in_ms(11_000, 10_000, Demand::None), 0);
    assert_eq!(due_in_ms(50_000, 10_000, Demand::None), 0);
}

#[test]
fn a_parent_from_the_future_stalls_nobody() {
    assert_eq!(due_in_ms(10_000, 12_000, Demand::Waiting), HEARTBEAT_MS);
    assert_eq!(due_in_ms(10_000, u64::MAX, Demand::None), HEARTBEAT_MS);
}
