//! The containers of one app: planned, prepared, run until every service has ended, and cleared.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use freehold_bundle::Bundle;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    backend::{ContainerBackend, Family},
    error::ContainerError,
    event::Teller,
    ground::{Ground, Inside, Network},
    inside::{self, WayOut},
    launcher::Launcher,
    plan::{NetworkKind, Plan, Sockets},
    publish,
    service::{Board, Task},
};

/// Folder below the app's own for what containers leave behind.
const FOLDER: &str = "containers";

/// Whether memory, processes and disk of containers must be bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bounds {
    /// They must: only root can.
    Required,
    /// Whoever runs them does without.
    Waived,
}

/// The containers of an app.
#[derive(Debug, Clone)]
pub struct Containers {
    pub(crate) plan: Arc<Plan>,
    pub(crate) ground: Ground,
    /// What starts programs with the owner's settings; set where a service asks for them.
    launcher: Option<Arc<Launcher>>,
}

/// What stands around containers that run.
pub struct Surroundings<'a> {
    /// Folder with the guest's sockets, where the app's is made too.
    pub app_dir: &'a Path,
    /// Who is told of what happens.
    pub teller: &'a Teller,
    /// Becomes true when everything is to stop.
    pub stopping: &'a watch::Receiver<bool>,
    /// What stands behind the way out of their network.
    pub way_out: &'a dyn WayOut,
}

impl Containers {
    /// Plans the containers of a bundle. `folder` keeps their images and storage between runs, and belongs to this app alone.
    /// `models` has the files that its manifest names, checked, by their names.
    ///
    /// # Errors
    /// [`ContainerError::CannotRun`] for what a compose file or image asks for and this machine cannot give,
    /// [`ContainerError::NoRuntime`].
    pub fn new(
        bundle: Arc<Bundle>,
        folder: &Path,
        models: BTreeMap<String, PathBuf>,
        bounds: Bounds,
        backend: &ContainerBackend,
    ) -> Result<Self, ContainerError> {
        let plan = Plan::of(&bundle)?;
        let mut ground = Ground::new(folder.join(FOLDER), bundle, models);
        ground.allows(&plan, bounds, backend)?;
        ground.runs_on(backend.find()?);
        Ok(Self { plan: Arc::new(plan), ground, launcher: None })
    }

    /// The containers of a plan in a VM, where images lie unpacked in one folder, and storage and models are mounted.
    ///
    /// # Errors
    /// [`ContainerError::NoRuntime`].
    pub fn in_vm(
        plan: Plan,
        run: PathBuf,
        images: PathBuf,
        storage: PathBuf,
        models: PathBuf,
    ) -> Result<Self, ContainerError> {
        let mut ground = Ground::in_vm(run, images, storage, models);
        ground.runs_on(ContainerBackend::default().find()?);
        Ok(Self { plan: Arc::new(plan), ground, launcher: None })
    }

    /// Has all that the containers say sealed to the app's owner before it leaves them (`spec/logs.md`), where the owner set a key.
    pub fn seal_logs(&mut self) {
        Arc::make_mut(&mut self.plan).is_sealed = true;
    }

    /// What keeps the containers apart.
    pub fn family(&self) -> Family {
        self.ground.engine().family()
    }

    /// What is going to run.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Lets services that ask for the owner's settings, or whose output is sealed, be started by the guest's program.
    ///
    /// # Errors
    /// [`ContainerError::CannotRun`] where it cannot run in any root.
    pub fn launched_by(&mut self, guest: &Path) -> Result<(), ContainerError> {
        if self.plan.services.values().any(|planned| self.plan.is_launched(planned)) {
            self.launcher = Some(Arc::new(Launcher::of(guest)?));
        }
        Ok(())
    }

    /// Sockets that a guest makes for the services.
    pub fn sockets(&self, app_dir: &Path) -> impl Iterator<Item = PathBuf> {
        self.plan.sockets(app_dir).into_values().flat_map(Sockets::all)
    }

    /// Ids of the containers that the runtime knows, the holder of their namespaces among them.
    pub fn running(&self) -> Vec<String> {
        self.ground.runtime().containers()
    }

    /// Sends a signal, by its name without `SIG`, to the first process of a service's container.
    pub async fn signal(&self, service: &str, signal: &str) {
        self.ground.runtime().kill(service, signal).await;
    }

    /// Folder of everything that is mounted; its name is that of the control group.
    pub fn run_folder(&self) -> &Path {
        self.ground.run_folder()
    }

    /// Ends all containers that an earlier run of this app left, and what they stood on.
    pub async fn clear(&self) {
        let ground = self.ground.clone();
        let _ = tokio::task::spawn_blocking(move || ground.clear()).await;
    }

    /// Runs the containers until every service has ended for good, and gives the first exit code that is not 0; or until they are
    /// to stop, and then none is left.
    ///
    /// # Errors
    /// [`ContainerError::System`], [`ContainerError::Bundle`], [`ContainerError::CannotRun`]: what they stand on cannot be made.
    pub async fn run(&self, around: &Surroundings<'_>) -> Result<Option<i32>, ContainerError> {
        let begun = Instant::now();
        let prepared = {
            let (containers, app_dir) = (self.clone(), around.app_dir.to_owned());
            tokio::task::spawn_blocking(move || {
                let inside = Inside { app_dir: &app_dir, launcher: containers.launcher.as_deref() };
                containers.ground.prepare(&containers.plan, &inside)
            })
        };
        let network = prepared.await.expect("preparing does not panic")?;
        tracing::debug!(elapsed = ?begun.elapsed(), "the containers' ground is prepared");
        let _way_out = self.open_way_out(network, around.way_out)?;
        let mut tasks = JoinSet::new();
        let _ports = publish::publish(&self.plan, network, &self.ground, around.app_dir, around.teller)?;
        let board = Arc::new(Board::new(&self.plan));
        for (name, planned) in &self.plan.services {
            let task = Task {
                name: name.clone(),
                plan: Arc::clone(&self.plan),
                launcher: self.launcher.clone().filter(|_| self.plan.is_launched(planned)),
                runtime: self.ground.runtime(),
                bundle: self.ground.bundle(name),
                board: Arc::clone(&board),
                teller: around.teller.clone(),
                stopping: around.stopping.clone(),
            };
            tasks.spawn(task.keep());
        }
        let mut code = Some(0);
        while let Some(ended) = tasks.join_next().await {
            if let (Ok(ended), Some(0)) = (ended, code) {
                code = ended;
            }
        }
        self.clear().await;
        Ok(code)
    }

    /// Opens the way out in the containers' network where their manifest lists whom they may reach; dropping the tasks closes it.
    fn open_way_out(&self, network: Network, way_out: &dyn WayOut) -> Result<JoinSet<()>, ContainerError> {
        match (self.plan.network, network.holder) {
            (NetworkKind::Gated, Some(holder)) => {
                let failed = ContainerError::system("the gate of the containers cannot be opened", "/proc");
                Ok(way_out.serve(inside::listen(holder).map_err(failed)?))
            }
            _ => Ok(JoinSet::new()),
        }
    }
}
