//! The app's way out: a relay, a role of the agent's program, that listens at a port of a loopback of its own and carries each
//! connection to the gate's socket. The app is put into the same network, which has nothing else.

use std::{
    fs::File,
    io::{self, Read as _},
    process::{Command, Stdio},
};

use freehold_image::AppProxy;

use crate::{agent, sys};

/// A relay that runs.
pub(crate) struct Outlet {
    process: u32,
}

impl Outlet {
    /// Starts a relay that listens; its network.
    pub(crate) fn start(proxy: &AppProxy) -> io::Result<(Self, File)> {
        let mut command = Command::new(agent::PROGRAM);
        command.args(["--relay", &proxy.port.to_string(), agent::GATE]).env_clear();
        sys::with_loopback(&mut command);
        let mut relay = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let outlet = Self { process: relay.id() };
        // It says its port once it listens.
        relay.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?.read_exact(&mut [0; 2])?;
        Ok((outlet, File::open(format!("/proc/{}/ns/net", relay.id()))?))
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        sys::kill(self.process);
    }
}
