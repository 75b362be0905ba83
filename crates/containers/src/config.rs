//! The runtime's configuration of a container (OCI runtime specification 1.0.2, config.md, config-linux.md).
//!
//! One function from a planned service to one document; every container gets the same confinement, which no compose file
//! changes. Not here: where roots and storage come from (`ground`).

use std::path::{Path, PathBuf};

use freehold_rpc::proxy_variables;
use serde_json::{Value, json};

use crate::{
    ground::Mapping,
    launcher::{self, Launcher},
    names::{CLIENT_SOCKETS, PROXY_PORT},
    plan::{APP_DIR, Planned},
    seccomp,
    users::User,
};

/// Capabilities of root in a container, each only over what is the container's own.
pub const CAPABILITIES: [&str; 7] =
    ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETGID", "CAP_SETUID"];
/// Open files of a process.
const OPEN_FILES: u64 = 4_096;
/// Bytes of `/dev/shm`, at most.
const SHARED_MEMORY_BYTES: u64 = 64 << 20;
/// Files that tell of the machine or could change it.
const MASKED: [&str; 9] = [
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/scsi",
    "/proc/sched_debug",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/kmsg",
];
/// Folders of the kernel that nothing in a container may write.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
/// One processor for this long, in µs, is a period of its limit.
const CPU_PERIOD_US: u64 = 100_000;
/// Least share of a period that the kernel takes, in µs.
const CPU_QUOTA_US_MIN: u64 = 1_000;

/// What a container stands on.
pub(crate) struct Footing<'a> {
    pub(crate) name: &'a str,
    pub(crate) root: PathBuf,
    pub(crate) mapping: Mapping,
    /// The process whose user namespace it joins, and whose network, if they have one of their own.
    pub(crate) holder: u32,
    /// Whether it joins that user namespace, or has one of its own with the same numbers.
    pub(crate) joins_users: bool,
    pub(crate) has_network: bool,
    /// Whether the gate to the outside is at its port there.
    pub(crate) has_gate: bool,
    /// Its path among the machine's control groups; `None` without the rights to use them.
    pub(crate) cgroup: Option<String>,
    /// Files in place of the image's: (on the machine, in the container).
    pub(crate) files: Vec<(PathBuf, String)>,
    /// The guest's socket for this service.
    pub(crate) local_api: PathBuf,
    /// What starts its program with the owner's settings, and the socket that has them, if it asks for any.
    pub(crate) launch: Option<(&'a Launcher, PathBuf)>,
    /// The folder for the socket of the app's API, if that is the way.
    pub(crate) app_dir: Option<PathBuf>,
    /// Where the app's storage is.
    pub(crate) storage: PathBuf,
}

/// The configuration of a service's container.
pub(crate) fn of_service(planned: &Planned, user: &User, footing: &Footing<'_>) -> Value {
    let Footing { root, name, launch, .. } = footing;
    let mut environment: Vec<String> = Vec::new();
    // What starts the program gets the others from the guest: it itself is not to act on any.
    if launch.is_none() {
        environment.extend(planned.environment.iter().map(|(name, value)| format!("{name}={value}")));
    }
    if !planned.environment.contains_key("HOME") {
        environment.push(format!("HOME={}", user.home.as_deref().unwrap_or("/")));
    }
    let command = launch.as_ref().map_or_else(|| planned.command.clone(), |(with, _)| with.words(&planned.command));
    if footing.has_gate {
        environment.extend(proxy_variables(PROXY_PORT).map(|(name, value)| format!("{name}={value}")));
    }
    // Root's capabilities are root's: another user has none, and gets none by a program's rights.
    let effective: &[&str] = if user.uid == 0 { &CAPABILITIES } else { &[] };
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": user.uid, "gid": user.gid, "additionalGids": user.groups },
            "args": command,
            "env": environment,
            "cwd": planned.working_dir,
            "capabilities": { "bounding": effective, "effective": effective, "permitted": effective },
            "rlimits": [
                { "type": "RLIMIT_NOFILE", "hard": OPEN_FILES, "soft": OPEN_FILES },
                { "type": "RLIMIT_CORE", "hard": 0, "soft": 0 },
            ],
            "noNewPrivileges": true,
        },
        "root": { "path": root, "readonly": planned.is_read_only },
        "hostname": name,
        "mounts": mounts(planned, footing),
        "linux": linux(planned, footing),
    })
}

/// The configuration of the process that holds the app's namespaces: it is made, and never started.
pub(crate) fn of_holder(root: &Path, mapping: Mapping, has_network: bool, cgroup: Option<&str>) -> Value {
    let mut namespaces = vec!["user", "mount", "pid", "ipc", "uts"];
    if has_network {
        namespaces.push("network");
    }
    let namespaces: Vec<Value> = namespaces.iter().map(|name| json!({ "type": name })).collect();
    let mut linux = json!({
        "uidMappings": [mapping.users()],
        "gidMappings": [mapping.groups()],
        "namespaces": namespaces,
    });
    if let Some(cgroup) = cgroup {
        linux["cgroupsPath"] = cgroup.into();
    }
    if has_network {
        // In a network of one's own every port may be anybody's: images that serve on 80 as another user than root work.
        linux["sysctl"] = json!({ "net.ipv4.ip_unprivileged_port_start": "0" });
    }
    json!({
        "ociVersion": "1.0.2",
        "process": { "user": { "uid": 0, "gid": 0 }, "args": ["/holder"], "cwd": "/", "noNewPrivileges": true },
        "root": { "path": root, "readonly": true },
        "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" }],
        "linux": linux,
    })
}

fn linux(planned: &Planned, footing: &Footing<'_>) -> Value {
    let Footing { mapping, holder, .. } = footing;
    let mut users = json!({ "type": "user" });
    if footing.joins_users {
        users["path"] = format!("/proc/{holder}/ns/user").into();
    }
    let mut namespaces = vec![users];
    if footing.has_network {
        namespaces.push(json!({ "type": "network", "path": format!("/proc/{holder}/ns/net") }));
    }
    namespaces.extend(["mount", "pid", "ipc", "uts", "cgroup"].map(|name| json!({ "type": name })));
    let mut linux = json!({
        "uidMappings": [mapping.users()],
        "gidMappings": [mapping.groups()],
        "namespaces": namespaces,
        "seccomp": seccomp::profile(),
        "maskedPaths": MASKED,
        "readonlyPaths": READ_ONLY,
    });
    if let Some(cgroup) = &footing.cgroup {
        let limits = planned.limits;
        linux["cgroupsPath"] = cgroup.clone().into();
        linux["resources"] = json!({
            "devices": [{ "allow": false, "access": "rwm" }],
            "memory": { "limit": limits.memory_bytes },
            "pids": { "limit": limits.processes },
            "cpu": { "quota": (limits.cpu_milli.saturating_mul(CPU_PERIOD_US) / 1_000).max(CPU_QUOTA_US_MIN), "period": CPU_PERIOD_US },
        });
    }
    linux
}

fn mounts(planned: &Planned, footing: &Footing<'_>) -> Vec<Value> {
    let scratch = planned.limits.scratch_bytes();
    let memory = |target: &str, mode: &str, bytes: u64| {
        let options =
            ["nosuid", "noexec", "nodev", &format!("mode={mode}"), &format!("size={bytes}")].map(str::to_owned);
        json!({ "destination": target, "type": "tmpfs", "source": "tmpfs", "options": options })
    };
    let bind = |source: &Path, target: &str, rights: &str| {
        let options = ["bind", "nosuid", "nodev", rights];
        json!({ "destination": target, "type": "bind", "source": source, "options": options })
    };
    let mut mounts = vec![
        json!({ "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] }),
        json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "noexec", "mode=755", "size=65536"] }),
        json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"] }),
        memory("/dev/shm", "1777", scratch.min(SHARED_MEMORY_BYTES)),
        json!({ "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
            "options": ["nosuid", "noexec", "nodev"] }),
    ];
    // The image's folders under storage come first, so that what they are mounted upon cannot hide them.
    for mount in &planned.mounts {
        let rights = if mount.is_read_only { "ro" } else { "rw" };
        mounts.push(match &mount.source {
            None => memory(&mount.target, "1777", scratch),
            Some(source) => bind(&footing.storage.join(source), &mount.target, rights),
        });
    }
    mounts.extend(footing.files.iter().map(|(source, target)| bind(source, target, "ro")));
    if let Some((with, socket)) = &footing.launch {
        mounts.extend(with.files.iter().map(|(source, target)| bind(source, target, "ro")));
        mounts.push(bind(socket, launcher::SOCKET, "ro"));
    }
    if planned.has_local_api {
        mounts.extend(CLIENT_SOCKETS.iter().map(|target| bind(&footing.local_api, target, "ro")));
        mounts.extend(footing.app_dir.iter().map(|folder| bind(folder, APP_DIR, "rw")));
    }
    mounts
}
