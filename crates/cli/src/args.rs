//! The command line: one struct per command; parser, help and completion come from it.

mod app;
mod ask;
mod attest;
mod backup;
mod bench;
mod collateral;
mod follow;
mod image;
mod log;
mod market;
mod network;
mod proxy;
mod settings;
mod tee;
mod validator;

use std::{net::SocketAddr, path::PathBuf};

use alloy_primitives::{Address, B256, Bytes};
use clap::{Args, Parser, Subcommand};
use freehold_host::EmulatedTee;
use freehold_primitives::{Account, Digest, NetworkKey};
use freehold_rpc::Endpoint;

pub(crate) use app::{
    AccelArg, AppBuildArgs, AppCommand, AppDeployArgs, AppFetchCheckArgs, AppInitArgs, AppKindArg, AppListArgs,
    AppLogsArgs, AppManifestArgs, AppPolicyApproveArgs, AppPolicyAuditArgs, AppPolicyCheckArgs, AppPolicyCommand,
    AppPolicyEditArgs, AppPushArgs, AppRestoreArgs, AppRollbackArgs, AppRunArgs, AppShowArgs, AppSnapshotArgs,
    AppUpgradeArgs, DeployedArgs, LauncherArg, SandboxArg, StateDiskArg, VerdictArg, VmArgs,
};
pub(crate) use ask::{AskArgs, ChatArgs};
pub(crate) use attest::{AttestCommand, AttestEmulateArgs, AttestVerifyArgs};
pub(crate) use backup::{BackupArgs, BackupKeyArgs, RestoreArgs};
pub(crate) use bench::{AppsPart, BenchCommand, NetworkPart};
pub(crate) use collateral::{CollateralCommand, CollateralScopeArgs, CollateralWatchArgs};
pub(crate) use follow::{FollowArgs, SyncChoice};
pub(crate) use image::{ImageBuildArgs, ImageCommand, ImageMeasureArgs, ImagePartArgs, ShapeArgs, SnpCpuArg};
pub(crate) use log::LogFormat;
pub(crate) use market::{
    ActingArgs, HostAttendArgs, HostCheckArgs, HostCommand, HostOfferAddArgs, HostOfferCommand, HostRunArgs,
    MarketCommand, MarketListArgs, MarketRentArgs,
};
pub(crate) use network::NetworkArgs;
pub(crate) use proxy::ProxyArgs;
pub(crate) use settings::{
    EnvCommand, LaunchArgs, LimitsCommand, LimitsSetArgs, RoleArgs, SecretCommand, SettingsArgs,
};
pub(crate) use tee::TeeVmArgs;
pub(crate) use validator::{
    SucceedMasterArgs, SuccessionArgs, ValidatorArgs, ValidatorCommand, ValidatorJoinArgs, ValidatorReportArgs,
    ValidatorStatusArgs,
};

/// Private AI that you can check: a network, attested apps, and answers with proofs.
#[derive(Debug, Parser)]
#[command(
    name = "freehold",
    version,
    max_term_width = 100,
    after_help = "Start with `freehold demo`: a network, an attested model, a private answer, and its proof, in one command.\n\
                  Then `freehold up` in one terminal and `freehold ask \"…\"` in another."
)]
pub(crate) struct Cli {
    /// Print one JSON object per line instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show what happens inside (-v), and all of it (-vv).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Form of the log on standard error.
    #[arg(long, global = true, value_name = "text|json", default_value = "text")]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the whole way once: network, attested app, private question, proven answer; then try to forge the proof.
    Demo(DemoArgs),
    /// Start a network with a private model on this machine and keep it up.
    Up(UpArgs),
    /// Ask a private model; the answer is checked before it counts.
    Ask(AskArgs),
    /// Talk to a private model; every turn is checked.
    Chat(ChatArgs),
    /// Make, build and run apps of your own.
    #[command(subcommand)]
    App(AppCommand),
    /// Build the VM image of an app, and compute what hardware will measure of it.
    #[command(subcommand)]
    Image(ImageCommand),
    /// Check a proof offline: no node is needed, only the file and the network key.
    Verify(VerifyArgs),
    /// Show, judge or emulate TEE evidence of any kind, from files.
    #[command(subcommand)]
    Attest(AttestCommand),
    /// Keep the vendors' collateral on the chain fresh, and warn before it drops an instance.
    #[command(subcommand)]
    Collateral(CollateralCommand),
    /// Show how a node, its network and its app stand, and what needs attention (`--rpc URL`: any one node).
    Status(FindArgs),
    /// Save the network's newest final header, for `verify --header`: how an instance stands now.
    Header(HeaderArgs),
    /// Show what lies in the shadow of a subject: instances, apps, keys and receipts that ever stood on it.
    Taint(TaintArgs),
    /// Check a chain's answers from the network key alone: a local JSON-RPC for any Ethereum client, or one answer.
    Light(LightArgs),
    /// Reach an app over TLS that ends in its verified instance, from programs that verify nothing.
    Proxy(ProxyArgs),
    /// Models that `up --model` knows.
    #[command(subcommand)]
    Model(ModelCommand),
    /// Print a measured figure.
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Make a new network of several machines; its validators make the keys among themselves.
    #[command(subcommand)]
    Genesis(GenesisCommand),
    /// Run one validator of a network as a process of its own.
    Node(NodeArgs),
    /// Join or leave a network as a validator, come out of jail, and see who validates.
    #[command(subcommand)]
    Validator(ValidatorCommand),
    /// Rent machines for apps: paid by the second of attested service, the rest comes back.
    #[command(subcommand)]
    Market(MarketCommand),
    /// Let machines: offers, the bond, and payment for what was served.
    #[command(subcommand)]
    Host(HostCommand),
    /// Keep a validator's identity in an encrypted file, or move the validator to another machine.
    Backup(BackupArgs),
    /// Bring a validator back from such a file.
    Restore(RestoreArgs),
    /// Make a key that backups can be sealed to.
    BackupKey(BackupKeyArgs),
    /// Print the completion script of a shell: `freehold completions bash > ~/.local/share/bash-completion/completions/freehold`.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Agent inside an instance (started by the host).
    #[command(hide = true)]
    Guest(RoleArgs),
    /// Starts a program inside an instance, with what the app's owner set (started by the host).
    #[command(hide = true)]
    Launch(LaunchArgs),
    /// Keeps a program apart by Landlock and a filter of system calls (started by the host).
    #[command(hide = true)]
    Confine,
    /// Private inference app (started by the host).
    #[command(hide = true)]
    Inference,
    /// App of `bench apps` (started by its host).
    #[command(hide = true)]
    BenchApp,
    /// Bare engine (started by `bench infer`).
    #[command(hide = true)]
    BenchEngine {
        /// Model file.
        path: PathBuf,
        /// Model name.
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Model: a name that `freehold model list` shows, or a GGUF file.
    #[arg(long, value_name = "NAME|FILE.gguf")]
    pub(crate) model: Option<String>,
    /// Threads of the model; all cores by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) threads: Option<u32>,
    /// Where the proof is written.
    #[arg(long, value_name = "FILE", default_value = "proof.json")]
    pub(crate) save_proof: PathBuf,
    /// Question to ask.
    #[arg(long, value_name = "TEXT", default_value = "What is a freehold? Answer in one sentence.")]
    pub(crate) question: String,
    /// Validators: 1, or 4 and more.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) validators: u32,
}

#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Validators in this process: 1, or 4 and more.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(crate) validators: u32,
    /// Address of the Ethereum JSON-RPC; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8545")]
    pub(crate) rpc: SocketAddr,
    /// Address of the private inference API; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) api: SocketAddr,
    /// Chain id.
    #[arg(long, value_name = "N", default_value_t = 23_293)]
    pub(crate) chain_id: u64,
    /// Where the network lives; by default a folder of the chain id in the user's data directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Model: a name that `freehold model list` shows, or a GGUF file.
    #[arg(long, value_name = "NAME|FILE.gguf")]
    pub(crate) model: Option<String>,
    /// Threads of the model; all cores by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) threads: Option<u32>,
    /// Length of a term of a new network, in payloads, 8 for each validator at least: key shares are made anew once a term.
    #[arg(long, value_name = "N", default_value_t = crate::network::TERM_BLOCKS)]
    pub(crate) term_blocks: u64,
    /// Only the network, no app.
    #[arg(long)]
    pub(crate) no_app: bool,
    /// A new network in which anyone may trace confidential contracts: their secrets are none, and every answer says so.
    #[arg(long)]
    pub(crate) dev_traces: bool,
    /// Which TEE the emulator plays for the app; a new network admits it.
    #[arg(long, value_name = "tdx|snp", default_value = "tdx")]
    pub(crate) tee: TeeArg,
    /// A new network that admits hardware too: its genesis lists the roots of Intel, AMD, AWS and NVIDIA beside the emulator's.
    #[arg(long)]
    pub(crate) vendor_roots: bool,
}

/// A TEE that the emulator can play.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum TeeArg {
    /// Intel TDX.
    Tdx,
    /// AMD SEV-SNP.
    Snp,
}

impl UpArgs {
    /// The TEE, as the host names it.
    pub(crate) const fn tee(&self) -> EmulatedTee {
        match self.tee {
            TeeArg::Tdx => EmulatedTee::Tdx,
            TeeArg::Snp => EmulatedTee::Snp,
        }
    }
}

/// How `ask`, `chat` and `status` find the node.
#[derive(Debug, Clone, Args)]
pub(crate) struct FindArgs {
    /// Data directory of the `up` to talk to.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["api", "rpc"])]
    pub(crate) data_dir: Option<PathBuf>,
    /// Chain id, which names the default data directory.
    #[arg(long, value_name = "N", default_value_t = 23_293)]
    pub(crate) chain_id: u64,
    /// Inference API of the instance, such as http://127.0.0.1:8080.
    #[arg(long, value_name = "URL")]
    pub(crate) api: Option<String>,
    /// JSON-RPC of a node, such as http://127.0.0.1:8545.
    #[arg(long, value_name = "URL")]
    pub(crate) rpc: Option<String>,
    /// Network key to trust, 96 bytes in hex; by default the one pinned in the data directory.
    #[arg(long, value_name = "HEX")]
    pub(crate) network_key: Option<NetworkKey>,
}

#[derive(Debug, Args)]
pub(crate) struct HeaderArgs {
    /// Where the header is written.
    #[arg(long, value_name = "FILE")]
    pub(crate) save: PathBuf,
    /// Proof whose instance it must speak of; by default it speaks of the instance that answers now.
    #[arg(long, value_name = "FILE")]
    pub(crate) proof: Option<PathBuf>,
    /// Instance that it must speak of, as the receipt names it.
    #[arg(long, value_name = "HEX", conflicts_with = "proof")]
    pub(crate) instance: Option<Digest>,
    /// Keep the file new until stopped, never with an older header than before.
    #[arg(long)]
    pub(crate) follow: bool,
    /// Seconds between two headers under --follow.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, requires = "follow", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) every: u64,
    #[command(flatten)]
    pub(crate) find: FindArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TaintArgs {
    /// platform, family, measurement, instance, generation or tcb.
    #[arg(value_name = "KIND")]
    pub(crate) kind: String,
    /// The subject in hex, as verdicts and entries name it.
    #[arg(value_name = "SUBJECT")]
    pub(crate) subject: String,
    #[command(flatten)]
    pub(crate) find: FindArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 valid, 1 refused, 2 usage.")]
pub(crate) struct VerifyArgs {
    /// Proof file.
    pub(crate) proof: PathBuf,
    /// Network key to trust, 96 bytes in hex; by default the one pinned in the data directory.
    #[arg(long, value_name = "HEX")]
    pub(crate) network_key: Option<NetworkKey>,
    /// Newer header of the network, for `valid_now`.
    #[arg(long, value_name = "FILE")]
    pub(crate) header: Option<PathBuf>,
    /// Records by which the network key named its successors, where it was replaced since it was pinned.
    #[arg(long, value_name = "FILE")]
    pub(crate) succession: Option<PathBuf>,
    /// Moment to judge `valid_now` at, in Unix seconds; the clock of this machine by default.
    #[arg(long, value_name = "UNIX")]
    pub(crate) now: Option<u64>,
    /// Oldest header that still answers for now, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
    pub(crate) max_age: u64,
    /// Refuse evidence of emulated hardware.
    #[arg(long)]
    pub(crate) require_hardware: bool,
    /// Refuse unless the instance is valid now and untainted.
    #[arg(long)]
    pub(crate) require_now: bool,
    /// Data directory whose pinned network key counts.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Chain id, which names the default data directory.
    #[arg(long, value_name = "N", default_value_t = 23_293)]
    pub(crate) chain_id: u64,
    #[command(flatten)]
    pub(crate) demand: app::DemandArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Without a command it listens, and any Ethereum client may use it as its node. Nodes are asked in the order \
                  given; none is trusted."
)]
pub(crate) struct LightArgs {
    /// Network key to trust, 96 bytes in hex; by default the one pinned in the data directory.
    #[arg(long, value_name = "HEX", conflicts_with = "network")]
    pub(crate) network_key: Option<NetworkKey>,
    /// File that holds the network key.
    #[arg(long, value_name = "FILE")]
    pub(crate) network: Option<PathBuf>,
    /// Records by which the network key named its successors, where it was replaced since.
    #[arg(long, value_name = "FILE")]
    pub(crate) succession: Option<PathBuf>,
    /// JSON-RPC of a node, such as http://127.0.0.1:8545; several may be given. By default that of the data directory.
    #[arg(long = "node", value_name = "URL")]
    pub(crate) nodes: Vec<String>,
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8546")]
    pub(crate) listen: SocketAddr,
    /// File in which the newest header is kept, so that a restart does not go back.
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Oldest header that still answers for now, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) max_age: u64,
    /// Pass calls that reach confidential storage on to a node, whose answer nothing stands for.
    #[arg(long)]
    pub(crate) allow_unproven: bool,
    /// Data directory whose pinned network key and node count.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Chain id, which names the default data directory.
    #[arg(long, value_name = "N", default_value_t = 23_293)]
    pub(crate) chain_id: u64,
    #[command(subcommand)]
    pub(crate) command: Option<LightCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LightCommand {
    /// The newest header.
    Header,
    /// Balance of an account, in wei.
    Balance {
        /// The account.
        address: Address,
    },
    /// Make a call again over proofs and show its output.
    Call {
        /// Contract.
        to: Address,
        /// Call data in hex.
        #[arg(default_value = "0x")]
        data: Bytes,
        /// Who calls.
        #[arg(long, value_name = "ADDRESS")]
        from: Option<Address>,
    },
    /// Receipt of a transaction, once its block is proven.
    Receipt {
        /// Hash of the transaction.
        hash: B256,
    },
    /// All logs of a range of blocks.
    Logs {
        /// First height.
        #[arg(long, value_name = "N")]
        from_block: u64,
        /// Last height; the newest by default.
        #[arg(long, value_name = "N")]
        to_block: Option<u64>,
        /// Contract; any by default.
        #[arg(long, value_name = "ADDRESS")]
        address: Option<Address>,
        /// First topic; any by default.
        #[arg(long, value_name = "HASH")]
        topic: Option<B256>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// List the models that are known, and which are here.
    List,
    /// Fetch a model, check its digest and keep it.
    Pull {
        /// Name as `model list` shows it.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum GenesisCommand {
    /// Make this machine's validator identity, and the file that says who it is and where.
    Contribute(ContributeArgs),
    /// Make the network file from the contributions of all validators.
    Combine(CombineArgs),
    /// Make the keys together with the other validators, live; nobody ever holds a key.
    Join(JoinArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ContributeArgs {
    /// Folder of this validator.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Address at which the other validators reach this one.
    #[arg(long, value_name = "ADDR")]
    pub(crate) address: SocketAddr,
    /// Account that owns the validator's seat; without it one of the development accounts, which protect nothing.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<Account>,
}

#[derive(Debug, Args)]
pub(crate) struct CombineArgs {
    /// Contributions of all validators: one file each.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) contributions: Vec<PathBuf>,
    /// Where the network file is written.
    #[arg(long, value_name = "FILE", default_value = "network.toml")]
    pub(crate) out: PathBuf,
    /// Chain id.
    #[arg(long, value_name = "N", default_value_t = 23_293)]
    pub(crate) chain_id: u64,
    /// Length of a term, in payloads, 8 for each validator at least: key shares are made anew once a term.
    #[arg(long, value_name = "N", default_value_t = crate::network::TERM_BLOCKS)]
    pub(crate) term_blocks: u64,
    /// Account whose very first transaction creates the app whose instances validate and execute; without it, validators
    /// need no TEE, and nobody but validators executes.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) app_owner: Option<Account>,
}

#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    /// Folder of this validator.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Network file, the same for all.
    #[arg(long, value_name = "FILE")]
    pub(crate) network: PathBuf,
    /// Address to listen on, where it is not the one in the network file.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// Folder of this validator: its genesis, keys and stores (made by `genesis join`, or by `node --init`).
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Address to listen on for other validators; by default the one in the network file.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Addresses of all validators, in the order of the genesis, separated by commas; by default those in the network
    /// file.
    #[arg(long, value_name = "ADDR,…", value_delimiter = ',')]
    pub(crate) peers: Vec<SocketAddr>,
    /// Address of the JSON-RPC; without it none is served.
    #[arg(long, value_name = "ADDR")]
    pub(crate) rpc: Option<SocketAddr>,
    /// Keep transactions and receipts of this many newest blocks (4,096 at least); without it of all: an archive.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(4_096..))]
    pub(crate) keep_blocks: Option<u64>,
    /// Keep this many newest payloads for validators that catch up (two terms at least), or `all`, for which the system must
    /// allow one open file for each 64; by default as many as --keep-blocks, or 16,384. One that is further behind takes the
    /// state.
    #[arg(long, value_name = "N|all", value_parser = payloads_kept, conflicts_with_all = ["follow", "init"])]
    pub(crate) keep_payloads: Option<u64>,
    /// Nodes whose JSON-RPC a validator without blocks asks for the network's state, separated by commas, before its peers
    /// and those of `peers.toml`. They are not trusted.
    #[arg(long, value_name = "URL,…", value_delimiter = ',', conflicts_with_all = ["follow", "init"])]
    pub(crate) sync_from: Vec<Endpoint>,
    /// Make the folders of a new development network with this many validators below DATA_DIR, and end.
    #[arg(long, value_name = "N")]
    pub(crate) init: Option<u32>,
    /// Chain id of a new network.
    #[arg(long, value_name = "N", default_value_t = 23_293)]
    pub(crate) chain_id: u64,
    /// Length of a term of a new network, in payloads.
    #[arg(long, value_name = "N", default_value_t = crate::network::TERM_BLOCKS)]
    pub(crate) term_blocks: u64,
    #[command(flatten)]
    pub(crate) follower: FollowArgs,
}

/// How many payloads are kept.
fn payloads_kept(text: &str) -> Result<u64, String> {
    if text == "all" { Ok(u64::MAX) } else { text.parse().map_err(|_| "neither a number nor `all`".to_owned()) }
}
