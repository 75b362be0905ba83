//! `freehold`: every role of the platform is a subcommand of this one binary.
//!
//! Reads arguments, starts the command, and turns its end into an exit status. Not here: logic of any room.

mod accounts;
mod args;
mod commands;
mod data_dir;
mod faults;
mod find;
mod model;
mod network;
mod network_file;
mod output;
mod peers_file;
mod stack;
mod verdict;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, LogFormat};
use output::Output;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(cli.verbose, cli.log_format);
    faults::install();
    let output = Output::new(cli.json);
    match commands::run(cli, output) {
        Ok(code) => code,
        Err(error) => {
            output.failure(&error);
            ExitCode::from(commands::FAILURE)
        }
    }
}

/// Logs go to standard error; `FREEHOLD_LOG` overrides the level, in the syntax of tracing's filters.
fn start_log(verbose: u8, format: LogFormat) {
    let level = match verbose {
        0 => "off",
        1 => "warn,freehold=info",
        _ => "info,freehold=debug",
    };
    let filter = std::env::var("FREEHOLD_LOG").unwrap_or_else(|_| level.to_owned());
    let filter = tracing_subscriber::EnvFilter::try_new(filter).unwrap_or_default();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.compact().init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
