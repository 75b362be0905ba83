//! Another network key (`spec/succession.md` §4): asked for by the governor, and the records that lead to it.

use anyhow::{Context as _, Result};
use freehold_crypto::genesis_hash;
use freehold_rpc::{Endpoint, NodeClient};
use freehold_verify::{ChainTrust, NetworkKeys, records_after, write_succession};
use serde_json::json;

use super::{IValidators, MODULE, Sender};
use crate::{
    args::{ActingArgs, SuccessionArgs},
    output::Output,
};

/// Asks for another network key.
pub(super) async fn ask(args: &ActingArgs, output: Output) -> Result<()> {
    Sender::acting(args).await?.send(&MODULE, &IValidators::succeedNetworkKeyCall {}, 0, output).await
}

/// Walks the node's succession records from the trusted key, and saves them.
pub(super) async fn walk(args: &SuccessionArgs, output: Output) -> Result<()> {
    let node = NodeClient::new(args.rpc.parse::<Endpoint>()?);
    let genesis = node.genesis().await.with_context(|| format!("the node at {} does not answer", args.rpc))?;
    let (chain_id, genesis_hash) = (genesis.chain_id, genesis_hash(&genesis));
    let trust = ChainTrust { network_key: args.network_key, chain_id, genesis_hash };
    let served = node.successions().await?;
    let records = records_after(&args.network_key, &served);
    let keys = NetworkKeys::walk(&trust, records).context("the node's records do not lead on from your key")?;
    for (from, key) in keys.all() {
        output.object(&json!({ "event": "network_key", "from_term": from, "network_key": key.to_string() }));
        output.text(&format!("from term {from:<8} {key}"));
    }
    if let Some(path) = &args.save {
        let cannot = || format!("cannot write {}", path.display());
        std::fs::write(path, write_succession(records)?).with_context(cannot)?;
        output.text(&format!("saved {} records to {}", records.len(), path.display()));
    }
    Ok(())
}
