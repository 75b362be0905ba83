//! Calling the OCI runtime `runc` (its command line is that of the OCI runtime specification 1.0.2, runtime.md).

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command as StdCommand, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::error::HostError;

/// The program.
const PROGRAM: &str = "runc";
/// The first version that opens what is mounted before it gives up the machine's users.
const VERSION_MIN: (u32, u32) = (1, 1);
/// Longest call of the runtime that does not run a program.
const CALL_WAIT: Duration = Duration::from_secs(10);

/// The runtime, with the folder where it keeps its books.
#[derive(Debug, Clone)]
pub(super) struct Runtime {
    state: PathBuf,
}

/// Whether the runtime is there and new enough.
pub(super) async fn check() -> Result<(), HostError> {
    let asked = timeout(CALL_WAIT, Command::new(PROGRAM).arg("--version").stdin(Stdio::null()).output()).await;
    let said = match asked {
        Ok(Ok(output)) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(HostError::NoRuntime("it is not here".to_owned()));
        }
        _ => return Err(HostError::NoRuntime("it does not tell its version".to_owned())),
    };
    match version(&said) {
        Some(found) if found >= VERSION_MIN => Ok(()),
        _ => Err(HostError::NoRuntime(format!("it says {:?}", said.lines().next().unwrap_or_default()))),
    }
}

fn version(said: &str) -> Option<(u32, u32)> {
    let mut parts = said.strip_prefix("runc version ")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

impl Runtime {
    pub(super) const fn new(state: PathBuf) -> Self {
        Self { state }
    }

    fn arguments(&self) -> [&std::ffi::OsStr; 2] {
        ["--root".as_ref(), self.state.as_os_str()]
    }

    /// Makes a container without starting its program, and gives its first process.
    pub(super) fn create(&self, id: &str, bundle: &Path) -> io::Result<u32> {
        let (log, pid_file) = (bundle.join("log"), bundle.join("pid"));
        let mut command = StdCommand::new(PROGRAM);
        command.args(self.arguments()).arg("--log").arg(&log).args(["create", "--bundle"]).arg(bundle);
        // Its streams stay open as long as it is there, so they are none of ours.
        command.arg("--pid-file").arg(&pid_file).arg(id);
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if status.success() {
            let text = fs::read_to_string(&pid_file)?;
            return text.trim().parse().map_err(|_| io::Error::other("`runc` names no process"));
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        Err(io::Error::other(format!("`runc`: {}", said.lines().last().unwrap_or("it failed without a word"))))
    }

    /// Runs a container; the child ends with its program and has its exit code.
    pub(super) fn spawn(&self, id: &str, bundle: &Path) -> io::Result<Child> {
        let mut command = Command::new(PROGRAM);
        command.args(self.arguments()).args(["run", "--bundle"]).arg(bundle).arg(id);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true).spawn()
    }

    /// Runs a program in a container that runs: whether it ended with 0 in time. What it says is thrown away.
    pub(super) async fn succeeds(&self, id: &str, words: &[String], limit: Duration) -> bool {
        let pid_file = self.state.join(format!(".{id}.check"));
        let _ = fs::remove_file(&pid_file);
        let mut command = Command::new(PROGRAM);
        command.args(self.arguments()).args(["exec", "--pid-file"]).arg(&pid_file).arg(id).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let Ok(mut child) = command.process_group(0).spawn() else { return false };
        match timeout(limit, child.wait()).await {
            Ok(status) => status.is_ok_and(|status| status.success()),
            Err(_) => {
                // The runtime's end would leave the program it started.
                let text = fs::read_to_string(&pid_file).unwrap_or_default();
                if let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) {
                    let _ = kill_process(pid, Signal::KILL);
                }
                false
            }
        }
    }

    /// Sends a signal to a container's first process.
    pub(super) async fn kill(&self, id: &str, signal: &str) {
        let mut command = Command::new(PROGRAM);
        command.args(self.arguments()).args(["kill", id, signal]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let _ = timeout(CALL_WAIT, command.status()).await;
    }

    /// Removes a container, ended or not.
    pub(super) fn delete(&self, id: &str) {
        let mut command = StdCommand::new(PROGRAM);
        command.args(self.arguments()).args(["delete", "--force", id]);
        let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }

    /// The containers that it knows.
    pub(super) fn containers(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.state).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_are_read() {
        assert_eq!(super::version("runc version 1.1.5+ds1\ncommit: x\n"), Some((1, 1)));
        assert_eq!(super::version("runc version 1.0.0~rc93\n"), Some((1, 0)));
        assert_eq!(super::version("crun version 1.8"), None);
    }
}
