//! `node --follow`: a full node that is no validator and trusts the network key alone.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use freehold_node::{Clock, Follower, FollowerConfig, KeepStates, SyncFrom};
use serde_json::json;

use crate::{
    args::{NodeArgs, SyncChoice},
    data_dir::Held,
    output::Output,
};

/// Runs until it is asked to stop.
pub(super) async fn run(args: NodeArgs, held: &Held, output: Output) -> Result<ExitCode> {
    let network_key = args.follower.network_key.context("name the network key that you trust with --network-key")?;
    freehold_client::pin_network_key(held.path(), &network_key)?;
    let config = FollowerConfig {
        folder: held.path().to_path_buf(),
        network_key,
        sources: args.follower.follow,
        rpc: args.rpc,
        from: match args.follower.sync {
            Some(SyncChoice::State) => SyncFrom::State,
            Some(SyncChoice::Genesis) => SyncFrom::Genesis,
            None if args.follower.archive => SyncFrom::Genesis,
            None => SyncFrom::State,
        },
        keep_states: if args.follower.archive { KeepStates::All } else { KeepStates::Window },
        keep_blocks: args.keep_blocks,
        clock: Clock::system(),
    };
    let (failed, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let mut asked = std::pin::pin!(super::super::asked_to_stop());
    let follower = tokio::select! {
        started = Follower::start(config, failed) => started?,
        stop = &mut asked => return stop.map(|()| ExitCode::SUCCESS),
    };
    output.object(&json!({
        "event": "ready",
        "role": "follower",
        "rpc": follower.rpc.map(|rpc| format!("http://{rpc}")),
        "chain_id": follower.chain_id,
        "network_key": network_key,
        "data_dir": held.path(),
        "synced": follower.synced.map(|synced| json!({
            "height": synced.height,
            "entries": synced.entries,
            "operations": synced.operations,
            "bytes": synced.bytes,
            "content": synced.content,
            "took_ms": synced.took_ms,
        })),
    }));
    output.text("the follower runs; Ctrl-C stops it");
    tokio::select! {
        stop = &mut asked => stop?,
        Some(error) = ended.recv() => bail!(error),
    }
    follower.stop().await;
    Ok(ExitCode::SUCCESS)
}
