//! This program as a process of its own, listened to by its JSON lines.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longest wait for an event, an answer or an end.
const WAIT: Duration = Duration::from_secs(120);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(2);
/// What is read of an answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// A command that runs; killed when dropped.
pub(super) struct Running {
    child: Child,
    begun: Instant,
    events: mpsc::Receiver<(Instant, Value)>,
}

impl Running {
    /// Starts a command.
    pub(super) fn start(words: &[&str], folder: &Path) -> Result<Self> {
        let begun = Instant::now();
        let mut child = Command::new(std::env::current_exe().context("this program's own file cannot be found")?)
            .args(words)
            .arg("--json")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("this program cannot be started again")?;
        let (sender, events) = mpsc::channel();
        let lines = BufReader::new(child.stdout.take().context("a child has an output")?).lines();
        // Whoever does not read a pipe blocks its writer.
        thread::spawn(move || {
            for line in lines.map_while(std::io::Result::ok) {
                if let Ok(event) = serde_json::from_str(&line) {
                    let _gone = sender.send((Instant::now(), event));
                }
            }
        });
        Ok(Self { child, begun, events })
    }

    /// Waits for an event: when it came, from the start on, and what it says.
    pub(super) fn until(&mut self, wanted: &str) -> Result<(Duration, Value)> {
        let end = Instant::now() + WAIT;
        loop {
            match self.events.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok((at, event)) if event["event"] == wanted => return Ok((at - self.begun, event)),
                Ok(_) => {}
                Err(error) => bail!("no `{wanted}` came: {error}"),
            }
        }
    }

    /// SIGINT, and its end.
    pub(super) fn interrupt(mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if pid.is_some_and(|pid| kill_process(pid, Signal::INT).is_ok()) {
            let end = Instant::now() + WAIT;
            while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
                thread::sleep(LOOK);
            }
        }
    }

    /// `kill -9`.
    pub(super) fn kill(self) {
        drop(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Runs a command to its end: its last line.
pub(super) fn tell_of(words: &[&str], folder: &Path) -> Result<Value> {
    let program = std::env::current_exe().context("this program's own file cannot be found")?;
    let output = Command::new(program).args(words).arg("--json").current_dir(folder).output()?;
    ensure!(output.status.success(), "{words:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    serde_json::from_str(text.lines().last().unwrap_or_default()).context("the command told nothing")
}

/// Waits until the app that is ready answers a request, whatever its protocol is.
pub(super) fn answered(ready: &Value) -> Result<()> {
    asked(ready, "/").map(drop)
}

/// What the app that is ready answers to a request for a path, once it does.
pub(super) fn asked(ready: &Value, path: &str) -> Result<String> {
    let api = ready["api"].as_str().context("the app tells no address")?;
    let address = api.trim_start_matches("http://");
    let end = Instant::now() + WAIT;
    while Instant::now() < end {
        let ask = || {
            let mut stream = TcpStream::connect(address)?;
            stream.set_read_timeout(Some(WAIT))?;
            write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
            stream.shutdown(Shutdown::Write)?;
            let mut said = Vec::new();
            stream.take(ANSWER_BYTES_MAX).read_to_end(&mut said).map(|_| said)
        };
        // The host's relay itself answers while the app is not there.
        if let Ok(said) = ask()
            && !said.is_empty()
            && !said.starts_with(b"HTTP/1.1 503")
        {
            return Ok(String::from_utf8_lossy(&said).into_owned());
        }
        thread::sleep(LOOK);
    }
    bail!("the app does not answer at {api}")
}
