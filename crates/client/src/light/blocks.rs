//! Blocks of any height, whole.

use std::sync::Arc;

use alloy_consensus::Header;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::B256;
use freehold_primitives::{Digest, Height};
use freehold_rpc::{BlockSummary, VerifiedClient};
use freehold_verify::{VerifiedBlock, VerifiedHeader};
use serde_json::json;

use super::{error::LightError, head::LightClient};

impl LightClient {
    /// The height that a tag names: `latest`, `pending`, `safe` and `finalized` are the newest proven one.
    pub(crate) async fn height_of(&self, tag: BlockNumberOrTag) -> Result<Height, LightError> {
        match tag {
            BlockNumberOrTag::Number(height) => Ok(height),
            BlockNumberOrTag::Earliest => Ok(0),
            _ => Ok(self.head().await?.height()),
        }
    }

    /// The header at a height that the chain has.
    async fn header_of(&self, node: &VerifiedClient, height: Height) -> Result<(VerifiedHeader, Header), LightError> {
        let (headers, header) = node.header(height).await?.ok_or(freehold_rpc::VerifiedError::Withheld(height))?;
        let verified = *headers.first();
        self.note(&verified)?;
        Ok((verified, header))
    }

    /// The block at a height, of one node.
    pub(crate) async fn block_of(
        &self,
        node: &VerifiedClient,
        height: Height,
    ) -> Result<Arc<VerifiedBlock>, LightError> {
        if let Some(block) = self.remembered(height) {
            return Ok(block);
        }
        let (header, _) = self.header_of(node, height).await?;
        self.block_under(node, &header).await
    }

    /// The block of a verified header, of one node.
    pub(crate) async fn block_under(
        &self,
        node: &VerifiedClient,
        header: &VerifiedHeader,
    ) -> Result<Arc<VerifiedBlock>, LightError> {
        if let Some(block) = self.remembered(header.height()) {
            return Ok(block);
        }
        let block = Arc::new(node.block(header).await?);
        self.remember(&block);
        Ok(block)
    }

    /// The whole block at a height; `None` where the chain is not there yet.
    ///
    /// # Errors
    /// Every [`LightError`].
    pub async fn block_at(&self, height: Height) -> Result<Option<Arc<VerifiedBlock>>, LightError> {
        if height > self.head().await?.height() {
            return Ok(None);
        }
        self.upstreams.ask(|node| async move { self.block_of(&node, height).await }).await.map(Some)
    }

    /// The whole block with a hash; `None` where no node knows of it, which is not proven.
    ///
    /// # Errors
    /// Every [`LightError`]; [`LightError::WrongPlace`] where a node names a block with another hash.
    pub async fn block_with_hash(&self, hash: B256) -> Result<Option<Arc<VerifiedBlock>>, LightError> {
        let newest = self.head().await?.height();
        self.upstreams
            .find(|node| async move {
                let hint: Option<BlockSummary> = node.node().call("eth_getBlockByHash", json!([hash, false])).await?;
                // A block that is executed and not proven yet is none yet.
                let Some(height) = hint.map(|block| block.number.0).filter(|height| *height <= newest) else {
                    return Ok(None);
                };
                let block = self.block_of(&node, height).await?;
                let is_it = block.verified().block_hash() == Digest(hash.0);
                if is_it { Ok(Some(block)) } else { Err(LightError::WrongPlace(height)) }
            })
            .await
    }

    /// The whole block that an id names.
    ///
    /// # Errors
    /// Every [`LightError`].
    pub async fn block(&self, id: BlockId) -> Result<Option<Arc<VerifiedBlock>>, LightError> {
        match id {
            BlockId::Number(tag) => self.block_at(self.height_of(tag).await?).await,
            BlockId::Hash(hash) => self.block_with_hash(hash.block_hash).await,
        }
    }
}
