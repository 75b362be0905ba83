//! What an app's host leaves in its folder for other commands of this machine: where TLS to the app is taken.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::{Context as _, Result};
use freehold_primitives::AppId;
use serde::{Deserialize, Serialize};

/// Name of the file.
const FILE: &str = "ingress.json";
/// Largest file, in bytes.
const BYTES_MAX: u64 = 4096;
/// Most folders of apps that are looked into.
const FOLDERS_MAX: usize = 1024;

/// Where TLS to an app is taken. It is believed for nothing but a place to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::commands) struct IngressNote {
    pub(in crate::commands) address: SocketAddr,
    pub(in crate::commands) app_id: AppId,
}

impl IngressNote {
    /// Writes it into the app's folder.
    pub(super) fn save(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        fs::write(&path, serde_json::to_vec(self)?).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// The newest one of an app, below the folder of a network.
    pub(in crate::commands) fn find(network: &Path, app_id: AppId) -> Option<Self> {
        let folders = fs::read_dir(network.join("apps")).ok()?.flatten().take(FOLDERS_MAX);
        let read = |path: &Path| {
            let about = fs::metadata(path).ok().filter(|about| about.len() <= BYTES_MAX)?;
            let note: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
            (note.app_id == app_id).then_some((about.modified().ok()?, note))
        };
        let notes = folders.filter_map(|folder| read(&folder.path().join(FILE)));
        notes.max_by_key(|(modified, _)| *modified).map(|(_, note)| note)
    }
}
