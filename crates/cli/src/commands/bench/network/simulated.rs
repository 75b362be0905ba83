//! Finality where only links take time: how many of their delays the protocol needs, whatever the machine.

use std::time::Duration;

use anyhow::Result;
use freehold_sim::{FinalityOptions, finality};
use serde_json::json;

use super::round;
use crate::output::Output;

/// Committees of n = 3f + 1, and a lone validator.
const VALIDATORS: [u16; 4] = [1, 4, 7, 16];
/// Delay of each link, one way, in milliseconds.
const LINKS_MS: [u64; 3] = [0, 25, 100];
/// Blocks that a figure counts.
const BLOCKS: u64 = 30;

/// Prints one figure for each size and link.
pub(super) async fn run(output: Output) -> Result<()> {
    for nodes in VALIDATORS {
        for link_ms in LINKS_MS {
            let options = FinalityOptions { nodes, latency: Duration::from_millis(link_ms), blocks: BLOCKS, seed: 1 };
            let figures = tokio::task::spawn_blocking(move || finality(options)).await??;
            output.text(&format!(
                "simulated, {nodes} validators, links of {link_ms} ms: finality p50 {:.1} ms, p99 {:.1} ms, {:.2} blocks/s",
                figures.p50_ms, figures.p99_ms, figures.blocks_per_s,
            ));
            output.object(&json!({
                "event": "bench", "bench": "network", "part": "simulated", "validators": nodes, "link_ms": link_ms,
                "p50_ms": round(figures.p50_ms), "p99_ms": round(figures.p99_ms),
                "blocks_per_s": round(figures.blocks_per_s), "bytes_per_block": figures.bytes_per_block,
            }));
        }
    }
    Ok(())
}
