//! What stands beside an agent that somebody else starts, such as a cluster: its configuration, its way to a node, and who pays for its
//! registrations.
//!
//! It starts no process and holds no secret of the app's: a host in short, as a container of the app's own pod. Not here: a way out and
//! a way in over TLS, which are the cluster's there.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use freehold_containers::CLIENT_SOCKETS;
use freehold_emulator::EvidenceServer;
use freehold_primitives::{AppId, Genesis, NetworkKey, TrustDomain};
use freehold_rpc::{Endpoint, HttpClient, KeyScope, NodeClient};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

use crate::{
    config::EmulatedTee,
    control::{self, Control},
    error::HostError,
    event::HostEvent,
    host::{CHAIN_SOCKET, CONTROL_SOCKET, EVIDENCE_SOCKET, guest_trust, serve, serve_evidence},
    machine::Machine,
    measure::Launch,
    payer::Payer,
    relay::{ChainRelay, chain_router},
    whole_file::write_whole,
};

/// Name of the agent's configuration in the folder; it is written last.
pub const ATTENDED_CONFIG: &str = "guest.json";
/// Name of a file in the folder that is there once the agent serves every service.
pub const ATTENDED_SERVED: &str = "served";
/// The agent's socket for the app as a whole, which it makes last.
const LOCAL_API_SOCKET: &str = "local.sock";
/// Mode of services' sockets: whoever sees one may use it, under whatever user the service runs.
const SERVICE_MODE: u32 = 0o666;
/// Pause between two looks at them: an agent that is started anew makes others.
const LOOK: Duration = Duration::from_millis(200);
/// Where the kernel's reports stand (`Documentation/ABI/testing/configfs-tsm-report`).
const CONFIGFS: &str = "/sys/kernel/config/tsm/report";

/// What an agent's evidence is of.
pub enum AttendedEvidence {
    /// The kernel of its VM gives it.
    Hardware(
        /// Whose root judges it: Intel's or AMD's.
        TrustDomain,
    ),
    /// The emulator's, of this launch.
    Emulated(EmulatedTee, Box<Launch>),
}

/// One agent and what it needs.
pub struct AttendConfig {
    /// Node that is asked.
    pub node: Endpoint,
    /// What the agent believes the chain under.
    pub network_key: NetworkKey,
    /// The chain's genesis.
    pub genesis: Genesis,
    /// App that the agent becomes an instance of.
    pub app_id: AppId,
    /// Who pays, and is named as provider.
    pub provider: Arc<Payer>,
    /// Gas allowance that the instance's account is kept at, in wei.
    pub allowance_wei: u128,
    /// What the agent shows.
    pub evidence: AttendedEvidence,
    /// Folder of all sockets and of the configuration: the agent and the app's containers see it too.
    pub folder: PathBuf,
    /// Folder that the agent keeps its receipts in.
    pub state_dir: PathBuf,
    /// Services that have the local API: number of the folder `service-N`, and name. A container that has such a folder as its `/run`
    /// finds the sockets where released clients look.
    pub services: Vec<(usize, String)>,
    /// Whether the app has files that outlive it; nothing encrypts them there.
    pub keeps_files: bool,
    /// Scopes of the keys that the app may ask for; all where empty.
    pub scopes: Vec<KeyScope>,
}

/// What serves an agent; its sockets go with it.
pub struct Attendant {
    control: Arc<Control>,
    _tasks: JoinSet<()>,
    _evidence: Option<EvidenceServer>,
}

impl Attendant {
    /// Serves the sockets and writes the configuration. What happens is told on `events`.
    ///
    /// # Errors
    /// [`HostError::System`] where a socket or a file cannot be made, [`HostError::NoEmulatedRoot`].
    pub fn start(config: AttendConfig, events: mpsc::UnboundedSender<HostEvent>) -> Result<Self, HostError> {
        let folder = config.folder.as_path();
        let path = |name: &str| folder.join(name);
        fs::create_dir_all(folder).map_err(HostError::system("the folder of sockets cannot be made", folder))?;
        // A container that is started anew finds those of the one before.
        for socket in [CHAIN_SOCKET, CONTROL_SOCKET, EVIDENCE_SOCKET] {
            Endpoint::unix(path(socket))?;
            match fs::remove_file(path(socket)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(HostError::system("an old socket cannot be removed", &path(socket))(error));
                }
                _ => {}
            }
        }
        let services: Vec<PathBuf> =
            config.services.iter().map(|(number, _)| service_socket(folder, *number)).collect();
        for socket in &services {
            make_ground(socket).map_err(HostError::system("a service's folder cannot be made", socket))?;
        }
        let (evidence, document) = guest_file(&config)?;
        let control = Arc::new(Control {
            instance: Mutex::new(None),
            instance_file: path("instance"),
            provider: Arc::clone(&config.provider),
            node: NodeClient::new(config.node.clone()),
            allowance_wei: config.allowance_wei,
            events,
            route: None,
            hardware: None,
        });
        let mut tasks = JoinSet::new();
        let relay = Arc::new(ChainRelay { node: HttpClient::new(config.node.clone()) });
        serve(&path(CHAIN_SOCKET), chain_router(relay), &mut tasks)?;
        serve(&path(CONTROL_SOCKET), control::router(Arc::clone(&control)), &mut tasks)?;
        let text = document.to_string();
        write_whole(&path(ATTENDED_CONFIG), text.as_bytes())
            .map_err(HostError::system("the agent's configuration cannot be written", &path(ATTENDED_CONFIG)))?;
        tasks.spawn(open_sockets(config.folder, services));
        Ok(Self { control, _tasks: tasks, _evidence: evidence })
    }

    /// Closes the registration of the agent, which ends as well: its lease need not run out.
    pub async fn stop(self) {
        self.control.deregister().await;
    }
}

/// The socket of a service: the last of the names that clients know, the others lead to it.
fn service_socket(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("service-{number}")).join(file_name(CLIENT_SOCKETS[CLIENT_SOCKETS.len() - 1]))
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A service's folder, with the other names of its socket.
fn make_ground(socket: &Path) -> io::Result<()> {
    let Some(folder) = socket.parent() else { return Ok(()) };
    fs::create_dir_all(folder)?;
    for name in CLIENT_SOCKETS.map(file_name) {
        let place = folder.join(name);
        if place != socket && fs::symlink_metadata(&place).is_err() {
            symlink(socket.file_name().unwrap_or_default(), place)?;
        }
    }
    Ok(())
}

/// Opens services' sockets to their users as the agent makes them, for ever; tells once when all are there.
async fn open_sockets(folder: PathBuf, services: Vec<PathBuf>) {
    let mut is_told = false;
    loop {
        let is_open = |socket: &PathBuf| match fs::metadata(socket) {
            Ok(about) if about.permissions().mode() & 0o777 == SERVICE_MODE => true,
            Ok(_) => fs::set_permissions(socket, fs::Permissions::from_mode(SERVICE_MODE)).is_ok(),
            Err(_) => false,
        };
        let are_open = services.iter().filter(|socket| is_open(socket)).count() == services.len();
        if are_open && !is_told && folder.join(LOCAL_API_SOCKET).exists() {
            is_told = fs::write(folder.join(ATTENDED_SERVED), []).is_ok();
        }
        sleep(LOOK).await;
    }
}

/// The emulator, where it gives the evidence, and what the agent is started with.
fn guest_file(config: &AttendConfig) -> Result<(Option<EvidenceServer>, Value), HostError> {
    let folder = config.folder.as_path();
    let socket = folder.join(EVIDENCE_SOCKET);
    let (server, domain, source, event_log) = match &config.evidence {
        AttendedEvidence::Hardware(domain) => (None, *domain, json!({ "configfs": CONFIGFS }), json!([])),
        AttendedEvidence::Emulated(tee, launch) => {
            let machine = Machine::of(launch, *tee);
            machine.check_roots(&config.genesis.trust_roots)?;
            let log = if machine.has_runtime_register() { json!(launch.event_log) } else { json!([]) };
            (serve_evidence(&socket, &machine, launch)?, machine.domain(), json!({ "socket": socket }), log)
        }
    };
    let services: Vec<Value> = config
        .services
        .iter()
        .map(|(number, name)| json!({ "name": name, "socket": service_socket(folder, *number) }))
        .collect();
    let document = json!({
        "trust": guest_trust(
            (&config.network_key, &config.genesis),
            (config.app_id, config.provider.account()),
            (domain, config.genesis.lease_s),
        ),
        "paths": {
            "state_dir": config.state_dir,
            "local_api": folder.join(LOCAL_API_SOCKET),
            "evidence": source,
            "chain": folder.join(CHAIN_SOCKET),
            "control": folder.join(CONTROL_SOCKET),
            "services": services,
        },
        "isolation": if domain == TrustDomain::Emulated { "none" } else { "vm" },
        "storage": if config.keeps_files { "clear" } else { "none" },
        "scopes": config.scopes,
        "event_log": event_log,
    });
    Ok((server, document))
}
