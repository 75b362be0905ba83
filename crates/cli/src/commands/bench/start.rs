//! Cold start: from nothing to ready, and to the first token of a verified answer, with the model on disk.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use freehold_client::{AskEvent, AskOptions, Asker, Message};
use serde_json::json;

use super::{Samples, cpu_s, descendants_cpu_s, round};
use crate::{
    data_dir::Held,
    model,
    network::Wanted,
    output::Output,
    stack::{AppChoice, Stack, StackConfig},
};

const CHAIN_ID: u64 = 23_292;

/// Runs the benchmark.
pub(crate) async fn run(count: u32, output: Output) -> Result<()> {
    // The download is not what is measured.
    let _here = model::bring(None, output).await?;
    let (mut ready, mut first, mut cpu) = (Samples::default(), Samples::default(), 0.0);
    for _ in 0..count {
        let run = once(output).await?;
        ready.push(run.ready);
        first.push(run.first);
        cpu += run.cpu_s / f64::from(count.max(1));
    }
    output.text(&format!(
        "cold start: ready p50 {:.2} s, first token p50 {:.2} s (n={count}; {cpu:.2} s CPU each, of all processes)",
        ready.quantile_ms(0.5) / 1_000.0,
        first.quantile_ms(0.5) / 1_000.0,
    ));
    output.object(&json!({
        "event": "bench",
        "bench": "start",
        "ready": ready.json(),
        "first_token": first.json(),
        "cpu_s": round(cpu),
    }));
    Ok(())
}

/// One start.
struct Run {
    ready: Duration,
    first: Duration,
    /// Processor seconds to the end of the first answer: of this process, the guest and the app.
    cpu_s: f64,
}

async fn once(output: Output) -> Result<Run> {
    let folder = tempfile::tempdir().context("no temporary directory")?;
    let held = Held::take(folder.path())?;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = StackConfig {
        wanted: Wanted::development(CHAIN_ID, 4),
        rpc: any,
        app: Some(AppChoice { api: any, model: None, threads: None }),
    };
    let (begun, cpu) = (Instant::now(), cpu_s());
    let stack = Stack::start(&held, config, output).await?;
    let ready = begun.elapsed();
    let asker = Asker::new(stack.target()?);
    let options = AskOptions { max_tokens: Some(8), ..AskOptions::default() };
    let mut first = None;
    let mut heard = |event: AskEvent<'_>| {
        if matches!(event, AskEvent::Text(_)) {
            first.get_or_insert_with(|| begun.elapsed());
        }
    };
    let asked = asker.ask(&[Message::user("Hello")], &options, &mut heard).await;
    let cpu = cpu_s() - cpu + descendants_cpu_s()?;
    stack.stop().await;
    asked?;
    Ok(Run { ready, first: first.context("the answer was empty")?, cpu_s: cpu })
}
