//! Finding the node and the app: by data directory, or by what the user names.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use freehold_client::{Endpoints, pinned_network_key};
use freehold_rpc::{Endpoint, NodeClient};

use crate::{args::FindArgs, data_dir};

/// Endpoints of the network that the arguments name. What the user names wins over what the data directory tells; the
/// network key is the one named or pinned, never one that a node tells.
pub(crate) async fn endpoints(args: &FindArgs) -> Result<Endpoints> {
    if args.api.is_none() && args.rpc.is_none() {
        let mut endpoints = Endpoints::load(&folder(args)?)?;
        endpoints.network_key = args.network_key.unwrap_or(endpoints.network_key);
        return Ok(endpoints);
    }
    let network_key = match args.network_key {
        Some(key) => key,
        None => pinned_network_key(&folder(args)?)?
            .context("no network key is pinned in the data directory: name the one you trust with --network-key")?,
    };
    // What the user does not name comes from the data directory, if that is of the same network.
    let told = folder(args).and_then(|folder| Ok(Endpoints::load(&folder)?)).ok();
    let told = told.filter(|told| told.network_key == network_key);
    let rpc = args.rpc.clone().or_else(|| told.as_ref().map(|told| told.rpc.clone()));
    let rpc = rpc.context("name a node with --rpc")?;
    let api = args.api.clone().or_else(|| told.and_then(|told| told.api));
    let status = NodeClient::new(rpc.parse::<Endpoint>()?).status().await;
    let status = status.with_context(|| format!("the node at {rpc} does not answer: is it up?"))?;
    Ok(Endpoints { rpc, api, network_key, chain_id: status.chain_id, genesis_hash: status.genesis_hash, app_id: None })
}

fn folder(args: &FindArgs) -> Result<PathBuf> {
    data_dir::of(args.data_dir.as_deref(), args.chain_id)
}
