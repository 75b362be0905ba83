//! Logs of complete ranges: headers by parent hashes, blooms that they hold, and whole receipts where a bloom matches.
//!
//! Invariant: no log of the range that the filter matches is left out. A bloom has no false negatives and stands under the
//! header's hash; the receipts of a block stand under its root, all or none.

use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{B256, Bloom};
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};
use freehold_primitives::Height;
use freehold_rpc::{BlockView, VerifiedClient};
use freehold_verify::VerifiedHeader;

use super::{error::LightError, head::LightClient};

/// Most blocks of a range.
pub const LIGHT_LOG_BLOCKS_MAX: u64 = 10_000;
/// Most logs of an answer.
pub const LIGHT_LOGS_MAX: usize = 10_000;

impl LightClient {
    /// All logs that a filter matches, in order.
    ///
    /// # Errors
    /// Every [`LightError`].
    pub async fn logs(&self, filter: &Filter) -> Result<Vec<Log>, LightError> {
        let (from, to) = match filter.block_option {
            FilterBlockOption::AtBlockHash(hash) => return self.logs_with_hash(filter, hash).await,
            FilterBlockOption::Range { from_block, to_block } => {
                let newest = BlockNumberOrTag::Latest;
                let from = self.height_of(from_block.unwrap_or(newest)).await?;
                (from, self.height_of(to_block.unwrap_or(newest)).await?)
            }
        };
        if from > to {
            return Err(LightError::Range { from, to });
        }
        let to = to.min(self.head().await?.height());
        if from > to {
            return Ok(Vec::new());
        }
        if to - from >= LIGHT_LOG_BLOCKS_MAX {
            return Err(LightError::LogBlocks(to - from + 1));
        }
        self.upstreams.ask(|node| async move { self.logs_of(&node, filter, (from, to)).await }).await
    }

    async fn logs_with_hash(&self, filter: &Filter, hash: B256) -> Result<Vec<Log>, LightError> {
        let block = self.block_with_hash(hash).await?.ok_or_else(|| LightError::NoBlock(hash.to_string()))?;
        Ok(matching(filter, &BlockView::from(&*block)).collect())
    }

    pub(crate) async fn logs_of(
        &self,
        node: &VerifiedClient,
        filter: &Filter,
        (from, to): (Height, Height),
    ) -> Result<Vec<Log>, LightError> {
        let withheld = || freehold_rpc::VerifiedError::Withheld(to);
        let (headers, last) = node.header(to).await?.ok_or_else(withheld)?;
        let child = *headers.first();
        self.note(&child)?;
        let mut run: Vec<(VerifiedHeader, Bloom)> =
            node.ancestors(&child, from).await?.into_iter().map(|(verified, h)| (verified, h.logs_bloom)).collect();
        run.push((child, last.logs_bloom));
        let mut found = Vec::new();
        for (header, bloom) in run {
            if bloom.is_zero() || !filter.matches_bloom(bloom) {
                continue;
            }
            let block = self.block_under(node, &header).await?;
            found.extend(matching(filter, &BlockView::from(&*block)));
            if found.len() > LIGHT_LOGS_MAX {
                return Err(LightError::Logs);
            }
        }
        Ok(found)
    }
}

fn matching<'a>(filter: &'a Filter, block: &'a BlockView) -> impl Iterator<Item = Log> + 'a {
    block.logs().filter(|log| filter.matches(&log.inner))
}
