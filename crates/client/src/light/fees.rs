//! Fees, from proven headers and blocks.

use std::collections::BTreeMap;

use alloy_consensus::{BlockHeader as _, Header};
use alloy_eips::BlockNumberOrTag;
use alloy_rpc_types_eth::FeeHistory;
use freehold_primitives::Height;
use freehold_rpc::{BlockView, TIP_SUGGESTED_WEI};
use freehold_verify::VerifiedHeader;

use super::{error::LightError, head::LightClient};

/// Most blocks of a fee history.
const HISTORY_BLOCKS_MAX: u64 = 1_024;
/// Most blocks of a fee history with tips, each of which is read whole.
const TIP_BLOCKS_MAX: u64 = 64;
/// Most percentiles of a fee history.
const PERCENTILES_MAX: usize = 100;
/// Blocks before one that may be of its second.
const SECOND_BLOCKS: u64 = 64;

impl LightClient {
    /// The headers of heights up to the newest, under one certificate.
    async fn run_up_to(&self, newest: Height, count: u64) -> Result<Vec<(VerifiedHeader, Header)>, LightError> {
        self.upstreams
            .ask(|node| async move {
                let found = node.header(newest).await?;
                let (headers, last) = found.ok_or(freehold_rpc::VerifiedError::Withheld(newest))?;
                let child = *headers.first();
                self.note(&child)?;
                let mut run = node.ancestors(&child, (newest + 1).saturating_sub(count)).await?;
                run.push((child, last));
                Ok(run)
            })
            .await
    }

    /// Base fee of a block that follows the last of these headers in a later second.
    fn next_fee(run: &[(VerifiedHeader, Header)]) -> Result<u64, LightError> {
        let headers: BTreeMap<Height, Header> = run.iter().map(|(_, h)| (h.number, h.clone())).collect();
        let parent = headers.values().next_back().ok_or(LightError::Request("no block is proven yet"))?;
        let next = freehold_ledger::next_base_fee(parent, parent.timestamp + 1, &headers);
        next.map_err(|_| LightError::Request("the base fee needs more blocks"))
    }

    /// Price of gas to offer now.
    ///
    /// # Errors
    /// Every [`LightError`].
    pub async fn gas_price(&self) -> Result<u128, LightError> {
        let newest = self.head().await?.height();
        let run = self.run_up_to(newest, SECOND_BLOCKS).await?;
        Ok(u128::from(Self::next_fee(&run)?) + TIP_SUGGESTED_WEI)
    }

    /// Fees of a run of blocks, with tips at percentiles of gas where they are asked for.
    ///
    /// # Errors
    /// Every [`LightError`].
    pub async fn fee_history(
        &self,
        count: u64,
        newest: BlockNumberOrTag,
        percentiles: Option<Vec<f64>>,
    ) -> Result<FeeHistory, LightError> {
        let rising = |list: &Vec<f64>| {
            list.len() <= PERCENTILES_MAX
                && list.windows(2).all(|pair| pair[0] <= pair[1])
                && list.iter().all(|p| (0.0..=100.0).contains(p))
        };
        if !percentiles.as_ref().is_none_or(rising) {
            return Err(LightError::Request("percentiles must rise from 0 to 100, at most 100 of them"));
        }
        let newest = self.height_of(newest).await?;
        if newest > self.head().await?.height() {
            return Err(LightError::NoBlock(newest.to_string()));
        }
        let bound = if percentiles.is_some() { TIP_BLOCKS_MAX } else { HISTORY_BLOCKS_MAX };
        let count = count.min(bound).min(newest + 1);
        let mut answer = FeeHistory { oldest_block: newest + 1 - count, ..FeeHistory::default() };
        if count == 0 {
            return Ok(answer);
        }
        let run = self.run_up_to(newest, count.max(SECOND_BLOCKS)).await?;
        let mut rewards = Vec::new();
        for (verified, header) in run.iter().filter(|(_, header)| header.number >= answer.oldest_block) {
            answer.base_fee_per_gas.push(header.base_fee_per_gas().map_or(0, u128::from));
            answer.gas_used_ratio.push(header.gas_used as f64 / header.gas_limit as f64);
            answer.base_fee_per_blob_gas.push(1);
            answer.blob_gas_used_ratio.push(0.0);
            if let Some(percentiles) = &percentiles {
                rewards.push(self.tips(verified, header, percentiles).await?);
            }
        }
        answer.base_fee_per_gas.push(u128::from(Self::next_fee(&run)?));
        answer.base_fee_per_blob_gas.push(1);
        answer.reward = percentiles.is_some().then_some(rewards);
        Ok(answer)
    }

    async fn tips(
        &self,
        verified: &VerifiedHeader,
        header: &Header,
        percentiles: &[f64],
    ) -> Result<Vec<u128>, LightError> {
        if header.gas_used == 0 {
            return Ok(vec![0; percentiles.len()]);
        }
        let block = self.upstreams.ask(|node| async move { self.block_under(&node, verified).await }).await?;
        Ok(BlockView::from(&*block).tips(percentiles))
    }
}
