//! Calling what runs containers, whichever it is; the words of each call are made elsewhere (`words`), so that tests hold them.

mod words;

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::{Command as StdCommand, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::backend::Engine;
use words::Words;

/// Longest call that does not run a program.
const CALL_WAIT: Duration = Duration::from_secs(10);

/// What runs containers, with the place where it keeps its books.
#[derive(Debug, Clone)]
pub(crate) struct Runtime {
    engine: Engine,
    words: Words,
    state: PathBuf,
    /// Numbers of checks, so that each has a name of its own.
    checks: Arc<AtomicU64>,
}

impl Runtime {
    /// `state` is a folder of a runtime's own; `space` the name that a containerd keeps these containers under.
    pub(crate) fn new(engine: Engine, state: PathBuf, space: &str) -> Self {
        let words = Words::new(&engine, &state, space);
        Self { engine, words, state, checks: Arc::default() }
    }

    /// Makes a container without starting its program, and gives its first process. Only for what holds namespaces.
    pub(crate) fn create(&self, id: &str, bundle: &Path) -> io::Result<u32> {
        let (log, pid_file) = (bundle.join("log"), bundle.join("pid"));
        // Its streams stay open as long as it is there, so they are none of ours.
        let status = quiet(&self.words.create(id, bundle, &pid_file, &log)).status()?;
        if status.success() {
            let text = fs::read_to_string(&pid_file)?;
            return text.trim().parse().map_err(|_| io::Error::other("the runtime names no process"));
        }
        let said = fs::read_to_string(&log).unwrap_or_default();
        Err(io::Error::other(format!("the runtime: {}", said.lines().last().unwrap_or("it failed without a word"))))
    }

    /// Runs a container; the child ends with its program and has its exit code.
    pub(crate) fn spawn(&self, id: &str, bundle: &Path) -> io::Result<Child> {
        let mut command = Command::from(quiet(&self.words.run(id, bundle)));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true).spawn()
    }

    /// Runs a program in a container that runs: whether it ended with 0 in time. What it says is thrown away.
    pub(crate) async fn succeeds(&self, id: &str, command: &[String], limit: Duration) -> bool {
        let pid_file = self.state.join(format!(".{id}.check"));
        let _ = fs::remove_file(&pid_file);
        let name = format!("check-{}", self.checks.fetch_add(1, Ordering::Relaxed));
        let mut check = Command::from(quiet(&self.words.check(id, &name, &pid_file, command)));
        let Ok(mut child) = check.process_group(0).kill_on_drop(true).spawn() else { return false };
        if let Ok(status) = timeout(limit, child.wait()).await {
            return status.is_ok_and(|status| status.success());
        }
        // The runtime's end would leave the program it started.
        let text = fs::read_to_string(&pid_file).unwrap_or_default();
        let pid = text.trim().parse().ok().and_then(Pid::from_raw);
        match (self.words.end_check(id, &name, text.trim()), pid) {
            (Some(words), _) => drop(timeout(CALL_WAIT, Command::from(quiet(&words)).status()).await),
            (None, Some(pid)) => drop(kill_process(pid, Signal::KILL)),
            (None, None) => {}
        }
        false
    }

    /// Sends a signal to a container's first process.
    pub(crate) async fn kill(&self, id: &str, signal: &str) {
        let mut command = Command::from(quiet(&self.words.kill(id, signal)));
        let _ = timeout(CALL_WAIT, command.kill_on_drop(true).status()).await;
    }

    /// Removes a container, ended or not.
    pub(crate) fn delete(&self, id: &str) {
        for words in self.words.delete(id) {
            let _ = quiet(&words).status();
        }
    }

    /// The containers that it knows.
    pub(crate) fn containers(&self) -> Vec<String> {
        if self.engine == self.engine.holder() {
            let entries = fs::read_dir(&self.state).into_iter().flatten().flatten();
            let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            return folders.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        }
        let output = quiet(&self.words.list()).stdout(Stdio::piped()).output();
        let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        said.lines().map(|line| line.trim().to_owned()).filter(|id| !id.is_empty()).collect()
    }
}

/// A call that hears and says nothing.
fn quiet(words: &[OsString]) -> StdCommand {
    let (program, arguments) = words.split_first().expect("a call begins with its program");
    let mut command = StdCommand::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
