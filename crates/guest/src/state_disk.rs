//! The state disk of a VM (`spec/vm-image.md` §10), the agent's side: its key is the disk's own, sealed in a header under the app's
//! root key; PID 1 makes and opens the file system with it.
//!
//! Invariant: a file system is made only on a disk whose every byte is zero. A disk that is not zero and does not open is left as
//! it is, and the instance does not serve. That a disk is the newest one it does not tell: counters do (`spec/leases.md` §4).

mod header;

#[cfg(test)]
mod tests;

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    net::Shutdown,
    os::unix::{fs::FileExt as _, net::UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use freehold_crypto::DEOXYS_NONCE_BYTES;
use rand::{
    SeedableRng as _, TryRng as _,
    rngs::{StdRng, SysRng},
};
use thiserror::Error;
use zeroize::Zeroizing;

use self::header::{HEADER_BYTES, Header, KEY_BYTES, Place};
use crate::{
    config::StateDiskPaths,
    roots::{Root, Roots},
};

/// Where headers stand: two, so that one is whole whatever happens while the other is written.
const PLACES: [u64; 2] = [0, 64 * 1024];
/// What PID 1 is asked for.
const OPEN: u8 = 1;
const MAKE: u8 = 2;
const REFUSED: u8 = 3;
/// What it says when it did.
const DONE: &str = "ok";
/// Longest answer of PID 1, in bytes.
const ANSWER_BYTES_MAX: u64 = 4096;
/// Bytes that are looked at at once.
const PIECE: usize = 1024 * 1024;

/// Why there is no state disk. Every sentence begins with a stable word.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum StateDiskError {
    #[error("disk_missing: the host gives no state disk")]
    Missing,
    #[error(
        "disk_sealed: the state disk opens under no root key of this app: it was changed, or is another app's, or its \
         root key was retired. It is left as it is"
    )]
    Sealed,
    #[error(
        "disk_unfinished: the state disk has no header and is not empty: it was changed, or its first use was broken \
         off. It is left as it is"
    )]
    Unfinished,
    #[error("disk_damaged: the state disk has the app's header and does not open: {0}. It is left as it is")]
    Damaged(String),
    #[error("disk_failed: no file system can be made on the state disk: {0}")]
    NotMade(String),
    #[error("disk_failed: the state disk: {0}")]
    Io(#[from] io::Error),
}

/// The disk, where the image has one.
pub(crate) struct StateDisk {
    paths: Option<StateDiskPaths>,
    /// The header of the disk that is open.
    open: Mutex<Option<Header>>,
    /// Why the disk that is there was refused.
    refusal: Mutex<Option<String>>,
}

impl StateDisk {
    pub(crate) const fn new(paths: Option<StateDiskPaths>) -> Self {
        Self { paths, open: Mutex::new(None), refusal: Mutex::new(None) }
    }

    /// Why the disk that is there was refused, if it was.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens the disk, or makes a file system on a new one, and gives the agent's folder on it; `None` where the image has none.
    pub(crate) async fn open(self: &Arc<Self>, roots: &Roots) -> Result<Option<PathBuf>, StateDiskError> {
        let Some(paths) = self.paths.clone() else { return Ok(None) };
        let (disk, roots) = (Arc::clone(self), roots.clone());
        let work = tokio::task::spawn_blocking(move || {
            let opened = disk.open_now(&paths, &roots);
            let refusal = opened.as_ref().err().map(ToString::to_string);
            disk.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&refusal);
            if let Some(refusal) = refusal {
                let _ = ask(&paths.asked, &[&[REFUSED], refusal.as_bytes()]);
            }
            opened.map(|()| Some(paths.folder))
        });
        work.await.map_err(io::Error::other)?
    }

    fn open_now(&self, paths: &StateDiskPaths, roots: &Roots) -> Result<(), StateDiskError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_some() {
            return Ok(());
        }
        let device = OpenOptions::new().read(true).write(true).open(&paths.device).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound { StateDiskError::Missing } else { error.into() }
        })?;
        let header = match found(&device, roots)? {
            Some(header) => {
                tell(&paths.asked, OPEN, &header).map_err(StateDiskError::Damaged)?;
                header
            }
            None => {
                let header = fresh(paths.mib)?;
                tell(&paths.asked, MAKE, &header).map_err(StateDiskError::NotMade)?;
                header
            }
        };
        // Under the newest root key from now on; a new disk counts from here.
        *open = Some(put(&device, header, &roots.newest)?);
        Ok(())
    }

    /// Seals the header of the open disk under the newest root key.
    pub(crate) fn follow(&self, newest: &Root) -> Result<(), StateDiskError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(paths), Some(header)) = (&self.paths, open.take()) else { return Ok(()) };
        let kept = header.clone();
        let device = OpenOptions::new().write(true).open(&paths.device)?;
        let written = put(&device, header, newest);
        *open = Some(written.as_ref().map_or(kept, Clone::clone));
        written.map(drop)
    }
}

/// The newest header of a disk; `None` where every byte of it is zero.
fn found(device: &File, roots: &Roots) -> Result<Option<Header>, StateDiskError> {
    let (mut newest, mut is_sealed) = (None::<Header>, false);
    for place in PLACES {
        let mut bytes = [0; HEADER_BYTES];
        match device.read_exact_at(&mut bytes, place) {
            // A disk that ends before is no header's, and is told by its size.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
            read => read?,
        }
        match Header::read(&bytes, roots) {
            Place::Empty => {}
            Place::Sealed => is_sealed = true,
            Place::Open(header) => {
                if newest.as_ref().is_none_or(|newest| newest.sequence < header.sequence) {
                    newest = Some(header);
                }
            }
        }
    }
    match (newest, is_sealed) {
        (Some(header), _) => Ok(Some(header)),
        (None, true) => Err(StateDiskError::Sealed),
        (None, false) if is_zero(device)? => Ok(None),
        (None, false) => Err(StateDiskError::Unfinished),
    }
}

/// Whether every byte of a disk is zero.
fn is_zero(mut device: &File) -> io::Result<bool> {
    let mut piece = vec![0; PIECE];
    loop {
        let count = device.read(&mut piece)?;
        if count == 0 {
            return Ok(true);
        }
        if piece[..count].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
}

fn random(bytes: &mut [u8]) -> io::Result<()> {
    let mut rng = StdRng::try_from_rng(&mut SysRng).map_err(io::Error::other)?;
    rng.try_fill_bytes(bytes).map_err(io::Error::other)
}

/// A header with a key of its own.
fn fresh(mib: u64) -> io::Result<Header> {
    let mut header = Header { id: [0; 16], sequence: 0, mib, key: Zeroizing::new([0; KEY_BYTES]) };
    random(&mut header.id)?;
    random(&mut header.key[..])?;
    Ok(header)
}

/// Writes a header to both places, one behind the other, each durably.
fn put(device: &File, header: Header, root: &Root) -> Result<Header, StateDiskError> {
    let header = Header { sequence: header.sequence.saturating_add(1), ..header };
    for place in PLACES {
        let mut nonce = [0; DEOXYS_NONCE_BYTES];
        random(&mut nonce)?;
        device.write_all_at(&header.seal(root, &nonce), place)?;
        device.sync_all()?;
    }
    Ok(header)
}

/// Asks PID 1 to open the disk or make a file system on it.
fn tell(socket: &Path, kind: u8, header: &Header) -> Result<(), String> {
    let answer =
        ask(socket, &[&[kind], &header.mib.to_be_bytes(), &header.key[..]]).map_err(|error| error.to_string())?;
    if answer == DONE { Ok(()) } else { Err(answer) }
}

fn ask(socket: &Path, parts: &[&[u8]]) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    for part in parts {
        stream.write_all(part)?;
    }
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}
