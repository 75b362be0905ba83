//! The map: `ARCHITECTURE.md` names every room, page and folder that exists, and nothing that does not.

use std::{collections::BTreeSet, path::Path};

use anyhow::Result;

use super::{Report, files, read, relative, rooms};

/// Folders whose files must each stand on the map.
const MAPPED: [(&str, &str); 4] = [("spec", ".md"), ("docs", ".md"), ("docs", ".toml"), ("contracts", ".sol")];

pub(super) fn check(root: &Path, report: &mut Report) -> Result<()> {
    let map = read(&root.join("ARCHITECTURE.md"))?;
    let named: BTreeSet<&str> = map.split('`').skip(1).step_by(2).filter(|word| word.contains('/')).collect();
    for path in named.iter().filter(|word| is_path(word)) {
        if !root.join(path).exists() {
            report.fault(format!("ARCHITECTURE.md names `{path}`, which does not exist"));
        }
    }
    for room in rooms(root)? {
        let path = format!("crates/{room}");
        if !named.contains(path.as_str()) {
            report.fault(format!("ARCHITECTURE.md does not name `{path}`"));
        }
        if !root.join(&path).join("README.md").is_file() {
            report.fault(format!("{path} has no README.md"));
        }
        modules(root, &room, &map, report)?;
    }
    for (folder, ending) in MAPPED {
        for file in files(&root.join(folder), ending)? {
            let path = relative(root, &file);
            let decision = path.starts_with("docs/decisions/") && named.contains("docs/decisions/");
            if !decision && !named.contains(path.as_str()) {
                report.fault(format!("ARCHITECTURE.md does not name `{path}`"));
            }
        }
    }
    Ok(())
}

/// Top-level modules of a room: each stands behind the room's name on the map, as `room::module`.
fn modules(root: &Path, room: &str, map: &str, report: &mut Report) -> Result<()> {
    let source = root.join("crates").join(room).join("src");
    for entry in std::fs::read_dir(&source)? {
        let path = entry?.path();
        let Some(name) = path.file_stem().map(|name| name.to_string_lossy().into_owned()) else { continue };
        let is_module = path.extension().is_some_and(|ending| ending == "rs");
        if is_module
            && !matches!(name.as_str(), "lib" | "main" | "tests")
            && !map.contains(&format!("`{room}::{name}`"))
        {
            report.fault(format!("ARCHITECTURE.md does not name `{room}::{name}`"));
        }
    }
    for word in map.split('`').skip(1).step_by(2) {
        let Some((_, module)) = word.split_once("::").filter(|(owner, _)| *owner == room) else { continue };
        if !source.join(format!("{module}.rs")).is_file() {
            report.fault(format!("ARCHITECTURE.md names `{word}`, which does not exist"));
        }
    }
    Ok(())
}

fn is_path(word: &str) -> bool {
    let top = word.split('/').next().unwrap_or_default();
    matches!(top, "crates" | "docs" | "spec" | "contracts" | "xtask" | ".ci" | "sdk" | "web")
        && !word.contains(['*', '…', ' ', '<'])
}
