//! A network of processes on the loopback: finality and blocks a second, recovery after `kill -9` of the validator whose turn
//! it is, of as many as may fail, and of all, and what a change of terms costs. Every validator is a `freehold node`.

mod processes;
mod recovery;
mod simulated;
mod turns;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use freehold_rpc::NodeClient;
use rand::RngExt as _;
use serde_json::json;

use self::processes::Processes;
use super::{Samples, counters, evm, finality, key_release, round};
use crate::{args::NetworkPart, data_dir::Held, output::Output};

/// Chain id of the benchmark's networks.
const CHAIN_ID: u64 = 23_292;
/// How long blocks are counted.
const COUNTED: Duration = Duration::from_secs(10);
/// Aims: submit to receipt p50, next block after a kill, serving again after all were killed; in milliseconds.
const RECEIPT_AIM_MS: f64 = 60.0;
const KILL_AIM_MS: f64 = 1_500.0;
/// Aim of a key release, p50.
pub(super) const KEY_AIM_MS: f64 = 100.0;
const ALL_AIM_MS: f64 = 10_000.0;
/// Increments of each committer in the part `counters`.
const COUNTER_ROUNDS: u32 = 20;

/// What is measured.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Validators: 4 and more.
    pub(crate) validators: u32,
    /// Transactions of a figure.
    pub(crate) count: u32,
    /// Kills of a figure.
    pub(crate) rounds: u32,
    /// Payloads of a term in the part `turns`.
    pub(crate) term_blocks: u64,
    /// Accounts up to which state grows in the part `growth`.
    pub(crate) accounts: u64,
    /// Parts; all where empty.
    pub(crate) parts: Vec<NetworkPart>,
}

impl Plan {
    fn has(&self, part: NetworkPart) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }
}

/// Runs the benchmark.
pub(crate) async fn run(plan: Plan, output: Output) -> Result<()> {
    if plan.has(NetworkPart::Finality) || plan.has(NetworkPart::Recovery) {
        let folder = tempfile::tempdir().context("no temporary directory")?;
        let held = Held::take(folder.path())?;
        let mut network = Processes::make(held.path(), plan.validators, 0)?;
        network.start_all().await?;
        let mut nonce = 0;
        if plan.has(NetworkPart::Finality) {
            finality(&network, &plan, &mut nonce, output).await?;
        }
        if plan.has(NetworkPart::Recovery) {
            recovery::run(&mut network, &plan, output).await?;
        }
        network.stop();
    }
    if plan.has(NetworkPart::Simulated) {
        simulated::run(output).await?;
    }
    if plan.has(NetworkPart::Turns) {
        turns::run(&plan, output).await?;
    }
    if plan.has(NetworkPart::Keys) {
        key_release::run(plan.count, output).await?;
    }
    if plan.has(NetworkPart::Counters) {
        counters::run(COUNTER_ROUNDS, output).await?;
    }
    if plan.has(NetworkPart::Growth) {
        let growth = evm::Plan { count: 0, rounds: 1, anvil: None, accounts: Some(plan.accounts) };
        evm::run(growth, output).await?;
    }
    Ok(())
}

/// Submit to receipt with pauses and without, and blocks a second under that load and idle.
async fn finality(network: &Processes, plan: &Plan, nonce: &mut u64, output: Output) -> Result<()> {
    let node = network.client(0)?;
    for paused in [true, false] {
        let (mut samples, before, begun) = (Samples::default(), network.height(0).await?, Instant::now());
        for _ in 0..plan.count {
            if paused {
                let wait = rand::rng().random_range(300..1_300);
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            samples.push(submit(&node, nonce).await?);
        }
        let rate = (network.height(0).await? - before) as f64 / begun.elapsed().as_secs_f64();
        let name = if paused { "pause of 300 to 1,300 ms" } else { "no pause" };
        let p50 = samples.quantile_ms(0.5);
        output.text(&format!(
            "{} processes, {name}: submit to receipt p50 {p50:.1} ms, p99 {:.1} ms (n={}), {rate:.1} blocks/s{}",
            plan.validators,
            samples.quantile_ms(0.99),
            plan.count,
            missed(p50, RECEIPT_AIM_MS),
        ));
        output.object(&json!({
            "event": "bench", "bench": "network", "part": "finality", "validators": plan.validators, "pause": paused,
            "submit_to_receipt": samples.json(), "blocks_per_s": round(rate),
        }));
    }
    let before = network.height(0).await?;
    tokio::time::sleep(COUNTED).await;
    let idle = (network.height(0).await? - before) as f64 / COUNTED.as_secs_f64();
    let (memory, disk) = (network.memory_bytes(), network.disk_bytes());
    output.text(&format!(
        "idle: {idle:.2} blocks/s; memory {:.0} MB and disk {:.1} MB for each of {}",
        memory as f64 / 1e6,
        disk as f64 / 1e6,
        plan.validators
    ));
    output.object(&json!({
        "event": "bench", "bench": "network", "part": "idle", "validators": plan.validators,
        "blocks_per_s": round(idle), "memory_bytes": memory, "disk_bytes": disk,
    }));
    Ok(())
}

async fn submit(node: &NodeClient, nonce: &mut u64) -> Result<Duration> {
    let raw = finality::transfer(*nonce)?;
    *nonce += 1;
    let sent = Instant::now();
    let hash = node.send_raw_transaction(raw).await?;
    finality::await_receipt(node, &hash).await?;
    Ok(sent.elapsed())
}

/// What is said behind a figure that misses its aim.
pub(super) fn missed(found_ms: f64, aim_ms: f64) -> String {
    if found_ms <= aim_ms { String::new() } else { format!(" (MISSES the aim of {aim_ms:.0} ms)") }
}
