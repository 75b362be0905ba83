//! Calls as Ethereum's clients write them, read into the ledger's: requests, and overrides of state and block.

use std::collections::BTreeMap;

use alloy_primitives::{B256, TxKind, U256};
use alloy_rpc_types_eth::{
    BlockOverrides as BlockSaid, TransactionRequest,
    state::{AccountOverride as AccountSaid, StateOverride},
};
use freehold_ledger::{AccountOverride, BlockOverrides, CallRequest, Overrides, StateOverrides, StorageOverride};
use jsonrpsee::types::ErrorObjectOwned;
use rand::{rand_core::TryRng as _, rngs::SysRng};

use super::error::{internal, invalid_params};

type Answer<T> = Result<T, ErrorObjectOwned>;

/// A call. Where only a priority fee is named, nothing is paid.
pub(super) fn call_request(request: TransactionRequest, overrides: Overrides) -> Answer<CallRequest> {
    if request.gas_price.is_some() && (request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some())
    {
        return Err(invalid_params("both gasPrice and maxFeePerGas or maxPriorityFeePerGas are given"));
    }
    if request.blob_versioned_hashes.is_some() || request.max_fee_per_blob_gas.is_some() || request.sidecar.is_some() {
        return Err(invalid_params("transactions with blobs are not accepted"));
    }
    let to = match request.to {
        Some(TxKind::Call(address)) => Some(address),
        Some(TxKind::Create) | None => None,
    };
    let authorizations = request.authorization_list.unwrap_or_default();
    if to.is_none() && !authorizations.is_empty() {
        return Err(invalid_params("a transaction with authorizations makes no contract"));
    }
    let data = request.input.try_into_unique_input().map_err(invalid_params)?.unwrap_or_default();
    Ok(CallRequest {
        from: request.from.unwrap_or_default(),
        to,
        value: request.value.unwrap_or_default(),
        data,
        gas: request.gas,
        gas_price: request.max_fee_per_gas.or(request.gas_price),
        priority_fee: request.max_fee_per_gas.map(|_| request.max_priority_fee_per_gas.unwrap_or_default()),
        nonce: request.nonce,
        authorizations,
        access_list: request.access_list.unwrap_or_default(),
        overrides,
        entropy: entropy()?,
    })
}

/// Fresh entropy of a call.
pub(super) fn entropy() -> Answer<B256> {
    let mut entropy = B256::ZERO;
    SysRng.try_fill_bytes(&mut entropy.0).map_err(internal)?;
    Ok(entropy)
}

/// Overrides of state and of the block.
pub(super) fn overrides(state: Option<StateOverride>, block: Option<BlockSaid>) -> Answer<Overrides> {
    Ok(Overrides { state: state_overrides(state)?, block: block_overrides(block)? })
}

/// Overrides of state.
pub(super) fn state_overrides(said: Option<StateOverride>) -> Answer<StateOverrides> {
    said.unwrap_or_default()
        .into_iter()
        .map(|(address, said)| {
            let AccountSaid { balance, nonce, code, state, state_diff, move_precompile_to } = said;
            let slots = |slots: Vec<(B256, B256)>| -> BTreeMap<U256, U256> {
                slots.into_iter().map(|(slot, value)| (slot.into(), value.into())).collect()
            };
            let storage = match (state, state_diff) {
                (Some(_), Some(_)) => return Err(invalid_params(format!("{address} has both state and stateDiff"))),
                (Some(state), None) => StorageOverride::Replaced(slots(state.into_iter().collect())),
                (None, Some(diff)) => StorageOverride::Patched(slots(diff.into_iter().collect())),
                (None, None) => StorageOverride::Kept,
            };
            Ok((address, AccountOverride { balance, nonce, code, storage, precompile_to: move_precompile_to }))
        })
        .collect()
}

/// Overrides of the block.
pub(super) fn block_overrides(said: Option<BlockSaid>) -> Answer<BlockOverrides> {
    let Some(said) = said else { return Ok(BlockOverrides::default()) };
    let small = |name: &str, value: U256| {
        u64::try_from(value).map_err(|_| invalid_params(format!("{name} of a block is above 2^64 - 1")))
    };
    Ok(BlockOverrides {
        height: said.number.map(|number| small("the number", number)).transpose()?,
        time_unix_s: said.time,
        gas_limit: said.gas_limit,
        beneficiary: said.coinbase,
        prev_randao: said.random,
        base_fee: said.base_fee.map(|fee| small("the base fee", fee)).transpose()?,
        payload_root: said.beacon_root,
        block_hashes: said.block_hash.unwrap_or_default(),
    })
}
