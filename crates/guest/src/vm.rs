//! The agent inside of a VM: the same instance as anywhere else, whose ways to its host are streams of one link
//! (`spec/vm-image.md` §8).
//!
//! The host says which chain, app and provider; the image says everything else. The host reaches four things here: the app's
//! own socket, the agent's TLS, its health, and a wish that it end. A host that breaks a rule of the link is left: the instance ends,
//! and with it the VM. Which source evidence comes from is decided by the devices that the kernel has, so in a real TEE no
//! host can have emulated evidence taken.

mod port;

#[cfg(test)]
mod tests;

use std::{
    fs::{self, Permissions},
    io,
    os::{fd::OwnedFd, unix::fs::PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use freehold_rpc::{
    AskedStream, Endpoint, EventLogEntry, KeyScope, LinkEnd, LinkError, LinkService, LinkStream, LocalClient,
    StartedLink, VmLink, connect_plain, relay,
};
use serde::Deserialize;
use thiserror::Error;
use tokio::{
    net::{UnixListener, UnixStream},
    signal::unix::{SignalKind, signal},
    sync::{Notify, mpsc},
    task::JoinSet,
};

use crate::{
    AcmeConfig, CONFIG_BYTES_MAX, CONFIGFS_ROOT, EnvironmentSocket, EvidencePath, GuestConfig, GuestError,
    IngressConfig, PathConfig, ServiceSocket, StateDiskPaths, StopReason, StorageCare, TDX_GUEST_DEVICE, TrustConfig,
    run,
};

/// Device of an SEV-SNP guest.
const SEV_GUEST_DEVICE: &str = "/dev/sev-guest";
/// What keeps the app apart here.
const ISOLATION: &str = "vm";
/// Name of the socket that TLS comes by, in the agent's own folder.
const TLS_SOCKET: &str = "tls.sock";

/// Why there is no instance in this VM.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VmError {
    /// A pipe, socket or folder cannot be used.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The link ended before the configuration was read.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The host's configuration is malformed.
    #[error("the host's configuration is malformed: {0}")]
    Config(#[from] serde_json::Error),
    /// The disk's document of the services' sockets is malformed.
    #[error("the services' sockets on the disk are malformed: {0}")]
    Services(#[source] serde_json::Error),
    /// The instance does not run.
    #[error(transparent)]
    Guest(#[from] GuestError),
}

impl VmError {
    fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

/// Where things stand in the VM: the image's to say, never the host's.
#[derive(Debug, Clone)]
pub struct VmPlaces {
    /// Folder of the agent's own sockets and state; nobody else enters it.
    pub own: PathBuf,
    /// The local API's socket.
    pub local_api: PathBuf,
    /// The app's socket, which the app makes.
    pub app_socket: PathBuf,
    /// What outlives the VM.
    pub state: VmState,
    /// Document of the sockets that the app's containers are given ([`VmServices`]), where it is made of containers.
    pub services: Option<PathBuf>,
    /// How the app is reached over TLS, where the host takes connections for it.
    pub ingress: VmIngress,
    /// Scopes of the keys that the app may ask for; all where empty.
    pub scopes: Vec<KeyScope>,
}

/// How the app is reached over TLS (`spec/vm-image.md` §2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmIngress {
    /// Names of the DNS that lead to it.
    pub domains: Vec<String>,
    /// The authority that certifies them.
    pub acme: Option<AcmeConfig>,
}

/// Sockets of the services of an app of containers, as the measured disk has them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmServices {
    /// The local API for one service each.
    pub services: Vec<ServiceSocket>,
    /// The environment of one service each.
    pub environments: Vec<EnvironmentSocket>,
}

impl VmServices {
    fn read(places: &VmPlaces) -> Result<Self, VmError> {
        let Some(path) = &places.services else { return Ok(Self::default()) };
        let text = fs::read(path).map_err(VmError::system("the services' sockets cannot be read"))?;
        serde_json::from_slice(&text).map_err(VmError::Services)
    }
}

/// The state disk (`spec/vm-image.md` §10).
#[derive(Debug, Clone)]
pub struct VmState {
    /// The disk.
    pub device: PathBuf,
    /// Socket of PID 1, which opens it.
    pub asked: PathBuf,
    /// The agent's folder on it, once it is open.
    pub folder: PathBuf,
    /// Size of the file system that is made on a new one, in MiB.
    pub mib: u64,
}

/// What the host says: only `trust` is bound by the keyset's subject, the rest is believed for nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    trust: TrustConfig,
    event_log: Vec<EventLogEntry>,
    /// Whether it brings TLS connections.
    #[serde(default)]
    takes_tls: bool,
}

impl Told {
    fn placed(self, places: &VmPlaces, services: VmServices) -> GuestConfig {
        let has_tee = [TDX_GUEST_DEVICE, SEV_GUEST_DEVICE].iter().any(|device| Path::new(device).exists());
        let evidence = if has_tee {
            EvidencePath::Configfs(CONFIGFS_ROOT.into())
        } else {
            EvidencePath::Socket(socket(places, LinkService::Evidence))
        };
        let VmIngress { domains, acme } = places.ingress.clone();
        let ingress = self.takes_tls.then(|| IngressConfig {
            socket: places.own.join(TLS_SOCKET),
            app_socket: places.app_socket.clone(),
            domains,
            acme,
        });
        let VmState { device, asked, folder, mib } = places.state.clone();
        let paths = PathConfig {
            state_dir: places.own.join("state"),
            local_api: places.local_api.clone(),
            evidence,
            chain: socket(places, LinkService::Chain),
            control: socket(places, LinkService::Control),
            egress: Some(socket(places, LinkService::Egress)),
            ingress,
            services: services.services,
            environments: services.environments,
            state_disk: Some(StateDiskPaths { device, asked, folder, mib }),
        };
        let Self { trust, event_log, .. } = self;
        let (isolation, scopes) = (ISOLATION.to_owned(), places.scopes.clone());
        GuestConfig { trust, paths, isolation, storage: StorageCare::Sealed, scopes, event_log }
    }
}

/// Socket in the agent's own folder behind which a service of the host's stands.
fn socket(places: &VmPlaces, service: LinkService) -> PathBuf {
    places.own.join(match service {
        LinkService::Chain => "chain.sock",
        LinkService::Control => "control.sock",
        LinkService::Egress => "egress.sock",
        _ => "evidence.sock",
    })
}

/// Runs one instance over a pipe to the host, until its life or the link ends, or SIGTERM.
///
/// # Errors
/// Every [`VmError`].
pub async fn run_in_vm(pipe: OwnedFd, places: VmPlaces) -> Result<StopReason, VmError> {
    let pipe = port::socket(pipe).map_err(VmError::system("the way to the host cannot be used"))?;
    let (reader, writer) = pipe.into_split();
    let StartedLink { link, asked, carrier } = VmLink::start(LinkEnd::Guest, reader, writer);
    let mut carrier = tokio::spawn(carrier);
    let told = tokio::select! {
        told = told(&link) => told,
        over = &mut carrier => return Err(over.unwrap_or(LinkError::Closed).into()),
    };
    let told = match told {
        // A link that is over says why.
        Err(VmError::System { .. }) if link.is_over() => return Err(carrier.await.unwrap_or(LinkError::Closed).into()),
        told => told?,
    };
    fs::create_dir_all(&places.own).map_err(VmError::system("the agent's folder cannot be made"))?;
    let config = told.placed(&places, VmServices::read(&places)?);
    let mut tasks = JoinSet::new();
    for service in [LinkService::Chain, LinkService::Control, LinkService::Evidence, LinkService::Egress] {
        let path = socket(&places, service);
        let listener = UnixListener::bind(&path);
        let listener = listener.map_err(VmError::system("a socket of the agent's cannot be bound"))?;
        if service == LinkService::Egress {
            // The app's relay connects to it, which is another user's.
            let opened = fs::set_permissions(&path, Permissions::from_mode(0o666));
            opened.map_err(VmError::system("the way out cannot be opened"))?;
        }
        tasks.spawn(outward(listener, link.clone(), service));
    }
    let stop = Arc::new(Notify::new());
    tasks.spawn(inward(asked, places, Arc::clone(&stop)));
    let mut terminate =
        signal(SignalKind::terminate()).map_err(VmError::system("the signal to end cannot be caught"))?;
    let ended = async move {
        tokio::select! {
            () = stop.notified() => {}
            _ = terminate.recv() => {}
            over = carrier => tracing::warn!(error = ?over, "the link to the host is over"),
        }
    };
    let reason = run(config, ended).await?;
    tasks.shutdown().await;
    Ok(reason)
}

/// Reads what the host says.
async fn told(link: &VmLink) -> Result<Told, VmError> {
    let read = async {
        let mut stream = link.open(LinkService::Config).await?;
        let text = stream.reader.to_end(CONFIG_BYTES_MAX as usize).await?;
        stream.writer.end().await?;
        Ok(text)
    };
    let text = read.await.map_err(VmError::system("the host gives no configuration"))?;
    Ok(serde_json::from_slice(&text)?)
}

/// Carries each connection of a socket to a service of the host's.
async fn outward(listener: UnixListener, link: VmLink, service: LinkService) {
    while let Ok((socket, _)) = listener.accept().await {
        let link = link.clone();
        tokio::spawn(async move {
            let carried = async { relay(link.open(service).await?, socket).await };
            if let Err(error) = carried.await {
                tracing::debug!(%error, ?service, "a stream to the host broke");
            }
        });
    }
}

/// Answers what the host asks for.
async fn inward(mut asked: mpsc::Receiver<AskedStream>, places: VmPlaces, stop: Arc<Notify>) {
    let places = Arc::new(places);
    while let Some(stream) = asked.recv().await {
        let (places, stop) = (Arc::clone(&places), Arc::clone(&stop));
        tokio::spawn(async move {
            let answered = async {
                match stream.service() {
                    // The app may have put anything in its socket's place; a link is not followed.
                    LinkService::App => {
                        let socket = connect_plain(&places.app_socket).await?;
                        relay(stream.accept()?, socket).await
                    }
                    LinkService::Tls => {
                        let socket = UnixStream::connect(places.own.join(TLS_SOCKET)).await?;
                        relay(stream.accept()?, socket).await
                    }
                    LinkService::Health => health(stream.accept()?, &places.local_api).await,
                    _ => {
                        stop.notify_one();
                        let mut stream = stream.accept()?;
                        stream.writer.end().await?;
                        stream.reader.next().await.map(drop)
                    }
                }
            };
            if let Err(error) = answered.await {
                tracing::debug!(%error, "a stream of the host's broke");
            }
        });
    }
}

/// The agent's health, and nothing else of its local API.
async fn health(mut stream: LinkStream, local_api: &Path) -> io::Result<()> {
    let endpoint = Endpoint::unix(local_api).map_err(io::Error::other)?;
    let health = LocalClient::new(endpoint).health().await.map_err(io::Error::other)?;
    stream.writer.send(&serde_json::to_vec(&health)?).await?;
    stream.writer.end().await?;
    // Dropped before the host has ended, it would be reset, and the answer with it.
    stream.reader.next().await.map(drop)
}
