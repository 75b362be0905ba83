//! The app's process: under bubblewrap, without network and with only the files it needs; where that does not work, under
//! Landlock and a filter of system calls; or an ordinary process. The capability says which.

mod calls;
mod confined;
mod connects;
mod detect;
mod error;
mod listener;
mod ruleset;
mod warden;

#[cfg(test)]
mod tests;

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Stdio,
};

use freehold_bundle::Limits;
use freehold_containers::{
    APP_SOCKET_VARIABLE, CLIENT_SOCKETS, DSTACK_VARIABLES, LOCAL_API_VARIABLE, MODEL_VARIABLE, MODELS_DIR,
    MODELS_VARIABLE, PROGRAM_PATH,
};
use freehold_rpc::EGRESS_VARIABLE;
use tokio::process::{Child, Command};

use crate::config::{AppFiles, AppProgram, Reach};

pub(crate) use confined::Confiner;
pub(crate) use detect::detect;
pub use error::ConfineError;
pub use warden::confine;

use confined::Plan;

/// System directories that a program may need, read-only.
const SYSTEM_DIRS: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32"];
/// Files of the loader and of name services, read-only.
const SYSTEM_FILES: [&str; 2] = ["/etc/ld.so.cache", "/etc/ld.so.conf"];
/// Files that a program with a network needs, read-only.
const NETWORK_FILES: [&str; 5] =
    ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl", "/etc/ca-certificates"];
/// Files of the kernel that nothing inside may write: where the host is root, their owner is who runs inside.
const KERNEL_FILES: [&str; 4] = ["/proc/sys", "/proc/irq", "/proc/bus", "/proc/fs"];
/// Where a bundle's files are seen.
const BUNDLE_DIR: &str = "/app";
/// Where what starts a bundle's program is seen.
const LAUNCHER: &str = "/run/freehold-launch";
/// Role of the guest's program that starts another one with the owner's settings.
const LAUNCH_ROLE: &str = "launch";

/// Environment variable with the path of the app's storage, and that path inside.
const STORAGE_VARIABLE: &str = "FREEHOLD_STORAGE";
const STORAGE_DIR: &str = "/storage";

/// Name of the gate's socket, in the folder of sockets that the app sees.
pub(crate) const GATE_SOCKET: &str = "egress.sock";

/// What keeps the app's process apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Bubblewrap: no network, its own processes, only the files it needs.
    Bubblewrap,
    /// Landlock and a filter of system calls: no network, only the files and sockets it needs, among the machine's processes.
    Landlock,
    /// Containers: roots, users, processes and a network of their own, a filter of system calls, bounded memory and disk.
    Runc,
    /// The same under gVisor: a kernel of their own in user space answers the containers.
    Runsc,
    /// A VM of its own: the app is apart from the host, and in the VM from the agent.
    Vm,
    /// Nothing but the operating system's users.
    None,
}

impl Isolation {
    /// The word of the capability.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bubblewrap => "bubblewrap",
            Self::Landlock => "landlock",
            Self::Runc => "runc",
            Self::Runsc => "runsc",
            Self::Vm => "vm",
            Self::None => "none",
        }
    }

    /// What of the app's process it does not keep apart, or not as bubblewrap does, in words for whoever chose it; `SECURITY.md`
    /// has the whole table. Empty for what keeps a table of its own.
    pub const fn gaps(self) -> &'static [&'static str] {
        match self {
            Self::Landlock => &[
                "names and sizes of the machine's files can be asked for, not their content",
                "processes share their numbers with the machine's: they cannot be signalled, traced or read",
                "no loopback of its own, and none of the kernel's files below /proc and /sys",
                "memory and processes are bounded for each process alone",
            ],
            Self::None => &["the program has all rights of its user"],
            Self::Bubblewrap | Self::Runc | Self::Runsc | Self::Vm => &[],
        }
    }
}

/// Starts the app. `app_dir` holds the local API's socket `local.sock`, and the app makes `app.sock` in it.
pub(crate) fn spawn(
    program: &AppProgram,
    isolation: Isolation,
    confiner: &Confiner,
    app_dir: &Path,
) -> std::io::Result<Child> {
    let mut command = match isolation {
        Isolation::Bubblewrap => bubblewrapped(program, app_dir),
        Isolation::Landlock => confiner.command(&Plan::new(program, app_dir)?)?,
        Isolation::Runc | Isolation::Runsc | Isolation::Vm | Isolation::None => plain(program, app_dir),
    };
    if program.bundle.is_some() {
        // What a stranger's program says is passed on line by line and bounded.
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    // The pipe on standard input ends with the host, however that ends.
    command.stdin(Stdio::piped());
    if isolation == Isolation::Landlock {
        // The confiner makes a session of its own, and ends all of it when the pipe does: killed, it could not.
        return command.spawn();
    }
    // A group of its own: Ctrl-C in the terminal reaches the host alone, which then stops its processes in order.
    command.process_group(0).kill_on_drop(true).spawn()
}

/// Whether the program may reach what a list names, and so gets the gate.
fn is_listed(program: &AppProgram) -> bool {
    program.bundle.as_ref().is_some_and(|bundle| matches!(bundle.reach, Reach::Listed(_)))
}

fn plain(program: &AppProgram, app_dir: &Path) -> Command {
    let bundle = program.bundle.as_ref();
    let launcher = bundle.and_then(|bundle| bundle.launcher.as_deref());
    let words = launched(launcher, words(program, bundle.map(|bundle| bundle.files.as_path()), &program.executable));
    let (first, rest) = words.split_first().expect("a program has a name");
    let mut command = Command::new(first);
    command.args(rest);
    if let Some(bundle) = &program.bundle {
        command.env_clear().env("PATH", PROGRAM_PATH).env("HOME", "/tmp").current_dir(&bundle.files);
    }
    command.envs(program.environment.iter().map(|(name, value)| (name, value)));
    command.env(LOCAL_API_VARIABLE, app_dir.join("local.sock")).env(APP_SOCKET_VARIABLE, app_dir.join("app.sock"));
    for variable in DSTACK_VARIABLES {
        command.env(variable, app_dir.join("local.sock"));
    }
    if let Some(folder) = bundle.and_then(|bundle| bundle.storage.folder()) {
        command.env(STORAGE_VARIABLE, &folder.path);
    }
    command.envs(model_variables(program));
    if is_listed(program) {
        command.env(EGRESS_VARIABLE, app_dir.join(GATE_SOCKET));
    }
    command
}

/// Variables that name a program's model files where it sees this machine's own: the one file alone, and the folder of a bundle's.
fn model_variables(program: &AppProgram) -> impl Iterator<Item = (&'static str, &Path)> {
    let models = program.bundle.as_ref().map_or_else(<&[_]>::default, |bundle| bundle.models.as_slice());
    let only = if let [(_, model)] = models { Some(model) } else { program.model.as_ref() };
    let folder = models.first().and_then(|(_, model)| model.parent());
    let only = only.map(|model| (MODEL_VARIABLE, model.as_path()));
    only.into_iter().chain(folder.map(|folder| (MODELS_VARIABLE, folder)))
}

/// The words that start a program: its limits, the program itself, its arguments. `files` is where the bundle's files are seen,
/// `alone` the program where it comes from no bundle.
fn words(program: &AppProgram, files: Option<&Path>, alone: &Path) -> Vec<OsString> {
    let mut words = Vec::new();
    match (&program.bundle, files) {
        (Some(bundle), Some(files)) => {
            words.extend(limited(&bundle.limits));
            // Without a folder it is the system's, which the path finds.
            let is_own = program.executable.components().count() > 1;
            words.push(if is_own { files.join(&program.executable).into() } else { program.executable.clone().into() });
        }
        _ => words.push(alone.into()),
    }
    words.extend(program.arguments.iter().map(OsString::from));
    words
}

/// The same words, behind those of what brings the owner's settings: the values never pass through the host.
fn launched(launcher: Option<&Path>, words: Vec<OsString>) -> Vec<OsString> {
    let Some(launcher) = launcher else { return words };
    let head = [launcher.as_os_str().to_owned(), LAUNCH_ROLE.into(), "--".into()];
    head.into_iter().chain(words).collect()
}

/// `prlimit` with what a manifest allows; nothing where it sets no bound.
fn limited(limits: &Limits) -> Vec<OsString> {
    let mib = |count: Option<u64>| count.map(|count| count.saturating_mul(1024 * 1024));
    let bounds = [
        ("as", mib(limits.memory_mib)),
        ("nofile", limits.open_files),
        ("nproc", limits.processes),
        ("fsize", mib(limits.file_mib)),
    ];
    let mut words: Vec<OsString> =
        bounds.iter().filter_map(|(name, bound)| bound.map(|bound| format!("--{name}={bound}").into())).collect();
    if !words.is_empty() {
        words.insert(0, "prlimit".into());
    }
    words
}

fn bubblewrapped(program: &AppProgram, app_dir: &Path) -> Command {
    let mut command = Command::new("bwrap");
    command.args(bubblewrap_arguments(program, app_dir));
    command
}

/// Arguments of bubblewrap that give a program its storage.
fn storage_arguments(files: &AppFiles) -> Vec<OsString> {
    let mut words: Vec<OsString> = match files {
        AppFiles::Nowhere => return Vec::new(),
        AppFiles::Memory(bytes) => vec!["--size".into(), bytes.to_string().into(), "--tmpfs".into()],
        AppFiles::Folder(folder) => vec!["--bind".into(), folder.path.clone().into()],
    };
    words.extend([STORAGE_DIR, "--setenv", STORAGE_VARIABLE, STORAGE_DIR].map(OsString::from));
    words
}

/// Arguments of bubblewrap that give a program its model files; one alone is named by itself too.
fn model_arguments(models: &[(String, PathBuf)]) -> Vec<OsString> {
    let mut words = Vec::new();
    for (name, path) in models {
        let inside = Path::new(MODELS_DIR).join(name);
        if models.len() == 1 {
            words.extend(["--setenv".into(), MODEL_VARIABLE.into(), inside.clone().into()]);
        }
        words.extend(["--ro-bind".into(), path.into(), inside.into()]);
    }
    if !models.is_empty() {
        words.extend(["--setenv", MODELS_VARIABLE, MODELS_DIR].map(OsString::from));
    }
    words
}

/// Arguments of bubblewrap, the program's behind them.
pub(crate) fn bubblewrap_arguments(program: &AppProgram, app_dir: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut add = |parts: &[&OsStr]| arguments.extend(parts.iter().map(|part| (*part).to_owned()));
    let inside = Path::new("/run/freehold");
    add(&["--unshare-all", "--die-with-parent", "--new-session", "--clearenv"].map(OsStr::new));
    // Bubblewrap leaves root all its capabilities where nobody says otherwise.
    add(&["--cap-drop", "ALL"].map(OsStr::new));
    for dir in SYSTEM_DIRS.iter().chain(&SYSTEM_FILES) {
        add(&["--ro-bind-try", dir, dir].map(OsStr::new));
    }
    add(&["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"].map(OsStr::new));
    for file in KERNEL_FILES {
        add(&["--ro-bind-try", file, file].map(OsStr::new));
    }
    let executable = PathBuf::from("/app/program");
    match &program.bundle {
        None => {
            add(&["--ro-bind".as_ref(), program.executable.as_os_str(), executable.as_os_str()]);
            add(&["--chdir", "/tmp"].map(OsStr::new));
        }
        Some(bundle) => {
            add(&["--ro-bind".as_ref(), bundle.files.as_os_str(), BUNDLE_DIR.as_ref()]);
            add(&["--chdir", BUNDLE_DIR, "--setenv", "PATH", PROGRAM_PATH, "--setenv", "HOME", "/tmp"].map(OsStr::new));
            for word in storage_arguments(&bundle.storage).into_iter().chain(model_arguments(&bundle.models)) {
                add(&[&word]);
            }
            if matches!(bundle.reach, Reach::Listed(_)) {
                add(&["--setenv".as_ref(), EGRESS_VARIABLE.as_ref(), inside.join(GATE_SOCKET).as_os_str()]);
                for folder in ["/etc/ssl", "/etc/ca-certificates"] {
                    add(&["--ro-bind-try", folder, folder].map(OsStr::new));
                }
            }
            if bundle.reach == Reach::Everybody {
                add(&["--share-net"].map(OsStr::new));
                for file in NETWORK_FILES {
                    add(&["--ro-bind-try", file, file].map(OsStr::new));
                }
            }
        }
    }
    add(&["--bind".as_ref(), app_dir.as_os_str(), inside.as_os_str()]);
    let launcher = program.bundle.as_ref().and_then(|bundle| bundle.launcher.as_deref());
    if let Some(launcher) = launcher {
        add(&["--ro-bind".as_ref(), launcher.as_os_str(), LAUNCHER.as_ref()]);
    }
    if let Some(model) = &program.model {
        add(&["--ro-bind".as_ref(), model.as_os_str(), "/app/model".as_ref()]);
        add(&["--setenv", MODEL_VARIABLE, "/app/model"].map(OsStr::new));
    }
    for (name, value) in &program.environment {
        add(&["--setenv", name, value].map(OsStr::new));
    }
    let local_api = "/run/freehold/local.sock";
    for variable in [LOCAL_API_VARIABLE].iter().chain(&DSTACK_VARIABLES) {
        add(&["--setenv", variable, local_api].map(OsStr::new));
    }
    for path in CLIENT_SOCKETS {
        add(&["--symlink", local_api, path].map(OsStr::new));
    }
    add(&["--symlink", "/run", "/var/run"].map(OsStr::new));
    add(&["--setenv", APP_SOCKET_VARIABLE, "/run/freehold/app.sock"].map(OsStr::new));
    add(&["--".as_ref()]);
    arguments.extend(launched(
        launcher.map(|_| Path::new(LAUNCHER)),
        words(program, Some(Path::new(BUNDLE_DIR)), &executable),
    ));
    arguments
}
