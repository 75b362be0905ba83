//! `peers.toml` in a validator's folder: where it listens, and where others were when it joined (`docs/validators.md`).
//!
//! Nothing in it is trusted: a wrong address is one that nobody answers at. Later addresses come from the chain.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::{Context as _, Result};
use freehold_primitives::Ed25519Key;
use serde::{Deserialize, Serialize};

const PEERS_FILE: &str = "peers.toml";

/// One validator and where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KnownPeer {
    pub(crate) identity: Ed25519Key,
    pub(crate) address: SocketAddr,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PeersFile {
    /// Where this validator listens.
    pub(crate) listen: SocketAddr,
    #[serde(default)]
    pub(crate) peers: Vec<KnownPeer>,
}

impl PeersFile {
    /// Reads the file of a folder; `None` where there is none.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(PEERS_FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(toml::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes it into a folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(PEERS_FILE);
        fs::write(&path, toml::to_string(self)?).with_context(|| format!("cannot write {}", path.display()))
    }
}
