//! `light`: a chain's answers checked from the network key alone, as a local JSON-RPC or one by one.

use std::{process::ExitCode, sync::Arc};

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Address, Bytes};
use anyhow::{Context as _, Result, bail};
use freehold_client::{
    ATTEMPT_MAX_DEFAULT, Backing, Endpoints, LightCall, LightClient, LightConfig, LightServer, Unproven,
    pinned_network_key,
};
use freehold_node::Clock;
use freehold_primitives::{Digest, NetworkKey};
use freehold_rpc::Endpoint;
use freehold_verify::HeadRules;
use serde_json::{Value, json};

use super::verify::{read_bounded, read_records};
use crate::{
    args::{LightArgs, LightCommand},
    data_dir,
    output::Output,
};

/// Runs the command.
pub(crate) async fn run(args: LightArgs, output: Output) -> Result<ExitCode> {
    let config = LightConfig {
        network_key: trusted_key(&args)?,
        succession: args.succession.as_deref().map(read_records).transpose()?.unwrap_or_default(),
        nodes: nodes(&args)?,
        rules: HeadRules { age_s_max: args.max_age, ..HeadRules::default() },
        unproven: if args.allow_unproven { Unproven::PassedOn } else { Unproven::Refused },
        checkpoint: args.checkpoint.clone(),
        attempt_max: ATTEMPT_MAX_DEFAULT,
        now: || Clock::system().now_s(),
    };
    let client = LightClient::open(config).await.context("no node proves its chain under this network key")?;
    match args.command {
        None => serve(Arc::new(client), &args, output).await,
        Some(command) => {
            let (value, executor) = answer(&client, command).await?;
            let stands = if executor.is_some() { "executor" } else { "proof" };
            output.object(&json!({
                "event": "answer", "proven": true, "by": stands, "executor": executor, "value": value,
            }));
            if let Some(executor) = executor {
                output.note(&format!("signed by the registered executor {executor}, not made again here"));
            }
            output.text(&value.as_str().map_or_else(|| format!("{value:#}"), str::to_owned));
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The network key to trust: named, in a file, or pinned. Never one that a node tells.
fn trusted_key(args: &LightArgs) -> Result<NetworkKey> {
    if let Some(key) = args.network_key {
        return Ok(key);
    }
    if let Some(path) = &args.network {
        let text = read_bounded(path)?;
        return text.trim().parse().with_context(|| format!("{} holds no network key", path.display()));
    }
    let folder = data_dir::of(args.data_dir.as_deref(), args.chain_id)?;
    pinned_network_key(&folder)?.with_context(|| {
        format!("no network key is pinned in {}: name the one you trust with --network-key", folder.display())
    })
}

fn nodes(args: &LightArgs) -> Result<Vec<Endpoint>> {
    if args.nodes.is_empty() {
        let folder = data_dir::of(args.data_dir.as_deref(), args.chain_id)?;
        let told = Endpoints::load(&folder).context("name a node with --node")?;
        return Ok(vec![told.rpc_endpoint()?]);
    }
    args.nodes.iter().map(|url| Ok(url.parse()?)).collect()
}

async fn serve(client: Arc<LightClient>, args: &LightArgs, output: Output) -> Result<ExitCode> {
    let head = client.head().await?;
    let server = LightServer::start(Arc::clone(&client), args.listen).await?;
    output.object(&json!({
        "event": "ready",
        "rpc": format!("http://{}", server.address()),
        "chain_id": client.trust().chain_id,
        "height": head.height(),
    }));
    output.text(&format!(
        "proven answers of chain {} at http://{}, block {} now; Ctrl-C stops it",
        client.trust().chain_id,
        server.address(),
        head.height()
    ));
    if args.allow_unproven {
        output.warn("calls that reach confidential storage are passed on: nothing stands for those answers");
    }
    super::asked_to_stop().await?;
    server.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// The answer, and the executor whose signature stands for it where no proof does.
async fn answer(client: &LightClient, command: LightCommand) -> Result<(Value, Option<Digest>)> {
    let value = match command {
        LightCommand::Header => {
            let head = client.head().await?;
            json!({
                "height": head.height(),
                "block_hash": head.block_hash(),
                "state_root": head.state_root(),
                "time_unix_s": head.time_unix_s(),
            })
        }
        LightCommand::Balance { address } => json!(client.balance(&address, None).await?.to_string()),
        LightCommand::Call { to, data, from } => return call(client, to, &data, from).await,
        LightCommand::Receipt { hash } => match client.receipt(hash).await? {
            Some(receipt) => serde_json::to_value(receipt)?,
            None => bail!("no node knows of a transaction {hash} in a proven block"),
        },
        LightCommand::Logs { from_block, to_block, address, topic } => {
            let to_block = to_block.map_or(BlockNumberOrTag::Latest, BlockNumberOrTag::Number);
            let filter = alloy_rpc_types_eth::Filter::new().from_block(from_block).to_block(to_block);
            let filter = address.into_iter().fold(filter, alloy_rpc_types_eth::Filter::address);
            let filter = topic.into_iter().fold(filter, alloy_rpc_types_eth::Filter::event_signature);
            serde_json::to_value(client.logs(&filter).await?)?
        }
    };
    Ok((value, None))
}

async fn call(
    client: &LightClient,
    to: Address,
    data: &Bytes,
    from: Option<Address>,
) -> Result<(Value, Option<Digest>)> {
    let call = LightCall::read(json!({ "to": to, "data": data, "from": from }))?;
    let outcome = client.call(&call, None).await?;
    if !outcome.is_success() {
        bail!("the call failed ({:?}) with {}", outcome.status, outcome.output);
    }
    let executor = match outcome.backing {
        Backing::Recomputed => None,
        Backing::Executor(executor) => Some(executor),
    };
    Ok((json!(outcome.output), executor))
}
