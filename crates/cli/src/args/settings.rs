//! Arguments of `app secret`, `app env` and `app limits`, of what starts a program with them, and of roles that the host starts.

use std::path::PathBuf;

use alloy_primitives::Address;
use clap::{Args, Subcommand};
use freehold_primitives::AppId;

use super::NetworkArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Set a secret: its value comes from standard input, byte for byte, or from a file.
    Set {
        /// Name of the secret, as instances see it in their environment.
        name: String,
        /// File with the value, any bytes.
        #[arg(long, value_name = "FILE")]
        from_file: Option<PathBuf>,
        #[command(flatten)]
        app: SettingsArgs,
    },
    /// Set every variable of a file (`NAME=VALUE` a line, quotes over lines) as a secret, in one transaction.
    Import {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        app: SettingsArgs,
    },
    /// Names of the secrets; nobody but the instances can show their values.
    List(SettingsArgs),
    /// Remove secrets.
    Rm {
        /// Their names.
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        app: SettingsArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum EnvCommand {
    /// Set a value that everybody may read.
    Set {
        /// Its name.
        name: String,
        /// The value.
        #[arg(allow_hyphen_values = true)]
        value: String,
        #[command(flatten)]
        app: SettingsArgs,
    },
    /// Names and values.
    List(SettingsArgs),
    /// Remove values.
    Rm {
        /// Their names.
        #[arg(required = true)]
        names: Vec<String>,
        #[command(flatten)]
        app: SettingsArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LimitsCommand {
    /// Set the limits, in place of those before.
    Set(LimitsSetArgs),
    /// Show them.
    Show(SettingsArgs),
    /// Take them away: nothing but the balance of an instance's account bounds it then.
    Clear(SettingsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LimitsSetArgs {
    /// Most that one transaction may cost, value and fees together, in wei.
    #[arg(long, value_name = "WEI")]
    pub(crate) per_transaction: u128,
    /// Most that an instance may spend within 24 hours, in wei.
    #[arg(long, value_name = "WEI")]
    pub(crate) per_day: u128,
    /// Most transactions of an instance within 24 hours.
    #[arg(long, value_name = "N")]
    pub(crate) per_day_count: u32,
    /// Contract or account that may be called; none other may.
    #[arg(long = "contract", value_name = "ADDRESS")]
    pub(crate) contracts: Vec<Address>,
    /// Contracts may be created.
    #[arg(long)]
    pub(crate) may_create: bool,
    #[command(flatten)]
    pub(crate) app: SettingsArgs,
}

/// Which app, on which network, and who acts.
#[derive(Debug, Clone, Args)]
pub(crate) struct SettingsArgs {
    /// The app's id; by default that of the app whose folder is named and which was run here.
    #[arg(long, value_name = "rofl1…")]
    pub(crate) app: Option<AppId>,
    /// Folder of the app, with its rofl.yaml.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// File with the secret of the account that owns the app, in hex, readable by you only.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// User's account of a development network, whose secret everybody knows; by default the one that owns apps of `app run`.
    #[arg(long, value_name = "N", conflicts_with = "key")]
    pub(crate) dev_user: Option<u32>,
    /// Show what would be signed and what it costs, and send nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LaunchArgs {
    /// Socket with the environment; by default the local API.
    #[arg(long)]
    pub(crate) socket: Option<PathBuf>,
    /// Start none, and relay a port inside the sandbox to this socket of the gate.
    #[arg(long, value_name = "SOCKET", conflicts_with = "words")]
    pub(crate) relay: Option<PathBuf>,
    /// The program, and its arguments.
    #[arg(required_unless_present = "relay", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) words: Vec<std::ffi::OsString>,
}

/// A role that the host starts.
#[derive(Debug, Args)]
pub(crate) struct RoleArgs {
    /// Configuration of the role.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}
