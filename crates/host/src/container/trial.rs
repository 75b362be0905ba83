//! Trying whether containers run on this machine: installed programs say little, a kernel or a container around may forbid them.

use std::time::Duration;

use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};

use super::{ContainerApp, clear};
use crate::{error::HostError, event::HostEvent};

/// Runs an app's containers to their end, which must be a good one.
pub(super) async fn run(app: &ContainerApp, limit: Duration) -> Result<(), HostError> {
    let dir =
        tempfile::tempdir().map_err(HostError::system("no temporary folder can be made", std::env::temp_dir()))?;
    let (events, mut heard) = mpsc::unbounded_channel();
    let (_stop, stopping) = watch::channel(false);
    let ended = tokio::select! {
        ended = super::run(app, dir.path(), &events, &stopping) => Some(ended?),
        () = sleep(limit) => None,
    };
    if ended == Some(Some(0)) {
        return Ok(());
    }
    clear(app).await;
    let mut told =
        ended.map_or_else(|| format!("it did not end within {limit:?}"), |code| format!("it ended with {code:?}"));
    while let Ok(event) = heard.try_recv() {
        if let HostEvent::Trouble { message } | HostEvent::AppLog { line: message, .. } = event {
            told = format!("{told}; {message}");
        }
    }
    Err(HostError::cannot(&format!("a container that was tried does not run here: {told}"), "see docs/containers.md"))
}
