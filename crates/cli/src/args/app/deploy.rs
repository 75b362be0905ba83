//! Arguments of `app deploy` and of what commands a deployed app.

use std::path::PathBuf;

use alloy_primitives::Address;
use clap::Args;

use super::super::{ImagePartArgs, NetworkArgs};

/// The app of a folder, its network, and who acts.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Without --key and --dev-user the secret is that of FREEHOLD_ACCOUNT_KEY, in hex.")]
pub(crate) struct DeployedArgs {
    /// Folder of the app, with its rofl.yaml.
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// File with the secret of the account that owns the app and rents, in hex, readable by you only.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// User's account of a development network, whose secret everybody knows.
    #[arg(long, value_name = "N", conflicts_with = "key")]
    pub(crate) dev_user: Option<u32>,
    /// Which of the app's machines, where it has several: the name that `deploy --replica` gave it. Each is rented for itself.
    #[arg(long, value_name = "NAME", value_parser = replica)]
    pub(crate) replica: Option<String>,
}

/// A replica's name stands in a file's name and in what is shown.
fn replica(text: &str) -> Result<String, String> {
    let is_good = (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if is_good { Ok(text.to_owned()) } else { Err("1 to 32 of a to z, 0 to 9 and -".to_owned()) }
}

#[derive(Debug, Args)]
#[command(
    after_help = "It builds the bundle, makes the app or sets its policy, rents, and waits until the instance stands on the chain \
                  and answers. Where the app runs already, its rental goes on with the new bundle. With --replica NAME it is \
                  one more machine of the same app, with the same keys, by default of another provider. A provider that refuses costs \
                  nothing: the rental is cancelled."
)]
pub(crate) struct AppDeployArgs {
    #[command(flatten)]
    pub(crate) app: DeployedArgs,
    /// Offer to rent, as `market list` shows it.
    #[arg(long, value_name = "N", conflicts_with = "provider")]
    pub(crate) offer: Option<u64>,
    /// Provider to rent from: its cheapest open offer.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) provider: Option<Address>,
    /// Seconds to pay ahead where it is rented now.
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) seconds: u32,
    /// Seconds to pay beyond its end where it is rented already.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) top_up: Option<u32>,
    /// Folder that the provider takes bundles from, as a store: the bundle is copied there, under its digest.
    #[arg(long, value_name = "DIR", conflicts_with = "source")]
    pub(crate) store: Option<PathBuf>,
    /// Address at which you serve the folder `bundle`, and from which the provider fetches it.
    #[arg(long, value_name = "URL")]
    pub(crate) source: Option<String>,
    /// Firmware that the provider's VMs boot with, where they have a TEE: your copy, which is compared with what the provider tells.
    #[arg(long, value_name = "FILE")]
    pub(crate) firmware: Option<PathBuf>,
    /// Of the image, where the provider runs apps in VMs.
    #[command(flatten)]
    pub(crate) parts: ImagePartArgs,
    /// Do not ask before anything is signed.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Show what would be signed and what it costs, and end.
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AppListArgs {
    #[command(flatten)]
    pub(crate) app: DeployedArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AppLogsArgs {
    #[command(flatten)]
    pub(crate) app: DeployedArgs,
    /// Read the log of this rental, of anybody's app whose manifest makes it public (`freehold.logs`): no folder and no account
    /// is needed.
    #[arg(long, value_name = "N", conflicts_with_all = ["key", "dev_user", "replica"])]
    pub(crate) rental: Option<u64>,
    /// Go on with what comes.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Show one service alone, of an app of containers.
    #[arg(long, value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// First record to show, by its number.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) from: u64,
}
