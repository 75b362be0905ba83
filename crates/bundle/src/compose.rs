//! The compose file of a container app: the subset of the Compose Specification that `spec/manifest.md` §4 lists.
//!
//! Images are named by digest. What is not in the subset is refused by name, with what to do instead; nothing is dropped
//! silently. Not here: pulling and starting.

mod order;
mod service;
mod values;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::{
    error::{Fault, ManifestError},
    section::Item,
    yaml,
};

pub use order::start_order;
pub use service::{
    Command, Condition, HealthCheck, HealthTest, ImageRef, Mount, MountSource, Port, Protocol, Service, ServiceLimits,
    ServiceRestart,
};

/// What errors call the file.
const COMPOSE_FILE: &str = "compose file";
/// Largest compose file, in bytes.
pub const COMPOSE_BYTES_MAX: u64 = 256 * 1024;
/// Most services.
pub const SERVICES_MAX: usize = 64;

/// A compose file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compose {
    /// Its services.
    pub services: BTreeMap<String, Service>,
    /// Named volumes.
    pub volumes: Vec<String>,
    /// Named networks.
    pub networks: Vec<String>,
    /// What stands in the file and has no effect here, a sentence each.
    pub notes: Vec<String>,
}

impl Compose {
    /// Reads a compose file.
    ///
    /// # Errors
    /// [`ManifestError`] with the line, the key and what to do.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let tree = yaml::parse(COMPOSE_FILE, bytes, COMPOSE_BYTES_MAX)?;
        read(&Item { file: COMPOSE_FILE, path: String::new(), node: &tree })
    }

    /// Digests of its images, sorted, each once.
    pub fn images(&self) -> Vec<&ImageRef> {
        let mut images: Vec<&ImageRef> = self.services.values().map(|service| &service.image).collect();
        images.sort();
        images.dedup();
        images
    }
}

fn read(root: &Item<'_>) -> Result<Compose, ManifestError> {
    let mut section = root.section()?;
    section.unsupported(&[
        ("secrets", "secrets come to the instance encrypted, not from a file"),
        ("configs", "put the file into the image"),
        ("include", "write one compose file"),
        ("models", "name model files in rofl.yaml, freehold.models"),
    ])?;
    let mut notes = Vec::new();
    if let Some(version) = section.get("version") {
        version.text()?;
        notes.push("version: the Compose Specification has no versions any more".to_owned());
    }
    if let Some(name) = section.get("name") {
        name.text()?;
        notes.push("name: the app's name is that of rofl.yaml".to_owned());
    }
    let volumes = named(section.get("volumes"))?;
    let networks = named(section.get("networks"))?;
    let item = section.need("services")?;
    let entries = item.entries()?;
    if entries.is_empty() {
        return Err(item.refuse(Fault::Missing));
    }
    if entries.len() > SERVICES_MAX {
        return Err(item.refuse(Fault::TooMany(SERVICES_MAX)));
    }
    let mut services = BTreeMap::new();
    for (name, item) in entries {
        values::name(&name, &item)?;
        let service = service::read(&item, &volumes, &networks, &mut notes)?;
        services.insert(name, service);
    }
    notes.extend(section.extensions().map(|key| format!("{key}: extension keys have no effect")));
    section.end()?;
    let compose = Compose { services, volumes, networks, notes };
    order::check(&compose, &item)?;
    Ok(compose)
}

/// Named volumes or networks: names alone, without a driver of their own.
fn named(item: Option<Item<'_>>) -> Result<Vec<String>, ManifestError> {
    let Some(item) = item else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for (name, value) in item.entries()? {
        values::name(&name, &value)?;
        if !value.node.is_null() && value.entries()?.iter().any(|_| true) {
            return Err(value.refuse(Fault::Unsupported("drivers and options: name it alone")));
        }
        names.push(name);
    }
    Ok(names)
}
