//! A network from one seed: four validators on the deterministic runtime, with its clock, network and storage, killed
//! and started again at moments that the seed chooses. Storage that was not synced is lost at every crash of the
//! whole network, as it is when a machine loses power.
//!
//! `FREEHOLD_SEED=<n>` runs one seed again; a failure prints its seed.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::{
    net::{Ipv4Addr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::atomic::Ordering,
    time::{Duration, UNIX_EPOCH},
};

use common::Net;
use commonware_runtime::{
    Clock as _, Runner as _,
    deterministic::{Config, Context, Runner},
};
use freehold_consensus::ValidatorHandle;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

const COUNT: usize = 4;
const LIMIT: Duration = Duration::from_secs(120);
const START: Duration = Duration::from_secs(1_800_000_000);

fn network(seed: u64) -> Net {
    let address = |index| SocketAddr::from((Ipv4Addr::LOCALHOST, 20_000 + index));
    Net::new(COUNT, seed, (0..COUNT as u16).map(address).collect())
}

fn runner(seed: u64) -> Runner {
    Runner::new(Config::new().with_seed(seed).with_start_time(UNIX_EPOCH + START).with_timeout(Some(LIMIT * 4)))
}

/// Runs `test` for some seeds, or for the one that the environment names.
fn seeds(count: u64, test: impl Fn(u64)) {
    let one = std::env::var("FREEHOLD_SEED").ok().map(|text| text.parse::<u64>().unwrap());
    for seed in one.map_or(0..count, |seed| seed..seed + 1) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(seed))) {
            eprintln!("failed with FREEHOLD_SEED={seed}");
            resume_unwind(panic);
        }
    }
}

async fn start_all(net: &Net, context: &Context) -> Vec<Option<ValidatorHandle>> {
    let mut handles = Vec::new();
    for index in 0..COUNT {
        handles.push(Some(net.start(context, index).await));
    }
    handles
}

/// Order of one run, for comparison.
fn order(net: &Net) -> Vec<(u64, String)> {
    let seen = net.seen[0].lock().unwrap();
    seen.finals.iter().map(|(height, last)| (*height, last.digest.to_string())).collect()
}

#[test]
fn one_seed_gives_one_history() {
    let history = || {
        let net = network(11);
        runner(11).start(async |context: Context| {
            let _handles = start_all(&net, &context).await;
            net.reach(&context, &[0, 1, 2, 3], 10, LIMIT).await;
        });
        net.check_order();
        order(&net)
    };
    assert_eq!(history(), history());
}

#[test]
fn killed_validators_come_back() {
    seeds(4, |seed| {
        let mut net = network(seed);
        let mut rng = StdRng::seed_from_u64(seed);
        let net = runner(seed).start(async move |context: Context| {
            let mut handles = start_all(&net, &context).await;
            for _ in 0..4 {
                context.sleep(Duration::from_millis(rng.random_range(50..1_500))).await;
                let victim = rng.random_range(0..COUNT);
                handles[victim].take().unwrap().stop().await;
                context.sleep(Duration::from_millis(rng.random_range(0..1_500))).await;
                // The simulated network never frees an address, so it comes back on another and dials the others.
                let port = net.addresses[victim].port() + 100;
                net.addresses[victim].set_port(port);
                handles[victim] = Some(net.start(&context, victim).await);
            }
            let target = (0..COUNT).map(|index| net.height(index)).max().unwrap() + 10;
            net.reach(&context, &[0, 1, 2, 3], target, LIMIT).await;
            net
        });
        net.check_order();
    });
}

#[test]
fn power_cuts_lose_nothing_final() {
    seeds(3, |seed| {
        let net = network(seed);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut current = runner(seed);
        for _ in 0..4 {
            let moment = Duration::from_millis(rng.random_range(300..3_000));
            let ((), checkpoint) = current.start_and_recover(async |context: Context| {
                let handles = start_all(&net, &context).await;
                context.sleep(moment).await;
                std::mem::forget(handles);
            });
            net.check_order();
            current = Runner::from(checkpoint);
        }
        let before = (0..COUNT).map(|index| net.height(index)).max().unwrap();
        current.start(async |context: Context| {
            let _handles = start_all(&net, &context).await;
            net.reach(&context, &[0, 1, 2, 3], before + 10, LIMIT).await;
        });
        net.check_order();
    });
}

#[test]
fn silent_and_refusing_minority_changes_no_order() {
    seeds(2, |seed| {
        let net = network(seed);
        let fault = usize::try_from(seed).unwrap() % COUNT;
        net.knobs[fault].silent.store(true, Ordering::Relaxed);
        net.knobs[fault].refuses.store(true, Ordering::Relaxed);
        runner(seed).start(async |context: Context| {
            let _handles = start_all(&net, &context).await;
            net.reach(&context, &[0, 1, 2, 3], 20, LIMIT).await;
        });
        net.check_order();
    });
}
