//! The network that an app is on, and its genesis, which is believed under the network key alone.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use freehold_client::Endpoints;
use freehold_crypto::genesis_hash;
use freehold_node::{chain_genesis, read_genesis};
use freehold_primitives::{Genesis, NetworkKey};
use freehold_rpc::{ChainTrust, Endpoint, NodeClient, VerifiedClient};

use crate::{args::NetworkArgs, data_dir};

/// A network.
pub(in crate::commands) struct Network {
    /// Its data directory.
    pub(in crate::commands) folder: PathBuf,
    pub(in crate::commands) node: Endpoint,
    pub(in crate::commands) network_key: NetworkKey,
    pub(in crate::commands) genesis: Genesis,
}

impl Network {
    /// The one of the data directory, or that of the node and key that are named.
    pub(in crate::commands) async fn find(asked: &NetworkArgs) -> Result<Self> {
        let folder = data_dir::of(asked.data_dir.as_deref(), asked.chain_id)?;
        if let (Some(node), Some(network_key)) = (asked.rpc.clone(), asked.network_key) {
            data_dir::make(&folder)?;
            let genesis = chain_genesis(std::slice::from_ref(&node), &network_key, &folder).await;
            let genesis = genesis.context("no network that the key vouches for")?;
            return Ok(Self { folder, node, network_key, genesis });
        }
        let told = Endpoints::load(&folder).context("no network is up: start one with `freehold up`")?;
        let genesis = read_genesis(&folder)?;
        let genesis = genesis.context("the data directory holds no network: start one with `freehold up`")?;
        Ok(Self { folder, node: told.rpc_endpoint()?, network_key: told.network_key, genesis })
    }

    /// Its node, held to its key.
    pub(in crate::commands) fn verified(&self) -> VerifiedClient {
        let Self { network_key, genesis, .. } = self;
        let trust =
            ChainTrust { network_key: *network_key, chain_id: genesis.chain_id, genesis_hash: genesis_hash(genesis) };
        VerifiedClient::new(NodeClient::new(self.node.clone()), trust)
    }
}
