//! `node --follow`: a full node that is no validator and trusts the network key alone.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use freehold_node::{Clock, Follower, FollowerConfig, KeepStates, SyncFrom};
use serde_json::json;

use super::executor::Executor;
use crate::{
    args::{NodeArgs, SyncChoice},
    data_dir::Held,
    output::Output,
};

/// Runs until it is asked to stop.
pub(super) async fn run(args: NodeArgs, held: &Held, output: Output) -> Result<ExitCode> {
    let network_key = args.follower.network_key.context("name the network key that you trust with --network-key")?;
    let is_later = freehold_node::read_genesis(held.path())?.is_some()
        && freehold_client::pinned_network_key(held.path())?.is_some_and(|pinned| pinned != network_key);
    if !is_later {
        freehold_client::pin_network_key(held.path(), &network_key)?;
    }
    let mut asked = std::pin::pin!(super::super::asked_to_stop());
    let wants_executor = args.follower.executor.is_some() || args.follower.emulated_executor;
    let mut executor = Executor::start(&args.follower, &network_key, held, output, &mut asked).await?;
    if wants_executor && executor.is_none() {
        return Ok(ExitCode::SUCCESS);
    }
    let config = FollowerConfig {
        folder: held.path().to_path_buf(),
        network_key,
        sources: args.follower.follow.clone(),
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
        executor: executor.as_ref().map(|executor| executor.keys.clone()),
    };
    let (failed, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let follower = tokio::select! {
        started = Follower::start(config, failed) => started?,
        stop = &mut asked => return stop.map(|()| ExitCode::SUCCESS),
    };
    if is_later {
        // The follower begins only where records lead from the folder's genesis over this key.
        freehold_client::repin_network_key(held.path(), &network_key)?;
    }
    output.object(&json!({
        "event": "ready",
        "role": if executor.is_some() { "executor" } else { "follower" },
        "instance": executor.as_ref().map(|executor| executor.instance_id),
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
        // Without a registration nothing that it says counts, and it must not go on answering.
        error = lost(&mut executor) => bail!(error),
    }
    follower.stop().await;
    if let Some(executor) = executor {
        executor.stop().await;
    }
    Ok(ExitCode::SUCCESS)
}

/// Resolves when the executor's instance ends; never for a plain follower.
async fn lost(executor: &mut Option<Executor>) -> anyhow::Error {
    match executor {
        Some(executor) => executor.ended().await,
        None => std::future::pending().await,
    }
}
