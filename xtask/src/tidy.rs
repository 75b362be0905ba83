//! The tidy chore: what the house promises about its own shape, checked.
//!
//! Each rule is a function from the tree to faults. Deliberately not here: what rustfmt, clippy and cargo-deny check.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

mod edges;
mod fuzz_locks;
mod map;
mod promises;
mod sources;

/// What tidy found.
#[derive(Default)]
pub(crate) struct Report {
    /// One sentence for each fault.
    pub(crate) faults: Vec<String>,
    /// Rust files read.
    files: usize,
    /// Files that stand in the list of exceptions.
    exceptions: usize,
    /// Promises that name a test.
    tested: usize,
    /// Promises that say "not yet".
    not_yet: usize,
}

impl Report {
    /// The closing line.
    pub(crate) fn summary(&self) -> String {
        format!(
            "tidy: {} Rust files, {} size exceptions, {} promises tested, {} not yet, {} faults",
            self.files,
            self.exceptions,
            self.tested,
            self.not_yet,
            self.faults.len()
        )
    }

    fn fault(&mut self, text: impl Into<String>) {
        self.faults.push(text.into());
    }
}

/// Runs every rule.
pub(crate) fn run(root: &Path) -> Result<Report> {
    let mut report = Report::default();
    edges::check(root, &mut report)?;
    fuzz_locks::check(root, &mut report)?;
    map::check(root, &mut report)?;
    sources::check(root, &mut report)?;
    promises::check(root, &mut report)?;
    for path in crate::clients::stale(root)? {
        let path = relative(root, &path);
        report.fault(format!("{path} is not what spec/openapi.json makes: run `cargo xtask clients`"));
    }
    Ok(report)
}

/// Rooms: folders under `crates/` with a manifest that git would see.
fn rooms(root: &Path) -> Result<Vec<String>> {
    let mut rooms = Vec::new();
    for entry in std::fs::read_dir(root.join("crates")).context("reading crates/")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if root.join("crates").join(&name).join("Cargo.toml").is_file() && !name.starts_with("zz-") {
            rooms.push(name);
        }
    }
    rooms.sort();
    Ok(rooms)
}

/// All files under `folder` with the ending, sorted, without build output.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        if !next.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&next).with_context(|| format!("reading {}", next.display()))? {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | "node_modules" | ".git") && !name.starts_with("zz-") {
                    open.push(path);
                }
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}
