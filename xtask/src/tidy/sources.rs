//! Source files: a header on every file, sizes within bounds or in the list of exceptions.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{Report, files, read, relative};

const FILE_LINES_MAX: usize = 600;
const LIB_LINES_MAX: usize = 120;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Exceptions {
    #[serde(default)]
    file: Vec<Exception>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    path: String,
    lines: usize,
    reason: String,
}

pub(super) fn check(root: &Path, report: &mut Report) -> Result<()> {
    let list: Exceptions =
        toml::from_str(&read(&root.join("docs/exceptions.toml"))?).context("docs/exceptions.toml")?;
    report.exceptions = list.file.len();
    for exception in list.file.iter().filter(|exception| exception.reason.trim().is_empty()) {
        report.fault(format!("docs/exceptions.toml: {} stands without a reason", exception.path));
    }
    let allowed: BTreeMap<&str, usize> = list.file.iter().map(|entry| (entry.path.as_str(), entry.lines)).collect();
    let mut sources = files(&root.join("crates"), ".rs")?;
    sources.extend(files(&root.join("xtask"), ".rs")?);
    for path in sources {
        let name = relative(root, &path);
        let text = read(&path)?;
        report.files += 1;
        if !has_header(&text) {
            report.fault(format!("{name} does not open with //!"));
        }
        let bound = allowed.get(name.as_str()).copied().unwrap_or_else(|| bound(&name));
        let lines = text.lines().count();
        if lines > bound {
            report.fault(format!("{name} has {lines} lines, above its bound of {bound}"));
        }
    }
    for path in allowed.keys().filter(|path| !root.join(path).is_file()) {
        report.fault(format!("docs/exceptions.toml names {path}, which does not exist"));
    }
    Ok(())
}

/// Tests have no bound; a crate's face has a small one.
fn bound(name: &str) -> usize {
    if name.ends_with("/tests.rs") || name.contains("/tests/") {
        usize::MAX
    } else if name.ends_with("/lib.rs") {
        LIB_LINES_MAX
    } else {
        FILE_LINES_MAX
    }
}

fn has_header(text: &str) -> bool {
    text.lines()
        .find(|line| !line.trim().is_empty())
        .is_some_and(|line| line.starts_with("//!") || line.starts_with("#![doc"))
}
