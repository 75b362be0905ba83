//! Backups of a validator's folder (`spec/backup.md`, `docs/runbook.md`).
//!
//! Two kinds. An *identity* backup holds who the validator is and which network it belongs to, and no share: a share belongs to
//! one term, and one that is restored beside newer votes could sign twice. A restored validator follows and signs again
//! after the next resharing. A *move* holds the whole folder of a stopped node, journals and shares together, and marks the folder
//! it came from, which starts no more. Invariant: a restore writes nothing into place before the whole file was opened and
//! fits together, and nothing at all over a folder that holds a validator.

mod container;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Component, Path, PathBuf},
};

use freehold_primitives::{Blob, Canonical, CodecError, Digest, Ed25519Key, Genesis, NetworkKey, Reader};
use rand::rand_core::CryptoRng;
use thiserror::Error;

use self::container::{Opener, Sealer};
pub use self::container::{Opening, Sealing};
use crate::{genesis::read_identity, read_genesis};

/// Marks a folder whose validator was moved away.
pub const MOVED_FILE: &str = "moved";
/// Files of an identity backup; the first two must be there. The last is a dealer's, of development networks only.
const IDENTITY_FILES: [&str; 5] =
    ["identity.key", "genesis.bin", "network.toml", "network_key", "state.development-key"];
/// What a move leaves behind: what belongs to a process, not to the validator.
const LEFT_BEHIND: [&str; 4] = ["lock", "endpoints.json", "host", RESTORING];
/// Where files are unpacked before they are put into place.
const RESTORING: &str = "restoring";
/// Most files of a backup, and longest path of one.
const FILES_MAX: usize = 65_536;
const PATH_BYTES_MAX: usize = 512;
/// Longest manifest, in bytes.
const MANIFEST_BYTES_MAX: usize = 16 * 1024 * 1024;
const COPY_BYTES: usize = 64 * 1024;

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupScope {
    /// Who the validator is and which network it belongs to; no share.
    Identity,
    /// The whole folder of a stopped node, which is marked and starts no more.
    Move,
}

/// What was kept or brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSummary {
    /// What it holds.
    pub scope: BackupScope,
    /// Chain id.
    pub chain_id: u64,
    /// Digest of the genesis.
    pub genesis_hash: Digest,
    /// The validator.
    pub identity: Ed25519Key,
    /// Files.
    pub files: usize,
    /// Bytes of the files.
    pub bytes: u64,
}

/// Why there is no backup, or why one was not restored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BackupError {
    /// The folder holds no validator of a network.
    #[error("{0} holds no validator with a genesis: there is nothing to back up")]
    Empty(PathBuf),
    /// A key or the genesis could not be read.
    #[error(transparent)]
    Genesis(#[from] crate::GenesisError),
    /// The passphrase is empty or too long.
    #[error("the passphrase must have 1 to 1,024 bytes")]
    Passphrase,
    /// The recipient's key is none.
    #[error("the recipient's key is no usable X25519 key")]
    Recipient,
    /// The file is none of ours.
    #[error("this is no backup of freehold, or one of a newer release")]
    NoBackup,
    /// It is sealed to a passphrase.
    #[error("this backup is sealed to a passphrase: name its file with --passphrase-file")]
    NeedsPassphrase,
    /// It is sealed to a key.
    #[error("this backup is sealed to a key: name the file of its secret with --secret-file")]
    NeedsSecret,
    /// It does not open.
    #[error("the backup does not open: wrong passphrase or key, or the file was changed; take another copy of it")]
    Sealed,
    /// It ends too early.
    #[error("the backup is cut short: take another copy of it")]
    Truncated,
    /// What it holds does not fit together.
    #[error("the backup opens, but {0}: it was not made by this program")]
    Content(&'static str),
    /// It is of another network.
    #[error("the backup is of chain {found} with genesis {found_genesis}, not of the network that was named")]
    OtherNetwork {
        /// Its chain.
        found: u64,
        /// Its genesis.
        found_genesis: Digest,
    },
    /// The folder holds a validator.
    #[error(
        "{0} holds a validator already: a restore writes over nothing. Start it as it is, or name another --data-dir; \
         never run two nodes with one identity"
    )]
    Occupied(PathBuf),
    /// There is a file already.
    #[error("{0} is there already: name another file")]
    Exists(PathBuf),
    /// More files or bytes than a backup holds.
    #[error("the folder holds more than a backup can: {FILES_MAX} files at most")]
    TooLong,
    /// A file changed while it was read.
    #[error("{0} changed while it was read: is the node still running? Stop it, then try again")]
    Changed(PathBuf),
    /// A file could not be read or written.
    #[error("a file could not be read or written: {0}; check the free space and the rights of the folders")]
    File(#[from] io::Error),
}

/// What stands before the files.
struct Manifest {
    /// 1 identity, 2 move.
    kind: u8,
    chain_id: u64,
    genesis_hash: Digest,
    identity: Ed25519Key,
    files: Vec<Entry>,
}

impl Canonical for Manifest {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.kind);
        self.chain_id.write(out);
        self.genesis_hash.write(out);
        self.identity.write(out);
        self.files.write(out);
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            kind: u8::read(reader)?,
            chain_id: u64::read(reader)?,
            genesis_hash: Digest::read(reader)?,
            identity: Ed25519Key::read(reader)?,
            files: Vec::read(reader)?,
        })
    }
}

/// A file.
struct Entry {
    /// Path below the folder, UTF-8, with `/`.
    path: Blob,
    length: u64,
}

impl Canonical for Entry {
    fn write(&self, out: &mut Vec<u8>) {
        self.path.write(out);
        self.length.write(out);
    }
    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { path: Blob::read(reader)?, length: u64::read(reader)? })
    }
}

impl Manifest {
    const fn scope(&self) -> Result<BackupScope, BackupError> {
        match self.kind {
            1 => Ok(BackupScope::Identity),
            2 => Ok(BackupScope::Move),
            _ => Err(BackupError::Content("its kind is unknown")),
        }
    }

    fn summary(&self) -> Result<BackupSummary, BackupError> {
        Ok(BackupSummary {
            scope: self.scope()?,
            chain_id: self.chain_id,
            genesis_hash: self.genesis_hash,
            identity: self.identity,
            files: self.files.len(),
            bytes: self.files.iter().fold(0, |sum, file| sum.saturating_add(file.length)),
        })
    }
}

/// Writes a backup of a validator's folder. An identity backup may be made while the node runs: its files never change. For a
/// move the caller must hold the folder's lock.
///
/// # Errors
/// Any [`BackupError`]; no file is left then.
pub fn write_backup(
    folder: &Path,
    to: &Path,
    (scope, sealing): (BackupScope, &Sealing<'_>),
    rng: &mut impl CryptoRng,
) -> Result<BackupSummary, BackupError> {
    let genesis = read_genesis(folder)?.ok_or_else(|| BackupError::Empty(folder.to_path_buf()))?;
    if to.exists() {
        return Err(BackupError::Exists(to.to_path_buf()));
    }
    let (kind, files) = match scope {
        BackupScope::Identity => (1, identity_files(folder)?),
        BackupScope::Move => (2, all_files(folder)?),
    };
    let manifest = Manifest {
        kind,
        chain_id: genesis.chain_id,
        genesis_hash: freehold_crypto::genesis_hash(&genesis),
        identity: read_identity(folder)?.public(),
        files,
    };
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = seal(folder, &part, &manifest, (sealing, rng)).and_then(|()| {
        if scope == BackupScope::Move {
            // Before the backup has its name: never two folders that would start.
            mark_moved(folder, to)?;
        }
        Ok(fs::rename(&part, to)?)
    });
    if let Err(error) = written {
        let _gone = fs::remove_file(&part);
        return Err(error);
    }
    manifest.summary()
}

fn mark_moved(folder: &Path, to: &Path) -> Result<(), BackupError> {
    let mut mark = File::create(folder.join(MOVED_FILE))?;
    writeln!(mark, "{}", to.display())?;
    Ok(mark.sync_all()?)
}

fn seal(
    folder: &Path,
    part: &Path,
    manifest: &Manifest,
    (sealing, rng): (&Sealing<'_>, &mut impl CryptoRng),
) -> Result<(), BackupError> {
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(part)?;
    let mut sealer = Sealer::new(BufWriter::new(file), sealing, rng)?;
    let bytes = manifest.to_canonical();
    let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= MANIFEST_BYTES_MAX);
    sealer.put(&length.ok_or(BackupError::TooLong)?.to_be_bytes())?;
    sealer.put(&bytes)?;
    let mut buffer = zeroize::Zeroizing::new(vec![0; COPY_BYTES]);
    for entry in &manifest.files {
        let path = folder.join(checked(&entry.path.0)?);
        let mut from = File::open(&path)?;
        let mut left = entry.length;
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = from.read(&mut buffer[..most])?;
            if read == 0 {
                return Err(BackupError::Changed(path));
            }
            sealer.put(&buffer[..read])?;
            left -= read as u64;
        }
        if from.read(&mut buffer[..1])? != 0 {
            return Err(BackupError::Changed(path));
        }
    }
    let file = sealer.finish()?.into_inner().map_err(|error| BackupError::File(error.into_error()))?;
    Ok(file.sync_all()?)
}

fn identity_files(folder: &Path) -> Result<Vec<Entry>, BackupError> {
    let mut files = Vec::new();
    for name in IDENTITY_FILES {
        match fs::metadata(folder.join(name)) {
            Ok(file) => files.push(Entry { path: Blob(name.as_bytes().to_vec()), length: file.len() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(files)
}

fn all_files(folder: &Path) -> Result<Vec<Entry>, BackupError> {
    let (mut files, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(folder.join(&below))? {
            let entry = entry?;
            let path = below.join(entry.file_name());
            if below.as_os_str().is_empty() && LEFT_BEHIND.iter().any(|left| path == Path::new(left)) {
                continue;
            }
            let kind = entry.metadata()?;
            if kind.is_dir() {
                folders.push(path);
            } else if files.len() < FILES_MAX {
                let text = path.to_str().ok_or(BackupError::Content("a file's name is no text"))?;
                files.push(Entry { path: Blob(text.as_bytes().to_vec()), length: kind.len() });
            } else {
                return Err(BackupError::TooLong);
            }
        }
    }
    files.sort_by(|one, other| one.path.0.cmp(&other.path.0));
    Ok(files)
}

/// Brings a backup back into a folder that holds no validator yet; `wanted` is the network that it must be of, where the
/// caller knows it. After a move was restored its file is removed: there must be one validator, not two.
///
/// # Errors
/// Any [`BackupError`]; the folder is then as it was.
pub fn restore_backup(
    from: &Path,
    folder: &Path,
    opening: &Opening<'_>,
    wanted: Option<&NetworkKey>,
) -> Result<BackupSummary, BackupError> {
    let occupied = IDENTITY_FILES.iter().chain(&["consensus", "blocks.redb", "consensus.share"]);
    if occupied.into_iter().any(|name| folder.join(name).exists()) {
        return Err(BackupError::Occupied(folder.to_path_buf()));
    }
    let work = folder.join(RESTORING);
    let _left_by_a_crash = fs::remove_dir_all(&work);
    let unpacked = unpack(from, &work, opening).and_then(|manifest| {
        check(&work, &manifest, wanted)?;
        Ok(manifest)
    });
    let manifest = match unpacked {
        Ok(manifest) => manifest,
        Err(error) => {
            let _gone = fs::remove_dir_all(&work);
            return Err(error);
        }
    };
    // The genesis comes last: a folder with it is complete.
    let mut names: Vec<_> = fs::read_dir(&work)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort_by_key(|name| name == "genesis.bin");
    for name in names {
        fs::rename(work.join(&name), folder.join(&name))?;
    }
    fs::remove_dir(&work)?;
    if manifest.scope()? == BackupScope::Move {
        fs::remove_file(from)?;
    }
    manifest.summary()
}

fn unpack(from: &Path, work: &Path, opening: &Opening<'_>) -> Result<Manifest, BackupError> {
    let mut opener = Opener::new(BufReader::new(File::open(from)?), opening)?;
    let mut length = [0; 4];
    opener.take(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MANIFEST_BYTES_MAX {
        return Err(BackupError::Content("its list of files is too long"));
    }
    let mut bytes = vec![0; length];
    opener.take(&mut bytes)?;
    let manifest =
        Manifest::from_canonical(&bytes).map_err(|_| BackupError::Content("its list of files is malformed"))?;
    if manifest.files.len() > FILES_MAX {
        return Err(BackupError::Content("it lists too many files"));
    }
    let identity_only = manifest.scope()? == BackupScope::Identity;
    let mut buffer = zeroize::Zeroizing::new(vec![0; COPY_BYTES]);
    for entry in &manifest.files {
        let path = checked(&entry.path.0)?;
        if identity_only && !IDENTITY_FILES.iter().any(|name| path == Path::new(name)) {
            return Err(BackupError::Content("it holds a file that no identity backup holds"));
        }
        let path = work.join(path);
        let folder = path.parent().unwrap_or(work);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let mut left = entry.length;
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            opener.take(&mut buffer[..most])?;
            file.write_all(&buffer[..most])?;
            left -= most as u64;
        }
        file.sync_all()?;
    }
    opener.finish()?;
    Ok(manifest)
}

/// Whether the files fit what the manifest says.
fn check(work: &Path, manifest: &Manifest, wanted: Option<&NetworkKey>) -> Result<(), BackupError> {
    let genesis: Genesis = read_genesis(work)?.ok_or(BackupError::Content("its genesis is missing"))?;
    if freehold_crypto::genesis_hash(&genesis) != manifest.genesis_hash || genesis.chain_id != manifest.chain_id {
        return Err(BackupError::Content("its genesis is of another network"));
    }
    let is_wanted = |wanted: &NetworkKey| freehold_consensus::network_key(&genesis).is_ok_and(|key| key == *wanted);
    if !wanted.is_none_or(is_wanted) {
        return Err(BackupError::OtherNetwork { found: manifest.chain_id, found_genesis: manifest.genesis_hash });
    }
    if read_identity(work)?.public() != manifest.identity {
        return Err(BackupError::Content("its identity is another's"));
    }
    Ok(())
}

/// A path below the folder: plain names only.
fn checked(bytes: &[u8]) -> Result<PathBuf, BackupError> {
    let refuse = || BackupError::Content("a file's path leads out of the folder");
    let text = std::str::from_utf8(bytes).ok().filter(|text| (1..=PATH_BYTES_MAX).contains(&text.len()));
    let path = PathBuf::from(text.ok_or_else(refuse)?);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    let left_behind = LEFT_BEHIND.iter().any(|left| path.starts_with(left));
    if plain && !left_behind && path != Path::new(MOVED_FILE) { Ok(path) } else { Err(refuse()) }
}
