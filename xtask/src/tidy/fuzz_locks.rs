//! Fuzz workspaces, which no gate builds: their lock files know every dependency of our crates, so that `cargo xtask fuzz`, which
//! builds by the lock, still can.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{Report, read, rooms};

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    #[serde(default)]
    dependencies: Vec<String>,
}

type Dependencies = BTreeMap<String, toml::Value>;

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    dependencies: Dependencies,
    #[serde(default)]
    workspace: Workspace,
}

#[derive(Deserialize, Default)]
struct Workspace {
    #[serde(default)]
    dependencies: Dependencies,
}

pub(super) fn check(root: &Path, report: &mut Report) -> Result<()> {
    let crates = root.join("crates");
    let ours: Manifest = toml::from_str(&read(&root.join("Cargo.toml"))?).context("Cargo.toml")?;
    for room in rooms(root)? {
        let path = crates.join(&room).join("fuzz/Cargo.lock");
        if !path.is_file() {
            continue;
        }
        let lock: Lock = toml::from_str(&read(&path)?).with_context(|| path.display().to_string())?;
        for package in &lock.package {
            let Some(of) = package.name.strip_prefix("freehold-").filter(|of| crates.join(of).is_dir()) else {
                continue;
            };
            let manifest: Manifest = toml::from_str(&read(&crates.join(of).join("Cargo.toml"))?)?;
            for dependency in missing(&manifest, &ours.workspace.dependencies, &package.dependencies) {
                report.fault(format!(
                    "crates/{room}/fuzz/Cargo.lock lacks {dependency} of {}: run `cargo metadata` in that folder",
                    package.name
                ));
            }
        }
    }
    Ok(())
}

/// Dependencies that always count, and that a lock's entry does not have. An entry is a name, or a name and a version.
fn missing<'a>(
    manifest: &'a Manifest,
    shared: &'a Dependencies,
    locked: &'a [String],
) -> impl Iterator<Item = &'a str> {
    let optional = |value: &toml::Value| value.get("optional").and_then(toml::Value::as_bool) == Some(true);
    let wanted = manifest.dependencies.iter().filter(move |(_, value)| !optional(value)).map(|(name, value)| {
        let renamed = [Some(value), shared.get(name)].into_iter().flatten().find_map(|value| value.get("package"));
        renamed.and_then(toml::Value::as_str).unwrap_or(name)
    });
    wanted.filter(|name| !locked.iter().any(|entry| entry.split(' ').next() == Some(name)))
}
