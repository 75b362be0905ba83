//! The file of a snapshot: what it is of, then the pieces of the disk that are not zero, in their order, and an end.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::FileExt as _,
};

use anyhow::{Context as _, Result, bail};
use freehold_primitives::{AppId, Digest};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// How it begins: words and version.
const MAGIC: &[u8; 19] = b"freehold snapshot\n\x01";
/// Longest description, in bytes.
const ABOUT_BYTES_MAX: usize = 4096;
/// Bytes of a piece, of which the last of a disk may be shorter.
const PIECE: u64 = 64 * 1024;
/// Largest disk, in bytes: what a state disk of 1 TiB takes, and more.
const DISK_BYTES_MAX: u64 = 2 << 40;

/// What a snapshot is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    /// The app's name.
    pub(super) app: String,
    /// Its id, where it was on a chain.
    pub(super) app_id: Option<AppId>,
    /// Size of the disk.
    pub(super) bytes: u64,
    /// SHA-256 of the whole disk.
    pub(super) sha256: Digest,
}

impl About {
    /// Of a disk.
    pub(super) fn of(disk: &File, app: String, app_id: Option<AppId>) -> io::Result<Self> {
        let bytes = disk.metadata()?.len();
        let mut hasher = Sha256::new();
        pieces(disk, bytes, |_, piece| {
            hasher.update(piece);
            Ok(())
        })?;
        Ok(Self { app, app_id, bytes, sha256: Digest(hasher.finalize().into()) })
    }
}

/// Reads a disk in pieces.
fn pieces(disk: &File, bytes: u64, mut each: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut piece = vec![0; PIECE as usize];
    let mut at = 0;
    while at < bytes {
        let length = PIECE.min(bytes - at);
        let piece = &mut piece[..length as usize];
        disk.read_exact_at(piece, at)?;
        each(at, piece)?;
        at += length;
    }
    Ok(())
}

/// Writes a snapshot, durably where it is a file.
pub(super) fn write(about: &About, disk: &File, mut target: io::BufWriter<File>) -> io::Result<()> {
    let text = serde_json::to_vec(about)?;
    target.write_all(MAGIC)?;
    target.write_all(&(text.len() as u32).to_be_bytes())?;
    target.write_all(&text)?;
    pieces(disk, about.bytes, |at, piece| {
        if piece.iter().any(|byte| *byte != 0) {
            target.write_all(&at.to_be_bytes())?;
            target.write_all(piece)?;
        }
        Ok(())
    })?;
    target.write_all(&about.bytes.to_be_bytes())?;
    target.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// Reads a snapshot into an empty file, and compares its digest.
pub(super) fn read(mut source: impl Read, disk: &File) -> Result<About> {
    let mut magic = [0; MAGIC.len()];
    source.read_exact(&mut magic).context("it is too short")?;
    if &magic != MAGIC {
        bail!("it begins with something else");
    }
    let length = u32::from_be_bytes(array(&mut source)?) as usize;
    if length > ABOUT_BYTES_MAX {
        bail!("its description is longer than {ABOUT_BYTES_MAX} bytes");
    }
    let mut text = vec![0; length];
    source.read_exact(&mut text).context("it is too short")?;
    let about: About = serde_json::from_slice(&text).context("its description is malformed")?;
    if about.bytes > DISK_BYTES_MAX {
        bail!("it says that its disk is larger than {DISK_BYTES_MAX} bytes");
    }
    disk.set_len(about.bytes)?;
    let mut next = 0;
    loop {
        let at = u64::from_be_bytes(array(&mut source)?);
        if at == about.bytes {
            break;
        }
        if at < next || at > about.bytes || !at.is_multiple_of(PIECE) {
            bail!("a piece of it is out of place");
        }
        let mut piece = vec![0; PIECE.min(about.bytes - at) as usize];
        source.read_exact(&mut piece).context("it is too short")?;
        disk.write_all_at(&piece, at)?;
        next = at + PIECE;
    }
    if source.read(&mut [0])? != 0 {
        bail!("something stands behind its end");
    }
    let found = About::of(disk, about.app.clone(), about.app_id)?;
    if found == about { Ok(about) } else { bail!("its disk is not the one that its description names") }
}

fn array<const N: usize>(source: &mut impl Read) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    source.read_exact(&mut bytes).context("it is too short")?;
    Ok(bytes)
}
