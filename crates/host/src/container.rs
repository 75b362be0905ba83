//! Containers of an app: its compose file run by an OCI runtime (`runc`, `runsc`; OCI runtime specification 1.0.2), called directly
//! or by a containerd.
//!
//! Every container has its own root, processes and limits, no rights over the machine, and users that are nobody on it. The
//! app's containers share one network of their own, in which services are found by name and which leads nowhere unless the
//! manifest opens it. What cannot be given as the compose file says is refused before anything starts (`plan`).
//!
//! ```text
//! bundle → plan (pure, refuses) → ground (roots, storage, the network's holder) → one task per service → runtime
//! ```
//!
//! Not here: unpacking (`freehold-bundle`), images from registries (`registry`), what containers say (`logs`).

mod backend;
mod config;
mod ground;
mod health;
mod kubernetes;
mod launcher;
mod plan;
mod proxied;
mod publish;
mod runtime;
mod seccomp;
mod service;
mod system;
mod trial;
mod users;
mod variables;

#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use freehold_bundle::{Bundle, StorageKind};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    config::{IsolationChoice, Reach},
    egress::{self, Gate},
    error::HostError,
    event::HostEvent,
    sandbox::Isolation,
};

use ground::{Ground, Inside};
use launcher::Launcher;
use plan::Plan;
use service::{Board, Task};

pub use backend::{ContainerBackend, OciRuntime};
pub use kubernetes::{KubernetesOptions, kubernetes_manifests};
pub(crate) use seccomp::{ALLOWED_CALLS, ENOSYS, NAMESPACE_FLAGS};

/// Folder below the host's data directory for what containers leave behind.
const FOLDER: &str = "containers";

/// The containers of a bundle, as a host runs them.
#[derive(Debug, Clone)]
pub struct ContainerApp {
    pub(crate) bundle: Arc<Bundle>,
    pub(crate) plan: Arc<Plan>,
    ground: Ground,
    /// What starts programs with the owner's settings; the host sets it where a service asks for them.
    launcher: Option<Arc<Launcher>>,
}

impl ContainerApp {
    /// Plans the containers of a bundle. `folder` keeps their images and storage between runs, and belongs to this app alone.
    ///
    /// # Errors
    /// [`HostError::CannotRun`] for what a compose file or image asks for and this host cannot give, [`HostError::NoRuntime`].
    pub(crate) fn new(
        bundle: &Bundle,
        folder: &Path,
        isolation: IsolationChoice,
        backend: &ContainerBackend,
    ) -> Result<Self, HostError> {
        let plan = Plan::of(bundle)?;
        let mut ground = Ground::new(folder.join(FOLDER));
        ground.allows(&plan, isolation, backend)?;
        ground.runs_on(backend.find()?);
        Ok(Self { bundle: Arc::new(bundle.clone()), plan: Arc::new(plan), ground, launcher: None })
    }

    /// Has all that the containers say sealed to the app's owner before it leaves them (`spec/logs.md`), where the owner set a key.
    pub(crate) fn seal_logs(&mut self) {
        Arc::make_mut(&mut self.plan).is_sealed = true;
    }

    /// What keeps the containers apart.
    pub(crate) fn isolation(&self) -> Isolation {
        self.ground.engine().isolation()
    }

    /// Lets services that ask for the owner's settings, or whose output is sealed, be started by the guest's program.
    ///
    /// # Errors
    /// [`HostError::CannotRun`] where it cannot run in any root.
    pub(crate) fn launched_by(&mut self, guest: &Path) -> Result<(), HostError> {
        if self.plan.services.values().any(|planned| self.plan.is_launched(planned)) {
            self.launcher = Some(Arc::new(Launcher::of(guest)?));
        }
        Ok(())
    }

    /// What the guest is told of the sockets that it makes for the services: `services` and `environments` of its paths.
    pub(crate) fn sockets_told(&self, app_dir: &Path) -> (Value, Value) {
        self.plan.sockets_told(app_dir)
    }

    /// How they are reached over TLS.
    pub(crate) fn ingress(&self) -> &freehold_bundle::Ingress {
        &self.plan.ingress
    }

    /// Whether its containers keep files that outlive them.
    pub(crate) fn keeps_files(&self) -> bool {
        matches!(self.plan.storage.0, StorageKind::DiskPersistent | StorageKind::DiskEphemeral)
    }

    /// Runs the containers once, without a guest, and ends them after `limit`: whether containers run on this machine shows only by
    /// running one. They must end by themselves, with 0, and mount nothing of the guest's.
    ///
    /// # Errors
    /// [`HostError::CannotRun`] where they do not, with what was told; what the machine refuses before.
    pub async fn try_out(&self, limit: Duration) -> Result<(), HostError> {
        trial::run(self, limit).await
    }

    /// Whom its containers may reach.
    pub(crate) fn reach(&self) -> Reach {
        self.plan.reach.clone()
    }
}

/// Ends all containers that an earlier run of this app left, and what they stood on.
pub(crate) async fn clear(app: &ContainerApp) {
    let ground = app.ground.clone();
    let _ = tokio::task::spawn_blocking(move || ground.clear()).await;
}

/// Runs the containers until every service has ended for good, and gives the first exit code that is not 0; until
/// `stopping` becomes true, and then none is left.
pub(crate) async fn run(
    app: &ContainerApp,
    app_dir: &Path,
    events: &mpsc::UnboundedSender<HostEvent>,
    stopping: &watch::Receiver<bool>,
) -> Result<Option<i32>, HostError> {
    let begun = Instant::now();
    let prepared = {
        let (app, app_dir) = (app.clone(), app_dir.to_owned());
        tokio::task::spawn_blocking(move || {
            let inside = Inside { app_dir: &app_dir, launcher: app.launcher.as_deref() };
            app.ground.prepare(&app.bundle, &app.plan, &inside)
        })
    };
    let network = prepared.await.expect("preparing does not panic")?;
    tracing::debug!(elapsed = ?begun.elapsed(), "the containers' ground is prepared");
    let _gate = open_gate(&app.plan.reach, network)?;
    let mut tasks = JoinSet::new();
    let _ports = publish::publish(&app.plan, network, &app.ground, app_dir, events)?;
    let board = Arc::new(Board::new(&app.plan));
    for (name, planned) in &app.plan.services {
        let task = Task {
            name: name.clone(),
            plan: Arc::clone(&app.plan),
            launcher: app.launcher.clone().filter(|_| app.plan.is_launched(planned)),
            runtime: app.ground.runtime(),
            bundle: app.ground.bundle(name),
            board: Arc::clone(&board),
            events: events.clone(),
            stopping: stopping.clone(),
        };
        tasks.spawn(task.keep());
    }
    let mut code = Some(0);
    while let Some(ended) = tasks.join_next().await {
        if let (Ok(ended), Some(0)) = (ended, code) {
            code = ended;
        }
    }
    clear(app).await;
    Ok(code)
}

/// Opens the gate in the containers' network where their manifest lists whom they may reach; dropping the tasks closes it.
fn open_gate(reach: &Reach, network: ground::Network) -> Result<JoinSet<()>, HostError> {
    let mut tasks = JoinSet::new();
    if let (Reach::Listed(_), Some(holder)) = (reach, network.holder) {
        let bound = egress::bind_inside(holder, egress::PROXY_PORT).and_then(TcpListener::from_std);
        let listener = bound.map_err(HostError::system("the gate of the containers cannot be opened", "/proc"))?;
        let gate = Gate::new(reach.clone());
        tasks.spawn(Arc::clone(&gate).log_counts());
        tasks.spawn(egress::accept_tcp(gate, listener));
    }
    Ok(tasks)
}
