//! Leases and counters against a chain in this process: one writer at a time, no value twice, and every attack of a host
//! that copies, restores, replays or withholds.

use std::{collections::BTreeSet, path::Path, time::Duration};

use freehold_guest::StopReason;
use freehold_rpc::{
    AcquireLease, DiskState, HttpError, IncrementCounter, IncrementedCounter, LocalClient, LocalErrorBody,
    LocalErrorCode,
};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{FakeHost, Misbehaviour};

const LEASE: &str = "db";

fn ask() -> IncrementCounter {
    IncrementCounter { lease: LEASE.to_owned(), counter: "commits".to_owned(), by: None }
}

fn acquire(length_s: u64) -> AcquireLease {
    AcquireLease { length_s: Some(length_s), wait_s: None }
}

/// Status and code of a refusal.
fn refused<T>(result: Result<T, HttpError>) -> (u16, LocalErrorCode) {
    match result.err().expect("it is refused") {
        HttpError::Refused { status, body, .. } => {
            let body: LocalErrorBody = serde_json::from_str(&body).unwrap();
            (status.as_u16(), body.error.code)
        }
        other => panic!("{other}"),
    }
}

/// So many increments at once.
async fn increments(local: &LocalClient, count: usize) -> Vec<IncrementedCounter> {
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let local = local.clone();
            tokio::spawn(async move { local.increment(&ask()).await.unwrap() })
        })
        .collect();
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await.unwrap());
    }
    done
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().flatten() {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn increments_are_grouped_and_no_value_is_given_twice() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    let local = host.local();
    assert_eq!(refused(local.increment(&ask()).await), (409, LocalErrorCode::LeaseLost));
    let lease = local.acquire_lease(LEASE, acquire(60)).await.unwrap();
    assert_eq!((lease.fence, lease.held, lease.disk.unwrap().state), (1, true, DiskState::Current));
    assert_eq!(lease.holder, Some(local.instance().await.unwrap().instance_id));
    for name in ["a b", "x".repeat(65).as_str()] {
        let bad = IncrementCounter { counter: name.to_owned(), ..ask() };
        assert_eq!(refused(local.increment(&bad).await), (400, LocalErrorCode::InvalidRequest));
    }
    for by in [0, (1 << 32) + 1] {
        let bad = IncrementCounter { by: Some(by), ..ask() };
        assert_eq!(refused(local.increment(&bad).await), (400, LocalErrorCode::InvalidRequest));
    }
    assert_eq!(local.increment(&ask()).await.unwrap().value, 1);
    for concurrent in [1, 16, 256] {
        let (before, begun) = (host.chain.counter(LEASE, "commits"), std::time::Instant::now());
        let mut took = Vec::new();
        let mut seen = BTreeSet::new();
        while begun.elapsed() < Duration::from_secs(2) {
            let one = std::time::Instant::now();
            let done = increments(&local, concurrent).await;
            took.push(one.elapsed());
            assert!(done.iter().all(|one| one.fence == 1 && seen.insert(one.value)), "no value comes twice");
        }
        let after = host.chain.counter(LEASE, "commits");
        assert_eq!(after.0 - before.0, seen.len() as u64);
        assert_eq!(seen.last(), Some(&after.0));
        took.sort();
        println!(
            "{concurrent} at once: {} increments in {} batches, {:.0} a second, p50 {} ms",
            seen.len(),
            after.1 - before.1,
            seen.len() as f64 / begun.elapsed().as_secs_f64(),
            took[took.len() / 2].as_millis()
        );
        if concurrent > 1 {
            assert!(after.1 - before.1 < seen.len() as u64 / 2, "they share batches");
        }
    }
    let counters = local.counters(LEASE).await.unwrap();
    assert_eq!(counters.values["commits"], host.chain.counter(LEASE, "commits").0);
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_stumbles_loses_and_doubles_nothing() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    let local = host.local();
    local.acquire_lease(LEASE, acquire(60)).await.unwrap();
    host.chain.set(|chain| chain.no_anchors = true);
    let under_way = tokio::spawn({
        let local = local.clone();
        async move { increments(&local, 8).await }
    });
    sleep(Duration::from_millis(700)).await;
    assert_eq!(host.chain.counter(LEASE, "commits").0, 0);
    host.chain.set(|chain| chain.no_anchors = false);
    let values: BTreeSet<u64> = under_way.await.unwrap().iter().map(|one| one.value).collect();
    assert_eq!(values, (1..=8).collect());
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_disk_is_refused_until_the_app_has_caught_up() {
    let host = FakeHost::new(Misbehaviour::default());
    let image = tempfile::tempdir().unwrap();
    let guest = host.guest();
    host.serving().await;
    let local = host.local();
    local.acquire_lease(LEASE, acquire(60)).await.unwrap();
    for value in 1..=2 {
        assert_eq!(local.increment(&ask()).await.unwrap().value, value);
    }
    copy(&host.state_dir(), image.path());
    for value in 3..=4 {
        assert_eq!(local.increment(&ask()).await.unwrap().value, value);
    }
    // An honest restart: the disk as it was left is current, and the count goes on.
    guest.abort();
    let _ = guest.await;
    host.chain.close_all();
    let guest = host.guest();
    host.serving().await;
    let lease = local.acquire_lease(LEASE, acquire(60)).await.unwrap();
    assert_eq!((lease.fence, lease.disk.unwrap().state), (2, DiskState::Current));
    assert_eq!(local.increment(&ask()).await.unwrap().value, 5);
    // The host puts the old image back.
    guest.abort();
    let _ = guest.await;
    host.chain.close_all();
    copy(image.path(), &host.state_dir());
    let guest = host.guest();
    host.serving().await;
    let lease = local.acquire_lease(LEASE, acquire(60)).await.unwrap();
    let disk = lease.disk.unwrap();
    assert_eq!((disk.state, disk.chain_sequence), (DiskState::Behind, 5));
    assert!(disk.disk_sequence < 5, "{disk:?}");
    assert_eq!(refused(local.increment(&ask()).await), (409, LocalErrorCode::DiskBehind));
    assert_eq!(refused(local.adopt_counters(LEASE, 4).await), (409, LocalErrorCode::DiskBehind));
    assert_eq!(host.chain.counter(LEASE, "commits").0, 5);
    // The way out: the app brings the newest data, and says which they are.
    let lease = local.adopt_counters(LEASE, 5).await.unwrap();
    assert_eq!(lease.disk.unwrap().state, DiskState::Current);
    assert_eq!(local.increment(&ask()).await.unwrap().value, 6);
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_copies_of_a_disk_one_writes() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    let (first, id) = (host.local(), host.local().instance().await.unwrap().instance_id);
    first.acquire_lease(LEASE, acquire(60)).await.unwrap();
    first.increment(&ask()).await.unwrap();
    // The same disk on another machine, at the same time.
    let clone = FakeHost::on(host.chain.clone());
    copy(&host.state_dir(), &clone.state_dir());
    let twin = clone.guest();
    clone.serving().await;
    let second = clone.local();
    assert_eq!(refused(second.acquire_lease(LEASE, acquire(60)).await), (409, LocalErrorCode::LeaseHeld));
    assert_eq!(refused(second.increment(&ask()).await), (409, LocalErrorCode::LeaseLost));
    let seen = second.lease(LEASE).await.unwrap();
    assert_eq!((seen.holder, seen.held, seen.fence), (Some(id), false, 1));
    // The first one's host is gone; the other waits for the lease and takes it under the next fence.
    let waiting = tokio::spawn({
        let second = second.clone();
        async move { second.acquire_lease(LEASE, AcquireLease { length_s: Some(60), wait_s: Some(20) }).await }
    });
    sleep(Duration::from_millis(300)).await;
    host.chain.close(|instance| *instance == id);
    let lease = waiting.await.unwrap().unwrap();
    assert_eq!((lease.fence, lease.disk.unwrap().state), (2, DiskState::Current));
    assert_eq!(second.increment(&ask()).await.unwrap().value, 2);
    // The first one, if it still ran, writes nothing, and stops as soon as it looks.
    assert!(first.increment(&ask()).await.is_err());
    assert_eq!(host.chain.counter(LEASE, "commits").0, 2);
    let reason = timeout(Duration::from_secs(20), guest).await.unwrap().unwrap().unwrap();
    assert_eq!(reason, StopReason::Closed);
    // Let go, it is free at once.
    assert!(!second.release_lease(LEASE).await.unwrap().held);
    assert_eq!(refused(second.increment(&ask()).await), (409, LocalErrorCode::LeaseLost));
    twin.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_running_memory_stops_when_it_shows() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    let local = host.local();
    local.acquire_lease(LEASE, acquire(60)).await.unwrap();
    assert_eq!(local.increment(&ask()).await.unwrap().value, 1);
    // The copy has the same keys, instance and fence, and was first with the next batch.
    host.chain.raise_as_copy(LEASE, "commits");
    assert!(local.increment(&ask()).await.is_err(), "its value is the copy's");
    let reason = timeout(Duration::from_secs(10), guest).await.unwrap().unwrap().unwrap();
    assert_eq!(reason, StopReason::Copied);
    assert_eq!(host.chain.counter(LEASE, "commits").0, 2);

    // Without counters it shows at the next renewal.
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    host.chain.renew_as_copies();
    let reason = timeout(Duration::from_secs(20), guest).await.unwrap().unwrap().unwrap();
    assert_eq!(reason, StopReason::Copied);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_chain_counts_for_nothing() {
    let host = FakeHost::new(Misbehaviour::default());
    let old = host.chain.height();
    let guest = host.guest();
    host.serving().await;
    sleep(Duration::from_secs(6)).await;
    guest.abort();
    let _ = guest.await;
    // The same certified headers as long ago, to the next boot.
    host.chain.set(|chain| chain.replay = Some(old));
    let registrations = host.chain.registrations();
    let guest = host.guest();
    let health = host.wait(Duration::from_secs(10), |health| health.reason.is_some()).await;
    assert_eq!(health.stage, "waiting-for-chain");
    assert!(health.reason.unwrap().contains("this disk has seen"));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(host.chain.registrations(), registrations);
    host.chain.set(|chain| chain.replay = None);
    host.serving().await;
    guest.abort();
    let _ = guest.await;
    // A damaged memory is named and not guessed at.
    std::fs::write(host.state_dir().join("seen"), b"nothing").unwrap();
    let error = freehold_guest::run(host.config(), std::future::pending()).await.unwrap_err();
    assert!(matches!(error, freehold_guest::GuestError::Seen(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_renewed_and_withheld_headers_end_them() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    let local = host.local();
    let first = local.acquire_lease(LEASE, acquire(10)).await.unwrap();
    let end = Instant::now() + Duration::from_secs(15);
    loop {
        let lease = local.lease(LEASE).await.unwrap();
        if lease.expires_at > first.expires_at {
            assert_eq!((lease.fence, lease.held), (1, true), "a renewal keeps the fence");
            break;
        }
        assert!(Instant::now() < end, "not renewed: {lease:?}");
        sleep(Duration::from_millis(200)).await;
    }
    local.increment(&ask()).await.unwrap();
    // From here on no new header comes: 10 s less the margin of a quarter, whatever the wall clock says.
    host.chain.set(|chain| chain.silent = true);
    let silent = Instant::now();
    while local.lease(LEASE).await.unwrap().held {
        assert!(silent.elapsed() < Duration::from_secs(11), "held past its end");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(refused(local.increment(&ask()).await), (409, LocalErrorCode::LeaseLost));
    guest.abort();
}
