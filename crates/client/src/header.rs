//! A header file: how an instance stands on the chain now, fetched and checked (`spec/proof-bundle.md` §6).
//!
//! What is returned stands under a certificate of the network key; the node can withhold it, not forge it.

use freehold_crypto::genesis_hash;
use freehold_primitives::{Digest, NetworkKey};
use freehold_rpc::{NodeClient, NodeError};
use freehold_verify::{AsOfHeader, ChainTrust, DocumentError, HeaderFileError, NetworkKeys, verify_header_file};
use thiserror::Error;

use crate::collect::{CollectError, header_file};

/// Why there is no header file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// The node gave no usable answer.
    #[error("the node: {0}; is the network up? `freehold status` tells")]
    Node(#[source] Box<NodeError>),
    /// The parts cannot be had.
    #[error(transparent)]
    Collect(#[from] CollectError),
    /// The document cannot be written.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// What the node gave does not hold under the network key.
    #[error("{0}; ask another node, or check --network-key")]
    Unverified(#[from] HeaderFileError),
}

impl From<NodeError> for HeaderError {
    fn from(source: NodeError) -> Self {
        Self::Node(Box::new(source))
    }
}

/// A checked header file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedHeader {
    /// The file.
    pub text: String,
    /// Its header.
    pub as_of: AsOfHeader,
}

/// Fetches the newest finalised header with what it says of an instance, and checks it under the network key.
///
/// # Errors
/// Every [`HeaderError`].
pub async fn fetch_header(
    node: &NodeClient,
    network_key: NetworkKey,
    instance_id: Digest,
) -> Result<SavedHeader, HeaderError> {
    let genesis = node.genesis().await?;
    let trust = ChainTrust { network_key, chain_id: genesis.chain_id, genesis_hash: genesis_hash(&genesis) };
    let text = header_file(node, instance_id).await?.to_text()?;
    let keys = NetworkKeys::walk_served(&trust, &node.successions().await?);
    let keys = keys.unwrap_or(NetworkKeys::one(network_key));
    let as_of = verify_header_file(&text, (&trust, &keys), &instance_id)?;
    Ok(SavedHeader { text, as_of })
}
