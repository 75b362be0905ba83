//! `up`: a network on this machine, and a private model on it, until it is asked to stop.

use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::json;

use crate::{
    args::UpArgs,
    data_dir::{self, Held},
    network::{self, Origin, Wanted},
    output::Output,
};

/// Runs the command.
pub(crate) async fn run(args: UpArgs, output: Output) -> Result<ExitCode> {
    let held = Held::take(&data_dir::of(args.data_dir.as_deref(), args.chain_id)?)?;
    let wanted = Wanted { chain_id: args.chain_id, validators: args.validators };
    let (genesis, origin) = network::open_or_make(held.path(), wanted)?;
    if origin == Origin::Made {
        output.warn("key shares were made by a trusted dealer in this process: for development only");
    }
    let mut network = network::start(held.path(), genesis, args.rpc).await?;
    held.pin(&network.network_key)?;
    let ready = json!({
        "event": "ready",
        "rpc": format!("http://{}", network.rpc),
        "api": null,
        "chain_id": args.chain_id,
        "network_key": network.network_key,
        "app_id": null,
        "data_dir": held.path(),
    });
    output.object(&ready);
    output.text(&format!("rpc {}", network.rpc));
    tokio::select! {
        stop = super::asked_to_stop() => stop?,
        ended = network.ended() => if let Some(error) = ended {
            network.stop().await;
            bail!(error)
        },
    }
    network.stop().await;
    Ok(ExitCode::SUCCESS)
}
