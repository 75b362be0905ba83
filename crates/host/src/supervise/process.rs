//! Starting and ending processes.

use std::{path::Path, process::ExitStatus, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::config::GuestProgram;

/// How long an app has to end by itself.
pub(super) const APP_END_WAIT: Duration = Duration::from_secs(2);
/// How long a guest has: it anchors its last receipts.
pub(super) const GUEST_END_WAIT: Duration = Duration::from_secs(4);

/// Starts a guest in a group of its own; its standard input ends with the host.
pub(super) fn spawn_guest(program: &GuestProgram, config: &Path) -> std::io::Result<Child> {
    Command::new(&program.executable)
        .args(&program.arguments)
        .arg("--config")
        .arg(config)
        .process_group(0)
        .stdin(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

/// Exit code; `None` after a signal.
pub(super) fn exit_code(status: ExitStatus) -> Option<i32> {
    status.code()
}

/// Asks a process to end, and ends it when it does not.
pub(super) async fn end(child: &mut Child, wait: Duration) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
    if timeout(wait, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}
