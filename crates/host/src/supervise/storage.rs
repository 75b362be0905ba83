//! Watching how much an app keeps: its folder is on this machine's own file system, which holds nobody to a size.
//!
//! An app that keeps more than its manifest says, and a tolerance, is ended, and not started before less is there. Between two looks it
//! may write as fast as the disk takes it, and a file that is deleted while it is open is not seen: so this bounds an app that
//! grows, and is no wall against one that means harm. A VM and containers are held to their size by file systems of their own.

use std::{collections::BTreeSet, fs, io, os::unix::fs::MetadataExt as _, path::Path, time::Duration};

use tokio::time::{Instant, sleep};

use crate::config::AppFolder;

/// Shortest pause between two looks, and how many times longer than a look the pause is at least.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_FACTOR: u32 = 20;
/// What an app may keep above its size: a part of it, and this at least, since file systems need room of their own.
const TOLERANCE_PART: u64 = 16;
const TOLERANCE_BYTES_MIN: u64 = 1024 * 1024;
/// What a file counts for at least, in bytes: its entry takes room too.
const FILE_BYTES_MIN: u64 = 512;
/// A unit of `st_blocks`.
const BLOCK: u64 = 512;

/// Resolves once the app keeps too much, with how much that was when the look ended; never where it has no folder.
pub(super) async fn too_much(folder: Option<&AppFolder>) -> u64 {
    let Some(folder) = folder else { return std::future::pending().await };
    loop {
        let (used, took) = look(folder).await;
        if used > folder.bytes_max + tolerance(folder) {
            return used;
        }
        sleep(PAUSE_MIN.max(took * PAUSE_FACTOR)).await;
    }
}

/// Resolves once the app keeps no more than its size.
pub(super) async fn enough_room(folder: &AppFolder) {
    loop {
        let (used, took) = look(folder).await;
        if used <= folder.bytes_max {
            return;
        }
        sleep(PAUSE_MIN.max(took * PAUSE_FACTOR)).await;
    }
}

fn tolerance(folder: &AppFolder) -> u64 {
    (folder.bytes_max / TOLERANCE_PART).max(TOLERANCE_BYTES_MIN)
}

/// How much is kept, and how long it took to see.
async fn look(folder: &AppFolder) -> (u64, Duration) {
    let begun = Instant::now();
    let (path, enough) = (folder.path.clone(), folder.bytes_max + tolerance(folder));
    let looked = tokio::task::spawn_blocking(move || used(&path, enough)).await;
    let used = match looked.expect("looking does not panic") {
        Ok(used) => used,
        // The app may remove what is being looked at.
        Err(error) => {
            tracing::debug!(%error, "the app's storage was not looked at whole");
            0
        }
    };
    (used, begun.elapsed())
}

/// What the files below a folder take on the disk, each once, however many names it has; links are not followed. It stops once
/// there is more than `enough`: every entry counts, so that their number is bounded too.
fn used(folder: &Path, enough: u64) -> io::Result<u64> {
    let (mut used, mut seen, mut folders) = (0_u64, BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Ok(about) = entry.metadata() else { continue };
            if about.nlink() > 1 && !about.is_dir() && !seen.insert((about.dev(), about.ino())) {
                continue;
            }
            used = used.saturating_add((about.blocks() * BLOCK).max(FILE_BYTES_MIN));
            if used > enough {
                return Ok(used);
            }
            if about.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(used)
}

#[cfg(test)]
mod tests;
