//! The app's process: under bubblewrap without network and with only the files it needs, where bubblewrap works; else
//! an ordinary process, and the capability says so.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::config::{AppProgram, IsolationChoice};

/// Environment variable with the path of the guest's local API socket.
pub const LOCAL_API_VARIABLE: &str = "FREEHOLD_LOCAL_API";
/// Environment variable with the path of the socket that the app must listen on.
pub const APP_SOCKET_VARIABLE: &str = "FREEHOLD_APP_SOCKET";
/// Environment variable with the path of the model file.
pub const MODEL_VARIABLE: &str = "FREEHOLD_MODEL";

/// Longest run of the self-test.
const SELF_TEST_WAIT: Duration = Duration::from_secs(5);
/// System directories that a program may need, read-only.
const SYSTEM_DIRS: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32"];
/// Files of the loader and of name services, read-only.
const SYSTEM_FILES: [&str; 2] = ["/etc/ld.so.cache", "/etc/ld.so.conf"];

/// What keeps the app's process apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Bubblewrap: no network, its own processes, only the files it needs.
    Bubblewrap,
    /// Nothing but the operating system's users.
    None,
}

impl Isolation {
    /// The word of the capability.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bubblewrap => "bubblewrap",
            Self::None => "none",
        }
    }
}

/// Finds out what is possible here.
pub(crate) async fn detect(choice: IsolationChoice) -> Isolation {
    if choice == IsolationChoice::None {
        return Isolation::None;
    }
    let mut test = Command::new("bwrap");
    test.args([
        "--unshare-all",
        "--die-with-parent",
        "--ro-bind",
        "/",
        "/",
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "true",
    ]);
    test.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    match timeout(SELF_TEST_WAIT, test.status()).await {
        Ok(Ok(status)) if status.success() => Isolation::Bubblewrap,
        _ => Isolation::None,
    }
}

/// Starts the app. `app_dir` holds the local API's socket `local.sock`, and the app makes `app.sock` in it.
pub(crate) fn spawn(program: &AppProgram, isolation: Isolation, app_dir: &Path) -> std::io::Result<Child> {
    let mut command = match isolation {
        Isolation::Bubblewrap => bubblewrapped(program, app_dir),
        Isolation::None => plain(program, app_dir),
    };
    // A group of its own: Ctrl-C in the terminal reaches the host alone, which then stops its processes in order. The
    // pipe on standard input ends with the host, however that ends.
    command.process_group(0).stdin(Stdio::piped()).kill_on_drop(true).spawn()
}

fn plain(program: &AppProgram, app_dir: &Path) -> Command {
    let mut command = Command::new(&program.executable);
    command.args(&program.arguments).envs(program.environment.iter().map(|(name, value)| (name, value)));
    command.env(LOCAL_API_VARIABLE, app_dir.join("local.sock")).env(APP_SOCKET_VARIABLE, app_dir.join("app.sock"));
    if let Some(model) = &program.model {
        command.env(MODEL_VARIABLE, model);
    }
    command
}

fn bubblewrapped(program: &AppProgram, app_dir: &Path) -> Command {
    let mut command = Command::new("bwrap");
    command.args(bubblewrap_arguments(program, app_dir));
    command
}

/// Arguments of bubblewrap, the program's behind them.
pub(crate) fn bubblewrap_arguments(program: &AppProgram, app_dir: &Path) -> Vec<std::ffi::OsString> {
    let mut arguments: Vec<std::ffi::OsString> = Vec::new();
    let mut add = |parts: &[&std::ffi::OsStr]| arguments.extend(parts.iter().map(|part| (*part).to_owned()));
    let inside = Path::new("/run/freehold");
    add(&["--unshare-all", "--die-with-parent", "--new-session", "--clearenv"].map(std::ffi::OsStr::new));
    for dir in SYSTEM_DIRS.iter().chain(&SYSTEM_FILES) {
        add(&["--ro-bind-try", dir, dir].map(std::ffi::OsStr::new));
    }
    add(&["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--chdir", "/tmp"].map(std::ffi::OsStr::new));
    let executable = PathBuf::from("/app/program");
    add(&["--ro-bind".as_ref(), program.executable.as_os_str(), executable.as_os_str()]);
    add(&["--bind".as_ref(), app_dir.as_os_str(), inside.as_os_str()]);
    if let Some(model) = &program.model {
        add(&["--ro-bind".as_ref(), model.as_os_str(), "/app/model".as_ref()]);
        add(&["--setenv", MODEL_VARIABLE, "/app/model"].map(std::ffi::OsStr::new));
    }
    for (name, value) in &program.environment {
        add(&["--setenv", name, value].map(std::ffi::OsStr::new));
    }
    add(&["--setenv", LOCAL_API_VARIABLE, "/run/freehold/local.sock"].map(std::ffi::OsStr::new));
    add(&["--setenv", APP_SOCKET_VARIABLE, "/run/freehold/app.sock"].map(std::ffi::OsStr::new));
    add(&["--".as_ref(), executable.as_os_str()]);
    for argument in &program.arguments {
        add(&[argument.as_ref()]);
    }
    arguments
}
