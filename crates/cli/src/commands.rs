//! One file for each command; here is the table.

mod app;
mod ask;
mod attend;
mod attest;
mod backup;
mod bench;
mod chat;
mod collateral;
mod completions;
mod demo;
mod genesis;
mod header;
mod image;
mod light;
mod market;
mod model;
mod node;
mod provider;
mod proxy;
mod roles;
mod sender;
mod status;
mod taint;
mod up;
mod validator;
mod verify;

use std::{future::Future, process::ExitCode};

use anyhow::{Context as _, Result};

use crate::{
    args::{Cli, Command},
    faults,
    output::Output,
};

/// Exit status of a failure.
pub(crate) const FAILURE: u8 = 1;

/// Runs the command.
pub(crate) fn run(cli: Cli, output: Output) -> Result<ExitCode> {
    match cli.command {
        Command::Demo(args) => block_on(demo::run(args, output)),
        Command::Up(args) => block_on(up::run(args, output)),
        Command::Ask(args) => block_on(ask::run(args, output)),
        Command::Chat(args) => block_on(chat::run(args, output)),
        Command::App(command) => app::run(command, output),
        Command::Image(command) => image::run(&command, output),
        Command::Attest(command) => attest::run(&command, output),
        Command::Collateral(command) => block_on(collateral::run(command, output)),
        Command::Verify(args) => verify::run(&args, output),
        Command::Status(args) => block_on(status::run(args, output)),
        Command::Header(args) => block_on(header::run(args, output)),
        Command::Taint(args) => block_on(taint::run(args, output)),
        Command::Light(args) => block_on(light::run(args, output)),
        Command::Proxy(args) => block_on(proxy::run(args, output)),
        Command::Model(command) => block_on(model::run(command, output)),
        Command::Bench(command) => block_on(bench::run(command, output)),
        Command::Genesis(command) => block_on(genesis::run(command, output)),
        Command::Node(args) => block_on(node::run(args, output)),
        Command::Validator(command) => block_on(validator::run(command, output)),
        Command::Market(command) => block_on(market::run(command, output)),
        Command::Host(command) => block_on(market::host(command, output)),
        Command::Backup(args) => backup::backup(&args, output),
        Command::Restore(args) => backup::restore(&args, output),
        Command::BackupKey(args) => backup::key(&args, output),
        Command::Completions { shell } => completions::run(shell),
        Command::Guest(args) => block_on(roles::guest(args)),
        Command::Launch(args) => roles::launch(args, output),
        Command::Confine => roles::confine(),
        Command::Inference => block_on(roles::inference()),
        Command::BenchApp => bench::app(),
        Command::BenchEngine { path, name } => bench::engine(&path, &name),
    }
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name(faults::OWN_THREADS).enable_all().build();
    let runtime = runtime.context("the runtime did not start")?;
    let done = runtime.block_on(work);
    // A blocked read of the terminal must not hold the end up.
    runtime.shutdown_background();
    done
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
