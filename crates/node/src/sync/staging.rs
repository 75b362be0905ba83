//! Where a sync keeps things until they are whole, and how they then take the place of what was there.
//!
//! All lies in `incoming`. Once everything is there a mark says so, and then the parts are moved one by one; a start that
//! finds the mark goes on with the moving before it opens anything. Invariant: what was there stays in use, whole, until
//! the new is whole; then it is moved to `damaged`, never deleted by the moving.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::error::SyncError;
use crate::metrics::free_bytes;

/// Folder of what is on its way.
const INCOMING: &str = "incoming";
/// Folder of what was replaced.
pub(crate) const REPLACED: &str = "damaged";
/// The mark.
const WHOLE: &str = "whole";
/// Folder of the engine's storage: it belongs to the stores beside it, so it is replaced by none.
pub(crate) const ENGINE_FOLDER: &str = "consensus";
/// What consensus begins with.
pub(crate) const FLOOR_FILE: &str = "floor.bin";
/// What is moved, in this order.
const PARTS: [&str; 4] = [ENGINE_FOLDER, FLOOR_FILE, "state", "blocks.redb"];

/// Free space below which a store that fails is no sign of damage: its disk may be full.
const ROOM_BYTES: u64 = 64 * 1024 * 1024;

/// The places of a folder.
pub(crate) struct Staging {
    folder: PathBuf,
    pub(crate) incoming: PathBuf,
}

impl Staging {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), incoming: folder.join(INCOMING) }
    }

    pub(super) fn tree(&self) -> PathBuf {
        self.incoming.join("state")
    }

    pub(super) fn blocks(&self) -> PathBuf {
        self.incoming.join("blocks.redb")
    }

    pub(super) fn floor(&self) -> PathBuf {
        self.incoming.join(FLOOR_FILE)
    }

    pub(super) fn target(&self) -> PathBuf {
        self.incoming.join("target.json")
    }

    /// Whether the disk has room, so that a store that fails is damaged.
    pub(super) fn has_room(&self) -> bool {
        free_bytes(&self.incoming) >= ROOM_BYTES
    }

    /// Throws away what is on its way.
    pub(super) fn clear(&self) -> Result<(), SyncError> {
        fs::remove_dir_all(&self.incoming).map_err(|source| failed(&self.incoming, source))
    }

    /// Everything is there: marks it so and moves it into place.
    pub(super) fn finish(&self) -> Result<(), SyncError> {
        let mark = self.incoming.join(WHOLE);
        fs::File::create(&mark).and_then(|file| file.sync_all()).map_err(|source| failed(&mark, source))?;
        sync_folder(&self.incoming)?;
        self.resume()
    }

    /// Goes on with the moving where it was interrupted; does nothing where nothing is whole.
    pub(crate) fn resume(&self) -> Result<(), SyncError> {
        if !self.incoming.join(WHOLE).exists() {
            return Ok(());
        }
        for part in PARTS {
            let (new, old) = (self.incoming.join(part), self.folder.join(part));
            let comes = new.exists();
            if (comes || part == ENGINE_FOLDER) && old.exists() {
                self.replace(part, &old)?;
            }
            if comes {
                fs::rename(&new, &old).map_err(|source| failed(&new, source))?;
            }
        }
        sync_folder(&self.folder)?;
        // The mark goes first: what is left behind it is of no use.
        let mark = self.incoming.join(WHOLE);
        fs::remove_file(&mark).map_err(|source| failed(&mark, source))?;
        fs::remove_dir_all(&self.incoming).map_err(|source| failed(&self.incoming, source))
    }

    fn replace(&self, part: &str, old: &Path) -> Result<(), SyncError> {
        let folder = self.folder.join(REPLACED);
        let to = folder.join(part);
        let run = || {
            fs::create_dir_all(&folder)?;
            match fs::symlink_metadata(&to) {
                Ok(before) if before.is_dir() => fs::remove_dir_all(&to)?,
                Ok(_) => fs::remove_file(&to)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            fs::rename(old, &to)
        };
        run().map_err(|source| failed(&to, source))
    }
}

/// Makes the names in a folder durable.
fn sync_folder(folder: &Path) -> Result<(), SyncError> {
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| failed(folder, source))
}

pub(super) fn failed(path: &Path, source: io::Error) -> SyncError {
    SyncError::File { path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests;
