//! Variables in a compose file (Compose Specification, interpolation): `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`,
//! and `$$` for one `$`.
//!
//! What the deployment sets is filled in here. What it does not is the owner's to set: it stays a place, which the guest fills,
//! so that no value of the owner's passes through the host. Nothing is ever taken for empty.

use std::collections::BTreeMap;

use freehold_bundle::Manifest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// As it stands.
    Text(String),
    /// What the app's owner set under a name, or else the default.
    Setting {
        /// The name.
        name: String,
        /// What stands there until the owner sets it.
        default: Option<String>,
    },
}

impl Part {
    /// As a guest's configuration has it.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => json!({ "text": text }),
            Self::Setting { name, default } => json!({ "setting": { "name": name, "default": default } }),
        }
    }
}

/// Public variables of the deployment that counts: the default one, or the only one.
pub(crate) fn of(manifest: &Manifest) -> BTreeMap<String, String> {
    let deployments = &manifest.deployments;
    let only = if deployments.len() == 1 { deployments.values().next() } else { None };
    let deployment = deployments.values().find(|deployment| deployment.is_default).or(only);
    deployment.map(|deployment| deployment.environment.clone()).unwrap_or_default()
}

/// Fills in what the deployment sets; texts that touch become one.
pub(crate) fn parts(text: &str, variables: &BTreeMap<String, String>) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        push_text(&mut parts, &rest[..at]);
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix('$') {
            push_text(&mut parts, "$");
            rest = behind;
        } else if let Some((inside, behind)) = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            push_variable(&mut parts, inside, variables);
            rest = behind;
        } else {
            let letter = |letter: char| !letter.is_ascii_alphanumeric() && letter != '_';
            let end = rest.find(letter).unwrap_or(rest.len());
            if end == 0 {
                push_text(&mut parts, "$");
            } else {
                push_variable(&mut parts, &rest[..end], variables);
                rest = &rest[end..];
            }
        }
    }
    push_text(&mut parts, rest);
    parts
}

/// Fills everything in.
///
/// # Errors
/// The name of a variable that neither the deployment nor a default sets.
pub(crate) fn fill(text: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let parts = parts(text, variables).into_iter();
    let filled = parts.map(|part| match part {
        Part::Text(text) => Ok(text),
        Part::Setting { default: Some(default), .. } => Ok(default),
        Part::Setting { name, default: None } => Err(name),
    });
    filled.collect()
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(last)) => last.push_str(text),
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

fn push_variable(parts: &mut Vec<Part>, inside: &str, variables: &BTreeMap<String, String>) {
    let (name, default) = match inside.split_once(":-").or_else(|| inside.split_once('-')) {
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (inside, None),
    };
    match variables.get(name) {
        Some(value) => push_text(parts, value),
        None => parts.push(Part::Setting { name: name.to_owned(), default }),
    }
}
