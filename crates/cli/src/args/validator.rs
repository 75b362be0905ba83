//! Arguments of `validator`.

use std::{net::SocketAddr, path::PathBuf};

use alloy_primitives::Address;
use clap::{Args, Subcommand};
use freehold_primitives::NetworkKey;

use super::market::ActingArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum ValidatorCommand {
    /// Who signs, who waits, and where the validator of a folder stands.
    Status(ValidatorStatusArgs),
    /// Make the validator of a folder a candidate, with a bond.
    Join(ValidatorJoinArgs),
    /// Ask to leave; with a seat the validator goes on until a candidate takes it.
    Leave(ValidatorArgs),
    /// Take the bond back, after leaving and once it is no longer locked.
    Withdraw(ValidatorArgs),
    /// Prove that a validator signed two payloads of one view, or a wrong key share: it loses its bond, an eighth of it to you.
    Report(ValidatorReportArgs),
    /// Leave the jail, once its terms are over.
    Unjail(ValidatorArgs),
    /// Ask for another network key, as the governor of the chain: the next term makes it, the one after names it.
    SucceedKey(ActingArgs),
    /// Ask for another master of the derivation key, as the governor of the chain: the next term makes it, and apps move.
    SucceedMaster(SucceedMasterArgs),
    /// Walk the records by which network keys named their successors, and save them for `verify` and `light`.
    Succession(SuccessionArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ValidatorStatusArgs {
    /// JSON-RPC of a node.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    pub(crate) rpc: String,
    /// Folder of a validator, with its identity.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Without --key and --dev-seat the secret is that of FREEHOLD_ACCOUNT_KEY, in hex.")]
pub(crate) struct ValidatorArgs {
    /// Folder of the validator, with its identity.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// JSON-RPC of a node.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    pub(crate) rpc: String,
    /// File with the secret of the account that acts, in hex, readable by you only.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Account of a seat of a development network, whose secret everybody knows.
    #[arg(long, value_name = "N", conflicts_with = "key")]
    pub(crate) dev_seat: Option<u32>,
    /// Show what would be signed and what it would cost, and end.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SucceedMasterArgs {
    #[command(flatten)]
    pub(crate) acting: ActingArgs,
    /// How long the master before serves on, in seconds: what apps write anew within it is not lost. A production genesis
    /// takes 30 days at least.
    #[arg(long, value_name = "SECONDS", default_value_t = freehold_primitives::MASTER_KEEP_S_MIN)]
    pub(crate) keep: u64,
}

#[derive(Debug, Args)]
pub(crate) struct SuccessionArgs {
    /// JSON-RPC of a node; it is not trusted.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    pub(crate) rpc: String,
    /// The network key that you trust.
    #[arg(long, value_name = "KEY")]
    pub(crate) network_key: NetworkKey,
    /// Where the records go.
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ValidatorReportArgs {
    /// The proof that a node has kept: `double-proposal-TERM-VIEW.json` or `wrong-share-TERM-MEMBER.json` in its folder.
    #[arg(long, value_name = "FILE")]
    pub(crate) proof: PathBuf,
    #[command(flatten)]
    pub(crate) validator: ValidatorArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ValidatorJoinArgs {
    /// Where other validators reach this one.
    #[arg(long, value_name = "ADDR")]
    pub(crate) address: SocketAddr,
    /// The network key; without it, whatever network the node is of is joined, and its key is shown.
    #[arg(long, value_name = "KEY")]
    pub(crate) network_key: Option<NetworkKey>,
    /// Bond, in units of 18 decimals; by default the least that the genesis asks for.
    #[arg(long, value_name = "UNITS")]
    pub(crate) bond: Option<u64>,
    /// Who receives rewards, and the bond in the end; by default the account that acts.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) payee: Option<Address>,
    #[command(flatten)]
    pub(crate) validator: ValidatorArgs,
}
