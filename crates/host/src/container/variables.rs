//! Variables of a deployment, and their places in a compose file (Compose Specification, interpolation): `$NAME`, `${NAME}`,
//! `${NAME:-default}`, `${NAME-default}`, and `$$` for one `$`. What nothing sets is refused, never taken for empty.

use std::collections::BTreeMap;

use freehold_bundle::Manifest;

/// Public variables of the deployment that counts: the default one, or the only one.
pub(super) fn of(manifest: &Manifest) -> BTreeMap<String, String> {
    let deployments = &manifest.deployments;
    let only = if deployments.len() == 1 { deployments.values().next() } else { None };
    let deployment = deployments.values().find(|deployment| deployment.is_default).or(only);
    deployment.map(|deployment| deployment.environment.clone()).unwrap_or_default()
}

/// Fills the variables of a text in.
///
/// # Errors
/// The name of one that nothing sets.
pub(super) fn fill(text: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(behind) = rest.strip_prefix('$') {
            filled.push('$');
            rest = behind;
        } else if let Some((inside, behind)) = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            filled.push_str(&value(inside, variables)?);
            rest = behind;
        } else {
            let letter = |letter: char| !letter.is_ascii_alphanumeric() && letter != '_';
            let end = rest.find(letter).unwrap_or(rest.len());
            if end == 0 {
                filled.push('$');
            } else {
                filled.push_str(&value(&rest[..end], variables)?);
                rest = &rest[end..];
            }
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

fn value(inside: &str, variables: &BTreeMap<String, String>) -> Result<String, String> {
    let (name, default) = match inside.split_once(":-").or_else(|| inside.split_once('-')) {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    variables.get(name).cloned().or_else(|| default.map(str::to_owned)).ok_or_else(|| name.to_owned())
}
