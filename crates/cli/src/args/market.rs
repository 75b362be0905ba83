//! Arguments of `market` and `host`.

use std::path::PathBuf;

use alloy_primitives::{Address, B256};
use clap::{Args, Subcommand};
use freehold_primitives::{AppId, TrustDomain};
use freehold_rpc::KeyScope;

use super::{AccelArg, NetworkArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum MarketCommand {
    /// Offers, with what the chain has seen of their providers, and rentals.
    List(MarketListArgs),
    /// Rent a machine for an app: the price of all seconds goes into escrow, and what is not served comes back.
    Rent(MarketRentArgs),
    /// Pay a rental for longer.
    TopUp(MarketTopUpArgs),
    /// End a rental: what was served is paid, the rest becomes yours to withdraw.
    Cancel(RentalArgs),
    /// Take what the market owes you.
    Withdraw(MarketWithdrawArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum HostCommand {
    /// Serve the rentals of your offers from this machine: run what renters deploy, claim, stop when it ends.
    Run(HostRunArgs),
    /// Serve the sockets of one agent that somebody else starts, such as a cluster, and pay for its registrations.
    Attend(Box<HostAttendArgs>),
    /// Say what this machine has for the VMs of apps, and what to do where something is missing.
    Check(HostCheckArgs),
    /// Offers of machines.
    #[command(subcommand)]
    Offer(HostOfferCommand),
    /// Add to the bond that offers put at stake.
    Bond(HostBondArgs),
    /// Say which instance serves a rental from now on; you registered it.
    Attach(HostAttachArgs),
    /// Claim what was served since the last claim.
    Claim(RentalArgs),
    /// End a rental that you cannot or will not serve.
    Release(RentalArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "An example of the file: docs/host.toml. SIGINT or SIGTERM ends all apps in order; after a kill the next \
                        start goes on where it was."
)]
pub(crate) struct HostRunArgs {
    /// What the machine serves, for whom, and as which account.
    #[arg(long, value_name = "FILE", default_value = "host.toml")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
#[command(
    after_help = "It writes guest.json into the folder when the sockets are there; `freehold guest --config DIR/guest.json` is the \
                  agent, whose standard input has to stay open. `freehold app manifest --kubernetes` starts both."
)]
pub(crate) struct HostAttendArgs {
    /// Folder of the sockets and of the agent's configuration.
    #[arg(long, value_name = "DIR", default_value = "/run/freehold")]
    pub(crate) folder: PathBuf,
    /// Folder that the agent keeps its receipts in.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/freehold")]
    pub(crate) state_dir: PathBuf,
    /// App that the agent becomes an instance of.
    #[arg(long, value_name = "rofl1…")]
    pub(crate) app: AppId,
    /// A service with the local API: number of its folder `service-N`, and its name; may be given more than once.
    #[arg(long = "service", value_name = "N=NAME", value_parser = service)]
    pub(crate) services: Vec<(usize, String)>,
    /// The app has files that outlive it.
    #[arg(long)]
    pub(crate) keeps_files: bool,
    /// Give keys of this scope (app, provider, instance, service), and of those that are named beside it; of all where none is.
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
    pub(crate) scopes: Vec<KeyScope>,
    /// Whose evidence the kernel gives: intel or amd.
    #[arg(long, value_name = "intel|amd", value_parser = hardware, required_unless_present = "emulated")]
    pub(crate) trust_domain: Option<TrustDomain>,
    /// Give the emulator's evidence of this bundle instead, on a development network.
    #[arg(long, value_name = "DIR", conflicts_with = "trust_domain")]
    pub(crate) emulated: Option<PathBuf>,
    /// File with the secret of the account that pays, in hex, readable by you only; by default that of FREEHOLD_ACCOUNT_KEY.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

fn service(text: &str) -> Result<(usize, String), String> {
    let (number, name) = text.split_once('=').ok_or("not N=NAME")?;
    Ok((number.parse().map_err(|_| "not N=NAME")?, name.to_owned()))
}

fn scope(text: &str) -> Result<KeyScope, String> {
    let found = KeyScope::ALL.into_iter().find(|scope| scope.as_str() == text);
    found.ok_or_else(|| "app, provider, instance or service".to_owned())
}

pub(super) fn hardware(text: &str) -> Result<TrustDomain, String> {
    [TrustDomain::Intel, TrustDomain::Amd]
        .into_iter()
        .find(|domain| domain.as_str() == text)
        .ok_or_else(|| "intel or amd".to_owned())
}

#[derive(Debug, Args)]
#[command(
    after_help = "It boots a guest under KVM and under software, and changes nothing. Exit status: 0 where what --accel or the file \
                  asks for is ready (without either: software), 1 otherwise."
)]
pub(crate) struct HostCheckArgs {
    /// File of `host run`, whose [vm] counts.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What must be ready.
    #[arg(long, value_name = "kvm|tcg|tdx|snp", conflicts_with = "config")]
    pub(crate) accel: Option<AccelArg>,
    /// Firmware of VMs in a TEE.
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub(crate) firmware: Option<PathBuf>,
    /// The pinned kernel package; by default the one that FREEHOLD_KERNEL_PACKAGE names. Without it no guest is booted.
    #[arg(long, value_name = "FILE.deb", conflicts_with = "config")]
    pub(crate) kernel: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HostOfferCommand {
    /// Offer a machine. An offer never changes: another price is another offer.
    Add(Box<HostOfferAddArgs>),
    /// All offers, yours marked where an account is named.
    List(MarketListArgs),
    /// Close an offer; what is rented goes on.
    Rm(HostOfferRmArgs),
}

/// Who acts, and through which node.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Without --key and --dev-user the secret is that of FREEHOLD_ACCOUNT_KEY, in hex.")]
pub(crate) struct ActingArgs {
    /// JSON-RPC of a node.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    pub(crate) rpc: String,
    /// File with the secret of the account that acts, in hex, readable by you only.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// User's account of a development network, whose secret everybody knows.
    #[arg(long, value_name = "N", conflicts_with = "key")]
    pub(crate) dev_user: Option<u32>,
    /// Show what would be signed and what it would cost, and end.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MarketListArgs {
    /// JSON-RPC of a node.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8545")]
    pub(crate) rpc: String,
    /// Show only offers and rentals of this provider or renter.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) of: Option<Address>,
    /// Show closed offers and ended rentals too.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MarketRentArgs {
    /// Number of the offer, as `market list` shows it.
    pub(crate) offer: u64,
    /// App whose instances shall run there.
    #[arg(long, value_name = "rofl1…")]
    pub(crate) app: AppId,
    /// Seconds to pay ahead.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,
    /// Measurement that the instance must show, as `app show` prints it; any that the app's policy admits without it.
    #[arg(long, value_name = "HEX")]
    pub(crate) measurement: Option<B256>,
    #[command(flatten)]
    pub(crate) acting: ActingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MarketTopUpArgs {
    /// Number of the rental.
    pub(crate) rental: u64,
    /// Seconds to pay beyond its end.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,
    #[command(flatten)]
    pub(crate) acting: ActingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RentalArgs {
    /// Number of the rental.
    pub(crate) rental: u64,
    #[command(flatten)]
    pub(crate) acting: ActingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MarketWithdrawArgs {
    /// Token to take; the native coin without it.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) token: Option<Address>,
    /// Who receives it; by default the account that acts.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) to: Option<Address>,
    #[command(flatten)]
    pub(crate) acting: ActingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct HostBondArgs {
    /// How much to add, in base units (wei).
    #[arg(long, value_name = "WEI")]
    pub(crate) add: u128,
    #[command(flatten)]
    pub(crate) acting: ActingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct HostAttachArgs {
    /// Number of the rental.
    pub(crate) rental: u64,
    /// The instance, by its id.
    #[arg(long, value_name = "HEX")]
    pub(crate) instance: B256,
    #[command(flatten)]
    pub(crate) acting: ActingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct HostOfferRmArgs {
    /// Number of the offer.
    pub(crate) offer: u64,
    #[command(flatten)]
    pub(crate) acting: ActingArgs,
}

#[derive(Debug, Args)]
pub(crate) struct HostOfferAddArgs {
    /// Price of a second of a live instance, in base units of the token (wei).
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) price: u128,
    /// ERC-20 to be paid in; the native coin without it.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) token: Option<Address>,
    /// Bond at stake for each rental, in wei.
    #[arg(long, value_name = "WEI", default_value_t = 0)]
    pub(crate) bond: u128,
    /// Shortest rental in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    pub(crate) seconds_min: u32,
    /// Longest time paid ahead, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 31_536_000)]
    pub(crate) seconds_max: u32,
    /// Most rentals at once.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) capacity: u16,
    /// Kind of evidence: 1 TDX, 2 SGX, 3 SEV-SNP, 4 Nitro, 6 with GPUs.
    #[arg(long, value_name = "N")]
    pub(crate) evidence_kind: u8,
    /// Who vouches: 1 emulated (protects nothing), 2 Intel, 3 AMD, 4 AWS, 5 NVIDIA.
    #[arg(long, value_name = "N")]
    pub(crate) trust_domain: u8,
    /// Least tier of the evidence.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) tier: u8,
    /// Least number of GPUs that the evidence shows.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) gpus: u8,
    /// Promise that nobody else's app runs on the machine meanwhile; a breach costs the bond.
    #[arg(long)]
    pub(crate) exclusive: bool,
    /// The one machine that is meant, as entries name it.
    #[arg(long, value_name = "HEX")]
    pub(crate) platform: Option<B256>,
    /// CPUs of an instance.
    #[arg(long, value_name = "N")]
    pub(crate) cpus: u16,
    /// Memory of an instance.
    #[arg(long, value_name = "MIB")]
    pub(crate) memory_mib: u32,
    /// Where renters reach you: the address of `host run`, http://…; behind it, what else people should read.
    #[arg(long, value_name = "URL", default_value = "")]
    pub(crate) details: String,
    #[command(flatten)]
    pub(crate) acting: ActingArgs,
}
