//! The manifest `rofl.yaml` (`spec/manifest.md`): Oasis ROFL's schema as it is, and our additions under one key,
//! `freehold`.
//!
//! Strict: a key that nobody reads is refused. What belongs to Oasis's own tools and has no effect here is read, and told
//! as a note. Not here: what a policy on the chain says.

mod additions;
mod deployment;
mod egress;
mod ingress;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    error::{Fault, ManifestError},
    section::{Item, Section},
    yaml,
};

pub use additions::{Additions, GpuModel, GpuWish, KeyScope, Limits, LogVisibility, ModelFile, ProcessSpec, Restart};
pub use deployment::Deployment;
pub(crate) use deployment::is_variable;
pub use egress::{Egress, EgressTarget, HostName};
pub use ingress::{AcmeChallenge, AcmeDirectory, DOMAINS_MAX, Ingress};

/// Name of the file.
pub const MANIFEST_FILE: &str = "rofl.yaml";
/// Largest manifest, in bytes.
pub const MANIFEST_BYTES_MAX: u64 = 64 * 1024;
/// Longest name of an app, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Most memory that can be asked for, in MiB: 16 TiB.
const MEMORY_MIB_MAX: u64 = 16 * 1024 * 1024;

/// What an app is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One program (`raw`).
    Process,
    /// Containers of a compose file (`container`).
    Container,
}

/// Where an app keeps files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StorageKind {
    /// Nowhere.
    None,
    /// A disk under a key of this boot.
    DiskEphemeral,
    /// A disk under the app's key.
    DiskPersistent,
    /// Memory.
    Ram,
}

/// What an app needs of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Processors.
    pub cpus: u64,
    /// Storage, and its size in MiB.
    pub storage: (StorageKind, u64),
}

/// A manifest that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Name of the app: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What people read about it: repository, author, license, homepage, description.
    pub about: BTreeMap<&'static str, String>,
    /// One program, or containers.
    pub kind: Kind,
    /// What it needs.
    pub resources: Resources,
    /// Its compose file, relative to the manifest, for containers.
    pub compose: Option<String>,
    /// Its deployments.
    pub deployments: BTreeMap<String, Deployment>,
    /// What only Freehold knows.
    pub additions: Additions,
    /// What stands in the manifest and has no effect here, a sentence each.
    pub notes: Vec<String>,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ManifestError`] with the line, the key and what to do.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let tree = yaml::parse(MANIFEST_FILE, bytes, MANIFEST_BYTES_MAX)?;
        let root = Item { file: MANIFEST_FILE, path: String::new(), node: &tree };
        read(&root)
    }
}

fn read(root: &Item<'_>) -> Result<Manifest, ManifestError> {
    let mut section = root.section()?;
    let mut notes = Vec::new();
    let name = name(&section.need("name")?)?;
    let version = version(&section.need("version")?)?;
    let about = about(&mut section)?;
    section.need("tee")?.tee()?;
    let kind_item = section.need("kind")?;
    let kind = kind_item.word(&[("raw", Kind::Process), ("container", Kind::Container)], "raw or container")?;
    let resources = resources(&section.need("resources")?)?;
    let compose = artifacts(section.get("artifacts"), kind, &mut notes)?;
    unused(&mut section, &mut notes)?;
    let deployments = match section.get("deployments") {
        None => BTreeMap::new(),
        Some(item) => deployment::read(&item, &mut notes)?,
    };
    let additions = match section.get("freehold") {
        None => Additions::default(),
        Some(item) => additions::read(&item)?,
    };
    if kind == Kind::Process && additions.process.is_none() {
        let mut error = kind_item.refuse(Fault::Missing);
        "freehold.process".clone_into(&mut error.key);
        return Err(error);
    }
    if kind == Kind::Container && additions.process.is_some() {
        return Err(
            kind_item.refuse(Fault::Unsupported("an app is one program or containers: remove freehold.process"))
        );
    }
    notes.extend(section.extensions().map(|key| format!("{key}: extension keys have no effect")));
    section.end()?;
    Ok(Manifest { name, version, about, kind, resources, compose, deployments, additions, notes })
}

impl Item<'_> {
    fn tee(&self) -> Result<(), ManifestError> {
        match self.text()?.as_str() {
            "tdx" => Ok(()),
            "sgx" => {
                Err(self.refuse(Fault::Unsupported("SGX enclaves: build the program for a VM and write `tee: tdx`")))
            }
            _ => Err(self.form("tdx")),
        }
    }
}

fn name(item: &Item<'_>) -> Result<String, ManifestError> {
    let name = item.text()?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.len() > NAME_BYTES_MAX || name.starts_with(['.', '-']) || !name.bytes().all(good) {
        return Err(item.form("a name of up to 64 letters, digits, `-`, `_` and `.`, a letter or digit first"));
    }
    Ok(name)
}

fn version(item: &Item<'_>) -> Result<String, ManifestError> {
    let version = item.text()?;
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let parts: Vec<&str> = core.split('.').collect();
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+');
    if parts.len() != 3
        || parts.iter().any(|part| part.parse::<u32>().is_err())
        || version.len() > NAME_BYTES_MAX
        || !version.bytes().all(good)
    {
        return Err(item.form("a version such as 1.2.3"));
    }
    Ok(version)
}

fn about(section: &mut Section<'_>) -> Result<BTreeMap<&'static str, String>, ManifestError> {
    let mut about = BTreeMap::new();
    for key in ["repository", "author", "license", "homepage", "description"] {
        if let Some(item) = section.get(key) {
            about.insert(key, item.text()?);
        }
    }
    Ok(about)
}

fn resources(item: &Item<'_>) -> Result<Resources, ManifestError> {
    let mut section = item.section()?;
    let memory_mib = section.need("memory")?.number(16, MEMORY_MIB_MAX)?;
    let cpus = section.need("cpus")?.number(1, 1024)?;
    let storage = match section.get("storage") {
        None => (StorageKind::None, 0),
        Some(item) => storage(&item)?,
    };
    section.end()?;
    Ok(Resources { memory_mib, cpus, storage })
}

fn storage(item: &Item<'_>) -> Result<(StorageKind, u64), ManifestError> {
    let mut section = item.section()?;
    let words = [
        ("none", StorageKind::None),
        ("disk-ephemeral", StorageKind::DiskEphemeral),
        ("disk-persistent", StorageKind::DiskPersistent),
        ("ram", StorageKind::Ram),
    ];
    let kind = section.need("kind")?.word(&words, "none, disk-ephemeral, disk-persistent or ram")?;
    let size = match (kind, section.get("size")) {
        (StorageKind::None, None) => 0,
        (_, Some(size)) => size.number(16, MEMORY_MIB_MAX)?,
        (_, None) => section.need("size").map(|_| 0)?,
    };
    section.end()?;
    Ok((kind, size))
}

/// Reads the artifacts; the one that counts here is the compose file.
fn artifacts(item: Option<Item<'_>>, kind: Kind, notes: &mut Vec<String>) -> Result<Option<String>, ManifestError> {
    let default = (kind == Kind::Container).then(|| "compose.yaml".to_owned());
    let Some(item) = item else { return Ok(default) };
    let mut section = item.section()?;
    for key in ["builder", "firmware", "kernel", "stage2"] {
        if let Some(item) = section.get(key) {
            item.text()?;
            notes.push(format!("{}: the image that runs the app is Freehold's own", item.path));
        }
    }
    let mut compose = default;
    if let Some(container) = section.get("container") {
        let mut container = container.section()?;
        if let Some(runtime) = container.get("runtime") {
            runtime.text()?;
            notes.push(format!("{}: the runtime is Freehold's own", runtime.path));
        }
        if let Some(path) = container.get("compose") {
            compose = Some(relative(&path)?);
        }
        container.end()?;
    }
    section.end()?;
    Ok(if kind == Kind::Container { compose } else { None })
}

/// Parts of a manifest that only Oasis's tools use.
fn unused(section: &mut Section<'_>, notes: &mut Vec<String>) -> Result<(), ManifestError> {
    if let Some(scripts) = section.get("scripts") {
        let mut scripts = scripts.section()?;
        for key in ["build-pre", "build-post", "bundle-post"] {
            if let Some(script) = scripts.get(key) {
                script.text()?;
                notes.push(format!(
                    "{}: scripts are not run by a build that others must be able to repeat",
                    script.path
                ));
            }
        }
        scripts.end()?;
    }
    if let Some(tooling) = section.get("tooling") {
        let mut tooling = tooling.section()?;
        if let Some(version) = tooling.get("version") {
            version.text()?;
        }
        tooling.end()?;
        notes.push("tooling: names a version of Oasis's tools".to_owned());
    }
    Ok(())
}

/// A path below the manifest's folder, without a step upwards.
pub(crate) fn relative(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.text()?;
    let text = text.strip_prefix("./").unwrap_or(&text).trim_end_matches('/');
    if !crate::paths::is_plain_relative(text) {
        return Err(item.form("a path below the manifest's folder, without `..`"));
    }
    Ok(text.to_owned())
}
