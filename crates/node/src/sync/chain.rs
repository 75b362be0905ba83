//! Which chain it is: the genesis that a source tells counts where a certificate of the network key covers its digest.

use std::path::Path;

use freehold_crypto::genesis_hash;
use freehold_primitives::{Genesis, Height, NetworkKey, SuccessionRecord};
use freehold_rpc::{Endpoint, NodeClient, VerifiedClient, VerifiedError};
use freehold_verify::{ChainTrust, NetworkKeys, VerifiedHeader};
use tokio::time::{Duration, sleep};

use super::{
    error::{Lie, SyncError},
    sources::{Fault, Sources},
};
use crate::{
    genesis::{read_genesis, write_genesis},
    store::{BlockStore, StoreIdentity},
};

/// Pause between two looks for a certificate, and how many.
const POLL: Duration = Duration::from_millis(250);
const POLLS_MAX: u32 = 160;

/// The chain of the network key.
#[derive(Clone)]
pub(crate) struct SourceChain {
    pub(crate) genesis: Genesis,
    /// With the key that whoever runs this node trusts, which may be a later one than the genesis'.
    pub(crate) trust: ChainTrust,
}

impl SourceChain {
    /// The chain of the folder, or on first use the sources' chain, which the folder then keeps.
    pub(crate) async fn open(sources: &Sources, network_key: &NetworkKey, folder: &Path) -> Result<Self, SyncError> {
        if let Some(genesis) = read_genesis(folder)? {
            let chain = Self { trust: trust(&genesis, network_key), genesis };
            // Where the records here do not lead to the key, the sources may have those that do.
            if chain.keys(&chain.kept(folder)).is_none() {
                match chain.successions(sources, network_key).await {
                    Ok(_) => {}
                    Err(SyncError::Lied { lie: Lie::Succession, .. }) => {
                        return Err(SyncError::OtherNetwork(folder.to_path_buf()));
                    }
                    Err(error) => return Err(error),
                }
            }
            return Ok(chain);
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

    /// The chain of a genesis that is known.
    pub(crate) fn known(genesis: Genesis, network_key: &NetworkKey) -> Self {
        Self { trust: trust(&genesis, network_key), genesis }
    }

    /// The newest header that any source proves, above `seen`; `None` where none of those that answer has a newer one. All are
    /// asked, since one may be behind, or hold back what is new.
    pub(crate) async fn newest(
        &self,
        sources: &Sources,
        seen: Option<Height>,
    ) -> Result<Option<VerifiedHeader>, SyncError> {
        let trust = self.trust;
        let (mut newest, mut answered, mut failed): (Option<VerifiedHeader>, _, _) = (None, false, None);
        for _ in 0..sources.count() {
            let asked = sources.ask("its newest block", |node| async move {
                VerifiedClient::new(node, trust).newest_above(seen).await.map_err(unverified)
            });
            match asked.await {
                Ok(header) => {
                    answered = true;
                    newest = newest.into_iter().chain(header).max_by_key(VerifiedHeader::height);
                }
                Err(error) => failed = Some(error),
            }
            sources.rotate();
        }
        match failed {
            Some(error) if !answered => Err(error),
            _ => Ok(newest),
        }
    }

    /// The network keys from the genesis' on, along all records there are; `None` where those do not hold, or do not lead over
    /// the key that is trusted.
    pub(crate) fn keys(&self, records: &[SuccessionRecord]) -> Option<NetworkKeys> {
        let first = freehold_consensus::network_key(&self.genesis).ok()?;
        let keys = NetworkKeys::walk(&ChainTrust { network_key: first, ..self.trust }, records).ok()?;
        let leads = keys.all().any(|(_, key)| *key == self.trust.network_key);
        leads.then_some(keys)
    }

    /// Every record of the chain, as a source tells and as they lead over the trusted key and over `key`.
    pub(crate) async fn successions(
        &self,
        sources: &Sources,
        key: &NetworkKey,
    ) -> Result<Vec<SuccessionRecord>, SyncError> {
        let asked = sources.ask("the succession records", |node| async move {
            let records = node.successions().await?;
            let keys = self.keys(&records).ok_or(Lie::Succession)?;
            let leads = keys.all().any(|(_, other)| other == key);
            if leads { Ok(records) } else { Err(Fault::Missing(format!("no records that lead to {key}"))) }
        });
        asked.await
    }

    /// The records in the folder's store; none where it cannot be read, which is for whoever opens it next.
    fn kept(&self, folder: &Path) -> Vec<SuccessionRecord> {
        let path = folder.join("blocks.redb");
        let identity = StoreIdentity { chain_id: self.trust.chain_id, genesis_hash: self.trust.genesis_hash };
        if !path.exists() {
            return Vec::new();
        }
        BlockStore::open(&path, &identity).and_then(|store| store.successions()).unwrap_or_default()
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
