//! Arguments of `app policy`, `app upgrade` and `app rollback`, and of whoever demands something of an app's upgrades.

use std::path::PathBuf;

use alloy_primitives::{Address, B256};
use clap::{Args, Subcommand};
use freehold_client::UpgradeDemand;
use freehold_primitives::{Account, Digest};

use super::super::SettingsArgs;

/// What is demanded of an app's upgrades (docs/upgrades.md).
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "What is demanded of the app's upgrades")]
pub(crate) struct DemandArgs {
    /// Least notice that the app promises, and for which what it admits is public.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) min_notice: u64,
    /// Least number of co-signers that a change of the app needs.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) require_cosigners: u32,
    /// Account that must call what the app admits sound; may be given more than once.
    #[arg(long = "auditor", value_name = "ACCOUNT")]
    pub(crate) auditors: Vec<Address>,
}

impl DemandArgs {
    pub(crate) fn demand(&self) -> UpgradeDemand {
        UpgradeDemand {
            notice_s_min: self.min_notice,
            cosigners_min: self.require_cosigners,
            auditors: self.auditors.iter().map(|account| Account(account.0.0)).collect(),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum AppPolicyCommand {
    /// What is in force, what is announced, what the app promises, and its versions: all proven.
    Show(SettingsArgs),
    /// Change what the app promises: a stricter rule counts at once, any other is announced.
    Edit(AppPolicyEditArgs),
    /// Check what the app promises, and whether a bundle is admitted: for scripts.
    Check(AppPolicyCheckArgs),
    /// Approve the change that is announced, as a co-signer.
    Approve(AppPolicyApproveArgs),
    /// Withdraw what is announced.
    Withdraw(SettingsArgs),
    /// Say, in your own name, that what the app admits is sound or flawed.
    Audit(AppPolicyAuditArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Without a flag the rule is opened in $EDITOR, as TOML. What changes is shown before anything is signed."
)]
pub(crate) struct AppPolicyEditArgs {
    /// Seconds between the announcement of a policy and its coming into force.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) notice: Option<u64>,
    /// Account that may approve changes, in place of those before; may be given more than once.
    #[arg(long = "cosigner", value_name = "ACCOUNT")]
    pub(crate) cosigners: Vec<Address>,
    /// Nobody may.
    #[arg(long, conflicts_with = "cosigners")]
    pub(crate) no_cosigners: bool,
    /// How many of them must.
    #[arg(long, value_name = "N")]
    pub(crate) cosigners_needed: Option<u32>,
    /// File with the rule, as TOML: notice_s, cosigners, cosigners_needed.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["notice", "cosigners", "no_cosigners", "cosigners_needed"])]
    pub(crate) file: Option<PathBuf>,
    /// Do not ask before anything is signed.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) app: SettingsArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 where the app keeps to what is demanded and admits the bundle now, 3 where it will only admit \
                  the bundle by what is announced, 1 otherwise."
)]
pub(crate) struct AppPolicyCheckArgs {
    /// Bundle that the policy should admit, under each kind of evidence that it accepts.
    #[arg(long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) demand: DemandArgs,
    #[command(flatten)]
    pub(crate) app: SettingsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AppPolicyApproveArgs {
    /// Digest of the change, as `app policy show` shows it: what you looked at, and nothing else.
    #[arg(long, value_name = "HEX")]
    pub(crate) change: Digest,
    /// Take the approval back instead.
    #[arg(long)]
    pub(crate) take_back: bool,
    #[command(flatten)]
    pub(crate) app: SettingsArgs,
}

/// What an auditor says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum VerdictArg {
    /// Nothing was found that speaks against it.
    Sound,
    /// Something was found.
    Flawed,
}

#[derive(Debug, Args)]
pub(crate) struct AppPolicyAuditArgs {
    /// What you say.
    #[arg(value_name = "sound|flawed")]
    pub(crate) verdict: VerdictArg,
    /// Digest of the policy that you looked at; by default the one in force.
    #[arg(long, value_name = "HEX")]
    pub(crate) policy: Option<B256>,
    /// File with your report, whose SHA-256 is published.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Where the report is.
    #[arg(long, value_name = "URL", default_value = "")]
    pub(crate) place: String,
    #[command(flatten)]
    pub(crate) app: SettingsArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "It announces the policy in force with this build beside what it admits. Then `--activate` once the notice is \
                  over, `freehold app deploy` to run the new build, and `--drop-old` when the old one is gone. Of an app \
                  that promises nothing the new policy counts at once."
)]
pub(crate) struct AppUpgradeArgs {
    /// Folder of the app, with its rofl.yaml; by default that of --folder.
    #[arg(value_name = "DIR", conflicts_with = "folder")]
    pub(crate) build: Option<PathBuf>,
    /// Put what is announced in force.
    #[arg(long, conflicts_with = "drop_old")]
    pub(crate) activate: bool,
    /// Admit this build alone from now on: needs no notice, and ends instances of other builds.
    #[arg(long)]
    pub(crate) drop_old: bool,
    /// Announce what this file says about evidence instead of a build: for hardware and VMs (docs/attestation.md).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["activate", "drop_old"])]
    pub(crate) evidence: Option<PathBuf>,
    /// Do not ask before anything is signed.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) app: SettingsArgs,
}

#[derive(Debug, Args)]
#[command(
    after_help = "A version that was in force until less than one notice ago, and was public for one, comes back at once, with the co-signers' approval \
                  where the app needs it; an older one is announced like any policy."
)]
pub(crate) struct AppRollbackArgs {
    /// Version of the app whose policy returns, as `app policy show` lists them.
    #[arg(long, value_name = "VERSION")]
    pub(crate) to: u32,
    /// Do not ask before anything is signed.
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) app: SettingsArgs,
}
