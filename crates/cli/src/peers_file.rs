//! `peers.toml` in a validator's folder: where it listens, where others were when it joined, and whom it asks for the state
//! (`docs/validators.md`).
//!
//! Nothing in it is trusted: a wrong address is one that nobody answers at. Later addresses come from the chain.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::{Context as _, Result};
use freehold_primitives::Ed25519Key;
use freehold_rpc::Endpoint;
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
    /// Nodes whose JSON-RPC it asks for the network's state where it has no blocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "endpoints")]
    pub(crate) sync_from: Vec<Endpoint>,
    #[serde(default)]
    pub(crate) peers: Vec<KnownPeer>,
}

/// Endpoints as texts.
mod endpoints {
    use freehold_rpc::Endpoint;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(endpoints: &[Endpoint], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(endpoints.iter().map(ToString::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Endpoint>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| text.parse().map_err(D::Error::custom)).collect()
    }
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
