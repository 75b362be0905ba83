//! How fast a newcomer comes: state sync (bytes, entries and operations a second), and a follower that catches up by write
//! sets from the genesis (blocks a second), both from one running node.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use freehold_node::{Clock, Follower, FollowerConfig, KeepStates, SyncFrom, sync_state};
use freehold_primitives::NetworkKey;
use freehold_rpc::{Endpoint, NodeClient};
use serde_json::json;

use super::round;
use crate::output::Output;

/// Longest time to catch up.
const CATCH_UP: Duration = Duration::from_secs(600);

/// Measures both against the node at `source`, in temporary folders.
pub(crate) async fn run(source: &Endpoint, network_key: &NetworkKey, output: Output) -> Result<()> {
    state(source, network_key, output).await?;
    catch_up(source, network_key, output).await
}

pub(super) async fn state(source: &Endpoint, network_key: &NetworkKey, output: Output) -> Result<()> {
    let folder = tempfile::tempdir().context("no temporary directory")?;
    let synced = sync_state(std::slice::from_ref(source), network_key, folder.path()).await?;
    let seconds = synced.took_ms as f64 / 1_000.0;
    let rate = |count: u64| round(count as f64 / seconds.max(0.001));
    output.object(&json!({
        "event": "figure",
        "figure": "state sync",
        "height": synced.height,
        "seconds": round(seconds),
        "entries": synced.entries,
        "operations": synced.operations,
        "content": synced.content,
        "bytes": synced.bytes,
        "mb_per_s": rate(synced.bytes / 1_000) / 1_000.0,
        "entries_per_s": rate(synced.entries),
        "operations_per_s": rate(synced.operations),
    }));
    output.text(&format!(
        "state sync: {} entries, {:.1} MB in {seconds:.1} s: {:.1} MB/s, {:.0} entries/s",
        synced.entries,
        synced.bytes as f64 / 1e6,
        rate(synced.bytes) / 1e6,
        rate(synced.entries)
    ));
    Ok(())
}

async fn catch_up(source: &Endpoint, network_key: &NetworkKey, output: Output) -> Result<()> {
    let folder = tempfile::tempdir().context("no temporary directory")?;
    let goal = NodeClient::new(source.clone()).block_number().await?.saturating_sub(2);
    let config = FollowerConfig {
        folder: folder.path().to_path_buf(),
        network_key: *network_key,
        sources: vec![source.clone()],
        rpc: Some(([127, 0, 0, 1], 0).into()),
        from: SyncFrom::Genesis,
        keep_states: KeepStates::All,
        keep_blocks: None,
        clock: Clock::system(),
        executor: None,
    };
    let (failed, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let begun = Instant::now();
    let follower = Follower::start(config, failed).await?;
    let address = follower.rpc.context("the follower serves nothing")?;
    let node = NodeClient::new(format!("http://{address}").parse()?);
    loop {
        let height = node.block_number().await?;
        if height >= goal {
            break;
        }
        if let Ok(error) = ended.try_recv() {
            bail!("the follower ended at block {height} of {goal}: {error}");
        }
        if begun.elapsed() > CATCH_UP {
            bail!("the follower is at block {height} of {goal} after {CATCH_UP:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    follower.stop().await;
    output.object(&json!({
        "event": "figure",
        "figure": "follower catches up",
        "blocks": goal,
        "seconds": round(seconds),
        "blocks_per_s": round(goal as f64 / seconds),
    }));
    output.text(&format!("follower: {goal} blocks in {seconds:.1} s: {:.0} blocks/s", goal as f64 / seconds));
    Ok(())
}
