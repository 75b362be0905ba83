//! What a host is told: which node, which programs, who pays.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use freehold_primitives::{AppId, Digest, Genesis, NetworkKey, TrustDomain};
use freehold_rpc::{Endpoint, KeyScope};

use crate::{
    bundle::key_scopes, collateral::VendorSources, container::ContainerApp, ingress::Ingress, payer::Payer, vm::VmApp,
};

/// Whether the app's process is kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsolationChoice {
    /// As by [`Self::Required`] where something works, else not; the capability says which.
    Auto,
    /// Under bubblewrap where it works, else under Landlock; without both nothing is started.
    Required,
    /// Under bubblewrap; where it does not work nothing is started.
    Bubblewrap,
    /// Under Landlock and a filter of system calls; where that does not work nothing is started.
    Landlock,
    /// Not at all.
    None,
}

/// The guest agent's program. `--config FILE` is added behind the arguments. Its file has a role `launch` too, which starts the
/// program of a bundle inside (`spec/settings.md` §6), and a role `confine`, which is [`crate::confine`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestProgram {
    /// The executable; it is measured.
    pub executable: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// The app's program. It finds its sockets in the environment ([`crate::LOCAL_API_VARIABLE`],
/// [`crate::APP_SOCKET_VARIABLE`]) and its model in [`crate::MODEL_VARIABLE`]; it should end when its standard input does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppProgram {
    /// The executable; it is measured.
    pub executable: PathBuf,
    /// Its arguments; they are measured, so no path of this machine should stand in them.
    pub arguments: Vec<String>,
    /// Further environment, not measured.
    pub environment: Vec<(String, String)>,
    /// Model file; it is measured, and readable to the app.
    pub model: Option<PathBuf>,
    /// Whether its process is kept apart.
    pub isolation: IsolationChoice,
    /// The bundle that it comes from, if it does.
    pub bundle: Option<BundledProgram>,
}

/// What a host runs.
#[derive(Debug, Clone)]
pub enum App {
    /// One program.
    Process(Box<AppProgram>),
    /// Containers.
    Containers(Box<ContainerApp>),
    /// A VM that boots an image; the guest agent is in the image.
    Vm(Box<VmApp>),
}

impl From<AppProgram> for App {
    fn from(program: AppProgram) -> Self {
        Self::Process(Box::new(program))
    }
}

/// What a bundle says of its program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundledProgram {
    /// The bundle's digest; it is measured in place of executable and arguments, which it fixes.
    pub digest: Digest,
    /// Folder with the bundle's files, unpacked; the program sees it as `/app`, its working folder, and cannot write there.
    pub files: PathBuf,
    /// Model that the manifest names; it is measured.
    pub model: Option<Digest>,
    /// Model files that the manifest names, each checked against its digest; the program sees them below `/models`.
    pub models: Vec<(String, PathBuf)>,
    /// What the program may use.
    pub limits: freehold_bundle::Limits,
    /// Whether it is started again when it ends.
    pub restart: freehold_bundle::Restart,
    /// Whom it may reach.
    pub reach: Reach,
    /// How it is reached over TLS.
    pub ingress: freehold_bundle::Ingress,
    /// Scopes of the keys that it may ask for; all where empty.
    pub scopes: Vec<KeyScope>,
    /// Where it keeps files, as `/storage`.
    pub storage: AppFiles,
    /// Program that starts it inside, with what the app's owner set in its environment; the guest's own file, which is measured.
    /// The host sets it.
    pub launcher: Option<PathBuf>,
}

/// Where a program keeps files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AppFiles {
    /// Nowhere.
    #[default]
    Nowhere,
    /// In memory, at most so many bytes.
    Memory(u64),
    /// In this folder, as they are.
    Folder(AppFolder),
}

/// A folder of this machine that a program keeps files in. It is watched (`supervise::storage`), not walled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppFolder {
    /// The folder.
    pub path: PathBuf,
    /// What the manifest says that it keeps at most, in bytes.
    pub bytes_max: u64,
}

impl AppFiles {
    /// The folder, where there is one.
    pub(crate) const fn folder(&self) -> Option<&AppFolder> {
        match self {
            Self::Nowhere | Self::Memory(_) => None,
            Self::Folder(folder) => Some(folder),
        }
    }
}

/// Whom a program may reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reach {
    /// Nobody but the sockets it is given.
    #[default]
    Nobody,
    /// These, through the gate.
    Listed(Vec<freehold_bundle::EgressTarget>),
    /// Everybody.
    Everybody,
}

impl App {
    /// Whether files that it keeps are for this machine to read.
    pub(crate) fn keeps_clear_files(&self) -> bool {
        match self {
            Self::Process(program) => program.bundle.as_ref().is_some_and(|bundle| bundle.storage.folder().is_some()),
            Self::Containers(app) => app.keeps_files(),
            Self::Vm(_) => false,
        }
    }

    /// Whom it may reach.
    pub(crate) fn reach(&self) -> Reach {
        match self {
            Self::Process(program) => program.bundle.as_ref().map(|bundle| bundle.reach.clone()).unwrap_or_default(),
            Self::Containers(app) => app.reach(),
            Self::Vm(app) => app.reach().clone(),
        }
    }

    /// How it is reached over TLS.
    pub(crate) fn ingress(&self) -> freehold_bundle::Ingress {
        match self {
            Self::Process(program) => program.bundle.as_ref().map(|bundle| bundle.ingress.clone()).unwrap_or_default(),
            Self::Containers(app) => app.ingress().clone(),
            Self::Vm(app) => app.ingress().clone(),
        }
    }

    /// Scopes of the keys that it may ask for, all where empty; in a VM the image says it.
    pub(crate) fn scopes(&self) -> Vec<KeyScope> {
        match self {
            Self::Process(program) => program.bundle.as_ref().map(|bundle| bundle.scopes.clone()).unwrap_or_default(),
            Self::Containers(app) => key_scopes(&app.bundle),
            Self::Vm(_) => Vec::new(),
        }
    }
}

/// Whether the app's policy follows the programs that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyChoice {
    /// The owner's policy is updated to what runs now.
    Follow,
    /// What runs now is admitted beside what the owner's policy names.
    Add,
    /// It stays as it is: the chain refuses other programs.
    Keep,
}

/// Which TEE the emulator plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmulatedTee {
    /// Intel TDX.
    Tdx,
    /// AMD SEV-SNP, on a Genoa.
    Snp,
}

/// A TEE of hardware that an app's VM runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HardwareTee {
    /// Intel TDX.
    Tdx,
    /// AMD SEV-SNP.
    Snp,
}

impl HardwareTee {
    /// Who vouches for it.
    pub const fn domain(self) -> TrustDomain {
        match self {
            Self::Tdx => TrustDomain::Intel,
            Self::Snp => TrustDomain::Amd,
        }
    }
}

/// Whose app a host runs.
#[derive(Clone)]
pub enum AppOwner {
    /// This account's: it makes the app, keeps its policy at what runs here, and brings collateral.
    Own(Arc<Payer>),
    /// Somebody else's, who made it and set its policy.
    Other(AppId),
}

/// Configuration of a host. No `Debug`: it holds the accounts' secrets.
#[derive(Clone)]
pub struct HostConfig {
    /// JSON-RPC of the node.
    pub node: Endpoint,
    /// The network key that answers are held to.
    pub network_key: NetworkKey,
    /// Genesis of the chain.
    pub genesis: Genesis,
    /// Directory for the app's id and the guests' sealed logs.
    pub data_dir: PathBuf,
    /// Directory for sockets; `None` takes the user's runtime directory, or a temporary one.
    pub runtime_dir: Option<PathBuf>,
    /// Whose app it runs.
    pub owner: AppOwner,
    /// The account that pays for instances.
    pub provider: Arc<Payer>,
    /// Which TEE the emulator plays; of no account where the app's VM has one of hardware.
    pub tee: EmulatedTee,
    /// Where collateral for hardware comes from.
    pub vendors: VendorSources,
    /// The guest agent.
    pub guest: GuestProgram,
    /// The app.
    pub app: App,
    /// Whether the app's policy follows the programs.
    pub policy: PolicyChoice,
    /// Where the app's API is offered; port 0 takes any.
    pub api: SocketAddr,
    /// The port for TLS of all apps of this machine; without one, instances take no TLS.
    pub ingress: Option<Ingress>,
    /// Lease of an instance, in seconds.
    pub lease_s: u64,
    /// Gas allowance that an instance's account is kept at, in wei.
    pub allowance_wei: u128,
}
