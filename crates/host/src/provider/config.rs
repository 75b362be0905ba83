//! What a provider's machine is told.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use freehold_containers::ContainerBackend;
use freehold_primitives::{Genesis, NetworkKey};
use freehold_rpc::Endpoint;

use super::{policy::ProviderPolicy, vm::VmBackend};
use crate::{
    collateral::VendorSources,
    config::{EmulatedTee, GuestProgram},
    payer::Payer,
};

/// Configuration of a provider's machine. No `Debug`: it holds the account's secret.
#[derive(Clone)]
pub struct ProviderConfig {
    /// JSON-RPC of the provider's own node.
    pub node: Endpoint,
    /// The network key that guests hold the chain to.
    pub network_key: NetworkKey,
    /// Genesis of the chain.
    pub genesis: Genesis,
    /// The account whose offers are served, and which pays for instances.
    pub provider: Arc<Payer>,
    /// Folder for all that outlives this process.
    pub state_dir: PathBuf,
    /// Where renters' commands are taken; port 0 takes any.
    pub listen: SocketAddr,
    /// Address that the apps' APIs are offered on; each takes a port of its own and keeps it.
    pub api: IpAddr,
    /// Address of the one port for TLS of all apps; without one, instances take no TLS.
    pub ingress: Option<SocketAddr>,
    /// Address for plain HTTP beside it, by which authorities ask (`spec/ingress.md` §5).
    pub ingress_http: Option<SocketAddr>,
    /// Folder of model files that apps name; without one, such apps are not run.
    pub models: Option<PathBuf>,
    /// Which TEE the emulator plays; of no account where VMs have one of hardware.
    pub tee: EmulatedTee,
    /// Where collateral for hardware comes from.
    pub vendors: VendorSources,
    /// The guest agent.
    pub guest: GuestProgram,
    /// What runs containers.
    pub containers: ContainerBackend,
    /// The VMs that rented apps run in; without any, they run beside this process.
    pub vm: Option<VmBackend>,
    /// What is served, and what is not.
    pub policy: ProviderPolicy,
    /// Pause between two looks at the chain.
    pub look_every: Duration,
    /// Pause between two claims of a rental's payment.
    pub claim_every: Duration,
    /// Gas allowance that an instance's account is kept at, in wei.
    pub allowance_wei: u128,
}
