//! Calls outside of any block: `eth_call` and `eth_estimateGas` over the newest state.
//!
//! A call runs as if it stood in the next block, at the time of the newest one, which is also the `now` of modules.

use alloy_consensus::Header;
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use freehold_evm::{BlockContext, CALL_GAS_MAX, EvmError, Invalid, Outcome, TX_GAS_MAX, TxEnv, ViewError, simulate};
use thiserror::Error;

use crate::{
    block::{Parent, block_context},
    confidential::query_context,
    context::ChainContext,
    error::LedgerError,
    state::{StateTree, TreeView, read_account},
};

/// Rounds of the search for the least gas limit: 2²⁴ has 24 bits.
const SEARCH_ROUNDS_MAX: u32 = 24;

/// A call. `Default` is a call from the zero address to nothing, which makes a contract of no code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallRequest {
    /// Who calls; the zero address where not given.
    pub from: Address,
    /// Who is called; `None` makes a contract.
    pub to: Option<Address>,
    /// Value that comes with it; `from` must have it.
    pub value: U256,
    /// Call data, or init code.
    pub data: Bytes,
    /// Gas limit; at most, and where not given, [`CALL_GAS_MAX`].
    pub gas: Option<u64>,
    /// Price per gas; where it is 0 or not given, gas costs nothing.
    pub gas_price: Option<u128>,
    /// Access list.
    pub access_list: AccessList,
    /// Fresh entropy of this call alone: what it draws at random comes from it.
    pub entropy: B256,
}

/// Why a call has no outcome.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallError {
    /// The call may not be made: too little money, too little gas for its data, and the like.
    #[error("the call cannot be made: {0}")]
    Invalid(Invalid),
    /// It fails with any gas limit; the outcome says how.
    #[error("the call fails")]
    Fails(Box<Outcome>),
    /// The call reads confidential storage, and this node is a follower.
    #[error("this node holds no state keys: ask an executor for calls to confidential contracts")]
    Follower,
    /// State could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Runs a call over the newest state (`eth_call`). A revert is an outcome, not an error.
///
/// # Errors
/// [`CallError::Invalid`], [`CallError::Follower`], [`CallError::Ledger`].
pub fn call(
    ctx: &ChainContext,
    parent: Parent<'_>,
    state: &dyn StateTree,
    request: &CallRequest,
) -> Result<Outcome, CallError> {
    let (keyring, sapphire) = query_context(ctx, parent, request.entropy.0, state)?;
    let view = TreeView { state, content: parent.content, hashes: parent.hashes, keyring: keyring.as_ref() };
    let block = BlockContext { sapphire, ..next_block(ctx, parent.header) };
    let gas_limit = request.gas.unwrap_or(CALL_GAS_MAX).min(CALL_GAS_MAX);
    let tx = TxEnv {
        tx_type: u8::from(!request.access_list.is_empty()),
        caller: request.from,
        gas_limit,
        gas_price: request.gas_price.unwrap_or_default(),
        kind: request.to.map_or(TxKind::Create, TxKind::Call),
        value: request.value,
        data: request.data.clone(),
        access_list: request.access_list.clone(),
        chain_id: Some(ctx.chain_id()),
        // Not checked, but what a call makes is named after it.
        nonce: read_account(state, &request.from).map_err(LedgerError::from)?.nonce,
        ..TxEnv::default()
    };
    match simulate(block, ctx.modules(), &view, tx) {
        Ok(outcome) => Ok(outcome),
        Err(EvmError::View(ViewError::KeysMissing)) => Err(CallError::Follower),
        Err(EvmError::Invalid(invalid)) => Err(CallError::Invalid(invalid)),
        Err(error) => Err(LedgerError::from(error).into()),
    }
}

/// The least gas limit with which a call succeeds (`eth_estimateGas`), at most a transaction's.
///
/// # Errors
/// Any [`CallError`].
pub fn estimate_gas(
    ctx: &ChainContext,
    parent: Parent<'_>,
    state: &dyn StateTree,
    request: &CallRequest,
) -> Result<u64, CallError> {
    let with = |gas: u64| call(ctx, parent, state, &CallRequest { gas: Some(gas), ..request.clone() });
    let mut enough = request.gas.unwrap_or(TX_GAS_MAX).min(TX_GAS_MAX);
    let outcome = with(enough)?;
    if !outcome.is_success() {
        return Err(CallError::Fails(Box::new(outcome)));
    }
    let mut too_little = outcome.gas_used.saturating_sub(1);
    // Most calls run with what they spend before refunds; one that forwards all but 1/64 of its gas needs more.
    for guess in [outcome.gas_spent, (outcome.gas_spent + 2_300) * 64 / 63] {
        if guess > too_little && guess < enough {
            if succeeds(with(guess))? {
                enough = guess;
                break;
            }
            too_little = guess;
        }
    }
    for _ in 0..SEARCH_ROUNDS_MAX {
        if too_little + 1 >= enough {
            break;
        }
        let middle = too_little + (enough - too_little) / 2;
        if succeeds(with(middle))? { enough = middle } else { too_little = middle }
    }
    Ok(enough)
}

/// Whether a call succeeded; one that could not be made with this little gas did not.
fn succeeds(result: Result<Outcome, CallError>) -> Result<bool, CallError> {
    match result {
        Ok(outcome) => Ok(outcome.is_success()),
        Err(CallError::Invalid(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

fn next_block(ctx: &ChainContext, parent: &Header) -> BlockContext {
    BlockContext { height: parent.number + 1, ..block_context(ctx, parent) }
}
