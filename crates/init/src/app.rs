//! The app: what the disk says of it, the register that it is measured into, its root folder, and its process.
//!
//! What it writes to its output goes nowhere: the console is the host's, and the app's words are its owner's.

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::chown, process::ExitStatusExt as _},
    path::Path,
    process::{Command, Stdio},
};

use freehold_image::AppStart;
use freehold_primitives::{Digest, Register};

use crate::{InitError, disk::ROOT, sys};

/// The register's file (Linux 6.16 and newer).
const REGISTER: &str = "/sys/devices/virtual/misc/tdx_guest/measurements/rtmr3:sha384";
/// Device of a TD.
const TDX: &str = "/dev/tdx_guest";
/// Folder of the app's sockets, as the app sees it.
pub(crate) const SOCKETS: &str = "/run/freehold";
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
pub(crate) fn prepare() -> Result<(), InitError> {
    let failed = InitError::system;
    for (folder, flags) in [("dev", libc::MS_NOSUID), ("run", sys::NO_RIGHTS), ("tmp", sys::NO_RIGHTS)] {
        sys::mount("tmpfs", &format!("{ROOT}/{folder}"), "tmpfs", flags).map_err(failed("making the app's folders"))?;
    }
    for (name, major, minor) in DEVICES {
        let place = format!("{ROOT}/dev/{name}");
        sys::device(&place, major, minor).map_err(failed("making the app's devices"))?;
        allow_all(&place).map_err(failed("making the app's devices"))?;
    }
    let sockets = format!("{ROOT}{SOCKETS}");
    let own = || {
        fs::create_dir(&sockets)?;
        chown(&sockets, Some(sys::APP_USER), Some(sys::APP_USER))?;
        chown(format!("{ROOT}/tmp"), Some(sys::APP_USER), Some(sys::APP_USER))
    };
    own().map_err(failed("making the app's folders"))
}

/// Lets everybody read and write.
pub(crate) fn allow_all(path: &str) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))
}

/// Runs the app to its end: its exit status, or 128 and the signal that ended it.
pub(crate) fn run(start: &AppStart) -> Result<i32, InitError> {
    let failed = InitError::system;
    let (program, arguments) = start.command.split_first().ok_or(InitError::OtherApp)?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", "/app:/bin:/usr/bin").env("HOME", "/tmp");
    command.envs(start.environment.iter().map(|(name, value)| (name, value)));
    command.env("FREEHOLD_LOCAL_API", format!("{SOCKETS}/local.sock"));
    command.env("FREEHOLD_APP_SOCKET", format!("{SOCKETS}/app.sock"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mib = |count: Option<u64>| count.map(|count| count.saturating_mul(1 << 20));
    let limits = [
        (libc::RLIMIT_AS, mib(start.memory_mib)),
        (libc::RLIMIT_NOFILE, start.open_files),
        (libc::RLIMIT_NPROC, start.processes),
        (libc::RLIMIT_FSIZE, mib(start.file_mib)),
        (libc::RLIMIT_CORE, Some(0)),
    ];
    let limits = limits.into_iter().filter_map(|(kind, most)| Some((kind, most?))).collect();
    sys::confine(&mut command, ROOT, "/app", limits).map_err(failed("starting the app"))?;
    let mut child = command.spawn().map_err(failed("starting the app"))?;
    println!("freehold: app started");
    let status = child.wait().map_err(failed("waiting for the app"))?;
    Ok(status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1))
}
