//! Arguments of `proxy`.

use std::net::SocketAddr;

use clap::Args;
use freehold_primitives::{AppId, Digest};

use super::{NetworkArgs, app::DemandArgs};

#[derive(Debug, Args)]
#[command(
    after_help = "Point any program at the address that it prints, in plain HTTP: what is sent there goes over TLS to an instance \
                  whose evidence was verified and whose key the connection showed, or nowhere: then the answer is 502 with \
                  `freehold-refusal: CODE`. WebSockets and streams go through. Whoever is on this machine can use the port."
)]
pub(crate) struct ProxyArgs {
    /// The app that must be behind it.
    #[arg(long, value_name = "APP")]
    pub(crate) app: AppId,
    /// The instance that must be, by its id; any of the app by default.
    #[arg(long, value_name = "ID")]
    pub(crate) instance: Option<Digest>,
    /// Ingress of the app's machine, HOST:PORT; by default that of an `app run --ingress` of the network on this machine. `app
    /// list` shows a rented machine's.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) ingress: Option<String>,
    /// Where it listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8082")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) demand: DemandArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}
