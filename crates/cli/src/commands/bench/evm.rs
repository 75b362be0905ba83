//! Transactions a second through JSON-RPC: admission with signature recovery, execution, state root and durable commit,
//! until the last receipt is there. Plain and ERC-20 transfers, the same with confidential state and with encrypted call
//! data, with 1 and 4 validators, beside `anvil` in turns where that is here.
//!
//! One client drives every node alike: single requests over connections that stay open, transactions signed beforehand.

mod anvil;
mod growth;
mod load;
mod token;
mod wire;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;

use self::{
    anvil::Anvil,
    load::{Target, Work},
    token::Storage,
};
use super::{cpu_s, descendants_cpu_s, round};
use crate::{
    data_dir::Held,
    network::Wanted,
    output::Output,
    stack::{Stack, StackConfig},
};

/// Chain id of both nodes.
const CHAIN_ID: u64 = 23_292;
const ANVIL_HINT: &str = "npm install --prefix DIR @foundry-rs/anvil, then --anvil DIR/node_modules/.bin/anvil";
const ONE: &str = "1 validator";
const FOUR: &str = "4 validators";
const ANVIL: &str = "anvil";
/// Which node, at which work.
type Figure = (&'static str, Work);

/// Ratios that are told: of which node and work, to which.
const RATIOS: [(Figure, Figure); 7] = [
    ((ONE, Work::Plain), (ANVIL, Work::Plain)),
    ((ONE, Work::Token), (ANVIL, Work::Token)),
    ((ONE, Work::ConfidentialToken), (ONE, Work::Token)),
    ((ONE, Work::EncryptedTransfer), (ONE, Work::Token)),
    ((FOUR, Work::Plain), (ONE, Work::Plain)),
    ((FOUR, Work::ConfidentialToken), (FOUR, Work::Token)),
    ((FOUR, Work::EncryptedTransfer), (FOUR, Work::Token)),
];

/// What is measured.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Transactions of a round.
    pub(crate) count: u32,
    /// Rounds of each figure; the median counts.
    pub(crate) rounds: u32,
    /// Where anvil is; on the path where `None`.
    pub(crate) anvil: Option<PathBuf>,
    /// Grow the state to this many accounts instead.
    pub(crate) accounts: Option<u64>,
}

/// Transactions a second and processor seconds, of each round.
type Rates = BTreeMap<Figure, Vec<(f64, f64)>>;

/// Runs the benchmark.
pub(crate) async fn run(plan: Plan, output: Output) -> Result<()> {
    if let Some(accounts) = plan.accounts {
        return growth::run(accounts, output).await;
    }
    let mut rates = Rates::new();
    for (name, validators) in [(ONE, 1), (FOUR, 4)] {
        let beside = if validators == 1 { find_anvil(&plan, output) } else { None };
        let folder = tempfile::tempdir().context("no temporary directory")?;
        let held = Held::take(folder.path())?;
        let rpc = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = StackConfig { wanted: Wanted::development(CHAIN_ID, validators), rpc, app: None };
        let stack = Stack::start(&held, config, output).await?;
        let host = stack.endpoints.rpc.trim_start_matches("http://").to_owned();
        let rounds = plan.clone();
        let measured = tokio::task::spawn_blocking(move || measure((name, &host), beside, &rounds)).await;
        stack.stop().await;
        let measured = measured.context("the client ended early")??;
        tell(&measured, plan.count, output);
        rates.extend(measured);
    }
    ratios(&rates, output);
    Ok(())
}

fn find_anvil(plan: &Plan, output: Output) -> Option<Anvil> {
    match Anvil::start(plan.anvil.as_deref(), CHAIN_ID) {
        Ok(anvil) => Some(anvil),
        Err(error) => {
            output.warn(&format!("SKIPPED: anvil is not measured ({error:#}); get it by {ANVIL_HINT}"));
            None
        }
    }
}

/// Every kind of work in turns, on this node and on anvil.
fn measure((name, host): (&'static str, &str), anvil: Option<Anvil>, plan: &Plan) -> Result<Rates> {
    let mut targets = vec![(name, Target::prepare(host, CHAIN_ID, &[Storage::Public, Storage::Confidential])?)];
    if let Some(anvil) = &anvil {
        targets.push((ANVIL, Target::prepare(&anvil.host, CHAIN_ID, &[Storage::Public])?));
    }
    let mut rates = Rates::new();
    for _ in 0..plan.rounds.max(1) {
        for work in Work::ALL {
            for (name, target) in &mut targets {
                if !target.does(work) {
                    continue;
                }
                // The client's own share is in both: it runs in this process.
                let cpu = || Ok::<_, anyhow::Error>(cpu_s() + descendants_cpu_s()?);
                let (before, rate) = (cpu()?, target.round(work, plan.count)?);
                rates.entry((*name, work)).or_default().push((rate, cpu()? - before));
            }
        }
    }
    Ok(rates)
}

fn median(rounds: &[(f64, f64)], of: fn(&(f64, f64)) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn tell(rates: &Rates, count: u32, output: Output) {
    for ((name, work), rounds) in rates {
        let (rate, cpu) = (median(rounds, |round| round.0), median(rounds, |round| round.1));
        let work = work.name();
        let (least, most) =
            rounds.iter().fold((f64::MAX, 0.0_f64), |(least, most), round| (least.min(round.0), most.max(round.0)));
        output.text(&format!(
            "{name}, {work}: {rate:.0} a second (median of {}, {least:.0} to {most:.0}; {count} each, {cpu:.2} s CPU with the client)",
            rounds.len(),
        ));
        output.object(&json!({
            "event": "bench",
            "bench": "evm",
            "node": name,
            "work": work,
            "per_second": round(rate),
            "least": round(least),
            "most": round(most),
            "rounds": rounds.len(),
            "count": count,
            "cpu_s": round(cpu),
        }));
    }
}

fn ratios(rates: &Rates, output: Output) {
    for (of, to) in RATIOS {
        let (Some(one), Some(other)) = (rates.get(&of), rates.get(&to)) else { continue };
        let ratio = median(one, |round| round.0) / median(other, |round| round.0);
        // A busy machine stretches wall time and hardly processor time.
        let cpu_ratio = median(other, |round| round.1) / median(one, |round| round.1);
        let name = |(node, work): (&str, Work)| format!("{node} {}", work.name());
        output.text(&format!("{} / {}: {ratio:.2} (by processor time {cpu_ratio:.2})", name(of), name(to)));
        output.object(&json!({
            "event": "bench",
            "bench": "evm",
            "ratio": round(ratio),
            "cpu_ratio": round(cpu_ratio),
            "of": name(of),
            "to": name(to),
        }));
    }
}
