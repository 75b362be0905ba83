//! A machine's disk: what was synced survives a crash, what was only written may survive whole, torn, or not at all.
//!
//! The durability contract is the one of [`commonware_runtime::Storage`]: a write that was not synced may leave any subset
//! of its bytes, in any order with others; bytes outside of it stay. A disk may also lie about syncing
//! ([`Fsync::Lies`]), which no protocol can bear on all machines at once: tests use it to see the invariants fail.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::BufMut as _;
use commonware_runtime::{BlobVersion, Error, Handle, IoBufs, IoBufsMut, ReadOptions, WriteOptions};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// What a disk does when it is told to make writes durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fsync {
    /// It does.
    Keeps,
    /// It says that it did.
    Lies,
}

/// A disk; clones are the same disk.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Mutex<Files>>);

type Name = (String, Vec<u8>);
type Shared = Arc<Mutex<File>>;

struct Files {
    files: BTreeMap<Name, Shared>,
    rng: StdRng,
    fsync: Fsync,
}

/// A file as programs see it, as the medium holds it, and what lies between.
struct File {
    version: BlobVersion,
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    fsync: Fsync,
}

enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

impl Disk {
    /// An empty disk; `seed` decides what a crash leaves of unsynced writes.
    pub(crate) fn new(seed: u64, fsync: Fsync) -> Self {
        Self(Arc::new(Mutex::new(Files { files: BTreeMap::new(), rng: StdRng::seed_from_u64(seed), fsync })))
    }

    fn lock(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The power goes: unsynced writes are kept, torn or lost. Files that were open are orphans from now on.
    pub(crate) fn crash(&self) {
        let mut disk = self.lock();
        let Files { files, rng, fsync } = &mut *disk;
        for shared in files.values_mut() {
            let kept = file(shared).after_crash(rng, *fsync);
            *shared = Arc::new(Mutex::new(kept));
        }
    }

    /// Everything is gone.
    pub(crate) fn wipe(&self) {
        self.lock().files.clear();
    }

    /// Whether any file holds these bytes, live or on the medium.
    pub(crate) fn holds(&self, needle: &[u8]) -> bool {
        let within = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        self.lock().files.values().any(|shared| {
            let file = file(shared);
            within(&file.live) || within(&file.durable)
        })
    }

    pub(super) fn open(
        &self,
        partition: &str,
        name: &[u8],
        versions: &RangeInclusive<BlobVersion>,
    ) -> Result<(Blob, u64, BlobVersion), Error> {
        check_partition(partition)?;
        let mut disk = self.lock();
        let fsync = disk.fsync;
        let new = || {
            let version = *versions.end();
            Arc::new(Mutex::new(File { version, live: Vec::new(), durable: Vec::new(), pending: Vec::new(), fsync }))
        };
        let shared = disk.files.entry((partition.to_owned(), name.to_vec())).or_insert_with(new);
        let mut file = file(shared);
        if !versions.contains(&file.version) {
            return Err(Error::BlobVersionMismatch { expected: versions.clone(), found: file.version });
        }
        // What can be read after an open is durable.
        file.sync();
        Ok((Blob(Arc::clone(shared)), file.live.len() as u64, file.version))
    }

    pub(super) fn remove(&self, partition: &str, name: Option<&[u8]>) -> Result<(), Error> {
        check_partition(partition)?;
        let mut disk = self.lock();
        let before = disk.files.len();
        match name {
            Some(name) => {
                let removed = disk.files.remove(&(partition.to_owned(), name.to_vec()));
                removed.map(drop).ok_or_else(|| Error::BlobMissing(partition.to_owned(), format!("{name:x?}")))
            }
            None => {
                disk.files.retain(|(of, _), _| of != partition);
                if disk.files.len() < before { Ok(()) } else { Err(Error::PartitionMissing(partition.to_owned())) }
            }
        }
    }

    pub(super) fn scan(&self, partition: &str) -> Result<Vec<Vec<u8>>, Error> {
        check_partition(partition)?;
        let disk = self.lock();
        let names: Vec<_> = disk.files.keys().filter(|(of, _)| of == partition).map(|(_, name)| name.clone()).collect();
        if names.is_empty() { Err(Error::PartitionMissing(partition.to_owned())) } else { Ok(names) }
    }
}

fn check_partition(partition: &str) -> Result<(), Error> {
    let named = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !partition.is_empty() && partition.bytes().all(named) {
        Ok(())
    } else {
        Err(Error::PartitionNameInvalid(partition.to_owned()))
    }
}

fn file(shared: &Shared) -> MutexGuard<'_, File> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn put(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(written);
}

impl File {
    fn write(&mut self, offset: usize, bytes: Vec<u8>, durable: bool) {
        put(&mut self.live, offset, &bytes);
        if durable && self.fsync == Fsync::Keeps {
            put(&mut self.durable, offset, &bytes);
            self.settle(offset, &bytes);
        } else {
            self.pending.push(Change::Write(offset, bytes));
        }
    }

    /// Changes that are still pending may not undo what is durable now.
    fn settle(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        for change in &mut self.pending {
            match change {
                Change::Write(at, older) => {
                    let (from, to) = (offset.max(*at), end.min(*at + older.len()));
                    if from < to {
                        older[from - *at..to - *at].copy_from_slice(&bytes[from - offset..to - offset]);
                    }
                }
                Change::Resize(length) => *length = end.max(*length),
            }
        }
    }

    fn resize(&mut self, length: usize) {
        self.live.resize(length, 0);
        self.pending.push(Change::Resize(length));
    }

    fn sync(&mut self) {
        if self.fsync == Fsync::Lies {
            return;
        }
        for change in std::mem::take(&mut self.pending) {
            match change {
                Change::Write(offset, bytes) => put(&mut self.durable, offset, &bytes),
                Change::Resize(length) => self.durable.resize(length, 0),
            }
        }
    }

    /// What the medium holds after a crash.
    fn after_crash(&mut self, rng: &mut StdRng, fsync: Fsync) -> Self {
        let mut durable = std::mem::take(&mut self.durable);
        for change in std::mem::take(&mut self.pending) {
            match (change, rng.random_range(0..4_u8)) {
                (_, 0 | 1) => {}
                (Change::Resize(length), _) => durable.resize(length, 0),
                (Change::Write(offset, bytes), 2) => put(&mut durable, offset, &bytes),
                (Change::Write(offset, bytes), _) => tear(&mut durable, offset, &bytes, rng),
            }
        }
        Self { version: self.version, live: durable.clone(), durable, pending: Vec::new(), fsync }
    }
}

/// Writes some of the bytes: those before a point, or a random half.
fn tear(durable: &mut Vec<u8>, offset: usize, bytes: &[u8], rng: &mut StdRng) {
    if bytes.is_empty() {
        return;
    }
    if rng.random_bool(0.5) {
        return put(durable, offset, &bytes[..rng.random_range(0..bytes.len())]);
    }
    for (at, byte) in bytes.iter().enumerate() {
        if rng.random_bool(0.5) {
            put(durable, offset + at, &[*byte]);
        }
    }
}

/// An open file. After a crash it is an orphan: it still reads, and changes nothing.
pub(crate) struct Blob(Shared);

fn offset(offset: u64) -> Result<usize, Error> {
    usize::try_from(offset).map_err(|_| Error::OffsetOverflow)
}

impl Blob {
    fn range(&self, from: u64, length: usize) -> Result<Vec<u8>, Error> {
        let from = offset(from)?;
        let end = from.checked_add(length).ok_or(Error::OffsetOverflow)?;
        file(&self.0).live.get(from..end).map(<[u8]>::to_vec).ok_or(Error::BlobInsufficientLength)
    }
}

impl commonware_runtime::Blob for Blob {
    async fn read_at_buf(
        &self,
        offset: u64,
        len: usize,
        bufs: impl Into<IoBufsMut> + Send,
        _: ReadOptions,
    ) -> Result<IoBufsMut, Error> {
        let bytes = self.range(offset, len)?;
        let mut bufs = bufs.into();
        if bufs.len() > len {
            return Ok(IoBufsMut::from(bytes));
        }
        bufs.put_bytes(0, len - bufs.len());
        bufs.copy_from_slice(&bytes);
        Ok(bufs)
    }

    async fn read_at(&self, offset: u64, len: usize, _: ReadOptions) -> Result<IoBufsMut, Error> {
        self.range(offset, len).map(IoBufsMut::from)
    }

    async fn write_at(&self, at: u64, bufs: impl Into<IoBufs> + Send, options: WriteOptions) -> Result<(), Error> {
        let bytes = bufs.into().coalesce().as_ref().to_vec();
        file(&self.0).write(offset(at)?, bytes, options.contains(WriteOptions::SYNC));
        Ok(())
    }

    async fn resize(&self, len: u64) -> Result<(), Error> {
        file(&self.0).resize(offset(len)?);
        Ok(())
    }

    async fn sync(&self) -> Result<(), Error> {
        file(&self.0).sync();
        Ok(())
    }

    async fn start_sync(&self) -> Handle<()> {
        Handle::ready(self.sync().await)
    }
}

#[cfg(test)]
mod tests;
