//! `status`: the network and the app, as they are now.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use freehold_client::Asker;
use freehold_rpc::{Endpoint, NodeClient};
use serde_json::json;

use crate::{args::FindArgs, find, output::Output, stack};

/// Runs the command.
pub(crate) async fn run(args: FindArgs, output: Output) -> Result<ExitCode> {
    let endpoints = find::endpoints(&args).await?;
    let node = NodeClient::new(endpoints.rpc.parse::<Endpoint>()?);
    let status = node.status().await.context("the node does not answer: is `freehold up` running?")?;
    let key_matches = status.network_key == endpoints.network_key;
    let instance = match &endpoints.api {
        None => None,
        Some(_) => Some(instance(&endpoints, &node).await),
    };
    output.object(&json!({
        "event": "status",
        "rpc": endpoints.rpc,
        "api": endpoints.api,
        "network_key_matches": key_matches,
        "node": status,
        "instance": instance.as_ref().map(|found| match found {
            Ok(text) => json!({ "verified": true, "text": text }),
            Err(error) => json!({ "verified": false, "text": format!("{error:#}") }),
        }),
    }));
    output.text(&format!("network   chain {}, {} validators, {}", status.chain_id, status.validators, endpoints.rpc));
    output.text(&format!(
        "blocks    latest {}, final {}, {} transactions waiting",
        status.latest.height, status.finalized.height, status.pool
    ));
    output.text(&format!(
        "keys      {}{}",
        status.key_ceremony,
        if status.production { "" } else { ", development only" }
    ));
    if status.dev_traces {
        output.warn("this network traces confidential contracts for whoever asks: keep no secret in them");
    }
    match &instance {
        None => output.text("app       none"),
        Some(Ok(text)) => output.text(&format!("app       {text}")),
        Some(Err(error)) => output.text(&format!("app       NOT verified: {error:#}")),
    }
    if !key_matches {
        output.warn("the node names another network key than the one you trust");
    }
    let good = key_matches && instance.is_none_or(|found| found.is_ok());
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(super::FAILURE) })
}

async fn instance(endpoints: &freehold_client::Endpoints, node: &NodeClient) -> Result<String> {
    let asker = Asker::new(stack::target(endpoints)?);
    let genesis = node.genesis().await?;
    let instance = asker.verify_instance(&genesis).await?;
    let app = endpoints.app_id.map_or_else(String::new, |app_id| format!("{app_id}, "));
    let (domain, tier) = (instance.trust_domain().as_str(), instance.tier());
    Ok(format!("{app}instance verified, trust domain {domain}, tier {tier}"))
}
