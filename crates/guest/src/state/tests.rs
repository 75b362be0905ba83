//! Tests of the life of an instance.
#![allow(clippy::unwrap_used)]

use freehold_primitives::{BlockMoment, Digest};

use super::*;

const GENESIS_S: u64 = 1_800_000_000;

fn moment(height: u64, seconds: u64) -> BlockMoment {
    BlockMoment { height, block_hash: Digest([height as u8; 32]), time_unix_s: GENESIS_S + seconds }
}

fn terms(started: u64, expires: u64, renewed_at: u64) -> LeaseTerms {
    LeaseTerms { started_at: GENESIS_S + started, expires_at: GENESIS_S + expires, renewed_at }
}

/// A machine that serves with a lease of 600 s from second 0, at own clock 10,000 ms.
fn serving() -> Lifecycle {
    let mut life = Lifecycle::new();
    assert_eq!(life.step(Input::Header(moment(1, 0)), 10_000), vec![Effect::Register(moment(1, 0))]);
    assert_eq!(life.stage(), Stage::Registering);
    assert_eq!(life.step(Input::Registered(terms(0, 600, 3)), 10_500), vec![Effect::FetchKeys]);
    assert_eq!(life.stage(), Stage::WaitingForKeys);
    let effects = life.step(Input::KeysReady, 10_600);
    assert_eq!(effects, vec![Effect::Serve, Effect::Recheck]);
    assert_eq!(life.stage(), Stage::Serving);
    life
}

#[test]
fn keys_without_a_registration_serve_nothing() {
    let mut life = Lifecycle::new();
    life.step(Input::Header(moment(1, 0)), 0);
    assert!(life.step(Input::KeysReady, 1).is_empty());
    assert_eq!(life.stage(), Stage::Registering);
}

#[test]
fn a_lease_is_renewed_at_half_and_rechecks_do_not_move_the_half() {
    let mut life = serving();
    for second in (5..300).step_by(5) {
        life.step(Input::Header(moment(second + 2, second)), 10_000 + second * 1000);
        let effects = life.step(Input::Registered(terms(0, 600, 3)), 10_001 + second * 1000);
        assert!(!effects.iter().any(|e| matches!(e, Effect::Register(_))), "at {second}");
    }
    let effects = life.step(Input::Header(moment(400, 300)), 310_000);
    assert!(effects.contains(&Effect::Register(moment(400, 300))), "{effects:?}");
    // One at a time; a failure is tried again after a pause.
    assert!(!life.step(Input::Tick, 311_000).iter().any(|e| matches!(e, Effect::Register(_))));
    life.step(Input::RegistrationFailed, 312_000);
    assert!(life.step(Input::Tick, 313_001).iter().any(|e| matches!(e, Effect::Register(_))));
    life.step(Input::Registered(terms(303, 903, 410)), 314_000);
    assert_eq!(life.lease().unwrap().expires_at, GENESIS_S + 903);
    // A look from before the renewal changes nothing.
    life.step(Input::Registered(terms(0, 600, 3)), 315_000);
    assert_eq!(life.lease().unwrap().expires_at, GENESIS_S + 903);
}

#[test]
fn silence_stops_it_a_margin_before_the_end() {
    let mut life = serving();
    let before = life.step(Input::Tick, 10_000 + 539_999);
    assert!(!before.iter().any(|e| matches!(e, Effect::Stop(_))), "{before:?}");
    assert_eq!(life.step(Input::Tick, 10_000 + 540_000), vec![Effect::Stop(StopReason::LeaseEnd)]);
    assert_eq!(life.stage(), Stage::Stopped);
    assert!(life.step(Input::Header(moment(9_999, 541)), 552_000).is_empty());
    assert_eq!(life.stage(), Stage::Stopped);
}

#[test]
fn withheld_headers_cannot_turn_time_back() {
    let mut life = serving();
    // 539 s have passed; the host feeds a header of second 1 and hopes for time.
    life.step(Input::Header(moment(2, 1)), 10_000 + 539_000);
    assert_eq!(life.now_unix_s(10_000 + 539_000), Some(GENESIS_S + 539));
    assert_eq!(life.step(Input::Tick, 10_000 + 540_000), vec![Effect::Stop(StopReason::LeaseEnd)]);
}

#[test]
fn the_newest_header_never_goes_back() {
    let mut life = serving();
    life.step(Input::Header(moment(9, 4)), 11_000);
    life.step(Input::Header(moment(8, 3)), 11_500);
    assert_eq!(life.newest(), Some(moment(9, 4)));
}

#[test]
fn a_closed_registration_stops_it() {
    let mut life = serving();
    let effects = life.step(Input::Lost(StopReason::Closed), 12_000);
    assert_eq!(effects, vec![Effect::Stop(StopReason::Closed)]);
    assert_eq!(life.stopped(), Some(StopReason::Closed));
}

#[test]
fn short_leases_have_a_short_margin() {
    let mut life = Lifecycle::new();
    life.step(Input::Header(moment(1, 0)), 0);
    life.step(Input::Registered(terms(0, 20, 2)), 100);
    life.step(Input::KeysReady, 200);
    assert_eq!(life.stage(), Stage::Serving);
    assert_eq!(life.step(Input::Tick, 15_000), vec![Effect::Stop(StopReason::LeaseEnd)]);
}

#[test]
fn retries_wait_longer_each_time() {
    let mut life = Lifecycle::new();
    life.step(Input::Header(moment(1, 0)), 0);
    let mut at = 0;
    for pause in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
        assert!(life.step(Input::RegistrationFailed, at).is_empty());
        assert!(life.step(Input::Tick, at + pause - 1).is_empty());
        assert_eq!(life.step(Input::Tick, at + pause).len(), 1, "{pause}");
        at += pause;
    }
}

#[test]
fn a_clock_that_is_turned_back_makes_no_lease_longer() {
    let mut life = serving();
    let mut at_ms = 10_600;
    // It runs for 300 s, is turned back by an hour's worth of itself, and runs on while the host withholds headers.
    at_ms += 300_000;
    life.step(Input::Tick, at_ms);
    let now = life.now_unix_s(at_ms).unwrap();
    at_ms = 0;
    life.step(Input::Tick, at_ms);
    assert_eq!(life.now_unix_s(at_ms), Some(now));
    assert_eq!(life.clock_slips(), 1);
    let mut stopped_after_s = 0;
    for second in 1..=600 {
        if life.step(Input::Tick, at_ms + second * 1_000).contains(&Effect::Stop(StopReason::LeaseEnd)) {
            stopped_after_s = second;
            break;
        }
    }
    assert!(
        (235..=245).contains(&stopped_after_s),
        "600 s less 60 s of margin, less the 300 s before: {stopped_after_s}"
    );
}

#[test]
fn a_clock_that_jumps_ahead_ends_the_lease_and_one_held_back_is_noted() {
    let mut life = serving();
    assert!(life.step(Input::Tick, 10_600 + 3_600_000).contains(&Effect::Stop(StopReason::LeaseEnd)));
    // The own clock stands while the chain goes on: headers carry time forward, and it is noted.
    let mut life = serving();
    life.step(Input::Header(moment(2, 100)), 11_000);
    assert_eq!(life.clock_slips(), 1);
    assert_eq!(life.now_unix_s(11_000), Some(GENESIS_S + 100));
    life.step(Input::Header(moment(3, 101)), 12_000);
    assert_eq!(life.clock_slips(), 1);
}

#[test]
fn headers_below_what_the_disk_has_seen_count_for_nothing() {
    let mut life = Lifecycle::above(Some(moment(50, 500)));
    assert!(life.step(Input::Header(moment(49, 600)), 0).is_empty());
    assert!(life.step(Input::Header(moment(51, 499)), 0).is_empty());
    let other = BlockMoment { block_hash: Digest([9; 32]), ..moment(50, 500) };
    assert!(life.step(Input::Header(other), 0).is_empty());
    assert_eq!(life.stage(), Stage::WaitingForChain);
    assert_eq!(life.step(Input::Header(moment(50, 500)), 0), vec![Effect::Register(moment(50, 500))]);
    // Later headers go back neither in height nor in time.
    life.step(Input::Header(moment(60, 499)), 10);
    assert_eq!(life.newest(), Some(moment(50, 500)));
    life.step(Input::Header(moment(60, 500)), 10);
    assert_eq!(life.newest(), Some(moment(60, 500)));
}
