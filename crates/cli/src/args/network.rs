//! The flags that name a network.

use std::path::PathBuf;

use clap::Args;
use freehold_primitives::NetworkKey;
use freehold_rpc::Endpoint;

/// An `up` of this machine, by its data directory, or any network, by a node and its key.
#[derive(Debug, Clone, Args)]
pub(crate) struct NetworkArgs {
    /// Data directory of the network, where apps' own files are kept too; by default that of the chain id.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Chain id, which names the default data directory.
    #[arg(long, value_name = "N", default_value_t = 23_293)]
    pub(crate) chain_id: u64,
    /// JSON-RPC of a node of another network than an `up` of this machine, such as http://10.0.0.1:8545.
    #[arg(long, value_name = "URL", requires = "network_key")]
    pub(crate) rpc: Option<Endpoint>,
    /// Network key of that network, 96 bytes in hex: what its nodes say is believed under it alone.
    #[arg(long, value_name = "HEX", requires = "rpc")]
    pub(crate) network_key: Option<NetworkKey>,
}
