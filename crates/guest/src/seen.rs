//! The newest header that this disk has seen: a floor under which no later boot goes (design D11).
//!
//! File `seen` in the state directory: a magic line, a version byte, the genesis and the moment. It is no secret, and
//! whoever changes it can only keep the guest from starting: a header counts by its certificate alone.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use freehold_primitives::{BlockMoment, Canonical as _, Digest, Height, canonical_struct};
use thiserror::Error;

#[cfg(test)]
mod tests;

const MAGIC: &[u8] = b"freehold seen\n";
const VERSION: u8 = 1;
/// Largest file.
const BYTES_MAX: usize = 256;

canonical_struct! {
    /// What the file holds behind its magic line and version.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Seen {
        /// Which chain.
        pub genesis_hash: Digest,
        /// Newest header.
        pub moment: BlockMoment,
    }
}

/// Why the file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SeenError {
    /// Disk.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no such file.
    #[error("{0} is damaged: put back the state directory as it was, or give the guest a new one")]
    Damaged(PathBuf),
}

/// Why a certified header does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum FloorError {
    /// The relay shows less than this disk has seen.
    #[error(
        "the relay's newest header is {offered}, and this disk has seen {seen}: its node is behind or was rolled back; \
         wait until it has caught up, or relay to another node"
    )]
    Behind { seen: Height, offered: Height },
    /// Higher than what was seen, and earlier.
    #[error("header {offered} is earlier in time than header {seen}, which this disk has seen")]
    Earlier { seen: Height, offered: Height },
    /// Another block at the height that was seen.
    #[error("the relay shows another block {0} than the one that this disk has seen: the network key signed both")]
    Forked(Height),
}

/// Whether a certified header may follow what was seen.
pub(crate) fn admit(floor: Option<&BlockMoment>, offered: &BlockMoment) -> Result<(), FloorError> {
    let Some(seen) = floor else { return Ok(()) };
    let (seen_height, offered_height) = (seen.height, offered.height);
    if offered_height < seen_height {
        return Err(FloorError::Behind { seen: seen_height, offered: offered_height });
    }
    if offered_height == seen_height && offered.block_hash != seen.block_hash {
        return Err(FloorError::Forked(seen_height));
    }
    if offered.time_unix_s < seen.time_unix_s {
        return Err(FloorError::Earlier { seen: seen_height, offered: offered_height });
    }
    Ok(())
}

/// The file.
#[derive(Debug, Clone)]
pub(crate) struct SeenFile {
    path: PathBuf,
    genesis_hash: Digest,
}

impl SeenFile {
    pub(crate) fn new(dir: &Path, genesis_hash: Digest) -> Self {
        Self { path: dir.join("seen"), genesis_hash }
    }

    /// What was seen of this chain; `None` where there is nothing, or the file is of another chain.
    pub(crate) fn load(&self) -> Result<Option<BlockMoment>, SeenError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(SeenError::Io { path: self.path.clone(), source }),
        };
        let body = bytes.strip_prefix(MAGIC).and_then(|rest| rest.strip_prefix(&[VERSION]));
        let seen = body.filter(|_| bytes.len() <= BYTES_MAX).and_then(|body| Seen::from_canonical(body).ok());
        let seen = seen.ok_or_else(|| SeenError::Damaged(self.path.clone()))?;
        Ok(Some(seen.moment).filter(|_| seen.genesis_hash == self.genesis_hash))
    }

    /// Keeps a header, durably.
    pub(crate) fn store(&self, moment: &BlockMoment) -> Result<(), SeenError> {
        let seen = Seen { genesis_hash: self.genesis_hash, moment: *moment };
        let bytes = [MAGIC, &[VERSION], &seen.to_canonical()].concat();
        replace(&self.path, &bytes).map_err(|source| SeenError::Io { path: self.path.clone(), source })
    }
}

/// Replaces a small file as a whole: after a crash there is the old one or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let fresh = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
