//! `bench`: figures, with processor seconds beside wall time. A figure never decides anything.

mod apps;
mod attest;
mod counters;
mod evm;
mod finality;
mod infer;
mod key_release;
mod network;
mod network_sync;
mod registration;
mod start;
mod verify;

pub(crate) use apps::app;
pub(crate) use infer::engine;

use std::{fs, process::ExitCode, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{args::BenchCommand, output::Output};

/// Runs the command.
pub(crate) async fn run(command: BenchCommand, output: Output) -> Result<ExitCode> {
    if cfg!(debug_assertions) {
        output.warn("this is no release build: the figures say little");
    }
    match command {
        BenchCommand::Finality { count } => finality::run(count, output).await?,
        BenchCommand::Attest { count } => attest::run(count, output)?,
        BenchCommand::Verify { proof, network_key, count } => {
            verify::run(proof.zip(network_key), count, output).await?
        }
        BenchCommand::Infer { count, model, threads } => infer::run(count, model, threads, output).await?,
        BenchCommand::Evm { count, rounds, anvil, accounts } => {
            evm::run(evm::Plan { count, rounds, anvil, accounts }, output).await?;
        }
        BenchCommand::Network { validators, count, rounds, term_blocks, accounts, parts } => {
            network::run(network::Plan { validators, count, rounds, term_blocks, accounts, parts }, output).await?;
        }
        BenchCommand::Apps { count, container, process, parts, instances } => {
            apps::run(apps::Plan { count, container, process, parts, instances }, output).await?;
        }
        BenchCommand::Start { count } => start::run(count, output).await?,
        BenchCommand::Sync { rpc, network_key } => network_sync::run(&rpc, &network_key, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Measured times of one kind.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// The time below which this part of the samples lies, in milliseconds.
    pub(crate) fn quantile_ms(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        let index = (part * last as f64).round() as usize;
        sorted.get(index.min(last)).map_or(0.0, |sample| sample.as_secs_f64() * 1_000.0)
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "n": self.0.len(),
            "p50_ms": round(self.quantile_ms(0.5)),
            "p99_ms": round(self.quantile_ms(0.99)),
            "min_ms": round(self.quantile_ms(0.0)),
            "max_ms": round(self.quantile_ms(1.0)),
        })
    }
}

/// Three decimals are enough.
pub(crate) fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// Processor seconds of this process so far.
pub(crate) fn cpu_s() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Processor seconds of all processes below this one, but for the bare engine, which tells its own.
pub(crate) fn descendants_cpu_s() -> Result<f64> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").context("this benchmark needs /proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        // The name stands in parentheses and may hold anything; the parent is the second field behind it.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parents.extend(parent.map(|parent| (pid, parent)));
    }
    let mut family = vec![std::process::id()];
    let mut found = 0;
    while found < family.len() {
        let parent = family[found];
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        found += 1;
    }
    let mut total = 0.0;
    for pid in &family[1..] {
        let is_bare = fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.split(|b| *b == 0).any(|word| word == b"bench-engine"));
        if is_bare {
            continue;
        }
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for task in tasks.flatten() {
            let on_cpu = fs::read_to_string(task.path().join("schedstat")).ok();
            let on_cpu = on_cpu.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
            total += on_cpu.unwrap_or_default() / 1e9;
        }
    }
    Ok(total)
}
