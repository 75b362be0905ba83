//! The clients chore: clients of the local API in Python and JavaScript with types, made of `spec/openapi.json`.
//!
//! The document is made by the guest of its own routes, and a test of the guest holds the file to it; what is made here of the file
//! tidy holds to it. The document is ours and uses little of OpenAPI, so that a few hundred lines do; whatever else it
//! may come to use is refused by name. In Rust the types are shared with the server: `freehold-rpc`, `LocalClient`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use model::Api;

mod javascript;
mod model;
mod python;

/// The document.
const DOCUMENT: &str = "spec/openapi.json";

/// What is made, file by file.
fn made(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let path = root.join(DOCUMENT);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let api = Api::read(&serde_json::from_str(&text)?).with_context(|| format!("in {DOCUMENT}"))?;
    let file = |name: &str, text| (root.join("clients").join(name), text);
    Ok(vec![
        file("python/freehold_local/__init__.py", python::client(&api)),
        file("typescript/index.js", javascript::client(&api)),
        file("typescript/index.d.ts", javascript::types(&api)),
    ])
}

/// Writes them.
pub(crate) fn write(root: &Path) -> Result<Vec<PathBuf>> {
    let files = made(root)?;
    for (path, text) in &files {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

/// Files that are not what the document makes.
pub(crate) fn stale(root: &Path) -> Result<Vec<PathBuf>> {
    let files = made(root)?.into_iter();
    let is_stale = |(path, text): &(PathBuf, String)| std::fs::read_to_string(path).ok().as_ref() != Some(text);
    Ok(files.filter(is_stale).map(|(path, _)| path).collect())
}
