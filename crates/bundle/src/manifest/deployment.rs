//! Deployments of a manifest: where an app stands, and what is public about it there.
//!
//! Networks, trust roots, policies in Oasis's form, secrets and rented machines belong to Oasis's chain: they are read and
//! told as notes. Not here: secrets, which come to an instance encrypted.

use std::collections::BTreeMap;

use freehold_primitives::AppId;

use crate::{
    error::ManifestError,
    section::{Item, Section},
};

/// Most deployments, and most metadata pairs of one.
const PAIRS_MAX: u64 = 64;
/// Prefix of metadata that becomes an environment variable.
const ENVIRONMENT_PREFIX: &str = "env.";

/// A deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deployment {
    /// Whether it is the one that commands mean.
    pub is_default: bool,
    /// The app's id.
    pub app_id: Option<AppId>,
    /// Public pairs.
    pub metadata: BTreeMap<String, String>,
    /// Public environment, from metadata `env.NAME`.
    pub environment: BTreeMap<String, String>,
}

pub(super) fn read(item: &Item<'_>, notes: &mut Vec<String>) -> Result<BTreeMap<String, Deployment>, ManifestError> {
    let mut deployments = BTreeMap::new();
    let entries = item.entries()?;
    bounded(item, entries.len())?;
    for (name, item) in entries {
        deployments.insert(name, one(&item, notes)?);
    }
    Ok(deployments)
}

fn one(item: &Item<'_>, notes: &mut Vec<String>) -> Result<Deployment, ManifestError> {
    let mut section = item.section()?;
    let mut deployment = Deployment::default();
    if let Some(item) = section.get("default") {
        deployment.is_default = item.is_true()?;
    }
    if let Some(item) = section.get("app_id") {
        let app_id = item.text()?.parse().map_err(|_| item.form("an app id such as rofl1…"))?;
        deployment.app_id = Some(app_id);
    }
    if let Some(item) = section.get("metadata") {
        let entries = item.entries()?;
        bounded(&item, entries.len())?;
        for (key, value) in entries {
            let text = value.text()?;
            if let Some(name) = key.strip_prefix(ENVIRONMENT_PREFIX) {
                if !is_variable(name) {
                    return Err(value.form("of a variable: after `env.` come letters, digits and `_`"));
                }
                deployment.environment.insert(name.to_owned(), text.clone());
            }
            deployment.metadata.insert(key, text);
        }
    }
    oasis_only(&mut section, notes);
    section.end()?;
    Ok(deployment)
}

fn oasis_only(section: &mut Section<'_>, notes: &mut Vec<String>) {
    let keys = [
        ("network", "the network is that of the data directory"),
        ("paratime", "the network is that of the data directory"),
        ("admin", "the owner is the account that signs"),
        ("debug", "whether evidence is of real hardware is the network's matter"),
        ("oci_repository", "a bundle is a folder: any OCI tool can push it"),
        ("artifacts", "the image that runs the app is Freehold's own"),
        ("trust_root", "the root of trust is the network key"),
        ("policy", "evidence of another chain: here the policy names the measurements that `app build` prints"),
        ("secrets", "encrypted to a key of another chain: they cannot be read here"),
        ("machines", "rented from providers of another chain"),
    ];
    for (key, why) in keys {
        if let Some(item) = section.get(key) {
            notes.push(format!("{}: {why}", item.path));
        }
    }
}

fn bounded(item: &Item<'_>, count: usize) -> Result<(), ManifestError> {
    let bound = usize::try_from(PAIRS_MAX).unwrap_or(usize::MAX);
    if count > bound { Err(item.refuse(crate::error::Fault::TooMany(bound))) } else { Ok(()) }
}

/// Whether a text can name an environment variable.
pub(crate) fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 128
        && !name.starts_with(|letter: char| letter.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
