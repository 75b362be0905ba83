//! Whether an app's files changed: names, lengths and times, looked at twice a second.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use freehold_bundle::{Bundle, FILES_MAX, IMAGES_FOLDER, MANIFEST_FILE};

/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(500);

/// What a folder looks like from outside.
#[derive(PartialEq, Eq)]
struct Look(Vec<(PathBuf, u64, Option<SystemTime>)>);

/// Resolves at the first change of what a bundle was built from.
pub(super) async fn changed(folder: &Path, bundle: &Bundle) {
    let manifest = bundle.manifest();
    let mut roots = vec![folder.join(MANIFEST_FILE)];
    roots.extend(manifest.compose.iter().map(|path| folder.join(path)));
    roots.extend(manifest.compose.iter().map(|_| folder.join(IMAGES_FOLDER)));
    roots.extend(manifest.additions.process.iter().map(|process| folder.join(&process.files)));
    let first = look(&roots);
    loop {
        tokio::time::sleep(LOOK).await;
        if look(&roots) != first {
            return;
        }
    }
}

fn look(roots: &[PathBuf]) -> Look {
    let mut waiting = roots.to_vec();
    let mut seen = Vec::new();
    while let Some(path) = waiting.pop() {
        let Ok(about) = fs::symlink_metadata(&path) else { continue };
        if about.is_dir() {
            waiting.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
        seen.push((path, about.len(), about.modified().ok()));
        if seen.len() > 2 * FILES_MAX {
            break;
        }
    }
    seen.sort();
    Look(seen)
}
