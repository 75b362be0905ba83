//! One instance's receipts on disk (`spec/local-api.md` §6): append-only, sealed, and readable by any instance that holds
//! the app's root key.
//!
//! File: `"freehold receipts\n"`, a version byte, the instance id; then frames: `u32` length of the rest, a random nonce of
//! 32 bytes, the ciphertext. Each frame is sealed like an EHBP response of one chunk: its key hangs on the log's key (of
//! root key and instance), on the nonce, and on the frame's place, so that frames cannot be moved, dropped from the
//! middle or taken from another log. A torn tail (the process died in a write) ends the log; the receipt in it was never
//! given out.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use freehold_crypto::{ExportedSecret, ResponseOpener, ResponseSealer, hash, hkdf_sha256};
use freehold_primitives::{Blob, Canonical as _, Digest, RECEIPT_BYTES_MAX, canonical_struct};
use rand::{
    SeedableRng as _,
    rngs::{StdRng, SysRng},
};
use thiserror::Error;
use zeroize::Zeroizing;

const MAGIC: &[u8; 18] = b"freehold receipts\n";
const VERSION: u8 = 1;
/// Bytes before the first frame.
pub(crate) const HEADER_BYTES: u64 = 18 + 1 + 32;
/// Bytes of a frame's nonce.
const NONCE_BYTES: usize = 32;
/// Largest frame, behind its length: nonce, tag, access, document.
const FRAME_BYTES_MAX: usize = RECEIPT_BYTES_MAX + 128;

/// Why a log cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum LogError {
    /// Disk.
    #[error("the receipt log {path} failed: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not a receipt log.
    #[error("{0} is no receipt log")]
    Header(PathBuf),
    /// A frame cannot be opened: wrong key, or changed bytes.
    #[error("receipt {sequence} of {path} cannot be opened")]
    Sealed {
        /// Which file.
        path: PathBuf,
        /// Its place.
        sequence: u64,
    },
}

canonical_struct! {
    /// What a frame seals.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Record {
        /// SHA-256 of the bearer token that may read it.
        pub access: Option<Digest>,
        /// RFC 8785 form of the receipt.
        pub document: Blob,
    }
}

/// Key that seals one instance's log. Wiped when dropped.
#[derive(Clone)]
pub(crate) struct SealKey(Zeroizing<[u8; 32]>);

impl SealKey {
    pub(crate) fn new(root: &[u8; 32], instance: &Digest) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        hkdf_sha256(instance.as_bytes(), root, &[b"freehold receipts seal v1"], &mut *key);
        Self(key)
    }

    fn secret(&self) -> ExportedSecret {
        ExportedSecret::from_bytes(&self.0)
    }
}

/// Place of a frame's ciphertext in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

/// A log's file.
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    instance: Digest,
    key: SealKey,
    places: Vec<Place>,
    end: u64,
}

impl LogFile {
    /// Path of an instance's log.
    pub(crate) fn path_of(dir: &Path, instance: &Digest) -> PathBuf {
        dir.join(format!("{instance}.log"))
    }

    /// Begins an instance's log; there must be none.
    pub(crate) fn create(dir: &Path, instance: Digest, root: &[u8; 32]) -> Result<Self, LogError> {
        let path = Self::path_of(dir, &instance);
        let made = (|| {
            let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all_at(&[&MAGIC[..], &[VERSION], instance.as_bytes()].concat(), 0)?;
            file.sync_all()?;
            // The name itself must outlive a crash.
            File::open(dir)?.sync_all()?;
            Ok(file)
        })();
        let file = made.map_err(|source| LogError::Io { path: path.clone(), source })?;
        let key = SealKey::new(root, &instance);
        Ok(Self { path, file, instance, key, places: Vec::new(), end: HEADER_BYTES })
    }

    /// Opens a log to read it, and gives its records in order up to a torn tail.
    pub(crate) fn open(path: &Path, root: &[u8; 32]) -> Result<(Self, Vec<Record>), LogError> {
        let failed = |source| LogError::Io { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(failed)?;
        let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut header = [0; HEADER_BYTES as usize];
        file.read_exact(&mut header).map_err(|_| LogError::Header(path.to_owned()))?;
        let mut instance = [0; 32];
        instance.copy_from_slice(&header[19..]);
        if header[..18] != MAGIC[..] || header[18] != VERSION {
            return Err(LogError::Header(path.to_owned()));
        }
        let instance = Digest(instance);
        let key = SealKey::new(root, &instance);
        let mut log = Self { path: path.to_owned(), file, instance, key, places: Vec::new(), end: HEADER_BYTES };
        let mut records = Vec::new();
        while let Some(place) = log.frame_at(log.end, length).map_err(failed)? {
            let sequence = log.places.len() as u64;
            match log.open_frame(place, sequence) {
                Ok(record) => records.push(record),
                // Only the last frame can be torn. One in the middle was changed, and so was what follows.
                Err(_) if place.offset + u64::from(place.length) == length => break,
                Err(error) => {
                    tracing::warn!(%error, "the rest of this receipt log is lost");
                    break;
                }
            }
            log.places.push(place);
            log.end = place.offset + u64::from(place.length);
        }
        Ok((log, records))
    }

    fn frame_at(&self, offset: u64, length: u64) -> io::Result<Option<Place>> {
        let mut head = [0; 4];
        if offset + 4 > length {
            return Ok(None);
        }
        self.file.read_exact_at(&mut head, offset)?;
        let size = u32::from_be_bytes(head);
        let place = Place { offset: offset + 4, length: size };
        let whole =
            (NONCE_BYTES..=FRAME_BYTES_MAX).contains(&(size as usize)) && place.offset + u64::from(size) <= length;
        Ok(whole.then_some(place))
    }

    /// Stands where an EHBP response has the request's key: the frame's place in this very log.
    fn place(&self, sequence: u64) -> [u8; 32] {
        hash("freehold receipts place", &[&[VERSION], self.instance.as_bytes(), &sequence.to_be_bytes()]).0
    }

    fn open_frame(&self, place: Place, sequence: u64) -> Result<Record, LogError> {
        let sealed = || LogError::Sealed { path: self.path.clone(), sequence };
        let mut frame = vec![0; place.length as usize];
        self.file
            .read_exact_at(&mut frame, place.offset)
            .map_err(|source| LogError::Io { path: self.path.clone(), source })?;
        let (nonce, ciphertext) = frame.split_first_chunk::<NONCE_BYTES>().ok_or_else(sealed)?;
        let mut opener = ResponseOpener::new(&self.key.secret(), &self.place(sequence), nonce);
        let text = Zeroizing::new(opener.open(ciphertext).map_err(|_| sealed())?);
        Record::from_canonical(&text).map_err(|_| sealed())
    }

    /// A second handle that reads; places are told to it by [`Self::commit`].
    pub(crate) fn reader(&self) -> Result<Self, LogError> {
        let file = self.file.try_clone().map_err(|source| LogError::Io { path: self.path.clone(), source })?;
        Ok(Self {
            path: self.path.clone(),
            file,
            instance: self.instance,
            key: self.key.clone(),
            places: self.places.clone(),
            end: self.end,
        })
    }

    /// The instance whose log it is.
    pub(crate) const fn instance(&self) -> Digest {
        self.instance
    }

    /// Reads one record.
    pub(crate) fn read(&self, sequence: u64) -> Result<Record, LogError> {
        let place = usize::try_from(sequence).ok().and_then(|at| self.places.get(at));
        let place = place.ok_or_else(|| LogError::Sealed { path: self.path.clone(), sequence })?;
        self.open_frame(*place, sequence)
    }

    /// Seals records as the next frames and writes them, not yet durably. After an error the file is cut back to what was
    /// durable.
    pub(crate) fn write(&mut self, records: &[Record]) -> Result<Vec<Place>, LogError> {
        let mut frames = Vec::new();
        let mut places = Vec::with_capacity(records.len());
        for (index, record) in records.iter().enumerate() {
            let sequence = (self.places.len() + index) as u64;
            let sealed = self.seal(record, sequence)?;
            let length = u32::try_from(sealed.len()).expect("a receipt is bounded by 256 KiB");
            places.push(Place { offset: self.end + frames.len() as u64 + 4, length });
            frames.extend_from_slice(&length.to_be_bytes());
            frames.extend_from_slice(&sealed);
        }
        if let Err(source) = self.file.write_all_at(&frames, self.end) {
            // A tail that cannot be cut off is torn, and the next write goes over it.
            let _ = self.file.set_len(self.end);
            return Err(LogError::Io { path: self.path.clone(), source });
        }
        Ok(places)
    }

    /// Nonce and ciphertext of a record.
    fn seal(&mut self, record: &Record, sequence: u64) -> Result<Vec<u8>, LogError> {
        let random = |error| LogError::Io { path: self.path.clone(), source: io::Error::other(error) };
        let mut rng = StdRng::try_from_rng(&mut SysRng).map_err(random)?;
        let mut sealer = ResponseSealer::new(&self.key.secret(), &self.place(sequence), &mut rng);
        let text = Zeroizing::new(record.to_canonical());
        let framed = sealer.seal(&text).map_err(|_| LogError::Sealed { path: self.path.clone(), sequence })?;
        // The file's own length stands before the nonce; the sealer's frame length is not kept.
        let (_, ciphertext) = framed.split_first_chunk::<4>().expect("a frame opens with its length");
        Ok([&sealer.nonce()[..], ciphertext].concat())
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&self) -> Result<(), LogError> {
        self.file.sync_data().map_err(|source| LogError::Io { path: self.path.clone(), source })
    }

    /// Takes in frames that are durable.
    pub(crate) fn commit(&mut self, places: &[Place]) {
        if let Some(last) = places.last() {
            self.end = last.offset + u64::from(last.length);
        }
        self.places.extend_from_slice(places);
    }
}
