//! Arguments of `backup` and `restore`.

use std::path::PathBuf;

use clap::Args;
use freehold_primitives::{NetworkKey, X25519Key};

#[derive(Debug, Args)]
#[command(
    after_help = "Without --move: who the validator is and its network, no share of a key; the node may run meanwhile. \
                        The restored validator follows, and signs after the next resharing.\n\
                        With --move: everything, of a stopped node. The folder is marked and starts no more."
)]
pub(crate) struct BackupArgs {
    /// Folder of the validator.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// File that is written; it must not be there.
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
    /// Seal to the passphrase in this file (its first line).
    #[arg(long, value_name = "FILE", required_unless_present = "recipient")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Seal to this key, as `backup-key` shows it.
    #[arg(long, value_name = "HEX", conflicts_with = "passphrase_file")]
    pub(crate) recipient: Option<X25519Key>,
    /// Move the validator to another machine.
    #[arg(long = "move")]
    pub(crate) is_move: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "A move is restored once: its file is removed. Never run two nodes with one identity.")]
pub(crate) struct RestoreArgs {
    /// The backup.
    #[arg(long, value_name = "FILE")]
    pub(crate) from: PathBuf,
    /// Folder that holds no validator yet.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// File with the passphrase (its first line).
    #[arg(long, value_name = "FILE", required_unless_present = "secret_file")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// File with the secret of the key that it is sealed to.
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    pub(crate) secret_file: Option<PathBuf>,
    /// Network that it must be of.
    #[arg(long, value_name = "HEX")]
    pub(crate) network_key: Option<NetworkKey>,
}

#[derive(Debug, Args)]
pub(crate) struct BackupKeyArgs {
    /// File that the secret is written to (readable by you only); keep it away from the validators.
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
}
