//! Chores of the workspace: `cargo xtask tidy` checks the house against its map.
//!
//! Invariant: a chore reads the tree and reports; only a chore named after writing changes files.

use std::{path::PathBuf, process::ExitCode};

mod tidy;

const USAGE: &str = "usage: cargo xtask tidy\n\n  tidy   edges between rooms, the map against the tree, headers, sizes, promises against tests";

fn main() -> ExitCode {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = root.parent().map(PathBuf::from).unwrap_or(root);
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => report(tidy::run(&root)),
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

#[allow(clippy::print_stdout, reason = "a chore speaks on standard output")]
fn say(line: &str) {
    println!("{line}");
}
