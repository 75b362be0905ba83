//! Extending RTMR3 of the TD that this process runs in, and reading it back.
//!
//! Linux 6.16 and newer offer the register as a file of 48 bytes; older guest kernels of the cloud vendors a command of
//! `/dev/tdx_guest`. Invariant: an extension counts only when the register then reads as the hash of its old value and
//! the digest; a register is never set back, so nothing is tried twice.

mod device;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use freehold_attestation::{AppEvent, Refusal, app_event_digest, extended};
use freehold_primitives::Register;
use freehold_rpc::EventLogEntry;
use thiserror::Error;

/// Where the kernel shows a TD's registers.
pub const MEASUREMENTS_ROOT: &str = "/sys/devices/virtual/misc/tdx_guest/measurements";
/// The TD's device.
pub const TDX_GUEST_DEVICE: &str = "/dev/tdx_guest";
/// The register's index in event logs.
const RTMR3_INDEX: u32 = 3;
/// The register's file below the root: name and hash.
const RTMR3_FILE: &str = "rtmr3:sha384";

/// Why RTMR3 could not be read or extended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RtmrError {
    /// Neither file nor device.
    #[error(
        "this kernel extends no register of a TD: use Linux 6.16 or newer with CONFIG_INTEL_TDX_GUEST, load \
         `tdx_guest`, and run in an Intel TDX VM"
    )]
    Unavailable,
    /// The kernel's file or device failed.
    #[error("{} failed: {source}", .path.display())]
    System {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The register's file does not hold 48 bytes.
    #[error("the register's file holds {0} bytes instead of 48")]
    Length(usize),
    /// The register did not become what the extension gives.
    #[error("RTMR3 did not become {expected} but {found}: something else extends it at the same time")]
    ReadBack {
        /// What the extension gives.
        expected: Register,
        /// What the register holds.
        found: Register,
    },
    /// The register holds what is neither nothing nor this log.
    #[error(
        "RTMR3 holds {found}, which is neither empty nor what the event log gives: something else was measured into this \
         TD; start the VM anew"
    )]
    Foreign {
        /// What it holds.
        found: Register,
    },
    /// An event of the log names no digest of 48 bytes.
    #[error("event {0} of the log has no digest of 48 bytes in hex")]
    Digest(usize),
    /// The event has no digest.
    #[error("the event cannot be measured: {0}")]
    Event(#[from] Refusal),
}

/// RTMR3 of this TD.
pub struct Rtmr3 {
    path: PathBuf,
    device: Option<File>,
}

impl Rtmr3 {
    /// Opens the register below `measurements` ([`MEASUREMENTS_ROOT`]), or else by `device` ([`TDX_GUEST_DEVICE`]).
    ///
    /// # Errors
    /// [`RtmrError::Unavailable`], [`RtmrError::System`].
    pub fn open(measurements: &Path, device: &Path) -> Result<Self, RtmrError> {
        let path = measurements.join(RTMR3_FILE);
        if path.exists() {
            return Ok(Self { path, device: None });
        }
        match OpenOptions::new().read(true).write(true).open(device) {
            Ok(file) => Ok(Self { path: device.to_owned(), device: Some(file) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(RtmrError::Unavailable),
            Err(source) => Err(RtmrError::System { path: device.to_owned(), source }),
        }
    }

    /// Its value.
    ///
    /// # Errors
    /// [`RtmrError::System`], [`RtmrError::Length`].
    pub fn read(&self) -> Result<Register, RtmrError> {
        if let Some(device) = &self.device {
            return device::read_rtmr3(device).map_err(|source| self.failed(source));
        }
        let bytes = fs::read(&self.path).map_err(|source| self.failed(source))?;
        bytes.as_slice().try_into().map(Register).map_err(|_| RtmrError::Length(bytes.len()))
    }

    /// Extends it by a digest and gives its new value.
    ///
    /// # Errors
    /// Every [`RtmrError`] but `Event`.
    pub fn extend(&self, digest: &Register) -> Result<Register, RtmrError> {
        let expected = extended(&self.read()?, &digest.0);
        let extend = || match &self.device {
            Some(device) => device::extend_rtmr3(device, digest),
            // One write of the whole digest; the kernel takes no other.
            None => OpenOptions::new().write(true).open(&self.path)?.write_all(&digest.0),
        };
        extend().map_err(|source| self.failed(source))?;
        let found = self.read()?;
        if found == expected { Ok(found) } else { Err(RtmrError::ReadBack { expected, found }) }
    }

    /// Extends it by an app-level event and gives its new value; the caller logs the event.
    ///
    /// # Errors
    /// Every [`RtmrError`].
    pub fn extend_by(&self, event: &AppEvent) -> Result<Register, RtmrError> {
        self.extend(&app_event_digest(event)?)
    }

    /// Measures the boot: extends the register by every event of the log that is of it, in order. A register that holds
    /// the log already, since this is not the TD's first guest, is left as it is.
    ///
    /// # Errors
    /// Every [`RtmrError`] but `Event`.
    pub fn measure(&self, log: &[EventLogEntry]) -> Result<Register, RtmrError> {
        let mut digests = Vec::new();
        for (at, event) in log.iter().enumerate().filter(|(_, event)| event.imr == RTMR3_INDEX) {
            let bytes = hex::decode(&event.digest).ok().and_then(|bytes| bytes.try_into().ok());
            digests.push(Register(bytes.ok_or(RtmrError::Digest(at))?));
        }
        let whole = digests.iter().fold(Register::ZERO, |held, digest| extended(&held, &digest.0));
        let found = self.read()?;
        if found == whole {
            return Ok(found);
        }
        if found != Register::ZERO {
            return Err(RtmrError::Foreign { found });
        }
        for digest in &digests {
            self.extend(digest)?;
        }
        Ok(whole)
    }

    fn failed(&self, source: io::Error) -> RtmrError {
        RtmrError::System { path: self.path.clone(), source }
    }
}
