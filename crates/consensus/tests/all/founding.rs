//! Four founders on the deterministic runtime: real links, real storage, power cuts; then a chain on what they made.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::{
    common::Net,
    stage::{addresses, runner},
};
use commonware_runtime::{
    Clock as _, Runner as _, Supervisor as _,
    deterministic::{Context, Runner},
};
use freehold_consensus::{Founded, Founding, IdentityKey, Reach, found};
use freehold_primitives::{Blob, KeyCeremony};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

const LIMIT: Duration = Duration::from_secs(400);

/// Founders of the network whose chain `net` will run.
fn founders(net: &Net) -> Vec<Founding> {
    let mut draft = net.genesis.clone();
    draft.consensus_polynomial = Blob(vec![]);
    draft.derivation_polynomial = vec![];
    draft.key_ceremony = KeyCeremony::Distributed;
    let peers: Vec<_> = draft.validators.iter().copied().zip(net.addresses.iter().copied()).collect();
    let founding = |(index, identity): (usize, &IdentityKey)| Founding {
        identity: identity.clone(),
        draft: draft.clone(),
        listen: net.addresses[index],
        peers: peers.clone(),
        reach: Reach::Local,
        partition: format!("founder-{index}"),
        finished: None,
    };
    net.identities.iter().enumerate().map(founding).collect()
}

type Results = Arc<Mutex<Vec<Option<Founded>>>>;

/// Starts all founders whose result is missing or whose help is needed, and notes what they make.
async fn run_all(context: &Context, founders: &[Founding], results: &Results, limit: Duration) {
    let runs = founders.iter().enumerate().map(|(index, founding)| {
        let (context, results, mut founding) =
            (context.child("founder").with_attribute("index", index), Arc::clone(results), founding.clone());
        founding.finished = results.lock().unwrap()[index].clone();
        async move {
            let mut handle = found(&context, founding, |_| {}).unwrap();
            let founded = handle.founded().await.unwrap();
            results.lock().unwrap()[index] = Some(founded);
            handle.finished().await.unwrap();
        }
    });
    let all = futures::future::join_all(runs);
    let stop = context.sleep(limit);
    futures::pin_mut!(all, stop);
    futures::future::select(all, stop).await;
}

fn net(seed: u64) -> Net {
    Net::new(4, seed, addresses(4))
}

#[test]
fn chain_starts_on_what_four_founders_made_without_a_dealer() {
    let mut net = net(1);
    let founders = founders(&net);
    let results: Results = Arc::new(Mutex::new(vec![None; 4]));
    runner(1).start(async |context: Context| run_all(&context, &founders, &results, LIMIT / 2).await);
    let made: Vec<Founded> = results.lock().unwrap().iter().map(|made| made.clone().unwrap()).collect();
    assert!(made.iter().all(|founded| founded.genesis == made[0].genesis));
    net.adopt(&made);
    runner(2).start(async |context: Context| {
        let mut handles = Vec::new();
        for index in 0..4 {
            handles.push(net.start(&context, index).await);
        }
        net.reach(&context, &[0, 1, 2, 3], 10, LIMIT / 4).await;
    });
    net.check_order();
}

#[test]
fn power_cuts_of_all_founders_lose_nothing() {
    for seed in 0..3 {
        let net = net(seed);
        let founders = founders(&net);
        let results: Results = Arc::new(Mutex::new(vec![None; 4]));
        let mut rng = StdRng::seed_from_u64(seed);
        let mut current = runner(seed);
        for _ in 0..4 {
            let moment = Duration::from_millis(rng.random_range(50..900));
            let ((), checkpoint) = current.start_and_recover(async |context: Context| {
                run_all(&context, &founders, &results, moment).await;
            });
            current = Runner::from(checkpoint);
        }
        current.start(async |context: Context| run_all(&context, &founders, &results, LIMIT / 2).await);
        let made: Vec<Founded> = results.lock().unwrap().iter().map(|made| made.clone().unwrap()).collect();
        assert!(made.iter().all(|founded| founded.genesis == made[0].genesis), "seed {seed}");
        assert!(made.iter().all(|founded| founded.state_keys == made[0].state_keys), "seed {seed}");
    }
}
