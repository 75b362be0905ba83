//! `bench`: figures, with processor seconds beside wall time. A figure never decides anything.

mod attest;
mod finality;
mod infer;
mod start;
mod verify;

pub(crate) use infer::engine;

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
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
        BenchCommand::Start { count } => start::run(count, output).await?,
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
