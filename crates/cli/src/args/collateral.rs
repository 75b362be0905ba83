//! Arguments of `collateral`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use freehold_host::{Place, VendorUrl};
use freehold_primitives::{Account, AppId, PlatformFamily};

use super::FindArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum CollateralCommand {
    /// Fetch, verify, submit what is newer, and warn; again and again.
    Watch(Box<CollateralWatchArgs>),
    /// Show what stands on the chain and judge live instances under it; nothing is fetched or sent.
    Status(Box<CollateralScopeArgs>),
}

/// Which instances count, and how far ahead is looked.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 nothing to say, 1 something failed, 2 usage, 3 warnings.")]
pub(crate) struct CollateralScopeArgs {
    /// App whose instances count; all apps of the chain by default.
    #[arg(long = "app", value_name = "APP")]
    pub(crate) apps: Vec<AppId>,
    /// Warn of this provider's instances only.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) provider: Option<Account>,
    /// FMSPC whose TDX collateral is kept, beside those of live instances.
    #[arg(long, value_name = "FMSPC")]
    pub(crate) tdx: Vec<PlatformFamily>,
    /// FMSPC whose SGX collateral is kept; `:processor` behind it for machines of one package.
    #[arg(long, value_name = "FMSPC[:CA]")]
    pub(crate) sgx: Vec<String>,
    /// Product of AMD's whose collateral is kept: milan, genoa or turin; `:vlek` behind it for keys that a cloud loads.
    #[arg(long, value_name = "PRODUCT[:KEY]")]
    pub(crate) snp: Vec<String>,
    /// Days ahead of which instances are judged.
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(..=3_650))]
    pub(crate) notice_days: u64,
    /// Days before its end from which collateral is warned of.
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u64).range(..=3_650))]
    pub(crate) expiry_days: u64,
    #[command(flatten)]
    pub(crate) find: FindArgs,
}

impl CollateralScopeArgs {
    /// All instances of all apps, looked ahead as far as the flags do by themselves.
    pub(crate) const fn of_all(find: FindArgs) -> Self {
        Self {
            apps: Vec::new(),
            provider: None,
            tdx: Vec::new(),
            sgx: Vec::new(),
            snp: Vec::new(),
            notice_days: 30,
            expiry_days: 7,
            find,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Exit status with --once: 0 nothing to say, 1 something failed, 2 usage, 3 warnings.")]
pub(crate) struct CollateralWatchArgs {
    /// One round, then end.
    #[arg(long)]
    pub(crate) once: bool,
    /// File with the secret of the account that pays for submissions, in hex; without it nothing is submitted.
    #[arg(long, value_name = "FILE")]
    pub(crate) payer: Option<PathBuf>,
    /// Intel's service, or a cache of it (PCCS), without `/sgx/…`.
    #[arg(long, value_name = "URL", default_value = freehold_host::INTEL_PCS)]
    pub(crate) intel: VendorUrl,
    /// AMD's service.
    #[arg(long, value_name = "URL", default_value = freehold_host::AMD_KDS)]
    pub(crate) amd: VendorUrl,
    /// Nitro collateral: a canonical document, or PEM of certificates and lists; a file or an address.
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) nitro: Vec<Place>,
    /// NVIDIA collateral, likewise.
    #[arg(long, value_name = "FILE|URL")]
    pub(crate) nvidia: Vec<Place>,
    /// Authorities (PEM) of a service of your own.
    #[arg(long, value_name = "FILE")]
    pub(crate) authorities: Option<PathBuf>,
    /// Submit what Intel publishes ahead of time: promotes the chain at once.
    #[arg(long, conflicts_with = "no_early")]
    pub(crate) submit_early: bool,
    /// Do not ask for what Intel publishes ahead of time: promotions come unforeseen.
    #[arg(long)]
    pub(crate) no_early: bool,
    /// Minutes between rounds.
    #[arg(long, value_name = "MINUTES", default_value_t = 360, value_parser = clap::value_parser!(u64).range(1..=10_080))]
    pub(crate) interval_minutes: u64,
    #[command(flatten)]
    pub(crate) scope: CollateralScopeArgs,
}
