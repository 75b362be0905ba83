//! Containers of an app, as a host runs them: `freehold-containers` with the host's gate, in the host's words.

mod kubernetes;
mod trial;

#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use freehold_bundle::{Bundle, StorageKind};
use freehold_containers::{
    Bounds, ContainerBackend, ContainerEvent, Containers, Family, Surroundings, Teller, WayOut, ingress,
};
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

pub use kubernetes::{KubernetesOptions, kubernetes_manifests};

/// The containers of a bundle, as a host runs them.
#[derive(Debug, Clone)]
pub struct ContainerApp {
    pub(crate) bundle: Arc<Bundle>,
    containers: Containers,
    reach: Reach,
    ingress: freehold_bundle::Ingress,
}

impl ContainerApp {
    /// Plans the containers of a bundle. `folder` keeps their images and storage between runs, and belongs to this app alone.
    /// `models` are the files that its manifest names.
    ///
    /// # Errors
    /// [`HostError::CannotRun`] for what a compose file or image asks for and this host cannot give, [`HostError::NoRuntime`].
    pub(crate) fn new(
        bundle: &Bundle,
        folder: &Path,
        models: Vec<(String, PathBuf)>,
        isolation: IsolationChoice,
        backend: &ContainerBackend,
    ) -> Result<Self, HostError> {
        let bounds = if isolation == IsolationChoice::None { Bounds::Waived } else { Bounds::Required };
        let bundle = Arc::new(bundle.clone());
        let containers = Containers::new(Arc::clone(&bundle), folder, models.into_iter().collect(), bounds, backend)?;
        let ingress = container_ingress(&bundle)?;
        Ok(Self { reach: egress::reach(&bundle.manifest().additions.egress), bundle, containers, ingress })
    }

    /// Has all that the containers say sealed to the app's owner before it leaves them (`spec/logs.md`), where the owner set a key.
    pub(crate) fn seal_logs(&mut self) {
        self.containers.seal_logs();
    }

    /// What keeps the containers apart.
    pub(crate) fn isolation(&self) -> Isolation {
        match self.containers.family() {
            Family::Runc => Isolation::Runc,
            Family::Runsc => Isolation::Runsc,
        }
    }

    /// Lets services that ask for the owner's settings, or whose output is sealed, be started by the guest's program.
    ///
    /// # Errors
    /// [`HostError::CannotRun`] where it cannot run in any root.
    pub(crate) fn launched_by(&mut self, guest: &Path) -> Result<(), HostError> {
        Ok(self.containers.launched_by(guest)?)
    }

    /// What the guest is told of the sockets that it makes for the services: `services` and `environments` of its paths.
    pub(crate) fn sockets_told(&self, app_dir: &Path) -> (Value, Value) {
        self.containers.plan().sockets_told(app_dir)
    }

    /// How they are reached over TLS.
    pub(crate) const fn ingress(&self) -> &freehold_bundle::Ingress {
        &self.ingress
    }

    /// Whether its containers keep files that outlive them.
    pub(crate) fn keeps_files(&self) -> bool {
        matches!(self.containers.plan().storage.0, StorageKind::DiskPersistent | StorageKind::DiskEphemeral)
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
        self.reach.clone()
    }
}

/// How the containers of a bundle are reached over TLS.
pub(crate) fn container_ingress(bundle: &Bundle) -> Result<freehold_bundle::Ingress, HostError> {
    match bundle.compose() {
        Some(compose) => Ok(ingress(bundle.manifest(), compose)?),
        None => Ok(bundle.manifest().additions.ingress.clone()),
    }
}

/// Ends all containers that an earlier run of this app left, and what they stood on.
pub(crate) async fn clear(app: &ContainerApp) {
    app.containers.clear().await;
}

/// Runs the containers until every service has ended for good, and gives the first exit code that is not 0; until
/// `stopping` becomes true, and then none is left.
pub(crate) async fn run(
    app: &ContainerApp,
    app_dir: &Path,
    events: &mpsc::UnboundedSender<HostEvent>,
    stopping: &watch::Receiver<bool>,
) -> Result<Option<i32>, HostError> {
    let events = events.clone();
    let teller = Teller::new(move |event| drop(told(event).map(|event| events.send(event))));
    let way_out = HostGate(app.reach.clone());
    let around = Surroundings { app_dir, teller: &teller, stopping, way_out: &way_out };
    Ok(app.containers.run(&around).await?)
}

/// The same in the host's words.
pub(crate) fn told(event: ContainerEvent) -> Option<HostEvent> {
    Some(match event {
        ContainerEvent::Started { service, pid } => HostEvent::ServiceStarted { service, pid },
        ContainerEvent::Health { service, is_healthy } => HostEvent::ServiceHealth { service, is_healthy },
        ContainerEvent::Exited { service, code, restart_in } => HostEvent::ServiceExited { service, code, restart_in },
        ContainerEvent::Said { service, stream, line } => HostEvent::AppLog { service: Some(service), stream, line },
        ContainerEvent::Dropped { lines } => HostEvent::AppLogDropped { lines },
        ContainerEvent::Trouble { message } => HostEvent::Trouble { message },
        // A newer word than this host's.
        _ => return None,
    })
}

/// The host's gate behind the way out of the containers' network.
struct HostGate(Reach);

impl WayOut for HostGate {
    fn serve(&self, listener: TcpListener) -> JoinSet<()> {
        let gate = Gate::new(self.0.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(Arc::clone(&gate).log_counts());
        tasks.spawn(egress::accept_tcp(gate, listener));
        tasks
    }
}
