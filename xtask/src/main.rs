//! Chores of the workspace: `cargo xtask tidy` checks the house against its map, `cargo xtask fuzz` runs the fuzz entries.
//!
//! Invariant: a chore reads the tree and reports; only a chore named after writing changes files.

use std::{path::PathBuf, process::ExitCode};

mod clients;
mod fuzz;
mod tidy;

const USAGE: &str = "usage: cargo xtask tidy
       cargo xtask clients
       cargo xtask fuzz NAME [--seconds N] [--target-dir DIR]

  tidy   edges between rooms, the map against the tree, headers, sizes, promises against tests, clients against the document
  clients
         write the clients of the local API that spec/openapi.json makes
  fuzz   coverage-guided runs of one parser of evidence, or of `all`, for N seconds of CPU each (600)";

fn main() -> ExitCode {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = root.parent().map(PathBuf::from).unwrap_or(root);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((chore, [])) if chore == "tidy" => report(tidy::run(&root)),
        Some((chore, [])) if chore == "clients" => written(clients::write(&root)),
        Some((chore, rest)) if chore == "fuzz" => fuzzed(fuzz::Plan::read(&root, rest)),
        _ => {
            say(USAGE);
            ExitCode::from(2)
        }
    }
}

fn report(result: anyhow::Result<tidy::Report>) -> ExitCode {
    match result {
        Ok(report) => {
            for fault in &report.faults {
                say(&format!("tidy: {fault}"));
            }
            say(&report.summary());
            if report.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            say(&format!("tidy: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn written(result: anyhow::Result<Vec<PathBuf>>) -> ExitCode {
    match result {
        Ok(files) => {
            files.iter().for_each(|file| say(&format!("clients: {}", file.display())));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("clients: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn fuzzed(plan: Option<fuzz::Plan>) -> ExitCode {
    let Some(plan) = plan else {
        say(USAGE);
        return ExitCode::from(2);
    };
    match plan.run(say) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("fuzz: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout, reason = "a chore speaks on standard output")]
fn say(line: &str) {
    println!("{line}");
}
