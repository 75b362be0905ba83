//! Edges: every dependency between rooms is permitted by `docs/dependencies.toml` and goes down a level; confined
//! dependencies stay in their rooms; every permitted room exists.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{Report, read, rooms};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    level: BTreeMap<String, u32>,
    edges: BTreeMap<String, Vec<String>>,
    confined: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    dependencies: BTreeMap<String, toml::Value>,
}

pub(super) fn check(root: &Path, report: &mut Report) -> Result<()> {
    let rules: Rules =
        toml::from_str(&read(&root.join("docs/dependencies.toml"))?).context("docs/dependencies.toml")?;
    let rooms = rooms(root)?;
    for room in rules.level.keys().filter(|room| !rooms.contains(room)) {
        report.fault(format!("docs/dependencies.toml names the room {room}, which is not under crates/"));
    }
    for (room, targets) in &rules.edges {
        for target in targets {
            if rules.level.get(target) >= rules.level.get(room) {
                report.fault(format!("docs/dependencies.toml: the edge {room} -> {target} does not go down"));
            }
        }
    }
    for room in &rooms {
        let path = root.join("crates").join(room).join("Cargo.toml");
        let manifest: Manifest = toml::from_str(&read(&path)?).with_context(|| path.display().to_string())?;
        let Some(permitted) = rules.edges.get(room) else {
            report.fault(format!("the room {room} is not in docs/dependencies.toml"));
            continue;
        };
        for dependency in manifest.dependencies.keys() {
            match dependency.strip_prefix("freehold-") {
                Some(target) if !permitted.iter().any(|name| name == target) => {
                    report.fault(format!("the edge {room} -> {target} is not permitted by docs/dependencies.toml"));
                }
                Some(_) => {}
                None => confined(&rules, room, dependency, report),
            }
        }
    }
    Ok(())
}

fn confined(rules: &Rules, room: &str, dependency: &str, report: &mut Report) {
    for (prefix, homes) in &rules.confined {
        let hit = dependency == prefix || (prefix.ends_with('-') && dependency.starts_with(prefix));
        if hit && !homes.iter().any(|home| home == room) {
            report.fault(format!("{room} uses {dependency}, which is confined to {}", homes.join(", ")));
        }
    }
}
