//! Small files that are written whole or not at all, for their owner's eyes: what a host must know after it was killed.

use std::{fs, io, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

/// Writes a file in one step, and on the disk when this returns: a reader sees the old text or the new one.
pub(crate) fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let options = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).to_owned();
    let mut out = options.open(&fresh)?;
    out.write_all(text)?;
    out.sync_all()?;
    fs::rename(&fresh, path)?;
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}
