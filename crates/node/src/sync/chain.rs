//! Which chain it is: the genesis that a source tells counts where a certificate of the network key covers its digest.

use std::path::Path;

use freehold_crypto::genesis_hash;
use freehold_primitives::{Genesis, Height, NetworkKey};
use freehold_rpc::{Endpoint, NodeClient, VerifiedClient, VerifiedError};
use freehold_verify::{ChainTrust, VerifiedHeader};
use tokio::time::{Duration, sleep};

use super::{
    error::{Lie, SyncError},
    sources::{Fault, Sources},
};
use crate::genesis::{read_genesis, write_genesis};

/// Pause between two looks for a certificate, and how many.
const POLL: Duration = Duration::from_millis(250);
const POLLS_MAX: u32 = 160;

/// The chain of the network key.
#[derive(Clone)]
pub(crate) struct SourceChain {
    pub(crate) genesis: Genesis,
    pub(crate) trust: ChainTrust,
}

impl SourceChain {
    /// The chain of the folder, or on first use the sources' chain, which the folder then keeps.
    pub(crate) async fn open(sources: &Sources, network_key: &NetworkKey, folder: &Path) -> Result<Self, SyncError> {
        if let Some(genesis) = read_genesis(folder)? {
            let known = freehold_consensus::network_key(&genesis).is_ok_and(|key| key == *network_key);
            return if known {
                Ok(Self { trust: trust(&genesis, network_key), genesis })
            } else {
                Err(SyncError::OtherNetwork(folder.to_path_buf()))
            };
        }
        let mut polls = 0;
        let genesis = loop {
            match sources.ask("the genesis", |node| told(node, network_key)).await {
                Ok(genesis) => break genesis,
                // The first block of a network is not final yet, or its nodes are about to start.
                Err(SyncError::NotKept { .. } | SyncError::Away { .. }) if polls < POLLS_MAX => polls += 1,
                Err(error) => return Err(error),
            }
            sleep(POLL).await;
        };
        write_genesis(folder, &genesis)?;
        Ok(Self { trust: trust(&genesis, network_key), genesis })
    }

    /// The certified header at a height that a source has executed.
    pub(crate) async fn header(&self, sources: &Sources, height: Height) -> Result<VerifiedHeader, SyncError> {
        for _ in 0..POLLS_MAX {
            let trust = self.trust;
            let asked = sources.ask("a certificate", |node| async move {
                match VerifiedClient::new(node, trust).headers(height).await {
                    Ok(Some(headers)) => Ok(*headers.first()),
                    Ok(None) => Err(Fault::Missing("none yet".to_owned())),
                    Err(error) => Err(unverified(error)),
                }
            });
            match asked.await {
                Err(SyncError::NotKept { .. } | SyncError::Away { .. }) => sleep(POLL).await,
                other => return other,
            }
        }
        Err(SyncError::NotFinal(height))
    }
}

/// The genesis of the chain that the nodes serve, proven by the network key and kept in the folder; one that stands there already
/// is not asked for again.
///
/// # Errors
/// [`SyncError`] where no node proves its chain within half a minute, or the folder is of another network.
pub async fn chain_genesis(nodes: &[Endpoint], network_key: &NetworkKey, folder: &Path) -> Result<Genesis, SyncError> {
    Ok(SourceChain::open(&Sources::new(nodes)?, network_key, folder).await?.genesis)
}

async fn told(node: NodeClient, network_key: &NetworkKey) -> Result<Genesis, Fault> {
    let genesis = node.genesis().await?;
    let verified = VerifiedClient::new(node, trust(&genesis, network_key));
    match verified.newest_above(None).await {
        Ok(Some(_)) => Ok(genesis),
        Ok(None) => Err(Fault::Missing("no block is final yet".to_owned())),
        Err(VerifiedError::Finality(_)) => Err(Lie::Genesis.into()),
        Err(error) => Err(unverified(error)),
    }
}

/// What a client's refusal means for the source.
pub(super) fn unverified(error: VerifiedError) -> Fault {
    match error {
        VerifiedError::Node(error) => error.into(),
        VerifiedError::Finality(error) => Lie::Finality(error).into(),
        VerifiedError::Block(error) => Lie::Block(error).into(),
        VerifiedError::NotFinal(height) => Fault::Missing(format!("height {height} is not final")),
        other => Lie::Form(other.to_string()).into(),
    }
}

fn trust(genesis: &Genesis, network_key: &NetworkKey) -> ChainTrust {
    ChainTrust { network_key: *network_key, chain_id: genesis.chain_id, genesis_hash: genesis_hash(genesis) }
}
