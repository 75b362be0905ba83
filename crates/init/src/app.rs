//! The app: what the disk says of it, the register that it is measured into, its root folder, and its process.
//!
//! What it writes to its output never reaches the console, which is the host's: the app's words are its owner's.

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, chown, symlink},
    },
    path::Path,
    process::{ChildStdin, Command, Stdio},
    thread,
    time::Duration,
};

use freehold_image::{AppStart, RestartRule, StorageRule};
use freehold_primitives::{Digest, Register};

use crate::{
    InitError, agent,
    children::Children,
    disk::{MODELS, ROOT},
    outlet::Outlet,
    state,
    sys::{self, Confined, Net},
};

/// The register's file (Linux 6.16 and newer).
const REGISTER: &str = "/sys/devices/virtual/misc/tdx_guest/measurements/rtmr3:sha384";
/// Device of a TD.
const TDX: &str = "/dev/tdx_guest";
/// Folder of the sockets, as the app sees it; it is root's, so that the local API's stays what it is.
const SOCKETS: &str = "/run/freehold";
/// The app's own folder in it, and the socket that the app makes there.
pub(crate) const OWN_SOCKETS: &str = "/run/freehold/app";
pub(crate) const APP_SOCKET: &str = "/run/freehold/app/app.sock";
/// The local API's socket.
pub(crate) const LOCAL_API: &str = "/run/freehold/local.sock";
/// Where released clients of dstack and of ROFL look for the same socket; `/var/run` is not there, `/run` is.
const CLIENT_SOCKETS: [&str; 3] = ["/run/dstack.sock", "/run/tappd.sock", "/run/rofl-appd.sock"];
/// Variables that name it, ours and those of dstack's clients.
const LOCAL_API_VARIABLES: [&str; 3] = ["FREEHOLD_LOCAL_API", "DSTACK_SIMULATOR_ENDPOINT", "TAPPD_SIMULATOR_ENDPOINT"];
/// Most looks for last words, and the pause between two.
const LAST_WORDS_LOOKS: u32 = 50;
const POLL: Duration = Duration::from_millis(20);
/// Most looks for processes that an app left behind.
const CLEAR_MAX: u32 = 100;
/// Its devices.
const DEVICES: [(&str, u32, u32); 4] = [("null", 1, 3), ("zero", 1, 5), ("random", 1, 8), ("urandom", 1, 9)];

/// Reads how the app is started, and that it is the app of the command line.
pub(crate) fn read_start(app: &Digest) -> Result<AppStart, InitError> {
    let text = fs::read(format!("{ROOT}/start.json")).map_err(InitError::system("reading how the app is started"))?;
    let start: AppStart = serde_json::from_slice(&text).map_err(InitError::Start)?;
    if start.app == *app && !start.command.is_empty() { Ok(start) } else { Err(InitError::OtherApp) }
}

/// Extends RTMR3 by the app's event, in a TD, before anything of the app runs.
pub(crate) fn extend_register(event: &Register) -> Result<(), InitError> {
    if !Path::new(TDX).exists() {
        return Ok(());
    }
    let failed = InitError::system;
    let mut file = fs::OpenOptions::new().write(true).open(REGISTER).map_err(failed("opening RTMR3"))?;
    file.write_all(&event.0).map_err(failed("extending RTMR3"))?;
    let held = fs::read(REGISTER).map_err(failed("reading RTMR3"))?;
    if held == freehold_image::extended(&[*event]).0 { Ok(()) } else { Err(InitError::Register) }
}

/// Makes the folders that the app may write to, and its devices.
pub(crate) fn prepare(start: &AppStart) -> Result<(), InitError> {
    let failed = InitError::system;
    for (folder, flags) in [("dev", libc::MS_NOSUID), ("run", sys::NO_RIGHTS), ("tmp", sys::NO_RIGHTS)] {
        sys::mount("tmpfs", &format!("{ROOT}/{folder}"), "tmpfs", flags, "")
            .map_err(failed("making the app's folders"))?;
    }
    state::in_memory(start.storage).map_err(failed("making the app's storage"))?;
    for (name, major, minor) in DEVICES {
        let place = format!("{ROOT}/dev/{name}");
        sys::device(&place, major, minor).map_err(failed("making the app's devices"))?;
        allow_all(&place).map_err(failed("making the app's devices"))?;
    }
    let own = || {
        fs::create_dir(format!("{ROOT}{SOCKETS}"))?;
        fs::create_dir(format!("{ROOT}{OWN_SOCKETS}"))?;
        for socket in CLIENT_SOCKETS {
            symlink(LOCAL_API, format!("{ROOT}{socket}"))?;
        }
        for folder in [OWN_SOCKETS, "/tmp"] {
            chown(format!("{ROOT}{folder}"), Some(sys::APP_USER), Some(sys::APP_USER))?;
        }
        Ok(())
    };
    own().map_err(failed("making the app's folders"))
}

/// Lets everybody read and write.
pub(crate) fn allow_all(path: &str) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))
}

/// Whether the manifest starts an app again that ended so.
pub(crate) fn starts_again(rule: RestartRule, status: i32) -> bool {
    match rule {
        RestartRule::Always => true,
        RestartRule::OnFailure => status != 0,
        RestartRule::Never => false,
    }
}

/// A running app.
pub(crate) struct Running {
    /// The number of its process.
    pub(crate) process: u32,
    /// Its standard input, which ends with this: programs take that for a wish that they end.
    _input: Option<ChildStdin>,
    /// Its way out.
    _outlet: Option<Outlet>,
    /// The processes that seal what it says.
    sealers: Vec<u32>,
}

impl Running {
    /// Waits a moment until its last words are sealed.
    pub(crate) fn last_words(&self, children: &mut Children) {
        for _ in 0..LAST_WORDS_LOOKS {
            children.reap();
            if !self.sealers.iter().any(|sealer| Path::new(&format!("/proc/{sealer}")).exists()) {
                return;
            }
            thread::sleep(POLL);
        }
    }
}

/// Starts the app with what its owner set: its words go to the host where there is nothing to keep from it, and sealed wherever its
/// owner set a key for that.
pub(crate) fn start(start: &AppStart, settings: &agent::Settings) -> Result<Running, InitError> {
    let failed = InitError::system;
    let (program, arguments) = start.command.split_first().ok_or(InitError::OtherApp)?;
    // What an app before it left is not the new one's.
    let _ = fs::remove_file(format!("{ROOT}{APP_SOCKET}"));
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", "/app:/bin:/usr/bin").env("HOME", "/tmp");
    command.envs(start.environment.iter().map(|(name, value)| (name, value)));
    let for_app = settings.iter().filter(|(name, _)| name != agent::LOG_KEY);
    command.envs(for_app.map(|(name, value)| (name, OsStr::from_bytes(value))));
    for variable in LOCAL_API_VARIABLES {
        command.env(variable, LOCAL_API);
    }
    command.env("FREEHOLD_APP_SOCKET", APP_SOCKET);
    if start.storage.kind != StorageRule::None {
        command.env("FREEHOLD_STORAGE", state::STORAGE);
    }
    if !start.models.is_empty() {
        command.env("FREEHOLD_MODELS", MODELS);
    }
    if let [model] = start.models.as_slice() {
        command.env("FREEHOLD_MODEL", format!("{MODELS}/{model}"));
    }
    let (outlet, net) = match &start.proxy {
        None => (None, Net::Own),
        Some(proxy) => {
            // The only way out, so its variables stand above what anybody else set.
            command.envs(proxy.environment.iter().map(|(name, value)| (name, value)));
            let (outlet, network) = Outlet::start(proxy).map_err(failed("opening the app's way out"))?;
            (Some(outlet), Net::Of(network))
        }
    };
    let key = agent::log_key(settings);
    let [output, errors] = if key.is_some() { [Stdio::piped(), Stdio::piped()] } else { agent::words() };
    command.stdin(Stdio::piped()).stdout(output).stderr(errors);
    let limits = limits(start);
    let confined = Confined { root: ROOT, folder: "/app", limits, net };
    sys::confine(&mut command, confined).map_err(failed("starting the app"))?;
    let mut child = command.spawn().map_err(failed("starting the app"))?;
    println!("freehold: app started");
    let sealers = key.map_or(Ok(Vec::new()), |key| {
        agent::seal(&key, [child.stdout.take().map(Stdio::from), child.stderr.take().map(Stdio::from)])
    });
    let sealers = sealers.map_err(failed("sealing what the app says"))?;
    Ok(Running { process: child.id(), _input: child.stdin.take(), _outlet: outlet, sealers })
}

/// What the app may use: resources and how much of them.
fn limits(start: &AppStart) -> Vec<(u32, u64)> {
    let mib = |count: Option<u64>| count.map(|count| count.saturating_mul(1 << 20));
    let limits = [
        (libc::RLIMIT_AS, mib(start.memory_mib)),
        (libc::RLIMIT_NOFILE, start.open_files),
        (libc::RLIMIT_NPROC, start.processes),
        (libc::RLIMIT_FSIZE, mib(start.file_mib)),
        (libc::RLIMIT_CORE, Some(0)),
    ];
    limits.into_iter().filter_map(|(kind, most)| Some((kind, most?))).collect()
}

/// Kills what an app left behind: every process of its user.
pub(crate) fn clear() {
    for _ in 0..CLEAR_MAX {
        let Ok(processes) = fs::read_dir("/proc") else { return };
        let theirs = processes.flatten().filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            (entry.metadata().ok()?.uid() == sys::APP_USER).then_some(number)
        });
        if theirs.map(sys::kill).count() == 0 {
            return;
        }
        while let Ok(Some(_)) = sys::reap(sys::Reap::Ended) {}
    }
}
