//! Recovery: from `kill -9` until the network goes on, and until who was killed has caught up.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use super::{super::Samples, ALL_AIM_MS, KILL_AIM_MS, Plan, missed, processes::Processes};
use crate::output::Output;

/// Blocks between two kills, so that the network is at rest.
const REST_BLOCKS: u64 = 4;

/// Runs the part.
pub(super) async fn run(network: &mut Processes, plan: &Plan, output: Output) -> Result<()> {
    let (mut next, mut back) = (Samples::default(), Samples::default());
    for _ in 0..plan.rounds {
        rest(network).await?;
        let victim = network.proposer().await?;
        let (went_on, came_back) = kill_some(network, &[victim]).await?;
        next.push(went_on);
        back.push(came_back);
    }
    tell("one in its turn", (&next, &back), (plan, KILL_AIM_MS), output);

    let faulty = (network.len() - 1) / 3;
    let (mut next, mut back) = (Samples::default(), Samples::default());
    for round in 0..plan.rounds {
        rest(network).await?;
        // Another group each time; never the first, whose JSON-RPC measures.
        let first = round as usize % (network.len() - faulty);
        let group: Vec<usize> = (first..first + faulty).map(|place| 1 + place % (network.len() - 1)).collect();
        let (went_on, came_back) = kill_some(network, &group).await?;
        next.push(went_on);
        back.push(came_back);
    }
    tell(&format!("{faulty} at once"), (&next, &back), (plan, KILL_AIM_MS), output);

    let mut all = Samples::default();
    for _ in 0..plan.rounds {
        rest(network).await?;
        let height = network.height(0).await?;
        for index in 0..network.len() {
            network.kill(index)?;
        }
        let begun = Instant::now();
        for index in 0..network.len() {
            network.spawn(index)?;
        }
        network.above(0, height).await?;
        all.push(begun.elapsed());
    }
    let worst = all.quantile_ms(1.0);
    output.text(&format!(
        "kill -9 of all {}: a new block is served {:.0} ms after the start (p50), {worst:.0} ms at most (n={}){}",
        network.len(),
        all.quantile_ms(0.5),
        plan.rounds,
        missed(worst, ALL_AIM_MS),
    ));
    output.object(&json!({
        "event": "bench", "bench": "network", "part": "recovery", "validators": plan.validators, "killed": "all",
        "serving_again": all.json(),
    }));
    Ok(())
}

/// Waits until every validator is at the same few blocks.
async fn rest(network: &Processes) -> Result<()> {
    let height = network.height(0).await?;
    for index in 0..network.len() {
        network.above(index, height + REST_BLOCKS).await?;
    }
    Ok(())
}

/// Kills some and starts them again: time until the next block elsewhere, and from their start until they have it too.
async fn kill_some(network: &mut Processes, victims: &[usize]) -> Result<(Duration, Duration)> {
    let height = network.height(0).await?;
    let begun = Instant::now();
    for victim in victims {
        network.kill(*victim)?;
    }
    // A payload that was on its way may still become final: the block behind it shows that the network goes on.
    let first = network.above(0, height).await?;
    let went_on = begun.elapsed();
    let begun = Instant::now();
    for victim in victims {
        network.spawn(*victim)?;
    }
    for victim in victims {
        network.above(*victim, first.max(network.height(0).await?) - 1).await?;
    }
    Ok((went_on, begun.elapsed()))
}

fn tell(what: &str, (next, back): (&Samples, &Samples), (plan, aim_ms): (&Plan, f64), output: Output) {
    let worst = next.quantile_ms(1.0);
    output.text(&format!(
        "kill -9 of {what}, of {} processes: next block after {:.0} ms (p50), {worst:.0} ms at most (n={}){}; caught up \
         {:.0} ms after its start (p50)",
        plan.validators,
        next.quantile_ms(0.5),
        plan.rounds,
        missed(worst, aim_ms),
        back.quantile_ms(0.5),
    ));
    output.object(&json!({
        "event": "bench", "bench": "network", "part": "recovery", "validators": plan.validators, "killed": what,
        "next_block": next.json(), "caught_up": back.json(),
    }));
}
