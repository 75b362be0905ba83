//! The kernel's source of evidence: configfs-tsm (Linux 6.7 and newer,
//! `Documentation/ABI/testing/configfs-tsm-report`).
//!
//! One entry of our own below the root, a name that nobody else has. The kernel commits an `inblob` when the file is
//! closed and tells nobody whether that went well, so only the generation says whether the write counted: it is
//! compared by [`take_evidence`](super::take_evidence). The provider may be replaced while we run, so its name is read
//! with every report. Entries that a killed guest left behind are removed at the next start: as long as one is there,
//! the kernel loads no driver anew.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::io::Errno;
use thiserror::Error;

use super::{
    EvidenceError, EvidenceSource, OUTBLOB_BYTES_MAX,
    canonical::{SNP, TDX},
};

/// Where the kernel's entries stand, when configfs is mounted where everybody mounts it.
pub const CONFIGFS_ROOT: &str = "/sys/kernel/config/tsm/report";
/// Begin of the names of our entries: `freehold-<process>-<token>-<number>`.
const NAME_PREFIX: &str = "freehold-";
/// Longest text attribute, in bytes.
const TEXT_BYTES_MAX: usize = 64;
/// Names that are tried for a new entry.
const NAMES_MAX: usize = 16;

/// Why the kernel's source gave nothing, and what to do about it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigfsError {
    /// No configfs.
    #[error("{} is not there: mount configfs (`mount -t configfs none /sys/kernel/config`)", .0.display())]
    NotMounted(PathBuf),
    /// configfs without reports.
    #[error(
        "{} is not there: load the kernel's TSM module (`modprobe tsm_report`, on Linux 6.7 to 6.15 `modprobe tsm`)",
        .0.display()
    )]
    NoModule(PathBuf),
    /// No driver of a TEE registered itself.
    #[error(
        "no TEE gives reports: load its driver (`modprobe tdx_guest` or `modprobe sev-guest`); it loads in a \
         confidential VM only"
    )]
    NoProvider,
    /// A provider that we do not know.
    #[error("the kernel's reports are of `{0}`: tdx_guest and sev_guest are known here")]
    UnknownProvider(String),
    /// Another driver answers than before.
    #[error("the kernel's reports were of `{before}` and are of `{after}` now: start the guest again")]
    ProviderChanged {
        /// At the start.
        before: String,
        /// Now.
        after: String,
    },
    /// Not allowed.
    #[error("{} may not be used: run the guest as root in its VM, or give it this directory", .0.display())]
    Permission(PathBuf),
    /// The kernel refused what was written.
    #[error(
        "the kernel refused {0} (EINVAL): it wants 64 bytes of report data and a privilege level from its floor to 3"
    )]
    Request(&'static str),
    /// Firmware, hypervisor or the host's quoting service failed.
    #[error("the TEE gave no report ({0}): look at the VM's kernel log and at the host's quoting service")]
    Firmware(Errno),
    /// Longer than its bound.
    #[error("{0} is longer than {1} bytes")]
    TooLong(&'static str, usize),
    /// An attribute is not what the kernel documents.
    #[error("{0} is not of the form that the kernel documents")]
    Malformed(&'static str),
    /// In use; worth another try.
    #[error("{0} is in use")]
    Busy(&'static str),
    /// The entry was removed by somebody else; worth another try.
    #[error("the entry for reports is gone: somebody else removed it")]
    Vanished,
    /// Every name for an entry is taken.
    #[error("no name for a new entry is free in {}", .0.display())]
    NoName(PathBuf),
    /// Anything else.
    #[error("{what} failed: {source}")]
    System {
        /// What was done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl ConfigfsError {
    /// Whether the same may succeed in a moment.
    pub(super) const fn is_transient(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Vanished)
    }

    /// What the system's answer to doing `what` means.
    fn of(what: &'static str, path: &Path, source: io::Error) -> Self {
        match Errno::from_io_error(&source) {
            Some(Errno::NXIO) => Self::NoProvider,
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Self::Permission(path.to_owned()),
            Some(Errno::INVAL) => Self::Request(what),
            Some(Errno::FBIG) => Self::TooLong(what, OUTBLOB_BYTES_MAX),
            Some(Errno::BUSY | Errno::AGAIN | Errno::INTR | Errno::TXTBSY) => Self::Busy(what),
            Some(Errno::NOENT) => Self::Vanished,
            Some(errno @ (Errno::IO | Errno::TIMEDOUT | Errno::NODEV | Errno::NOTTY | Errno::PROTO)) => {
                Self::Firmware(errno)
            }
            _ => Self::System { what, source },
        }
    }
}

/// The kernel's source. Dropping it removes its entry.
pub struct ConfigfsSource {
    root: PathBuf,
    provider: String,
    entry: Option<Entry>,
}

impl ConfigfsSource {
    /// Opens the source below `root` ([`CONFIGFS_ROOT`] but for tests): removes what killed guests left, makes an entry
    /// and learns the provider.
    ///
    /// # Errors
    /// [`EvidenceError::Configfs`].
    pub fn open(root: &Path) -> Result<Self, EvidenceError> {
        if !root.is_dir() {
            return Err(missing(root).into());
        }
        sweep(root);
        let entry = Entry::make(root)?;
        let provider = entry.provider()?;
        if provider != TDX && provider != SNP {
            return Err(ConfigfsError::UnknownProvider(provider).into());
        }
        entry.set_privilege_level()?;
        Ok(Self { root: root.to_owned(), provider, entry: Some(entry) })
    }

    fn entry(&mut self) -> Result<&Entry, ConfigfsError> {
        let entry = match self.entry.take() {
            Some(entry) => entry,
            None => {
                let entry = Entry::make(&self.root)?;
                self.same_provider(&entry)?;
                entry.set_privilege_level()?;
                entry
            }
        };
        Ok(self.entry.insert(entry))
    }

    fn same_provider(&self, entry: &Entry) -> Result<(), ConfigfsError> {
        let after = entry.provider()?;
        if after == self.provider {
            return Ok(());
        }
        Err(ConfigfsError::ProviderChanged { before: self.provider.clone(), after })
    }
}

impl EvidenceSource for ConfigfsSource {
    fn write_inblob(&mut self, report_data: &[u8; 64]) -> Result<(), EvidenceError> {
        Ok(self.entry()?.write("inblob", report_data)?)
    }

    fn read_outblob(&mut self) -> Result<Vec<u8>, EvidenceError> {
        let outblob = self.entry()?.read("outblob", OUTBLOB_BYTES_MAX)?;
        let entry = self.entry.take().ok_or(ConfigfsError::Vanished)?;
        self.same_provider(&entry)?;
        self.entry = Some(entry);
        Ok(outblob)
    }

    fn read_auxblob(&mut self) -> Result<Vec<u8>, EvidenceError> {
        if self.provider != SNP {
            return Ok(Vec::new());
        }
        match self.entry()?.read("auxblob", OUTBLOB_BYTES_MAX) {
            // A host without certificates shows no such file, or an empty one.
            Err(ConfigfsError::Vanished) => Ok(Vec::new()),
            read => Ok(read?),
        }
    }

    fn generation(&mut self) -> Result<u64, EvidenceError> {
        Ok(self.entry()?.number("generation")?)
    }

    fn provider(&self) -> &str {
        &self.provider
    }

    fn reset(&mut self) {
        self.entry = None;
    }
}

/// Why the root is not there.
fn missing(root: &Path) -> ConfigfsError {
    // `tsm/report` below the mount point, which is empty, or no directory, while nothing is mounted there.
    let is_mounted = root
        .parent()
        .and_then(Path::parent)
        .is_some_and(|mount| fs::read_dir(mount).is_ok_and(|mut entries| entries.next().is_some()));
    if is_mounted { ConfigfsError::NoModule(root.to_owned()) } else { ConfigfsError::NotMounted(root.to_owned()) }
}

/// Tells this process's entries from those of an earlier one with the same number.
fn token() -> u64 {
    static TOKEN: OnceLock<u64> = OnceLock::new();
    *TOKEN.get_or_init(rand::random)
}

/// Removes the entries of guests that are no more.
fn sweep(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(is_stale) {
            match fs::remove_dir(entry.path()) {
                Ok(()) => tracing::info!(entry = %entry.path().display(), "removed what a killed guest left"),
                Err(error) => tracing::warn!(%error, entry = %entry.path().display(), "a stale entry stays"),
            }
        }
    }
}

/// Whether this names an entry of a process that is gone. Where processes cannot be seen, an entry in use may be taken
/// for stale: its owner makes another one.
fn is_stale(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(NAME_PREFIX) else { return false };
    let mut parts = rest.split('-');
    let (Some(process), Some(owner), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let Ok(number) = process.parse::<u32>() else { return false };
    if number == process::id() {
        owner != format!("{:016x}", token())
    } else {
        !Path::new("/proc").join(process).exists()
    }
}

/// One entry below the root.
struct Entry(PathBuf);

impl Drop for Entry {
    fn drop(&mut self) {
        // If it is gone already, that is what was wanted; if it stays, the next start removes it.
        let _ = fs::remove_dir(&self.0);
    }
}

impl Entry {
    fn make(root: &Path) -> Result<Self, ConfigfsError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        for _ in 0..NAMES_MAX {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = root.join(format!("{NAME_PREFIX}{}-{:016x}-{number}", process::id(), token()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(ConfigfsError::of("making an entry", root, error)),
            }
        }
        Err(ConfigfsError::NoName(root.to_owned()))
    }

    fn write(&self, name: &'static str, bytes: &[u8]) -> Result<(), ConfigfsError> {
        let path = self.0.join(name);
        // One write of everything: the kernel takes an attribute as a whole.
        let write = || OpenOptions::new().write(true).open(&path)?.write_all(bytes);
        write().map_err(|error| ConfigfsError::of(name, &path, error))
    }

    fn read(&self, name: &'static str, bytes_max: usize) -> Result<Vec<u8>, ConfigfsError> {
        let path = self.0.join(name);
        let mut bytes = Vec::new();
        let mut read = || File::open(&path)?.take(bytes_max as u64 + 1).read_to_end(&mut bytes);
        read().map_err(|error| ConfigfsError::of(name, &path, error))?;
        if bytes.len() > bytes_max {
            return Err(ConfigfsError::TooLong(name, bytes_max));
        }
        Ok(bytes)
    }

    fn text(&self, name: &'static str) -> Result<String, ConfigfsError> {
        let text = String::from_utf8(self.read(name, TEXT_BYTES_MAX)?).map_err(|_| ConfigfsError::Malformed(name))?;
        Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }

    fn number(&self, name: &'static str) -> Result<u64, ConfigfsError> {
        let text = self.text(name)?;
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_plain).ok_or(ConfigfsError::Malformed(name))
    }

    fn provider(&self) -> Result<String, ConfigfsError> {
        let name = self.text("provider")?;
        let is_plain =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if is_plain { Ok(name) } else { Err(ConfigfsError::Malformed("provider")) }
    }

    /// Asks for reports of the most privileged level that this guest runs at, where levels exist (SEV-SNP).
    fn set_privilege_level(&self) -> Result<(), ConfigfsError> {
        match self.number("privlevel_floor") {
            Ok(floor) => self.write("privlevel", floor.to_string().as_bytes()),
            Err(ConfigfsError::Vanished) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
