//! Validators as processes of their own, on the loopback: started, killed, started again, and asked.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use freehold_node::validator_folder;
use freehold_rpc::{Endpoint, NodeClient};

use super::CHAIN_ID;

/// Longest wait for a process, or for a block.
const WAIT: Duration = Duration::from_secs(60);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(2);

/// The validators.
pub(super) struct Processes {
    folder: PathBuf,
    /// Addresses for each other.
    addresses: Vec<String>,
    /// Addresses of JSON-RPC.
    rpcs: Vec<String>,
    children: Vec<Option<Child>>,
}

impl Processes {
    /// Makes the folders of a network; `term_blocks` 0 is one term without end.
    pub(super) fn make(folder: &Path, validators: u32, term_blocks: u64) -> Result<Self> {
        let network = folder.join("network");
        let made = Command::new(own()?)
            .args(["node", "--init", &validators.to_string(), "--chain-id", &CHAIN_ID.to_string()])
            .args(["--term-blocks", &term_blocks.to_string(), "--data-dir"])
            .arg(&network)
            .stdin(Stdio::null())
            .output()
            .context("this program cannot be started again")?;
        ensure!(made.status.success(), "the network was not made: {}", String::from_utf8_lossy(&made.stderr));
        let count = validators as usize;
        let (addresses, rpcs) = (free_addresses(count)?, free_addresses(count)?);
        Ok(Self { folder: network, addresses, rpcs, children: (0..count).map(|_| None).collect() })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.children.len()
    }

    /// Starts all at once and waits for the first block behind the newest.
    pub(super) async fn start_all(&mut self) -> Result<()> {
        for index in 0..self.len() {
            self.spawn(index)?;
        }
        self.above(0, 0).await.map(drop)
    }

    /// Starts one; it serves a while later.
    pub(super) fn spawn(&mut self, index: usize) -> Result<()> {
        let folder = validator_folder(&self.folder, u32::try_from(index)?);
        let mut child = Command::new(own()?)
            .arg("node")
            .arg("--data-dir")
            .arg(folder)
            .args(["--listen", &self.addresses[index], "--peers", &self.addresses.join(",")])
            .args(["--rpc", &self.rpcs[index], "--json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("a validator did not start")?;
        // Whoever does not read a pipe blocks its writer.
        if let Some(lines) = child.stdout.take() {
            thread::spawn(move || BufReader::new(lines).lines().for_each(drop));
        }
        self.children[index] = Some(child);
        Ok(())
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self, index: usize) -> Result<()> {
        if let Some(mut child) = self.children[index].take() {
            child.kill().context("a validator could not be killed")?;
            child.wait().context("a validator did not end")?;
        }
        Ok(())
    }

    /// A client of one.
    pub(super) fn client(&self, index: usize) -> Result<NodeClient> {
        Ok(NodeClient::new(format!("http://{}", self.rpcs[index]).parse::<Endpoint>()?))
    }

    /// Newest height of one.
    pub(super) async fn height(&self, index: usize) -> Result<u64> {
        Ok(self.client(index)?.status().await?.latest.height)
    }

    /// Waits until one serves a block above a height, and gives its height.
    pub(super) async fn above(&self, index: usize, height: u64) -> Result<u64> {
        let (node, begun) = (self.client(index)?, Instant::now());
        loop {
            if let Ok(status) = node.status().await
                && status.latest.height > height
            {
                return Ok(status.latest.height);
            }
            ensure!(begun.elapsed() < WAIT, "validator {index} has no block above {height} in {} s", WAIT.as_secs());
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The validator that makes a payload now, but the first, whose JSON-RPC measures: its engine runs a proposal.
    pub(super) async fn proposer(&self) -> Result<usize> {
        let begun = Instant::now();
        while begun.elapsed() < WAIT {
            for index in 1..self.len() {
                let rpc = self.rpcs[index].clone();
                let text = tokio::task::spawn_blocking(move || metrics(&rpc)).await??;
                if proposes(&text) {
                    return Ok(index);
                }
            }
        }
        bail!("no validator but the first had a turn in {} s", WAIT.as_secs())
    }

    /// Resident memory of the largest, in bytes.
    pub(super) fn memory_bytes(&self) -> u64 {
        let of = |child: &Child| {
            let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
        };
        self.children.iter().flatten().filter_map(of).max().unwrap_or(0)
    }

    /// Bytes of the largest folder.
    pub(super) fn disk_bytes(&self) -> u64 {
        let count = u32::try_from(self.len()).unwrap_or(0);
        (0..count).map(|index| bytes_below(&validator_folder(&self.folder, index))).max().unwrap_or(0)
    }

    /// Ends all.
    pub(super) fn stop(mut self) {
        self.kill_all();
    }

    fn kill_all(&mut self) {
        for index in 0..self.children.len() {
            let _gone = self.kill(index);
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.kill_all();
    }
}

fn own() -> Result<PathBuf> {
    std::env::current_exe().context("this program's own file cannot be found")
}

/// Free loopback addresses, taken all at once so that they differ.
fn free_addresses(count: usize) -> Result<Vec<String>> {
    let listeners = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<Vec<_>>>();
    let listeners = listeners.context("no free port on the loopback")?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.to_string())).collect()
}

fn metrics(rpc: &str) -> Result<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(rpc)?;
    stream.set_read_timeout(Some(WAIT))?;
    write!(stream, "GET /metrics HTTP/1.1\r\nhost: {rpc}\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Whether the engine's task that makes a payload runs, by its own gauge.
fn proposes(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| line.starts_with("runtime_tasks_running{"));
    lines.any(|line| line.contains("application_propose\"") && line.ends_with(" 1"))
}

fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(file) if file.is_dir() => bytes_below(&entry.path()),
        Ok(file) => file.len(),
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}
