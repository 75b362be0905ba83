//! The data directory of a network: where it is, and who holds it. What it pins and tells is `freehold-client`'s.

use std::{
    fs::{self, File, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail};
use freehold_node::MOVED_FILE;

const LOCK_FILE: &str = "lock";

/// The default data directory of a chain.
pub(crate) fn default(chain_id: u64) -> Result<PathBuf> {
    let folders = directories::ProjectDirs::from("", "", "freehold")
        .ok_or_else(|| anyhow!("this user has no home directory: name a data directory with --data-dir"))?;
    Ok(folders.data_dir().join(chain_id.to_string()))
}

/// The given directory, or the chain's default one.
pub(crate) fn of(given: Option<&Path>, chain_id: u64) -> Result<PathBuf> {
    given.map_or_else(|| default(chain_id), |given| Ok(given.to_path_buf()))
}

/// Makes a directory that this user alone reads, where there is none.
pub(crate) fn make(path: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(|| unusable(path))
}

fn unusable(path: &Path) -> String {
    format!("cannot use {} as data directory: choose another with --data-dir, or free some space", path.display())
}

/// A data directory that this process holds.
#[derive(Debug)]
pub(crate) struct Held {
    path: PathBuf,
    /// Unlocked when it is dropped.
    _lock: File,
}

impl Held {
    /// Makes the directory and takes its lock.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        make(path)?;
        // The path is absolute from here on: guests and apps run elsewhere.
        let path = path.canonicalize().with_context(|| unusable(path))?;
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(LOCK_FILE))
            .with_context(|| unusable(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _unreadable = lock.read_to_string(&mut holder);
                bail!(
                    "{} is held by another freehold process ({}): stop it, or choose another with --data-dir",
                    path.display(),
                    holder.trim()
                );
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| unusable(&path)),
        }
        if let Ok(moved) = fs::read_to_string(path.join(MOVED_FILE)) {
            bail!(
                "the validator of {} was moved to {}: start it where that was restored. Two nodes with one identity would \
                 sign twice",
                path.display(),
                moved.trim()
            );
        }
        let told = lock.set_len(0).and_then(|()| lock.rewind());
        told.and_then(|()| writeln!(lock, "process {}", std::process::id())).with_context(|| unusable(&path))?;
        Ok(Self { path, _lock: lock })
    }

    /// The directory, absolute.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
