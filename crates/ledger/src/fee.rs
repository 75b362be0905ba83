//! The base fee: EIP-1559's formula, once a second (`spec/block.md` §3).
//!
//! Blocks of one header second share one base fee. The first block of a later second applies the formula to the gas
//! used by all blocks of its parent's second, with a target of half a block's gas limit and a bound of one whole.

use alloy_consensus::Header;

use crate::{
    context::{BASE_FEE_MIN, BLOCK_GAS_MAX},
    error::LedgerError,
    state::BlockHashes,
};

/// Part of the base fee by which it moves at most, as a denominator (EIP-1559).
const CHANGE_DENOMINATOR: u128 = 8;
/// Most blocks of one second that are summed: far above what 100 ms between blocks permits.
const BLOCKS_PER_SECOND_MAX: u64 = 64;

/// Base fee of the block that follows `parent` with header time `time_unix_s`.
///
/// # Errors
/// [`LedgerError::HeaderMissing`] where an ancestor of the parent's second is not known.
pub fn next_base_fee(parent: &Header, time_unix_s: u64, hashes: &dyn BlockHashes) -> Result<u64, LedgerError> {
    let base_fee = parent.base_fee_per_gas.unwrap_or(BASE_FEE_MIN);
    if time_unix_s == parent.timestamp {
        return Ok(base_fee);
    }
    let mut gas_used = parent.gas_used;
    let oldest = parent.number.saturating_sub(BLOCKS_PER_SECOND_MAX - 1);
    for height in (oldest..parent.number).rev() {
        let header = hashes.header(height).ok_or(LedgerError::HeaderMissing(height))?;
        if header.timestamp != parent.timestamp {
            break;
        }
        gas_used = gas_used.saturating_add(header.gas_used);
    }
    Ok(moved(base_fee, gas_used))
}

/// EIP-1559's formula over a second.
fn moved(base_fee: u64, gas_used: u64) -> u64 {
    let (fee, used) = (u128::from(base_fee), u128::from(gas_used.min(BLOCK_GAS_MAX)));
    let target = u128::from(BLOCK_GAS_MAX / 2);
    let delta = |distance: u128| fee * distance / target / CHANGE_DENOMINATOR;
    let next = match used.checked_sub(target) {
        Some(0) => fee,
        Some(above) => fee + delta(above).max(1),
        None => fee - delta(target - used),
    };
    u64::try_from(next).unwrap_or(u64::MAX).max(BASE_FEE_MIN)
}

#[cfg(test)]
mod tests;
