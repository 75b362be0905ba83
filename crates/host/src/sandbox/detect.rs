//! What keeps a process apart here: each sandbox is tried, by a program that does nothing.

use std::{process::Stdio, time::Duration};

use tokio::{io::AsyncReadExt as _, process::Command, time::timeout};

use super::{
    Isolation,
    confined::{Confiner, Plan},
};
use crate::{config::IsolationChoice, error::HostError};

/// Longest run of a test.
const TEST_WAIT: Duration = Duration::from_secs(5);
/// What is kept of what a test says, in bytes.
const SAID_BYTES_MAX: u64 = 1_024;

/// The sandbox of a choice, if it works here.
///
/// # Errors
/// [`HostError::NoIsolation`] where none does, or not the one that was chosen.
pub(crate) async fn detect(choice: IsolationChoice, confiner: &Confiner) -> Result<Isolation, HostError> {
    if choice == IsolationChoice::None {
        return Ok(Isolation::None);
    }
    let mut faults = Vec::new();
    if choice != IsolationChoice::Landlock {
        match test_bubblewrap().await {
            Ok(()) => return Ok(Isolation::Bubblewrap),
            Err(said) => faults.push(format!("bubblewrap: {said}")),
        }
    }
    if choice != IsolationChoice::Bubblewrap {
        match test_landlock(confiner).await {
            Ok(()) => return Ok(Isolation::Landlock),
            Err(said) => faults.push(format!("landlock: {said}")),
        }
    }
    if choice == IsolationChoice::Auto { Ok(Isolation::None) } else { Err(HostError::NoIsolation { faults }) }
}

async fn test_bubblewrap() -> Result<(), String> {
    let mut test = Command::new("bwrap");
    let words = "--unshare-all --die-with-parent --ro-bind / / --proc /proc --dev /dev true";
    test.args(words.split(' ')).stdin(Stdio::null());
    ran(test).await
}

async fn test_landlock(confiner: &Confiner) -> Result<(), String> {
    let mut test = confiner.command(&Plan::of_nothing()).map_err(|error| error.to_string())?;
    // It ends what it started when this does.
    test.stdin(Stdio::piped());
    ran(test).await
}

/// Runs a test; what it said where it fails.
async fn ran(mut test: Command) -> Result<(), String> {
    let started = test.stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn();
    let mut child = started.map_err(|error| format!("it cannot be started: {error}"))?;
    let _input = child.stdin.take();
    let mut said = Vec::new();
    let run = async {
        if let Some(error) = child.stderr.take() {
            let _ = error.take(SAID_BYTES_MAX).read_to_end(&mut said).await;
        }
        child.wait().await
    };
    match timeout(TEST_WAIT, run).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => {
            let said = String::from_utf8_lossy(&said);
            Err(said.lines().last().map_or_else(|| status.to_string(), str::to_owned))
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("its test took longer than {TEST_WAIT:?}")),
    }
}
