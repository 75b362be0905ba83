//! One service of a compose file.

use std::collections::BTreeMap;

use freehold_primitives::Digest;
use serde::{Deserialize, Serialize};

use super::values;
use crate::{
    error::{Fault, ManifestError},
    section::{Item, Section},
};

/// The local API's socket, as Oasis's tools and dstack's, newer and older, name it.
const LOCAL_API_SOCKETS: [&str; 5] =
    ["/run/rofl-appd.sock", "/run/dstack.sock", "/var/run/dstack.sock", "/run/tappd.sock", "/var/run/tappd.sock"];

/// An image, by digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageRef {
    /// SHA-256 of its manifest or index.
    pub digest: Digest,
    /// Registry, name and tag: where to look for it, which nothing relies on.
    pub name: String,
}

/// A command, as words.
pub type Command = Vec<String>;

/// What a service waits for in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Condition {
    /// That it started.
    Started,
    /// That its health check succeeds.
    Healthy,
    /// That it ended with status 0: a one-shot job.
    Completed,
}

/// A health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is run.
    pub test: HealthTest,
    /// Pause between two runs, ms.
    pub interval_ms: u64,
    /// Longest run, ms.
    pub timeout_ms: u64,
    /// Failures in a row that make it unhealthy.
    pub retries: u64,
    /// How long failures do not count after the start, ms.
    pub start_ms: u64,
}

/// What a health check runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthTest {
    /// Nothing: the image's own check is off too.
    Off,
    /// A program.
    Program(Command),
    /// A line for the image's shell.
    Shell(String),
}

/// Whether a container is started again when it ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceRestart {
    /// Never.
    #[default]
    No,
    /// Always.
    Always,
    /// Unless it ended with status 0, so many times at most.
    OnFailure(Option<u64>),
}

/// What is mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What.
    pub source: MountSource,
    /// Where.
    pub target: String,
    /// Whether it cannot be written.
    pub is_read_only: bool,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// The guest's local API.
    LocalApi,
    /// A folder of the app's storage, below `/storage`.
    Storage(String),
    /// A named volume.
    Volume(String),
    /// Memory.
    Memory,
}

/// Protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// A port that is offered outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// Outside.
    pub published: u16,
    /// In the container.
    pub target: u16,
    /// Protocol.
    pub protocol: Protocol,
}

/// What a container may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ServiceLimits {
    /// Memory, bytes.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a processor.
    pub cpu_milli: Option<u64>,
    /// Processes.
    pub processes: Option<u64>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its image.
    pub image: ImageRef,
    /// In place of the image's entry point.
    pub entrypoint: Option<Command>,
    /// In place of the image's command.
    pub command: Option<Command>,
    /// Environment; `${NAME}` stands for a secret or public variable of that name. `None` takes the whole value from it.
    pub environment: BTreeMap<String, Option<String>>,
    /// Mounts.
    pub mounts: Vec<Mount>,
    /// Ports.
    pub ports: Vec<Port>,
    /// Services that it waits for.
    pub depends_on: BTreeMap<String, Condition>,
    /// Health check; `None` takes the image's.
    pub health: Option<HealthCheck>,
    /// Whether it is started again.
    pub restart: ServiceRestart,
    /// What it may use.
    pub limits: ServiceLimits,
    /// Networks; the common one where empty.
    pub networks: Vec<String>,
    /// Working folder.
    pub working_dir: Option<String>,
    /// User, in place of the image's.
    pub user: Option<String>,
    /// How long it has to end when it is asked to, ms.
    pub grace_ms: Option<u64>,
    /// Whether its root cannot be written.
    pub is_read_only: bool,
    /// Pairs for the proxy and others.
    pub annotations: BTreeMap<String, String>,
}

/// Keys that are known and refused, with what to do.
const UNSUPPORTED: [(&str, &str); 20] = [
    ("build", "images are named by digest: build it, and write image: NAME@sha256:…"),
    ("privileged", "a container has no rights over its machine"),
    ("cap_add", "a container has no rights over its machine"),
    ("devices", "ask for GPUs in rofl.yaml, freehold.gpu"),
    ("gpus", "ask for GPUs in rofl.yaml, freehold.gpu"),
    ("runtime", "ask for GPUs in rofl.yaml, freehold.gpu"),
    ("network_mode", "name networks"),
    ("pid", "containers do not share processes"),
    ("ipc", "containers do not share memory"),
    ("env_file", "write the variables under environment"),
    ("secrets", "secrets come to the instance encrypted, as variables"),
    ("configs", "put the file into the image"),
    ("extends", "write the service out"),
    ("extra_hosts", "services find one another by name"),
    ("security_opt", "the executor's profile is fixed"),
    ("sysctls", "the executor's profile is fixed"),
    ("ulimits", "use deploy.resources.limits"),
    ("logging", "logs belong to the app's owner (rofl.yaml, freehold.logs)"),
    ("profiles", "every service of the file runs"),
    ("scale", "replicas are instances: run the app more than once"),
];

pub(super) fn read(
    item: &Item<'_>,
    volumes: &[String],
    networks: &[String],
    notes: &mut Vec<String>,
) -> Result<Service, ManifestError> {
    let mut section = item.section()?;
    section.unsupported(&UNSUPPORTED)?;
    let image = image(&section.need("image")?)?;
    let entrypoint = section.get("entrypoint").map(|item| values::words(&item)).transpose()?;
    let command = section.get("command").map(|item| values::words(&item)).transpose()?;
    let environment = section.get("environment").map(|item| environment(&item)).transpose()?.unwrap_or_default();
    let mounts = mounts(&mut section, volumes)?;
    let ports = each(section.get("ports"), port)?;
    let depends_on = section.get("depends_on").map(|item| depends_on(&item)).transpose()?.unwrap_or_default();
    let health = section.get("healthcheck").map(|item| health(&item)).transpose()?;
    let restart = section.get("restart").map(|item| restart(&item)).transpose()?.unwrap_or_default();
    let limits = limits(&mut section)?;
    let joined = each(section.get("networks"), |item| {
        let name = item.text()?;
        if name == "default" || networks.contains(&name) { Ok(name) } else { Err(item.refuse(Fault::Undefined(name))) }
    })?;
    let working_dir = section.get("working_dir").map(|item| absolute(&item)).transpose()?;
    let user = section.get("user").map(|item| item.text()).transpose()?;
    let grace_ms = section.get("stop_grace_period").map(|item| values::duration_ms(&item)).transpose()?;
    let is_read_only = section.get("read_only").map(|item| item.is_true()).transpose()?.unwrap_or(false);
    let mut annotations = BTreeMap::new();
    for key in ["annotations", "labels"] {
        if let Some(item) = section.get(key) {
            annotations.extend(pairs(&item)?.into_iter().map(|(key, value)| (key, value.unwrap_or_default())));
        }
    }
    without_effect(&mut section, notes)?;
    section.end()?;
    Ok(Service {
        image,
        entrypoint,
        command,
        environment,
        mounts,
        ports,
        depends_on,
        health,
        restart,
        limits,
        networks: joined,
        working_dir,
        user,
        grace_ms,
        is_read_only,
        annotations,
    })
}

/// Keys that ask for what holds anyway, or that only name things.
fn without_effect(section: &mut Section<'_>, notes: &mut Vec<String>) -> Result<(), ManifestError> {
    if let Some(item) = section.get("platform")
        && item.text()? != "linux/amd64"
    {
        return Err(item.form("linux/amd64, the platform of the machines"));
    }
    for (key, why) in [
        ("container_name", "containers are named by their services"),
        ("hostname", "containers are named by their services"),
        ("expose", "services of a network reach every port of one another"),
        ("stdin_open", "nobody types into a container"),
        ("tty", "nobody types into a container"),
    ] {
        if let Some(item) = section.get(key) {
            notes.push(format!("{}: {why}", item.path));
        }
    }
    Ok(())
}

fn each<T>(
    item: Option<Item<'_>>,
    read: impl Fn(&Item<'_>) -> Result<T, ManifestError>,
) -> Result<Vec<T>, ManifestError> {
    let Some(item) = item else { return Ok(Vec::new()) };
    values::list(&item)?.iter().map(read).collect()
}

fn image(item: &Item<'_>) -> Result<ImageRef, ManifestError> {
    let text = item.text()?;
    let Some((name, digest)) = text.split_once("@sha256:") else {
        return Err(item.refuse(Fault::Unpinned(text)));
    };
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/' | b':');
    if name.is_empty() || name.len() > 255 || !name.bytes().all(good) {
        return Err(item.form("an image such as docker.io/library/redis:7@sha256:…"));
    }
    let digest = crate::digests::parse(digest)
        .ok_or_else(|| item.form("an image such as docker.io/library/redis:7@sha256:…"))?;
    Ok(ImageRef { digest, name: name.to_owned() })
}

/// Pairs as a map, or as a list of `NAME=value`.
fn pairs(item: &Item<'_>) -> Result<Vec<(String, Option<String>)>, ManifestError> {
    if item.is_map() {
        let value = |(name, item): (String, Item<'_>)| {
            if item.node.is_null() { Ok((name, None)) } else { item.text().map(|text| (name, Some(text))) }
        };
        return item.entries()?.into_iter().map(value).collect();
    }
    let pair = |text: String| match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (text, None),
    };
    Ok(values::texts(item)?.into_iter().map(pair).collect())
}

fn environment(item: &Item<'_>) -> Result<BTreeMap<String, Option<String>>, ManifestError> {
    let mut variables = BTreeMap::new();
    for (name, value) in pairs(item)? {
        if !crate::manifest::is_variable(&name) {
            return Err(item.form("a map of variables: letters, digits and `_`"));
        }
        if variables.insert(name, value).is_some() {
            return Err(item.refuse(Fault::Duplicate));
        }
    }
    Ok(variables)
}

fn mounts(section: &mut Section<'_>, volumes: &[String]) -> Result<Vec<Mount>, ManifestError> {
    let mut mounts = each(section.get("volumes"), |item| mount(item, volumes))?;
    if let Some(item) = section.get("tmpfs") {
        let paths = if item.is_list() { values::list(&item)? } else { vec![item] };
        for item in paths {
            mounts.push(Mount { source: MountSource::Memory, target: absolute(&item)?, is_read_only: false });
        }
    }
    Ok(mounts)
}

fn mount(item: &Item<'_>, volumes: &[String]) -> Result<Mount, ManifestError> {
    if item.is_map() {
        return Err(item.refuse(Fault::Unsupported("the long form: write SOURCE:TARGET or SOURCE:TARGET:ro")));
    }
    let text = item.text()?;
    let mut parts = text.split(':');
    let (source, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let is_read_only = match (parts.next(), parts.next()) {
        (None | Some("rw"), None) => false,
        (Some("ro"), None) => true,
        _ => return Err(item.form("SOURCE:TARGET or SOURCE:TARGET:ro")),
    };
    if !is_absolute(target) {
        return Err(item.form("mounted at an absolute path: SOURCE:TARGET"));
    }
    let source = match source {
        path if LOCAL_API_SOCKETS.contains(&path) => MountSource::LocalApi,
        "/run/podman.sock" => {
            return Err(item.refuse(Fault::Unsupported("a container cannot rule over containers: use the local API")));
        }
        "/storage" => MountSource::Storage(String::new()),
        path if path.starts_with('/') => match path.strip_prefix("/storage/") {
            Some(below) if crate::paths::is_plain_relative(below) => MountSource::Storage(below.to_owned()),
            _ => {
                return Err(item.refuse(Fault::Unsupported(
                    "files of the machine: what can be mounted is /run/rofl-appd.sock, /storage/… and named volumes",
                )));
            }
        },
        name if volumes.iter().any(|volume| volume == name) => MountSource::Volume(name.to_owned()),
        path if path.starts_with('.') => {
            return Err(item.refuse(Fault::Unsupported("files beside the compose file: put them into the image")));
        }
        name => return Err(item.refuse(Fault::Undefined(name.to_owned()))),
    };
    Ok(Mount { source, target: target.to_owned(), is_read_only })
}

fn absolute(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.text()?;
    if is_absolute(&text) { Ok(text) } else { Err(item.form("an absolute path without `..`")) }
}

fn is_absolute(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(crate::paths::is_plain_relative)
}

fn port(item: &Item<'_>) -> Result<Port, ManifestError> {
    if item.is_map() {
        return Err(item.refuse(Fault::Unsupported("the long form: write PUBLISHED:TARGET")));
    }
    let text = item.text()?;
    let (ports, protocol) = match text.split_once('/') {
        None => (text.as_str(), Some(Protocol::Tcp)),
        Some((ports, "tcp")) => (ports, Some(Protocol::Tcp)),
        Some((ports, "udp")) => (ports, Some(Protocol::Udp)),
        Some((ports, _)) => (ports, None),
    };
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let numbers = ports.split_once(':').and_then(|(outside, inside)| number(outside).zip(number(inside)));
    match numbers.zip(protocol) {
        Some(((published, target), protocol)) => Ok(Port { published, target, protocol }),
        None => Err(item.form("PUBLISHED:TARGET, such as 8080:80 or 53:53/udp: each port is published by name")),
    }
}

fn depends_on(item: &Item<'_>) -> Result<BTreeMap<String, Condition>, ManifestError> {
    if item.is_list() {
        return Ok(values::texts(item)?.into_iter().map(|name| (name, Condition::Started)).collect());
    }
    let words = [
        ("service_started", Condition::Started),
        ("service_healthy", Condition::Healthy),
        ("service_completed_successfully", Condition::Completed),
    ];
    let mut conditions = BTreeMap::new();
    for (name, item) in item.entries()? {
        let mut section = item.section()?;
        let wanted = "service_started, service_healthy or service_completed_successfully";
        let condition =
            section.get("condition").map(|item| item.word(&words, wanted)).transpose()?.unwrap_or(Condition::Started);
        section.unsupported(&[
            ("restart", "a service is not restarted with another"),
            ("required", "every service of the file runs"),
        ])?;
        section.end()?;
        conditions.insert(name, condition);
    }
    Ok(conditions)
}

fn health(item: &Item<'_>) -> Result<HealthCheck, ManifestError> {
    let mut section = item.section()?;
    section.unsupported(&[("start_interval", "use interval")])?;
    let off = section.get("disable").map(|item| item.is_true()).transpose()?.unwrap_or(false);
    let test = match section.get("test") {
        _ if off => HealthTest::Off,
        None => section.need("test").map(|_| HealthTest::Off)?,
        Some(item) if !item.is_list() => HealthTest::Shell(item.text()?),
        Some(item) => {
            let words = values::texts(&item)?;
            match words.split_first() {
                Some((first, [])) if first == "NONE" => HealthTest::Off,
                Some((first, program)) if first == "CMD" && !program.is_empty() => {
                    HealthTest::Program(program.to_vec())
                }
                Some((first, [line])) if first == "CMD-SHELL" => HealthTest::Shell(line.clone()),
                _ => return Err(item.form("[\"CMD\", program, …], [\"CMD-SHELL\", line] or [\"NONE\"]")),
            }
        }
    };
    let mut duration = |key, default| match section.get(key) {
        None => Ok(default),
        Some(item) => values::duration_ms(&item),
    };
    let (interval_ms, timeout_ms) = (duration("interval", 30_000)?, duration("timeout", 30_000)?);
    let start_ms = duration("start_period", 0)?;
    let retries = section.get("retries").map(|item| item.number(1, 1_000)).transpose()?.unwrap_or(3);
    section.end()?;
    Ok(HealthCheck { test, interval_ms, timeout_ms, retries, start_ms })
}

fn restart(item: &Item<'_>) -> Result<ServiceRestart, ManifestError> {
    let text = item.text()?;
    match text.as_str() {
        "no" => Ok(ServiceRestart::No),
        "always" | "unless-stopped" => Ok(ServiceRestart::Always),
        "on-failure" => Ok(ServiceRestart::OnFailure(None)),
        _ => match text.strip_prefix("on-failure:").and_then(|count| count.parse().ok()) {
            Some(count) => Ok(ServiceRestart::OnFailure(Some(count))),
            None => Err(item.form("\"no\", always, on-failure, on-failure:COUNT or unless-stopped")),
        },
    }
}

fn limits(section: &mut Section<'_>) -> Result<ServiceLimits, ManifestError> {
    let mut limits = ServiceLimits {
        memory_bytes: section.get("mem_limit").map(|item| values::bytes(&item)).transpose()?,
        cpu_milli: section.get("cpus").map(|item| cpus(&item)).transpose()?,
        processes: section.get("pids_limit").map(|item| item.number(1, 1 << 22)).transpose()?,
    };
    let Some(deploy) = section.get("deploy") else { return Ok(limits) };
    let mut deploy = deploy.section()?;
    deploy.unsupported(&[
        ("replicas", "replicas are instances: run the app more than once"),
        ("placement", "instances are placed by their owner"),
        ("restart_policy", "use restart"),
    ])?;
    if let Some(resources) = deploy.get("resources") {
        let mut resources = resources.section()?;
        resources.unsupported(&[("reservations", "say what the app needs in rofl.yaml, resources")])?;
        if let Some(given) = resources.get("limits") {
            let mut given = given.section()?;
            if let Some(item) = given.get("memory") {
                limits.memory_bytes = Some(values::bytes(&item)?);
            }
            if let Some(item) = given.get("cpus") {
                limits.cpu_milli = Some(cpus(&item)?);
            }
            if let Some(item) = given.get("pids") {
                limits.processes = Some(item.number(1, 1 << 22)?);
            }
            given.end()?;
        }
        resources.end()?;
    }
    deploy.end()?;
    Ok(limits)
}

/// Processors such as `1.5`, in thousandths.
fn cpus(item: &Item<'_>) -> Result<u64, ManifestError> {
    let text = item.text()?;
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let thousandths = match part.len() {
        0..=3 if part.bytes().all(|byte| byte.is_ascii_digit()) => format!("{part:0<3}").parse::<u64>().ok(),
        _ => None,
    };
    let milli = whole
        .parse::<u64>()
        .ok()
        .zip(thousandths)
        .and_then(|(whole, part)| whole.checked_mul(1_000)?.checked_add(part));
    milli.filter(|milli| (1..=1_024_000).contains(milli)).ok_or_else(|| item.form("a count such as 0.5 or 2"))
}
