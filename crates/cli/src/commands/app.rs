//! `app`: from an empty folder to a bundle with an identity, and to an instance on this machine.

mod build;
mod deploy;
mod deployed;
mod fetch;
mod init;
mod logs;
mod network;
mod note;
mod owned;
mod policy;
mod registry;
mod run;
mod settings;
mod snapshot;
mod upgrade;
mod watch;

pub(crate) use build::registers;
pub(super) use network::Network;
pub(super) use note::IngressNote;

use std::process::ExitCode;

use anyhow::Result;
use freehold_rpc::RentalAction;

use crate::{args::AppCommand, output::Output};

/// Runs the command.
pub(crate) fn run(command: AppCommand, output: Output) -> Result<ExitCode> {
    match command {
        AppCommand::Init(args) => init::run(&args, output),
        AppCommand::Build(args) => build::run(&args, output),
        AppCommand::Push(args) => super::block_on(registry::push(args, output)),
        AppCommand::Manifest(args) => build::manifest(&args, output),
        AppCommand::Show(args) => build::show(&args, output),
        AppCommand::FetchCheck(args) => fetch::check(&args, output),
        AppCommand::Run(args) => super::block_on(run::run(*args, output)),
        AppCommand::Snapshot(args) => snapshot::keep(&args, output),
        AppCommand::Restore(args) => snapshot::restore(&args, output),
        AppCommand::Deploy(args) => super::block_on(deploy::run(*args, output)),
        AppCommand::Policy(command) => super::block_on(policy::run(*command, output)),
        AppCommand::Upgrade(args) => super::block_on(upgrade::run(*args, output)),
        AppCommand::Rollback(args) => super::block_on(upgrade::roll_back(*args, output)),
        AppCommand::List(args) => super::block_on(deployed::list(args, output)),
        AppCommand::Logs(args) => super::block_on(logs::run(args, output)),
        AppCommand::Restart(args) => super::block_on(deployed::act(args, RentalAction::Restart, output)),
        AppCommand::Stop(args) => super::block_on(deployed::act(args, RentalAction::Stop, output)),
        AppCommand::Start(args) => super::block_on(deployed::act(args, RentalAction::Start, output)),
        AppCommand::Remove(args) => super::block_on(deployed::remove(args, output)),
        AppCommand::Secret(command) => super::block_on(settings::secret(command, output)),
        AppCommand::Env(command) => super::block_on(settings::env(command, output)),
        AppCommand::Limits(command) => super::block_on(settings::limits(command, output)),
    }
}
