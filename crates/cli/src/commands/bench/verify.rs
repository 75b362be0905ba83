//! Time to check a proof offline, by link.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::PathBuf, time::Instant};

use anyhow::{Context as _, Result, bail};
use freehold_client::{AskOptions, Asker, Message};
use freehold_node::Clock;
use freehold_primitives::NetworkKey;
use freehold_verify::{Step, VerifyOptions, verify_bundle_with};
use serde_json::json;

use super::{Samples, cpu_s, round};
use crate::{
    data_dir::Held,
    network::Wanted,
    output::Output,
    stack::{AppChoice, Stack, StackConfig},
};

const CHAIN_ID: u64 = 23_292;

/// Runs the benchmark, on the given proof or on a fresh one.
pub(crate) async fn run(given: Option<(PathBuf, NetworkKey)>, count: u32, output: Output) -> Result<()> {
    let (text, network_key) = match given {
        Some((path, key)) => {
            (fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?, key)
        }
        None => fresh(output).await?,
    };
    let options = VerifyOptions::new(network_key, Clock::system().now_s());
    let mut by_link: BTreeMap<(usize, &'static str), Samples> = BTreeMap::new();
    let (mut whole, cpu) = (Samples::default(), cpu_s());
    for _ in 0..count {
        let begun = Instant::now();
        let (mut last, mut order) = (begun, 0);
        let verdict = verify_bundle_with(&text, &options, &mut |step| {
            let name = match step {
                Step::Read => "read",
                Step::Link(link) => link.as_str(),
                _ => "claims",
            };
            let now = Instant::now();
            by_link.entry((order, name)).or_default().push(now - last);
            (last, order) = (now, order + 1);
        })?;
        whole.push(begun.elapsed());
        if !verdict.is_valid() {
            bail!("the proof is refused; figures of a refusal say nothing");
        }
    }
    let cpu_ms = (cpu_s() - cpu) * 1_000.0 / f64::from(count.max(1));
    for ((_, name), samples) in &by_link {
        output.text(&format!("  {name:<12} p50 {:8.3} ms", samples.quantile_ms(0.5)));
        output.object(&json!({ "event": "bench", "bench": "verify", "link": name, "time": samples.json() }));
    }
    output.text(&format!(
        "whole: p50 {:.2} ms, p99 {:.2} ms, {cpu_ms:.2} ms CPU each (n={count}, {} bytes)",
        whole.quantile_ms(0.5),
        whole.quantile_ms(0.99),
        text.len()
    ));
    output.object(&json!({
        "event": "bench",
        "bench": "verify",
        "link": null,
        "time": whole.json(),
        "cpu_ms": round(cpu_ms),
        "bytes": text.len(),
    }));
    Ok(())
}

/// A proof of a network of its own.
async fn fresh(output: Output) -> Result<(String, NetworkKey)> {
    let folder = tempfile::tempdir().context("no temporary directory")?;
    let held = Held::take(folder.path())?;
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = StackConfig {
        wanted: Wanted::development(CHAIN_ID, 4),
        rpc: any,
        app: Some(AppChoice { api: any, model: None, threads: None }),
    };
    let stack = Stack::start(&held, config, output).await?;
    let network_key = stack.endpoints.network_key;
    let options = AskOptions { max_tokens: Some(32), ..AskOptions::default() };
    let asker = Asker::new(stack.target()?);
    let answer = asker.ask(&[Message::user("Say one sentence.")], &options, &mut |_| {}).await;
    stack.stop().await;
    Ok((answer?.proof, network_key))
}
