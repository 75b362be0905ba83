//! Starting and stopping a host: everything between the chain and the app on one machine.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::Router;
use freehold_crypto::genesis_hash;
use freehold_emulator::EvidenceServer;
use freehold_primitives::{Account, AppId, Canonical as _, Genesis, NetworkKey, TrustDomain};
use freehold_rpc::{ChainTrust, Endpoint, HttpClient, LocalClient, NodeClient, VerifiedClient, app_server_name};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::{mpsc, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep},
};

use crate::{
    app::Registrar,
    collateral::{Bringer, BringerParts},
    config::{App, AppFiles, AppOwner, HostConfig, Reach},
    control::{self, Control},
    egress::{self, Gate},
    error::HostError,
    event::HostEvent,
    hardware::Hardware,
    ingress::Route,
    machine::Machine,
    measure::{Launch, measure},
    relay::{ChainRelay, chain_router, relay_api},
    sandbox::{self, Confiner, Isolation},
    supervise::Supervisor,
    vm,
};

/// Pause between two looks at readiness.
const POLL: Duration = Duration::from_millis(50);

/// Names of a host's sockets, in its own directory.
pub(crate) const EVIDENCE_SOCKET: &str = "evidence.sock";
pub(crate) const CHAIN_SOCKET: &str = "chain.sock";
pub(crate) const CONTROL_SOCKET: &str = "control.sock";
/// The guest's, for TLS.
pub(crate) const TLS_SOCKET: &str = "tls.sock";

/// A running host. Dropping it kills its processes; [`Host::stop`] lets them end.
pub struct Host {
    app_id: AppId,
    api: SocketAddr,
    local_api: Endpoint,
    stopping: watch::Sender<bool>,
    ready: watch::Receiver<bool>,
    supervisor: JoinHandle<()>,
    _tasks: JoinSet<()>,
    _evidence: Option<EvidenceServer>,
    _sockets: TempDir,
}

/// Sockets of one host, in a directory that only its user can enter.
struct Sockets {
    evidence: PathBuf,
    chain: PathBuf,
    control: PathBuf,
    /// The way out, for the guest's fetches.
    egress: PathBuf,
    app_dir: PathBuf,
}

impl Host {
    /// Measures, registers the app, brings collateral, and starts relays, guest and app. What happens is told on
    /// `events`. It returns once the processes are under way; [`Host::ready`] waits for the app.
    ///
    /// # Errors
    /// Every [`HostError`] but [`HostError::NotReady`].
    pub fn start(
        config: HostConfig,
        events: mpsc::UnboundedSender<HostEvent>,
    ) -> Pin<Box<dyn Future<Output = Result<Self, HostError>> + Send>> {
        // Boxed, so that its servers are compiled once, with this crate, and not in every program that awaits it.
        Box::pin(Self::launch(config, events))
    }

    async fn launch(mut config: HostConfig, events: mpsc::UnboundedSender<HostEvent>) -> Result<Self, HostError> {
        let listener =
            TcpListener::bind(config.api).await.map_err(|source| HostError::Bind { address: config.api, source })?;
        let api = listener.local_addr().map_err(|source| HostError::Bind { address: config.api, source })?;
        if let App::Process(program) = &mut config.app
            && let Some(bundle) = &mut program.bundle
        {
            bundle.launcher = Some(config.guest.executable.clone());
        }
        if let App::Containers(app) = &mut config.app {
            app.launched_by(&config.guest.executable)?;
        }
        let confiner = Confiner::of(&config.guest.executable);
        let isolation = isolation(&config.app, &confiner).await?;
        let outside = Outside::start(&config, isolation, AppChoice::Configured, &events).await?;
        let Outside { app_id, guest_config, control, app_dir, mut tasks, evidence, sockets } = outside;
        tasks.spawn(relay_api(listener, app_dir.join("app.sock")));
        let _ = events.send(HostEvent::ApiBound { address: api });
        let (stopping, stop) = watch::channel(false);
        let (ready_sender, ready) = watch::channel(false);
        let local_api = Endpoint::unix(app_dir.join("local.sock"))?;
        let supervisor = Supervisor {
            guest: config.guest,
            guest_config,
            app: config.app,
            isolation,
            confiner,
            dir: sockets.path().to_owned(),
            app_dir,
            control,
            events,
            stopping: stop,
            ready: ready_sender,
        };
        let supervisor = tokio::spawn(supervisor.run());
        let (_tasks, _evidence, _sockets) = (tasks, evidence, sockets);
        Ok(Self { app_id, api, local_api, stopping, ready, supervisor, _tasks, _evidence, _sockets })
    }

    /// The app.
    pub const fn app_id(&self) -> AppId {
        self.app_id
    }

    /// Where its API is offered.
    pub const fn api(&self) -> SocketAddr {
        self.api
    }

    /// The guest's local API, for its health; the app's keys are behind it too, unless the app is in a VM: then nothing else
    /// is served there.
    pub const fn local_api(&self) -> &Endpoint {
        &self.local_api
    }

    /// Waits until the guest serves and the app answers on its socket.
    ///
    /// # Errors
    /// [`HostError::NotReady`].
    pub async fn ready(&self, limit: Duration) -> Result<(), HostError> {
        let end = Instant::now() + limit;
        let guest = LocalClient::new(self.local_api.clone());
        let mut trouble = "the guest has not started".to_owned();
        loop {
            match guest.health().await {
                Ok(health) if health.ready && *self.ready.borrow() => return Ok(()),
                Ok(health) if health.ready => "the app does not listen on its socket".clone_into(&mut trouble),
                Ok(health) => trouble = health.reason.unwrap_or(health.stage),
                Err(_) => {}
            }
            if Instant::now() >= end {
                return Err(HostError::NotReady(limit, trouble));
            }
            sleep(POLL).await;
        }
    }

    /// Ends app and guest, each within its time, and every relay.
    pub async fn stop(self) {
        self.stopping.send_replace(true);
        let _ = self.supervisor.await;
    }
}

/// What keeps the app apart here.
async fn isolation(app: &App, confiner: &Confiner) -> Result<Isolation, HostError> {
    match app {
        App::Process(program) => {
            let isolation = sandbox::detect(program.isolation, confiner).await?;
            let in_memory = program.bundle.as_ref().is_some_and(|bundle| matches!(bundle.storage, AppFiles::Memory(_)));
            if in_memory && isolation != Isolation::Bubblewrap {
                let what = "it keeps files in memory".to_owned();
                return Err(HostError::CannotRun {
                    what,
                    hint: "that needs bubblewrap: install it, or keep them on disk",
                });
            }
            Ok(isolation)
        }
        App::Containers(app) => Ok(app.isolation()),
        App::Vm(_) => vm::check_qemu().await.map(|()| Isolation::Vm),
    }
}

/// Which app on the chain a guest becomes an instance of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AppChoice {
    /// The one of the configuration.
    Configured,
    /// The one that the genesis names for validators and executors.
    OfGenesis,
}

/// All that stands around a guest, but for the processes: app and collateral on the chain, evidence, relay and control.
pub(crate) struct Outside {
    pub(crate) app_id: AppId,
    /// What the guest is started with.
    pub(crate) guest_config: PathBuf,
    pub(crate) control: Arc<Control>,
    app_dir: PathBuf,
    tasks: JoinSet<()>,
    /// The emulator's, where the machine is emulated.
    evidence: Option<EvidenceServer>,
    sockets: TempDir,
}

impl Outside {
    pub(crate) async fn start(
        config: &HostConfig,
        isolation: Isolation,
        choice: AppChoice,
        events: &mpsc::UnboundedSender<HostEvent>,
    ) -> Result<Self, HostError> {
        let (dir, sockets) = sockets(config)?;
        let (programs, machine) = measured(config).await?;
        let _ = events.send(measured_event(&programs, &machine));
        let node = NodeClient::new(config.node.clone());
        let chain_id = config.genesis.chain_id;
        let provider = Arc::clone(&config.provider);
        let trust =
            ChainTrust { network_key: config.network_key, chain_id, genesis_hash: genesis_hash(&config.genesis) };
        let registrar = Registrar {
            chain: VerifiedClient::new(node.clone(), trust),
            // For another's app the provider brings collateral.
            owner: if let AppOwner::Own(owner) = &config.owner { Arc::clone(owner) } else { Arc::clone(&provider) },
            machine: machine.clone(),
            data_dir: config.data_dir.clone(),
            lease_s: config.lease_s,
            choice: config.policy,
            besides: Vec::new(),
            events: events.clone(),
        };
        // The app that a genesis names hangs on its owner's nonce, so it comes first.
        let app_id = match (choice, &config.owner) {
            (AppChoice::OfGenesis, _) => {
                let app_id = registrar.ensure_named(&config.genesis, &programs).await?;
                registrar.ensure_collateral().await?;
                app_id
            }
            (AppChoice::Configured, AppOwner::Own(_)) => {
                registrar.ensure_collateral().await?;
                registrar.ensure_app(&programs).await?
            }
            (AppChoice::Configured, AppOwner::Other(app_id)) => {
                registrar.ensure_collateral().await?;
                *app_id
            }
        };
        let evidence = serve_evidence(&sockets.evidence, &machine, &programs)?;
        let guest_file = GuestFile {
            config,
            sockets: &sockets,
            launch: &programs,
            machine: &machine,
            app_id,
            provider: provider.account(),
            isolation,
        };
        let guest_config = guest_file.write(dir.path())?;
        let control = Arc::new(Control {
            instance: Mutex::new(None),
            instance_file: config.data_dir.join("instance"),
            provider,
            node,
            allowance_wei: config.allowance_wei,
            events: events.clone(),
            route: offered(config, app_id, dir.path(), events),
            hardware: hardware(config, &machine, &programs, registrar.chain)?,
        });
        let mut tasks = JoinSet::new();
        let relay = Arc::new(ChainRelay { node: HttpClient::new(config.node.clone()) });
        serve(&sockets.chain, chain_router(relay), &mut tasks)?;
        serve(&sockets.control, control::router(Arc::clone(&control)), &mut tasks)?;
        open_gate(&sockets, config, &mut tasks)?;
        Ok(Self { app_id, guest_config, control, app_dir: sockets.app_dir, tasks, evidence, sockets: dir })
    }
}

/// Leads the app's names to its instance, where this machine has an ingress.
fn offered(config: &HostConfig, app_id: AppId, dir: &Path, events: &mpsc::UnboundedSender<HostEvent>) -> Option<Route> {
    let ingress = config.ingress.as_ref()?;
    let domains = config.app.ingress().domains;
    let (route, taken) = ingress.offer(app_id, &domains, dir.join(TLS_SOCKET));
    for domain in &taken {
        let message =
            format!("another app of this machine has the domain {domain} already: it does not lead to this one");
        let _ = events.send(HostEvent::Trouble { message });
    }
    let free = domains.into_iter().filter(|domain| !taken.contains(domain));
    let names = free.chain([app_server_name(&app_id)]).collect();
    let _ = events.send(HostEvent::IngressOffered { address: ingress.address(), names });
    Some(route)
}

fn measured_event(programs: &Launch, machine: &Machine) -> HostEvent {
    HostEvent::Measured {
        guest: programs.guest,
        app: programs.app.executable,
        model: programs.app.model,
        measurement: machine.measurement(programs),
    }
}

async fn measured(config: &HostConfig) -> Result<(Launch, Machine), HostError> {
    let (guest, app, tee) = (config.guest.clone(), config.app.clone(), config.tee);
    let work = tokio::task::spawn_blocking(move || {
        let launch = measure(&guest, &app)?;
        let machine = Machine::of(&launch, tee);
        Ok::<_, HostError>((launch, machine))
    });
    let (launch, machine) = work.await.expect("measuring does not panic")?;
    machine.check_roots(&config.genesis.trust_roots)?;
    Ok((launch, machine))
}

/// What stands behind evidence of hardware.
fn hardware(
    config: &HostConfig,
    machine: &Machine,
    launch: &Launch,
    chain: VerifiedClient,
) -> Result<Option<Hardware>, HostError> {
    if machine.emulated().is_some() {
        return Ok(None);
    }
    let bringer = Bringer::new(BringerParts {
        chain,
        roots: config.genesis.trust_roots.clone(),
        sources: config.vendors.clone(),
        payer: Arc::clone(&config.provider),
    })?;
    Ok(Some(Hardware { expected: machine.measurement(launch), bringer: tokio::sync::Mutex::new(bringer) }))
}

fn sockets(config: &HostConfig) -> Result<(TempDir, Sockets), HostError> {
    let base = config.runtime_dir.clone().or_else(|| std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from));
    let base = base.filter(|base| base.is_dir()).unwrap_or_else(std::env::temp_dir);
    let failed = |source| HostError::system("no directory for sockets can be made", &base)(source);
    let dir = tempfile::Builder::new().prefix("fh-").tempdir_in(&base).map_err(failed)?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).map_err(failed)?;
    let app_dir = dir.path().join("app");
    fs::create_dir(&app_dir).map_err(failed)?;
    fs::create_dir_all(&config.data_dir)
        .map_err(HostError::system("the data directory cannot be made", &config.data_dir))?;
    let path = |name: &str| dir.path().join(name);
    let sockets = Sockets {
        evidence: path(EVIDENCE_SOCKET),
        chain: path(CHAIN_SOCKET),
        control: path(CONTROL_SOCKET),
        egress: path(sandbox::GATE_SOCKET),
        app_dir,
    };
    for socket in [&sockets.evidence, &sockets.control, &sockets.app_dir.join("environment-63.sock")] {
        Endpoint::unix(socket)?;
    }
    Ok((dir, sockets))
}

/// The emulator's evidence; a machine of hardware gives its own, and nothing stands behind the socket.
pub(crate) fn serve_evidence(
    socket: &Path,
    machine: &Machine,
    launch: &Launch,
) -> Result<Option<EvidenceServer>, HostError> {
    let (Some(machine), Some(shown)) = (machine.emulated(), launch.emulated()) else { return Ok(None) };
    let start = || {
        let listener = std::os::unix::net::UnixListener::bind(socket)?;
        EvidenceServer::start(listener, machine.serves(shown))
    };
    start().map(Some).map_err(HostError::system("evidence cannot be served", socket))
}

pub(crate) fn serve(path: &Path, router: Router, tasks: &mut JoinSet<()>) -> Result<(), HostError> {
    let listener = UnixListener::bind(path).map_err(HostError::system("a socket cannot be bound", path))?;
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "a relay ended");
        }
    });
    Ok(())
}

fn open_gate(sockets: &Sockets, config: &HostConfig, tasks: &mut JoinSet<()>) -> Result<(), HostError> {
    let reach = config.app.reach();
    // The guest's is where the app cannot put another in its place. In a VM both come by it.
    let mut gates = vec![(sockets.egress.clone(), egress::with(reach.clone(), config.app.ingress().reaches()))];
    if !matches!(config.app, App::Vm(_)) && matches!(reach, Reach::Listed(_)) {
        gates.push((sockets.app_dir.join(sandbox::GATE_SOCKET), reach));
    }
    for (path, reach) in gates {
        let gate = Gate::new(reach);
        tasks.spawn(Arc::clone(&gate).log_counts());
        let listener = UnixListener::bind(&path).map_err(HostError::system("a socket cannot be bound", &path))?;
        tasks.spawn(egress::accept_unix(gate, listener));
    }
    Ok(())
}

/// What a guest is told of chain, app, provider and evidence, whoever starts it.
pub(crate) fn guest_trust(
    (network_key, genesis): (&NetworkKey, &Genesis),
    (app_id, provider): (AppId, Account),
    (domain, lease_s): (TrustDomain, u64),
) -> Value {
    json!({
        "network_key": network_key,
        "genesis": hex::encode(genesis.to_canonical()),
        "app_id": app_id,
        "provider": provider,
        "trust_domain": domain.as_str(),
        "lease_s": lease_s,
    })
}

/// What a guest is started with.
struct GuestFile<'a> {
    config: &'a HostConfig,
    sockets: &'a Sockets,
    launch: &'a Launch,
    machine: &'a Machine,
    app_id: AppId,
    provider: Account,
    isolation: Isolation,
}

impl GuestFile<'_> {
    /// Writes the configuration. The guest's own type is not linked here: both agree by this document alone.
    fn write(&self, dir: &Path) -> Result<PathBuf, HostError> {
        let Self { config, sockets, launch, machine, app_id, provider, isolation } = self;
        // Only a TD has a register that an app extends.
        let event_log = if machine.has_runtime_register() { launch.event_log.as_slice() } else { &[] };
        let (genesis, domain) = (&config.genesis, machine.domain());
        let trust = guest_trust((&config.network_key, genesis), (*app_id, *provider), (domain, config.lease_s));
        let (services, environments) = match &config.app {
            App::Containers(app) => app.sockets_told(&sockets.app_dir),
            App::Process(_) | App::Vm(_) => (json!([]), json!([])),
        };
        let ingress = config.ingress.as_ref().map(|_| config.app.ingress());
        // In a VM the image says where things stand and what keeps the app apart.
        let document = match &config.app {
            App::Vm(_) => json!({
                "trust": trust,
                "event_log": event_log,
                "takes_tls": ingress.is_some(),
            }),
            App::Process(_) | App::Containers(_) => json!({
                "trust": trust,
                "paths": {
                    "state_dir": config.data_dir.join("guest"),
                    "local_api": sockets.app_dir.join("local.sock"),
                    "evidence": {"socket": sockets.evidence},
                    "chain": sockets.chain,
                    "control": sockets.control,
                    "egress": sockets.egress,
                    "ingress": ingress.map(|ingress| json!({
                        "socket": dir.join(TLS_SOCKET),
                        "app_socket": sockets.app_dir.join("app.sock"),
                        "domains": ingress.domains,
                        "acme": ingress.acme.map(|acme| json!({
                            "directory": acme.url,
                            "roots": acme.roots,
                            "challenge": acme.challenge.as_str(),
                        })),
                    })),
                    "services": services,
                    "environments": environments,
                },
                "isolation": isolation.as_str(),
                "scopes": config.app.scopes(),
                "storage": if config.app.keeps_clear_files() { "clear" } else { "none" },
                "event_log": event_log,
            }),
        };
        let text = document.to_string();
        let path = dir.join("guest.json");
        let options = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).to_owned();
        let put = || options.open(&path)?.write_all(text.as_bytes());
        put().map_err(HostError::system("the guest's configuration cannot be written", &path))?;
        Ok(path)
    }
}
