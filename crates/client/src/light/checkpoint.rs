//! A checkpoint: the newest header that was seen, with the certificate over it, in a file (`spec/rpc.md`).
//!
//! Invariant: a file counts only where it verifies under the network key, and one that is there is never replaced by an
//! older one: a client that starts again does not go back.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use freehold_primitives::Height;
use freehold_rpc::{ChainTrust, Finality};
use freehold_verify::{FinalityError, FinalityProof, NetworkKeys, VerifiedHeader, verify_finality_under};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{error::LightError, head::LightClient};

/// The word that opens every checkpoint of this version.
pub const CHECKPOINT_FORMAT: &str = "freehold.checkpoint/1";
/// Longest file, in bytes: 17 headers of 1 KiB in hex, and two small documents.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Why a checkpoint cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be read or written.
    #[error("{} cannot be read or written: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no checkpoint.
    #[error("{} is no checkpoint: remove it to begin without one", .0.display())]
    Malformed(PathBuf),
    /// It is not of this network, or damaged.
    #[error("{} does not hold under the network key: {source}", path.display())]
    Unverified {
        /// The file.
        path: PathBuf,
        /// Why.
        source: FinalityError,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    finality: Finality,
}

fn proof_of(finality: Finality) -> FinalityProof {
    FinalityProof {
        headers: finality.headers.into_iter().map(|header| header.0).collect(),
        payload_head: finality.payload_head.0,
        certificate: finality.certificate.0,
    }
}

/// The header of a checkpoint; `None` where there is no file.
pub(crate) fn load(
    path: &Path,
    keys: &NetworkKeys,
    trust: &ChainTrust,
) -> Result<Option<VerifiedHeader>, CheckpointError> {
    let failed = |source| CheckpointError::Io { path: path.to_owned(), source };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(found) if found.len() > FILE_BYTES_MAX => return Err(CheckpointError::Malformed(path.to_owned())),
        Ok(_) => {}
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let document: Document = serde_json::from_str(&text).map_err(|_| CheckpointError::Malformed(path.to_owned()))?;
    if document.format != CHECKPOINT_FORMAT {
        return Err(CheckpointError::Malformed(path.to_owned()));
    }
    let unverified = |source| CheckpointError::Unverified { path: path.to_owned(), source };
    let headers = verify_finality_under(trust, keys, &proof_of(document.finality)).map_err(unverified)?;
    Ok(Some(*headers.last()))
}

/// Writes the certificate over a height into the file, in one step. A node that has it not now is asked at the next time.
pub(crate) async fn save(client: &LightClient, path: &Path, height: Height) -> Result<(), LightError> {
    let found = client
        .upstreams
        .find(|node| async move {
            let Some(finality) = node.node().finality(height).await? else { return Ok(None) };
            let headers = verify_finality_under(client.trust(), &node.network_keys(), &proof_of(finality.clone()));
            let headers = headers.map_err(freehold_rpc::VerifiedError::from)?;
            Ok((headers.first().height() == height).then_some(finality))
        })
        .await;
    let Ok(Some(finality)) = found else { return Ok(()) };
    let document = Document { format: CHECKPOINT_FORMAT.to_owned(), finality };
    let text = serde_json::to_string(&document).map_err(|_| CheckpointError::Malformed(path.to_owned()))?;
    let failed = |source| CheckpointError::Io { path: path.to_owned(), source };
    let beside = path.with_extension("new");
    fs::write(&beside, text + "\n").map_err(failed)?;
    fs::rename(&beside, path).map_err(failed)?;
    Ok(())
}
