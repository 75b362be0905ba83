//! What must be known of a rental after a kill: one file for each, written whole before a command is answered.

#[cfg(test)]
mod tests;

use std::{
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use freehold_primitives::{Account, AppId, Digest};
use freehold_rpc::{BUNDLE_SOURCE_BYTES_MAX, COMMAND_SKEW_MS, RentalAction, RentalCommand, RentalRefusal};
use serde::{Deserialize, Serialize};

use super::policy::Refusal;
use crate::whole_file::write_whole;

/// Name of the file in a rental's folder.
const FILE: &str = "rental.json";
/// Largest file, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What is to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    pub(crate) bundle: Digest,
    pub(crate) source: Option<String>,
}

/// Whether it is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wanted {
    Running,
    Stopped,
}

/// A rental as this machine knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) rental: u64,
    pub(crate) offer: u64,
    pub(crate) app_id: AppId,
    pub(crate) renter: Account,
    pub(crate) order: Option<Order>,
    pub(crate) wanted: Wanted,
    /// Counts what changed: whoever runs under an older count starts anew.
    pub(crate) revision: u64,
    /// Time of the newest command that was taken.
    pub(crate) last_command_ms: u64,
    pub(crate) starts: u64,
    /// Port of the app's API, kept so that its address stays.
    pub(crate) api_port: Option<u16>,
    pub(crate) refused: Option<RentalRefusal>,
}

impl Record {
    pub(crate) const fn new(rental: u64, offer: u64, app_id: AppId, renter: Account) -> Self {
        Self {
            rental,
            offer,
            app_id,
            renter,
            order: None,
            wanted: Wanted::Stopped,
            revision: 0,
            last_command_ms: 0,
            starts: 0,
            api_port: None,
            refused: None,
        }
    }

    /// What is to run now.
    pub(crate) fn running(&self) -> Option<&Order> {
        self.order.as_ref().filter(|_| self.wanted == Wanted::Running)
    }

    /// Whether a command counts: of the renter, of now, and, where it changes something, above all that were taken.
    pub(crate) fn judge(&self, command: &RentalCommand, signer: &Account, now_ms: u64) -> Result<(), Refusal> {
        if *signer != self.renter {
            return Err(Refusal::NotTheRenter);
        }
        if command.sent_at_ms.abs_diff(now_ms) > COMMAND_SKEW_MS {
            return Err(Refusal::Stale);
        }
        if command.action.changes() && command.sent_at_ms <= self.last_command_ms {
            return Err(Refusal::Replayed);
        }
        Ok(())
    }

    /// Takes a command that was judged.
    pub(crate) fn take(&mut self, command: &RentalCommand) -> Result<(), Refusal> {
        match &command.action {
            RentalAction::Deploy { bundle, source } => {
                if let Some(source) = source.as_ref().filter(|source| source.len() > BUNDLE_SOURCE_BYTES_MAX) {
                    return Err(Refusal::Source(source.chars().take(100).collect()));
                }
                self.order = Some(Order { bundle: *bundle, source: source.clone() });
                self.wanted = Wanted::Running;
            }
            RentalAction::Start | RentalAction::Restart if self.order.is_none() => return Err(Refusal::NoBundle),
            RentalAction::Start | RentalAction::Restart => self.wanted = Wanted::Running,
            RentalAction::Stop => self.wanted = Wanted::Stopped,
            RentalAction::Report | RentalAction::Logs { .. } => return Ok(()),
        }
        self.refused = None;
        self.revision += 1;
        self.last_command_ms = command.sent_at_ms;
        Ok(())
    }

    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        write_whole(&folder.join(FILE), &serde_json::to_vec(self)?)
    }

    /// The record of a folder; `None` where it was never written.
    pub(crate) fn read(folder: &Path) -> io::Result<Option<Self>> {
        let mut text = Vec::new();
        let file = match fs::File::open(folder.join(FILE)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        file.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
        Ok(Some(serde_json::from_slice(&text)?))
    }
}

/// Where rentals' folders stand.
pub(crate) fn rentals_folder(state_dir: &Path) -> PathBuf {
    state_dir.join("rentals")
}

/// The folder of a rental.
pub(crate) fn rental_folder(state_dir: &Path, rental: u64) -> PathBuf {
    rentals_folder(state_dir).join(rental.to_string())
}

/// Every rental that was served when this machine was last stopped or killed.
pub(crate) fn recall(state_dir: &Path) -> io::Result<Vec<Record>> {
    let folder = rentals_folder(state_dir);
    fs::create_dir_all(&folder)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        match Record::read(&path)? {
            Some(record) if path.ends_with(record.rental.to_string()) => found.push(record),
            Some(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} is of another rental", path.display()),
                ));
            }
            // Killed between folder and file: the rental is looked at again.
            None => fs::remove_dir_all(&path)?,
        }
    }
    found.sort_by_key(|record| record.rental);
    Ok(found)
}
