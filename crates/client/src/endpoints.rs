//! What a data directory knows of its network: where its node and app listen, and which network key is pinned.
//!
//! `up` writes `endpoints.json` when it is ready; `ask`, `chat` and `status` read it. The network key is pinned in a file
//! of its own, written once: a directory never changes its network silently.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use freehold_primitives::{AppId, Digest, NetworkKey};
use freehold_rpc::Endpoint;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Name of the file with the endpoints.
pub const ENDPOINTS_FILE: &str = "endpoints.json";
/// Name of the file with the pinned network key.
pub const NETWORK_KEY_FILE: &str = "network_key";
/// Largest of these files, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// Where a running network answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoints {
    /// The node's JSON-RPC, as `http://host:port`.
    pub rpc: String,
    /// The app's HTTP API; `None` where no app runs.
    pub api: Option<String>,
    /// The network key.
    pub network_key: NetworkKey,
    /// Chain id.
    pub chain_id: u64,
    /// Digest of the genesis.
    pub genesis_hash: Digest,
    /// The app; `None` where none runs.
    pub app_id: Option<AppId>,
}

/// Why a data directory tells nothing.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EndpointsError {
    /// No network was started from this directory.
    #[error("no network was started from {}: start one with `freehold up`, or name another with --data-dir", .0.display())]
    None(PathBuf),
    /// A file cannot be read or written.
    #[error("{} cannot be read or written: {source}; check the free space and the rights of the folder", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} does not hold what it should: {reason}; remove it and start `freehold up` again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another network's key is pinned.
    #[error("{} pins another network key: this directory belongs to another network, choose one with --data-dir", .0.display())]
    OtherNetwork(PathBuf),
}

impl Endpoints {
    /// Writes `endpoints.json` in one step, and pins the network key.
    ///
    /// # Errors
    /// [`EndpointsError::Io`], [`EndpointsError::OtherNetwork`], [`EndpointsError::Malformed`].
    pub fn save(&self, data_dir: &Path) -> Result<(), EndpointsError> {
        pin_network_key(data_dir, &self.network_key)?;
        let path = data_dir.join(ENDPOINTS_FILE);
        let mut text = serde_json::to_string(self)
            .map_err(|error| EndpointsError::Malformed { path: path.clone(), reason: error.to_string() })?;
        text.push('\n');
        replace(&path, &text)
    }

    /// Reads `endpoints.json`.
    ///
    /// # Errors
    /// Every [`EndpointsError`]; [`EndpointsError::OtherNetwork`] when it names another key than the pinned one.
    pub fn load(data_dir: &Path) -> Result<Self, EndpointsError> {
        let path = data_dir.join(ENDPOINTS_FILE);
        let text = read(&path)?.ok_or_else(|| EndpointsError::None(data_dir.to_owned()))?;
        let endpoints: Self = serde_json::from_str(&text)
            .map_err(|error| EndpointsError::Malformed { path: path.clone(), reason: error.to_string() })?;
        match pinned_network_key(data_dir)? {
            Some(key) if key != endpoints.network_key => Err(EndpointsError::OtherNetwork(path)),
            _ => Ok(endpoints),
        }
    }

    /// Removes `endpoints.json`, when the network stops. The pinned key stays.
    ///
    /// # Errors
    /// [`EndpointsError::Io`].
    pub fn remove(data_dir: &Path) -> Result<(), EndpointsError> {
        let path = data_dir.join(ENDPOINTS_FILE);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(EndpointsError::Io { path, source }),
            _ => Ok(()),
        }
    }

    /// The node's endpoint.
    ///
    /// # Errors
    /// [`freehold_rpc::EndpointError`].
    pub fn rpc_endpoint(&self) -> Result<Endpoint, freehold_rpc::EndpointError> {
        self.rpc.parse()
    }
}

/// The network key that a data directory pins; `None` where it pins none.
///
/// # Errors
/// [`EndpointsError::Io`], [`EndpointsError::Malformed`].
pub fn pinned_network_key(data_dir: &Path) -> Result<Option<NetworkKey>, EndpointsError> {
    let path = data_dir.join(NETWORK_KEY_FILE);
    let Some(text) = read(&path)? else { return Ok(None) };
    match text.trim_end().parse() {
        Ok(key) => Ok(Some(key)),
        Err(error) => Err(EndpointsError::Malformed { path, reason: format!("{error}") }),
    }
}

/// Pins the network key of a data directory; the first pin stays.
///
/// # Errors
/// [`EndpointsError::OtherNetwork`] where another key is pinned; [`EndpointsError::Io`], [`EndpointsError::Malformed`].
pub fn pin_network_key(data_dir: &Path, key: &NetworkKey) -> Result<(), EndpointsError> {
    match pinned_network_key(data_dir)? {
        Some(pinned) if pinned == *key => Ok(()),
        Some(_) => Err(EndpointsError::OtherNetwork(data_dir.join(NETWORK_KEY_FILE))),
        None => replace(&data_dir.join(NETWORK_KEY_FILE), &format!("{key}\n")),
    }
}

/// Pins another network key, which whoever calls has proven to follow on the one before (`spec/succession.md`).
///
/// # Errors
/// [`EndpointsError::Io`].
pub fn repin_network_key(data_dir: &Path, key: &NetworkKey) -> Result<(), EndpointsError> {
    replace(&data_dir.join(NETWORK_KEY_FILE), &format!("{key}\n"))
}

fn read(path: &Path) -> Result<Option<String>, EndpointsError> {
    let failed = |source| EndpointsError::Io { path: path.to_owned(), source };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
            return Err(EndpointsError::Malformed { path: path.to_owned(), reason: "it is too long".to_owned() });
        }
        Ok(_) => {}
    }
    fs::read_to_string(path).map(Some).map_err(failed)
}

/// Writes beside the file and moves into place, so that a reader sees the old text or the new one.
fn replace(path: &Path, text: &str) -> Result<(), EndpointsError> {
    let failed = |source| EndpointsError::Io { path: path.to_owned(), source };
    let beside = path.with_extension("new");
    fs::write(&beside, text).map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)
}
