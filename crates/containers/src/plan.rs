//! What is going to run: compose file and images together, every choice made, and what this host cannot give refused.
//!
//! Pure: it looks at no file. Not here: the runtime's own configuration (`config`).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use freehold_bundle::{
    Bundle, Compose, Condition, Egress, HealthCheck, HealthTest, Image, ImageHealth, Kind, Manifest, MountSource,
    Protocol, Service, ServiceRestart, StorageKind,
};
use freehold_primitives::{Digest, entries::is_setting_name};
use freehold_rpc::{LOG_KEY_SETTING, LOG_SERVICE_VARIABLE};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    error::ContainerError,
    names::{
        APP_SOCKET_VARIABLE, CLIENT_SOCKETS, DSTACK_VARIABLES, LOCAL_API_VARIABLE, MODEL_VARIABLE, MODELS_DIR,
        MODELS_VARIABLE, PROGRAM_PATH,
    },
    proxied,
    variables::{self, Part},
};

/// Processes of a container, where nothing is said.
const PROCESSES: u64 = 512;
/// How long a container has to end, where nothing is said, ms; and at most.
const GRACE_MS: u64 = 2_000;
const GRACE_MS_MAX: u64 = 60_000;
/// Where a container makes the socket of the app's API, if no port is published.
pub(crate) const APP_DIR: &str = "/run/freehold";
/// Its socket, seen from inside.
const APP_SOCKET: &str = "/run/freehold/app.sock";

/// What network an app's containers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkKind {
    /// One of their own, which leads nowhere.
    Alone,
    /// One of their own, with the gate at a port of its loopback.
    Gated,
    /// The machine's.
    Open,
}

impl NetworkKind {
    const fn of(egress: &Egress) -> Self {
        match egress {
            Egress::Deny => Self::Alone,
            Egress::Allow(_) => Self::Gated,
            Egress::Open => Self::Open,
        }
    }

    /// Whether it is one of their own.
    pub const fn is_own(self) -> bool {
        !matches!(self, Self::Open)
    }
}

/// Containers as they will run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// By name.
    pub services: BTreeMap<String, Planned>,
    /// Memory of the app, bytes.
    pub memory_bytes: u64,
    /// What network the containers have.
    pub network: NetworkKind,
    /// Disk under `/storage` and named volumes.
    pub storage: (StorageKind, u64),
    /// What is offered outside; the first is the app's API.
    pub ports: Vec<PlannedPort>,
    /// Names of the app's model files, which every service sees read-only in `/models`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Whether what the containers say is sealed to the app's owner.
    pub is_sealed: bool,
}

/// A service as it will run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// Digest of its image.
    pub image: Digest,
    /// Its words; the first is the program.
    pub command: Vec<String>,
    /// Variables that stand fast.
    pub environment: BTreeMap<String, String>,
    /// Further variables, which hold what the app's owner sets.
    pub owned: BTreeMap<String, Vec<Part>>,
    /// As the image or the compose file names it.
    pub user: String,
    /// Where its program starts.
    pub working_dir: String,
    /// What is mounted, without the sockets.
    pub mounts: Vec<PlannedMount>,
    /// Whether nothing may be written.
    pub is_read_only: bool,
    /// What it may use.
    pub limits: PlannedLimits,
    /// What it waits for, by service.
    pub depends_on: BTreeMap<String, Condition>,
    /// Its check.
    pub health: Option<Health>,
    /// Whether it is started again when it ends.
    pub restart: ServiceRestart,
    /// How long it has to end, ms.
    pub grace_ms: u64,
    /// Whether it reaches the guest's local API, and so the app's keys.
    pub has_local_api: bool,
}

impl Planned {
    /// Whether its environment holds what the owner sets.
    pub fn asks_owner(&self) -> bool {
        !self.owned.is_empty()
    }

    /// All its variables, as a guest's configuration has them; `sealed_as` is the service's name where its output is sealed.
    fn variables_told(&self, sealed_as: Option<&str>) -> Value {
        let sealing = sealed_as.map(|name| {
            let setting = Part::Setting { name: LOG_KEY_SETTING.to_owned(), default: Some(String::new()) };
            let key = (LOG_KEY_SETTING.to_owned(), Value::Array(vec![setting.to_json()]));
            let name = Value::Array(vec![Part::Text(name.to_owned()).to_json()]);
            [key, (LOG_SERVICE_VARIABLE.to_owned(), name)]
        });
        let plain = self.environment.iter().map(|(name, text)| (name, vec![Part::Text(text.clone()).to_json()]));
        let owned = self.owned.iter().map(|(name, parts)| (name, parts.iter().map(Part::to_json).collect()));
        plain
            .chain(owned)
            .map(|(name, parts)| (name.clone(), Value::Array(parts)))
            .chain(sealing.into_iter().flatten())
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// Sockets of the guest's that a service is given.
#[derive(Debug, Default)]
pub struct Sockets {
    /// The local API.
    pub local_api: Option<PathBuf>,
    /// Its environment alone, for what starts its program.
    pub environment: Option<PathBuf>,
}

impl Sockets {
    /// All of them.
    pub fn all(self) -> impl Iterator<Item = PathBuf> {
        self.local_api.into_iter().chain(self.environment)
    }
}

/// What a container may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedLimits {
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Thousandths of a processor.
    pub cpu_milli: u64,
    /// Processes.
    pub processes: u64,
}

impl PlannedLimits {
    /// Largest size of each file system in memory, root included: a full one is told to the program before its memory ends.
    pub const fn scratch_bytes(&self) -> u64 {
        self.memory_bytes / 4
    }
}

/// A folder of the app's storage inside a container, or memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedMount {
    /// Path below the app's storage; `None` is memory.
    pub source: Option<String>,
    /// Where it is inside.
    pub target: String,
    /// Whether nothing may be written.
    pub is_read_only: bool,
}

/// A health check with a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Its words; the first is the program.
    pub command: Vec<String>,
    /// Between two checks, ms.
    pub interval_ms: u64,
    /// Longest check, ms.
    pub timeout_ms: u64,
    /// Failures in a row until it is unhealthy.
    pub retries: u64,
    /// Beginning in which failures do not count, ms.
    pub start_ms: u64,
}

/// A TCP port that is offered outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedPort {
    /// Outside.
    pub published: u16,
    /// Where it is inside.
    pub target: u16,
}

impl Plan {
    /// Plans the containers of a bundle.
    ///
    /// # Errors
    /// [`ContainerError::CannotRun`] for what a compose file or image asks for and nobody here can give.
    pub fn of(bundle: &Bundle) -> Result<Self, ContainerError> {
        let manifest = bundle.manifest();
        let (Kind::Container, Some(compose)) = (manifest.kind, bundle.compose()) else {
            return Err(cannot("it is no app of containers", "run its program"));
        };
        refuse_additions(manifest)?;
        proxied::ingress(manifest, compose)?;
        let ports = ports(compose)?;
        let variables = variables::of(manifest);
        let mut services = BTreeMap::new();
        for (name, service) in &compose.services {
            let image = bundle.images().iter().find(|image| image.digest == service.image.digest);
            let image = image.ok_or_else(|| {
                cannot("its images are not in the bundle", "put them into the folder `images` and build it again")
            })?;
            let planned = Planner { name, service, image, manifest, variables: &variables }.plan(ports.is_empty())?;
            services.insert(name.clone(), planned);
        }
        let storage = manifest.resources.storage;
        let plan = Self {
            services,
            memory_bytes: manifest.resources.memory_mib << 20,
            network: NetworkKind::of(&manifest.additions.egress),
            storage: (storage.0, storage.1 << 20),
            ports,
            models: manifest.additions.models.iter().map(|model| model.name.clone()).collect(),
            is_sealed: false,
        };
        plan.check_dependencies()?;
        plan.check_storage()?;
        plan.check_models()?;
        Ok(plan)
    }

    /// Who waits for the health of a service needs one that is checked.
    fn check_dependencies(&self) -> Result<(), ContainerError> {
        for (name, planned) in &self.services {
            for (other, condition) in &planned.depends_on {
                let waited = self.services.get(other);
                if *condition == Condition::Healthy && waited.is_some_and(|waited| waited.health.is_none()) {
                    let what = format!("`{name}` waits for the health of `{other}`, which has no health check");
                    return Err(cannot(&what, "give it a healthcheck, or wait for service_started"));
                }
            }
        }
        Ok(())
    }

    /// Storage is there where it is used, and no mount shows a part of another: who writes the one could lay links for the
    /// other.
    fn check_storage(&self) -> Result<(), ContainerError> {
        let mut sources: Vec<&str> = self.sources().collect();
        sources.sort_unstable();
        sources.dedup();
        if !sources.is_empty() && self.storage.0 == StorageKind::None {
            return Err(cannot(
                "it mounts storage and its rofl.yaml has none",
                "say what it needs in resources.storage",
            ));
        }
        let lies_in = |one: &str, other: &str| {
            one != other && (other.is_empty() || one.strip_prefix(other).is_some_and(|rest| rest.starts_with('/')))
        };
        for one in &sources {
            if let Some(other) = sources.iter().find(|other| lies_in(one, other)) {
                let what = format!("it mounts `/{one}` of its storage and `/{other}`, in which that lies");
                return Err(cannot(&what, "mount folders beside one another"));
            }
        }
        Ok(())
    }

    /// Nothing else stands where the app's model files do.
    fn check_models(&self) -> Result<(), ContainerError> {
        let hides = |mount: &PlannedMount| Path::new(&mount.target).starts_with(MODELS_DIR);
        match self.services.iter().find(|(_, planned)| planned.mounts.iter().any(hides)) {
            Some((name, _)) if !self.models.is_empty() => {
                let what = format!("`{name}` mounts something in {MODELS_DIR}, where the app's model files stand");
                Err(cannot(&what, "mount it elsewhere"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the guest's program starts a service.
    pub fn is_launched(&self, planned: &Planned) -> bool {
        self.is_sealed || planned.asks_owner()
    }

    /// Sockets of the guest's that each service is given, by its name.
    pub fn sockets(&self, app_dir: &Path) -> BTreeMap<&str, Sockets> {
        let mut sockets = BTreeMap::new();
        for (index, (name, planned)) in self.services.iter().enumerate() {
            let local_api = planned.has_local_api.then(|| app_dir.join(format!("service-{index}.sock")));
            let environment = self.is_launched(planned).then(|| app_dir.join(format!("environment-{index}.sock")));
            sockets.insert(name.as_str(), Sockets { local_api, environment });
        }
        sockets
    }

    /// What a guest's configuration says of these sockets: `services` and `environments`.
    pub fn sockets_told(&self, app_dir: &Path) -> (Value, Value) {
        let (mut services, mut environments) = (Vec::new(), Vec::new());
        for (name, Sockets { local_api, environment }) in self.sockets(app_dir) {
            let sealed_as = self.is_sealed.then_some(name);
            services.extend(local_api.map(|socket| json!({ "name": name, "socket": socket })));
            if let (Some(socket), Some(planned)) = (environment, self.services.get(name)) {
                environments
                    .push(json!({ "name": name, "socket": socket, "variables": planned.variables_told(sealed_as) }));
            }
        }
        (services.into(), environments.into())
    }

    /// Paths below the app's storage that are mounted.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.services.values().flat_map(|planned| &planned.mounts).filter_map(|mount| mount.source.as_deref())
    }
}

/// Variables by name.
type Variables = BTreeMap<String, String>;
/// Variables by name, with places in them.
type Owned = BTreeMap<String, Vec<Part>>;

/// One service on its way to a plan.
struct Planner<'a> {
    name: &'a str,
    service: &'a Service,
    image: &'a Image,
    manifest: &'a Manifest,
    variables: &'a BTreeMap<String, String>,
}

impl Planner<'_> {
    fn plan(&self, serves_on_socket: bool) -> Result<Planned, ContainerError> {
        let Self { service, image, .. } = self;
        let has_local_api = service.mounts.iter().any(|mount| mount.source == MountSource::LocalApi);
        let nothing_said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (environment, owned) = self.environment(has_local_api, serves_on_socket)?;
        Ok(Planned {
            image: image.digest,
            command: self.command()?,
            environment,
            owned,
            user: service.user.clone().or_else(|| nothing_said(&image.program.user)).unwrap_or_else(|| "0".to_owned()),
            working_dir: service
                .working_dir
                .clone()
                .or_else(|| nothing_said(&image.program.working_dir))
                .unwrap_or_else(|| "/".to_owned()),
            mounts: self.mounts(),
            is_read_only: service.is_read_only,
            limits: self.limits(),
            depends_on: service.depends_on.clone(),
            health: self.health()?,
            restart: service.restart,
            grace_ms: service.grace_ms.unwrap_or(GRACE_MS).min(GRACE_MS_MAX),
            has_local_api,
        })
    }

    /// Entry point and command: the compose file's entry point puts both of the image out (Compose Specification).
    fn command(&self) -> Result<Vec<String>, ContainerError> {
        let program = &self.image.program;
        let cmd = program.cmd.clone().unwrap_or_default();
        let (entrypoint, command) = match (&self.service.entrypoint, &self.service.command) {
            (Some(entrypoint), command) => (entrypoint.clone(), command.clone().unwrap_or_default()),
            (None, Some(command)) => (program.entrypoint.clone().unwrap_or_default(), command.clone()),
            (None, None) => (program.entrypoint.clone().unwrap_or_default(), cmd),
        };
        let words: Vec<String> = entrypoint.into_iter().chain(command).collect();
        let words = words.iter().map(|word| self.filled(word)).collect::<Result<Vec<_>, _>>()?;
        if words.first().is_none_or(String::is_empty) {
            return Err(self.cannot("has no command", "write one into the compose file"));
        }
        Ok(words)
    }

    fn filled(&self, text: &str) -> Result<String, ContainerError> {
        variables::fill(text, self.variables).map_err(|name| {
            let what = format!("service `{}` asks for the variable `{name}`, which nothing sets", self.name);
            cannot(
                &what,
                "set metadata `env.NAME` of the deployment in rofl.yaml; the owner's settings come in `environment`",
            )
        })
    }

    /// Variables as they stand, and those that the owner's settings belong into.
    fn environment(&self, has_local_api: bool, on_socket: bool) -> Result<(Variables, Owned), ContainerError> {
        let mut owned = BTreeMap::new();
        let mut variables = BTreeMap::from([("PATH".to_owned(), PROGRAM_PATH.to_owned())]);
        for pair in self.image.program.env.iter().flatten() {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            variables.insert(name.to_owned(), value.to_owned());
        }
        for (name, value) in &self.service.environment {
            let text = value.clone().unwrap_or_else(|| format!("${{{name}}}"));
            let parts = self.settable(variables::parts(&text, self.variables))?;
            variables.remove(name);
            match <[Part; 1]>::try_from(parts) {
                Ok([Part::Text(text)]) => drop(variables.insert(name.clone(), text)),
                Ok(parts) => drop(owned.insert(name.clone(), parts.to_vec())),
                Err(parts) if parts.is_empty() => drop(variables.insert(name.clone(), String::new())),
                Err(parts) => drop(owned.insert(name.clone(), parts)),
            }
        }
        if has_local_api {
            let own = [LOCAL_API_VARIABLE].into_iter().chain(DSTACK_VARIABLES);
            variables.extend(own.map(|name| (name.to_owned(), CLIENT_SOCKETS[2].to_owned())));
        }
        if has_local_api && on_socket {
            variables.insert(APP_SOCKET_VARIABLE.to_owned(), APP_SOCKET.to_owned());
        }
        if let Some(first) = self.manifest.additions.models.first() {
            variables.insert(MODELS_VARIABLE.to_owned(), MODELS_DIR.to_owned());
            if self.manifest.additions.models.len() == 1 {
                variables.insert(MODEL_VARIABLE.to_owned(), format!("{MODELS_DIR}/{}", first.name));
            }
        }
        let is_bad = |name: &String| name.is_empty() || name.contains('\0');
        if variables.iter().any(|(name, value)| is_bad(name) || value.contains('\0')) || owned.keys().any(is_bad) {
            return Err(self.cannot("has a variable with a zero byte or without a name", "mend it"));
        }
        owned.retain(|name, _| !variables.contains_key(name));
        Ok((variables, owned))
    }

    /// Leaves open what an owner can set: a default takes the place of what has another name, and without one it is refused.
    fn settable(&self, parts: Vec<Part>) -> Result<Vec<Part>, ContainerError> {
        let settable = parts.into_iter().map(|part| match part {
            Part::Setting { name, default } if !is_setting_name(&name) => default.map(Part::Text).ok_or_else(|| {
                let what = format!("asks for the variable `{name}`, which neither the deployment nor an owner can set");
                self.cannot(&what, "give it another name, or a default")
            }),
            part => Ok(part),
        });
        settable.collect()
    }

    fn mounts(&self) -> Vec<PlannedMount> {
        let mut mounts = Vec::new();
        for mount in &self.service.mounts {
            let source = match &mount.source {
                MountSource::LocalApi => continue,
                MountSource::Memory => None,
                MountSource::Storage(path) if path.is_empty() => Some("storage".to_owned()),
                MountSource::Storage(path) => Some(format!("storage/{path}")),
                MountSource::Volume(name) => Some(format!("volumes/{name}")),
            };
            mounts.push(PlannedMount { source, target: mount.target.clone(), is_read_only: mount.is_read_only });
        }
        mounts
    }

    fn limits(&self) -> PlannedLimits {
        let (given, resources) = (self.service.limits, &self.manifest.resources);
        let memory_bytes = resources.memory_mib << 20;
        PlannedLimits {
            memory_bytes: given.memory_bytes.unwrap_or(memory_bytes).min(memory_bytes),
            cpu_milli: given.cpu_milli.unwrap_or(u64::MAX).min(resources.cpus * 1_000),
            processes: given.processes.unwrap_or(PROCESSES),
        }
    }

    /// The compose file's check, or else the image's.
    fn health(&self) -> Result<Option<Health>, ContainerError> {
        let Some(check) = &self.service.health else {
            return Ok(self.image.program.healthcheck.as_ref().and_then(health_of_image));
        };
        let Some(mut health) = health_of_compose(check) else { return Ok(None) };
        for word in &mut health.command {
            *word = self.filled(word)?;
        }
        Ok(Some(health))
    }

    fn cannot(&self, what: &str, hint: &'static str) -> ContainerError {
        cannot(&format!("service `{}` {what}", self.name), hint)
    }
}

fn shell(line: &str) -> Vec<String> {
    vec!["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()]
}

fn health_of_compose(check: &HealthCheck) -> Option<Health> {
    let command = match &check.test {
        HealthTest::Off => return None,
        HealthTest::Program(command) => command.clone(),
        HealthTest::Shell(line) => shell(line),
    };
    let HealthCheck { interval_ms, timeout_ms, retries, start_ms, .. } = *check;
    Some(Health { command, interval_ms, timeout_ms, retries, start_ms })
}

fn health_of_image(check: &ImageHealth) -> Option<Health> {
    let words = check.test.as_deref().unwrap_or_default();
    let command = match words.split_first() {
        Some((first, rest)) if first == "CMD" && !rest.is_empty() => rest.to_vec(),
        Some((first, [line])) if first == "CMD-SHELL" => shell(line),
        _ => return None,
    };
    let ms = |ns: Option<u64>, default| ns.filter(|ns| *ns > 0).map_or(default, |ns| (ns / 1_000_000).max(1));
    Some(Health {
        command,
        interval_ms: ms(check.interval, 30_000),
        timeout_ms: ms(check.timeout, 30_000),
        retries: check.retries.filter(|retries| *retries > 0).unwrap_or(3),
        start_ms: ms(check.start_period, 0),
    })
}

fn refuse_additions(manifest: &Manifest) -> Result<(), ContainerError> {
    if manifest.additions.gpu.is_some() {
        return Err(cannot("it asks for GPUs", "the `direct` launcher under the emulator has none to give"));
    }
    Ok(())
}

/// The ports of all services, in the order of the file's services. They share one network, so no port stands twice.
fn ports(compose: &Compose) -> Result<Vec<PlannedPort>, ContainerError> {
    let mut ports: Vec<PlannedPort> = Vec::new();
    for port in compose.services.values().flat_map(|service| &service.ports) {
        if port.protocol == Protocol::Udp {
            return Err(cannot("it publishes a UDP port", "only TCP ports are offered outside"));
        }
        if ports.iter().any(|other| other.published == port.published || other.target == port.target) {
            let what = format!("it publishes the port {} or {} twice", port.published, port.target);
            return Err(cannot(&what, "its services share one network: let them listen on different ports"));
        }
        ports.push(PlannedPort { published: port.published, target: port.target });
    }
    Ok(ports)
}

fn cannot(what: &str, hint: &'static str) -> ContainerError {
    ContainerError::cannot(what, hint)
}
