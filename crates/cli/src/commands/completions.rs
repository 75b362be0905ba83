//! `completions`: what a shell needs to complete this program's commands and flags, made of the parser itself.

use std::{
    io::{self, ErrorKind, Write as _},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crate::args::Cli;

/// Runs the command.
pub(super) fn run(shell: Shell) -> Result<ExitCode> {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    // Into memory first: the generator panics where its writer fails, as a closed pipe does.
    let mut script = Vec::new();
    generate(shell, &mut command, name, &mut script);
    match io::stdout().lock().write_all(&script) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("the script cannot be written"),
        _ => Ok(ExitCode::SUCCESS),
    }
}
