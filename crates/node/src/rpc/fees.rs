//! Fees: what a transaction should offer, and what was paid.

use alloy_consensus::{BlockHeader as _, Header};
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{U64, U256};
use alloy_rpc_types_eth::FeeHistory;
use freehold_primitives::Height;
use freehold_rpc::TIP_SUGGESTED_WEI;
use jsonrpsee::{
    RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};

use super::{
    error::{internal, invalid_params, not_found},
    params::three,
    server::{Rpc, method},
};

/// Most blocks of a fee history.
const HISTORY_BLOCKS_MAX: u64 = 1_024;
/// Most percentiles of a fee history.
const PERCENTILES_MAX: usize = 100;

type Answer<T> = Result<T, ErrorObjectOwned>;

/// Adds the methods of this file.
pub(super) fn add(module: &mut RpcModule<Rpc>) -> Result<(), RegisterMethodError> {
    method(module, "eth_gasPrice", |rpc, _| Ok(U256::from(rpc.next_fee() + TIP_SUGGESTED_WEI)))?;
    method(module, "eth_maxPriorityFeePerGas", |_, _| Ok(U256::from(TIP_SUGGESTED_WEI)))?;
    method(module, "eth_blobBaseFee", |_, _| Ok(U256::from(1)))?;
    method(module, "eth_feeHistory", history)?;
    Ok(())
}

impl Rpc {
    fn next_fee(&self) -> u128 {
        self.chain().next_base_fee(&self.shared.tip().header)
    }

    fn fee_header(&self, height: Height) -> Answer<Header> {
        let header = self.chain().store.header(height).map_err(internal)?;
        header.ok_or_else(|| not_found(format!("no block {height}")))
    }
}

fn history(rpc: &Rpc, params: Params<'_>) -> Answer<FeeHistory> {
    let (count, newest, percentiles) = three::<U64, BlockNumberOrTag, Vec<f64>>(&params)?;
    if let Some(list) = &percentiles {
        let rising = list.windows(2).all(|pair| pair[0] <= pair[1]);
        if list.len() > PERCENTILES_MAX || !rising || !list.iter().all(|p| (0.0..=100.0).contains(p)) {
            return Err(invalid_params("percentiles must rise from 0 to 100, at most 100 of them"));
        }
    }
    let newest = rpc.chain().height_of(newest).map_err(internal)?.ok_or_else(|| not_found("no such block"))?;
    let count = count.to::<u64>().min(HISTORY_BLOCKS_MAX).min(newest + 1);
    let mut answer = FeeHistory { oldest_block: newest + 1 - count, ..FeeHistory::default() };
    if count == 0 {
        return Ok(answer);
    }
    let mut rewards = Vec::new();
    let mut last = None;
    for height in answer.oldest_block..=newest {
        let header = rpc.fee_header(height)?;
        answer.base_fee_per_gas.push(header.base_fee_per_gas().map_or(0, u128::from));
        answer.gas_used_ratio.push(header.gas_used as f64 / header.gas_limit as f64);
        answer.base_fee_per_blob_gas.push(1);
        answer.blob_gas_used_ratio.push(0.0);
        if let Some(percentiles) = &percentiles {
            rewards.push(tips(rpc, &header, percentiles)?);
        }
        last = Some(header);
    }
    answer.base_fee_per_gas.extend(last.map(|header| rpc.chain().next_base_fee(&header)));
    answer.base_fee_per_blob_gas.push(1);
    answer.reward = percentiles.is_some().then_some(rewards);
    Ok(answer)
}

/// Tips of a block at percentiles of its gas; blocks without transactions are not read.
fn tips(rpc: &Rpc, header: &Header, percentiles: &[f64]) -> Answer<Vec<u128>> {
    if header.gas_used == 0 {
        return Ok(vec![0; percentiles.len()]);
    }
    let height = header.number;
    let view = rpc.view(height)?.ok_or_else(|| not_found(format!("no block {height}")))?;
    Ok(view.tips(percentiles))
}
