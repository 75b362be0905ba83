//! Arguments of `node` for a follower.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use freehold_primitives::NetworkKey;
use freehold_rpc::Endpoint;

#[derive(Debug, Args)]
pub(crate) struct FollowArgs {
    /// Be no validator, but follow the network of --network-key through the JSON-RPC of these nodes, separated by commas.
    #[arg(
        long,
        value_name = "URL,…",
        value_delimiter = ',',
        requires = "network_key",
        conflicts_with_all = ["listen", "peers", "init"]
    )]
    pub(crate) follow: Vec<Endpoint>,
    /// Network key to trust, 96 bytes in hex: a follower's only trust.
    #[arg(long, value_name = "HEX", requires = "follow")]
    pub(crate) network_key: Option<NetworkKey>,
    /// Be an executor: register as an instance by this guest's configuration (evidence, relay and control channel of the
    /// host), take the state root keys from the validators, execute every block, and sign answers to confidential calls.
    #[arg(long, value_name = "FILE", requires = "follow")]
    pub(crate) executor: Option<PathBuf>,
    /// The same in an emulated TEE, on a development network: this process measures itself, and the operator's well-known
    /// accounts own the app and pay.
    #[arg(long, requires = "follow", conflicts_with = "executor")]
    pub(crate) emulated_executor: bool,
    /// Keep the state of every height, from where the follower begins; begins with the genesis unless --sync says otherwise.
    #[arg(long, requires = "follow")]
    pub(crate) archive: bool,
    /// Where a follower with an empty folder begins: with the newest certified state, or with the genesis (which takes a
    /// source that keeps everything: an archive). By default with the state, and an archive with the genesis.
    #[arg(long, value_name = "FROM", requires = "follow")]
    pub(crate) sync: Option<SyncChoice>,
}

/// Where a follower begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SyncChoice {
    State,
    Genesis,
}
