//! Foundry's `anvil` in the rhythm of a validator: blocks of the same gas at the same pace, nothing durable. As it comes it
//! makes a block for each transaction, which is slower.

use std::{
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::wire::Wire;
use crate::accounts;

/// Seconds between two blocks: a validator's least.
const PACE_S: &str = "0.1";
const WAIT: Duration = Duration::from_secs(20);

/// A running anvil, with what npm puts around it; killed when dropped.
pub(super) struct Anvil {
    child: Child,
    /// `address:port` of its JSON-RPC.
    pub(super) host: String,
}

impl Anvil {
    /// Starts the program, which is sought on the path where no file is named.
    pub(super) fn start(program: Option<&Path>, chain_id: u64) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let program = program.unwrap_or(Path::new("anvil"));
        let child = Command::new(program)
            .args(["--silent", "--accounts", &accounts::USERS.to_string(), "--port", &port.to_string()])
            .args(["--chain-id", &chain_id.to_string()])
            .args(["--block-time", PACE_S, "--gas-limit", &freehold_ledger::BLOCK_GAS_MAX.to_string()])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let mut anvil = Self { child, host: format!("127.0.0.1:{port}") };
        let begun = Instant::now();
        while Wire::connect(&anvil.host).is_err() {
            if let Some(status) = anvil.child.try_wait()? {
                bail!("{} ended with {status}", program.display());
            }
            if begun.elapsed() > WAIT {
                bail!("{} does not listen", program.display());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(anvil)
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // The program of the npm package is a script that starts the real one: both are of one group.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _reaped = self.child.wait();
    }
}
