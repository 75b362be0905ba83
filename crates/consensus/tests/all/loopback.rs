//! Validators on real TCP over the loopback, in one runtime of the machine.
#![allow(clippy::unwrap_used)]

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use crate::common::{Net, median};
use commonware_runtime::{Clock as _, Runner as _, tokio};
use freehold_consensus::{GossipError, Timers, ValidatorHandle};

const LIMIT: Duration = Duration::from_secs(60);

/// Runs `test` in a runtime that keeps its storage in `directory`.
fn run<T>(directory: &std::path::Path, test: impl AsyncFnOnce(tokio::Context) -> T) -> T {
    let settings =
        tokio::Config::new().with_worker_threads(2).with_storage_directory(directory).with_tcp_nodelay(Some(true));
    tokio::Runner::new(settings).start(|context| test(context))
}

async fn start_all(net: &Net, context: &tokio::Context, who: &[usize]) -> Vec<ValidatorHandle> {
    let mut handles = Vec::new();
    for index in who {
        handles.push(net.start(context, *index).await);
    }
    handles
}

#[test]
fn one_validator() {
    let (net, directory) = (Net::loopback(1, 1), tempfile::tempdir().unwrap());
    run(directory.path(), async |context| {
        let mut handles = start_all(&net, &context, &[0]).await;
        net.reach(&context, &[0], 50, LIMIT).await;
        handles.pop().unwrap().stop().await;
    });
    net.check_order();
    let seen = net.seen[0].lock().unwrap();
    assert!(seen.finals.values().all(|last| last.seed.is_some()));
}

#[test]
fn four_agree_and_print_latency() {
    let (net, directory) = (Net::loopback(4, 2), tempfile::tempdir().unwrap());
    for knobs in &net.knobs {
        knobs.bytes.store(1_024, Ordering::Relaxed);
    }
    let began = Instant::now();
    run(directory.path(), async |context| {
        let _handles = start_all(&net, &context, &[0, 1, 2, 3]).await;
        net.reach(&context, &[0, 1, 2, 3], 1, LIMIT).await;
        println!("first payload final after {:?}", began.elapsed());
        net.reach(&context, &[0, 1, 2, 3], 100, LIMIT).await;
    });
    net.check_order();
    let mut seen = net.seen[0].lock().unwrap();
    println!("first payload in view {}", seen.finals[&1].payload.head.view);
    println!("4 validators, 1 KiB: proposed to final and delivered p50 {:.1} ms", median(&mut seen.latencies));
    let (with, all) = (seen.finals.values().filter(|last| last.seed.is_some()).count(), seen.finals.len());
    assert!(with * 10 >= all * 9, "only {with} of {all} payloads came with their seed");
    assert!(seen.certificates.len() * 10 >= all * 9);
}

/// Proposals that come `pace_ms` after their parent keep their views under `timers`.
fn check_pace(pace_ms: u64, timers: Timers, last: u64) {
    let (mut net, directory) = (Net::loopback(4, 3), tempfile::tempdir().unwrap());
    net.timers = timers;
    for knobs in &net.knobs {
        knobs.pace_ms.store(pace_ms, Ordering::Relaxed);
    }
    run(directory.path(), async |context| {
        let _handles = start_all(&net, &context, &[0, 1, 2, 3]).await;
        net.reach(&context, &[0, 1, 2, 3], last, LIMIT).await;
    });
    net.check_order();
    let seen = net.seen[0].lock().unwrap();
    let view = |height: u64| seen.finals[&height].payload.head.view;
    assert_eq!(view(last) - view(2), last - 2, "views were lost although every proposal came in time");
}

#[test]
fn paced_proposals_lose_no_view() {
    check_pace(250, crate::common::quick_timers(), 12);
}

#[test]
fn heartbeat_loses_no_view() {
    check_pace(1_000, Timers::default(), 6);
}

#[test]
fn three_of_four_continue() {
    let (net, directory) = (Net::loopback(4, 4), tempfile::tempdir().unwrap());
    run(directory.path(), async |context| {
        let _handles = start_all(&net, &context, &[0, 1, 2]).await;
        net.reach(&context, &[0, 1, 2], 25, LIMIT).await;
    });
    net.check_order();
    assert_eq!(net.height(3), 0);
}

#[test]
fn late_validator_catches_up() {
    let (net, directory) = (Net::loopback(4, 5), tempfile::tempdir().unwrap());
    run(directory.path(), async |context| {
        let mut handles = start_all(&net, &context, &[0, 1, 2]).await;
        net.reach(&context, &[0, 1, 2], 20, LIMIT).await;
        handles.push(net.start(&context, 3).await);
        let target = net.height(0) + 10;
        net.reach(&context, &[0, 1, 2, 3], target, LIMIT).await;
    });
    net.check_order();
}

#[test]
fn silent_proposer_costs_views_only() {
    let (net, directory) = (Net::loopback(4, 6), tempfile::tempdir().unwrap());
    net.knobs[2].silent.store(true, Ordering::Relaxed);
    run(directory.path(), async |context| {
        let _handles = start_all(&net, &context, &[0, 1, 2, 3]).await;
        net.reach(&context, &[0, 1, 2, 3], 30, LIMIT).await;
    });
    net.check_order();
    let seen = net.seen[0].lock().unwrap();
    assert!(seen.finals.values().all(|last| last.payload.head.proposer != 2));
}

#[test]
fn two_refusers_stop_the_chain() {
    let (net, directory) = (Net::loopback(4, 7), tempfile::tempdir().unwrap());
    run(directory.path(), async |context| {
        let _handles = start_all(&net, &context, &[0, 1, 2, 3]).await;
        net.reach(&context, &[0, 1, 2, 3], 5, LIMIT).await;
        for knobs in &net.knobs[..2] {
            // A proposer votes for its own payload, so the two must not propose either.
            knobs.silent.store(true, Ordering::Relaxed);
            knobs.refuses.store(true, Ordering::Relaxed);
        }
        context.sleep(Duration::from_secs(2)).await;
        let height = net.height(2);
        context.sleep(Duration::from_secs(2)).await;
        assert_eq!(net.height(2), height, "a payload became final that two of four refuse");
    });
    net.check_order();
}

#[test]
fn runtime_that_ends_abruptly_resumes() {
    let (net, directory) = (Net::loopback(4, 8), tempfile::tempdir().unwrap());
    let mut target = 0;
    for _ in 0..3 {
        target += 15;
        run(directory.path(), async |context| {
            let handles = start_all(&net, &context, &[0, 1, 2, 3]).await;
            net.reach(&context, &[0, 1], target, LIMIT).await;
            // The runtime ends with everything in flight.
            std::mem::forget(handles);
        });
        net.check_order();
        target = (0..4).map(|index| net.height(index)).max().unwrap();
    }
    for seen in &net.seen {
        let seen = seen.lock().unwrap();
        // A run begins at most one past what was delivered, and then goes on without gaps.
        for pair in seen.deliveries.windows(2) {
            assert!(pair[1] <= pair[0] + 1, "a height was skipped: {pair:?}");
        }
    }
}

#[test]
fn gossip_reaches_peers() {
    let (net, directory) = (Net::loopback(4, 9), tempfile::tempdir().unwrap());
    run(directory.path(), async |context| {
        let mut handles = start_all(&net, &context, &[0, 1, 2, 3]).await;
        net.reach(&context, &[0, 1, 2, 3], 2, LIMIT).await;
        let mut gossip: Vec<_> = handles.iter_mut().map(ValidatorHandle::take_gossip).collect();
        let too_long = gossip[0][0].sender.broadcast(vec![0; 1_025]);
        assert_eq!(too_long, Err(GossipError::TooLong { length: 1_025, bound: 1_024 }));

        gossip[0][0].sender.broadcast(b"to all".to_vec()).unwrap();
        for peers in &mut gossip[1..] {
            let (peer, message) = peers[0].receiver.recv().await.unwrap();
            assert_eq!((peer, &message[..]), (net.genesis.validators[0], &b"to all"[..]));
        }
        gossip[3][1].sender.send(&net.genesis.validators[1], b"to one".to_vec()).unwrap();
        let (peer, message) = gossip[1][1].receiver.recv().await.unwrap();
        assert_eq!((peer, &message[..]), (net.genesis.validators[3], &b"to one"[..]));

        for handle in handles {
            handle.stop().await;
        }
        context.sleep(Duration::from_millis(100)).await;
        assert_eq!(gossip[1][0].sender.broadcast(b"late".to_vec()), Err(GossipError::Closed));
        assert!(gossip[1][0].receiver.recv().await.is_none());
    });
}
