//! Transactions: found by hash in the blocks that nodes name, and passed on.
//!
//! That there is no transaction of some hash cannot be proven: every node is asked, and then it is taken for not there.

use std::{sync::Arc, time::Instant};

use alloy_consensus::{Transaction as _, transaction::SignerRecoverable as _};
use alloy_eips::Decodable2718 as _;
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rpc_types_eth::TransactionReceipt;
use freehold_primitives::Digest;
use freehold_rpc::{BlockView, EthTransaction, HexBytes, NodeError, QuantityU64, VerifiedClient, pending_transaction};
use freehold_verify::{Envelope, VerifiedBlock};
use serde::Deserialize;
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    error::LightError,
    head::{LightClient, locked},
};

/// Most transactions whose nonces are remembered.
const SENT_MAX: usize = 4_096;

/// Where a node says that a transaction is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    #[serde(default)]
    block_number: Option<QuantityU64>,
}

/// A block and the index of a transaction in it.
type Found = (Arc<VerifiedBlock>, usize);

impl LightClient {
    /// The proven place of a transaction.
    async fn find_transaction(&self, hash: B256) -> Result<Option<Found>, LightError> {
        let newest = self.head().await?.height();
        self.upstreams
            .find(|node| async move {
                let hint: Option<Place> = node.node().call("eth_getTransactionByHash", json!([hash])).await?;
                let height = hint.and_then(|place| place.block_number).map(|height| height.0);
                // Executed, but not proven yet: it waits like one in the pool.
                let Some(height) = height.filter(|height| *height <= newest) else { return Ok(None) };
                let block = self.block_of(&node, height).await?;
                let index = block.transactions().iter().position(|tx| *tx.envelope.tx_hash() == hash);
                index.map(|index| Some((block, index))).ok_or(LightError::WrongPlace(height))
            })
            .await
    }

    /// A transaction by its hash: in a block, proven; or in a node's pool, where its bytes give the hash.
    ///
    /// # Errors
    /// Every [`LightError`].
    pub async fn transaction(&self, hash: B256) -> Result<Option<EthTransaction>, LightError> {
        if let Some((block, index)) = self.find_transaction(hash).await? {
            return Ok(BlockView::from(&*block).transaction(index));
        }
        self.upstreams.find(|node| async move { waiting(&node, hash).await }).await
    }

    /// The receipt of a transaction, once its block is proven.
    ///
    /// # Errors
    /// Every [`LightError`].
    pub async fn receipt(&self, hash: B256) -> Result<Option<TransactionReceipt>, LightError> {
        let found = self.find_transaction(hash).await?;
        Ok(found.and_then(|(block, index)| BlockView::from(&*block).receipt(index)))
    }

    /// Passes a signed transaction to every node; its hash is computed here.
    ///
    /// # Errors
    /// [`LightError::Request`] where it is none; what the nodes say where none takes it;
    /// [`LightError::OtherTransaction`] where a node answers with another hash.
    pub async fn send_raw(&self, raw: &Bytes) -> Result<B256, LightError> {
        let envelope = Envelope::decode_2718_exact(raw).map_err(|_| LightError::Request("this is no transaction"))?;
        let sender = envelope.recover_signer().map_err(|_| LightError::Request("the signature has no signer"))?;
        let hash = keccak256(raw);
        let mut sending = JoinSet::new();
        for (_, node) in self.upstreams.in_order() {
            let (node, raw) = (node.clone(), raw.to_vec());
            sending.spawn(async move { node.node().send_raw_transaction(raw).await });
        }
        let mut refusal = LightError::NoNodes;
        loop {
            match sending.join_next().await {
                Some(Ok(Ok(said))) if said == Digest(hash.0) => break,
                Some(Ok(Ok(_))) => refusal = LightError::OtherTransaction(Digest(hash.0)),
                // What a node says of the transaction counts for more than that another is away.
                Some(Ok(Err(error))) if !matches!(error, NodeError::Unreachable(_)) => refusal = error.into(),
                Some(Ok(Err(error))) if matches!(refusal, LightError::NoNodes) => refusal = error.into(),
                Some(_) => {}
                None => return Err(refusal),
            }
        }
        // One has it; the others get it while the caller goes on.
        sending.detach_all();
        let mut sent = locked(&self.sent);
        sent.insert((sender, envelope.nonce()), Instant::now());
        if sent.len() > SENT_MAX {
            let oldest = sent.iter().min_by_key(|(_, at)| **at).map(|(key, _)| *key);
            oldest.map(|key| sent.remove(&key));
        }
        Ok(hash)
    }
}

/// A transaction in a node's pool.
async fn waiting(node: &VerifiedClient, hash: B256) -> Result<Option<EthTransaction>, LightError> {
    let raw: Option<HexBytes> = node.node().call("eth_getRawTransactionByHash", json!([hash])).await?;
    let Some(raw) = raw else { return Ok(None) };
    let other = || LightError::OtherTransaction(Digest(hash.0));
    let envelope = Envelope::decode_2718_exact(&raw.0).map_err(|_| other())?;
    if keccak256(&raw.0) != hash {
        return Err(other());
    }
    let sender = envelope.recover_signer().map_err(|_| other())?;
    Ok(Some(pending_transaction(envelope, sender)))
}
