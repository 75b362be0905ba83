//! Counters on a network of four validators over loopback, through the guest's local API: increments a second and the
//! time until a value stands under a certificate, with 1, 16 and 256 committers at once.
//!
//! What is counted: the local API, the sealed record on disk, the batch's transaction, the certificate over it and its proof.
//! What is not: the registration, and the taking of the lease.

use std::{
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use freehold_host::{
    AppOwner, AppProgram, EmulatedTee, GuestProgram, Host, HostConfig, IsolationChoice, Payer, PolicyChoice,
    VendorSources,
};
use freehold_rpc::{AcquireLease, IncrementCounter, LocalClient, NodeClient};
use serde_json::json;
use tokio::{sync::mpsc, task::JoinSet};

use super::{Samples, round};
use crate::{
    accounts,
    data_dir::Held,
    network::Wanted,
    output::Output,
    stack::{Stack, StackConfig},
};

const CHAIN_ID: u64 = 23_290;
const VALIDATORS: u32 = 4;
const COMMITTERS: [u32; 3] = [1, 16, 256];
const LEASE: &str = "bench";
const COUNTER: &str = "commits";
const SERVING_WAIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
const ALLOWANCE_WEI: u128 = 1_000_000_000_000_000_000;

/// Runs a network and an instance of its own and prints the figures of `count` rounds for each number of committers.
pub(crate) async fn run(count: u32, output: Output) -> Result<()> {
    let folder = tempfile::tempdir().context("no temporary directory")?;
    let held = Held::take(folder.path())?;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = StackConfig { wanted: Wanted::development(CHAIN_ID, VALIDATORS), rpc: any, app: None };
    let stack = Stack::start(&held, config, output).await?;
    let (events, _heard) = mpsc::unbounded_channel();
    let measured = async {
        let host = Host::start(host_config(&stack, &held, any).await?, events).await?;
        let measured = measure(&LocalClient::new(host.local_api().clone()), count, output).await;
        host.stop().await;
        measured
    }
    .await;
    stack.stop().await;
    measured
}

/// A host whose app does nothing: the benchmark itself speaks to the guest in its place.
async fn host_config(stack: &Stack, held: &Held, api: SocketAddr) -> Result<HostConfig> {
    let genesis = NodeClient::new(stack.endpoints.rpc.parse()?).genesis().await?;
    let executable = std::env::current_exe().context("this program's own file cannot be found")?;
    let (pay, chain_id) = (NodeClient::new(stack.endpoints.rpc.parse()?), genesis.chain_id);
    Ok(HostConfig {
        node: stack.endpoints.rpc.parse()?,
        network_key: stack.endpoints.network_key,
        lease_s: genesis.lease_s,
        genesis,
        data_dir: held.path().join("host"),
        runtime_dir: None,
        owner: AppOwner::Own(Payer::new(pay.clone(), accounts::operator(accounts::APP_OWNER)?, chain_id)),
        provider: Payer::new(pay, accounts::operator(accounts::PROVIDER)?, chain_id),
        tee: EmulatedTee::Tdx,
        vendors: VendorSources::default(),
        guest: GuestProgram { executable, arguments: vec!["guest".to_owned()] },
        app: AppProgram {
            executable: PathBuf::from("/bin/sleep"),
            arguments: vec!["100000".to_owned()],
            environment: Vec::new(),
            model: None,
            isolation: IsolationChoice::None,
            bundle: None,
        }
        .into(),
        policy: PolicyChoice::Follow,
        ingress: None,
        api,
        allowance_wei: ALLOWANCE_WEI,
    })
}

async fn measure(local: &LocalClient, count: u32, output: Output) -> Result<()> {
    let end = Instant::now() + SERVING_WAIT;
    while !local.health().await.is_ok_and(|health| health.ready) {
        ensure!(Instant::now() < end, "the guest does not serve");
        tokio::time::sleep(POLL).await;
    }
    local.acquire_lease(LEASE, AcquireLease { length_s: Some(600), wait_s: None }).await?;
    for committers in COMMITTERS {
        let (mut samples, begun, before) = (Samples::default(), Instant::now(), local.counters(LEASE).await?.sequence);
        let mut tasks = JoinSet::new();
        for _ in 0..committers {
            tasks.spawn(commit(local.clone(), count));
        }
        let mut values = Vec::new();
        while let Some(done) = tasks.join_next().await {
            for (value, took) in done?? {
                values.push(value);
                samples.push(took);
            }
        }
        let wall_s = begun.elapsed().as_secs_f64();
        let batches = local.counters(LEASE).await?.sequence - before;
        values.sort_unstable();
        values.dedup();
        ensure!(values.len() as u64 == u64::from(count) * u64::from(committers), "a value was given twice");
        tell(committers, (values.len() as f64 / wall_s, batches), &samples, output);
    }
    Ok(())
}

/// One committer: one increment after another.
async fn commit(local: LocalClient, count: u32) -> Result<Vec<(u64, Duration)>> {
    let ask = IncrementCounter { lease: LEASE.to_owned(), counter: COUNTER.to_owned(), by: None };
    let mut done = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        done.push((local.increment(&ask).await?.value, begun.elapsed()));
    }
    Ok(done)
}

fn tell(committers: u32, (rate, batches): (f64, u64), samples: &Samples, output: Output) {
    output.text(&format!(
        "{VALIDATORS} validators, {committers} committers: {rate:.0} increments/s in {batches} batches, p50 {:.0} ms, \
         p99 {:.0} ms",
        samples.quantile_ms(0.5),
        samples.quantile_ms(0.99),
    ));
    output.object(&json!({
        "event": "bench",
        "bench": "counters",
        "validators": VALIDATORS,
        "committers": committers,
        "increments_per_s": round(rate),
        "batches": batches,
        "increment": samples.json(),
    }));
}
