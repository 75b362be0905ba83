//! One file for each command; here is the table.

mod node;
mod up;

use std::{future::Future, process::ExitCode};

use anyhow::{Context as _, Result};

use crate::{
    args::{Cli, Command},
    output::Output,
};

/// Exit status of a failure.
pub(crate) const FAILURE: u8 = 1;

/// Runs the command.
pub(crate) fn run(cli: Cli, output: Output) -> Result<ExitCode> {
    match cli.command {
        Command::Up(args) => block_on(up::run(args, output)),
        Command::Node(args) => block_on(node::run(args, output)),
        _ => anyhow::bail!("not in this build"),
    }
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("the runtime did not start")?.block_on(work)
}

/// Waits until the user or the system asks to stop (SIGINT, SIGTERM).
async fn asked_to_stop() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be watched")?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be watched")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
