//! What a change of terms costs: times between payloads around the turn, beside those in the middle of terms, under load.
//! Times are those of the payloads' heads, which certificates prove.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use freehold_primitives::{Canonical as _, PayloadHead};
use freehold_rpc::NodeClient;
use serde_json::json;

use super::{super::Samples, Plan, processes::Processes, submit};
use crate::{data_dir::Held, output::Output};

/// Terms that are watched.
const TERMS: u64 = 3;
/// Longest run.
const RUN_MAX: Duration = Duration::from_secs(300);

/// Runs the part.
pub(super) async fn run(plan: &Plan, output: Output) -> Result<()> {
    let folder = tempfile::tempdir().context("no temporary directory")?;
    let held = Held::take(folder.path())?;
    let mut network = Processes::make(held.path(), plan.validators, plan.term_blocks)?;
    network.start_all().await?;
    let (node, begun, mut nonce) = (network.client(0)?, Instant::now(), 0);
    let end = plan.term_blocks.saturating_mul(TERMS) + plan.term_blocks / 2;
    let mut receipts = Samples::default();
    while network.height(0).await? < end && begun.elapsed() < RUN_MAX {
        receipts.push(submit(&node, &mut nonce).await?);
    }
    let heads = heads(&node, network.height(0).await?).await?;
    let resharing = node.health().await?.term.resharing;
    network.stop();
    let (mut middle, mut turning) = (Samples::default(), Samples::default());
    for pair in heads.windows(2).filter(|pair| pair[1].height == pair[0].height + 1) {
        let spacing = Duration::from_millis(pair[1].timestamp_ms.saturating_sub(pair[0].timestamp_ms));
        let samples = if pair[0].term == pair[1].term { &mut middle } else { &mut turning };
        samples.push(spacing);
    }
    let turns = heads.last().map_or(0, |head| head.term);
    if turns == 0 {
        output.warn("SKIPPED: this network turned no term: nothing is said of resharing");
        return Ok(());
    }
    output.text(&format!(
        "{turns} turns of {} payloads, newest {}: between payloads p50 {:.0} ms, p99 {:.0} ms; over a turn {:.0} ms at most; \
         submit to receipt p50 {:.1} ms, p99 {:.1} ms",
        plan.term_blocks,
        resharing.as_deref().unwrap_or("unknown"),
        middle.quantile_ms(0.5),
        middle.quantile_ms(0.99),
        turning.quantile_ms(1.0),
        receipts.quantile_ms(0.5),
        receipts.quantile_ms(0.99),
    ));
    output.object(&json!({
        "event": "bench", "bench": "network", "part": "turns", "validators": plan.validators,
        "term_blocks": plan.term_blocks, "turns": turns, "resharing": resharing,
        "between_payloads": middle.json(), "over_a_turn": turning.json(), "submit_to_receipt": receipts.json(),
    }));
    Ok(())
}

/// Heads of payloads with certificates of their own, up to a height.
async fn heads(node: &NodeClient, newest: u64) -> Result<Vec<PayloadHead>> {
    let mut heads: Vec<PayloadHead> = Vec::new();
    for height in 1..newest {
        let Some(found) = node.finality(height).await? else { break };
        let head = PayloadHead::from_canonical(&found.payload_head.0).context("a payload's head")?;
        if heads.last().is_none_or(|last| last.height < head.height) {
            heads.push(head);
        }
    }
    Ok(heads)
}
