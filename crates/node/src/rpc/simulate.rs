//! `eth_simulateV1` (execution-apis): blocks of calls, one on the other, of which nothing stays.

use alloy_consensus::{
    BlockHeader as _, Sealed,
    transaction::{Recovered, TransactionInfo},
};
use alloy_eips::{BlockId, eip2718::Encodable2718 as _};
use alloy_primitives::{Log as PlainLog, U256};
use alloy_rlp::Encodable as _;
use alloy_rpc_types_eth::{
    Block, BlockTransactions, Header as RpcHeader, Log, Transaction, TransactionRequest,
    simulate::{SimBlock, SimCallResult, SimulateError, SimulatePayload, SimulatedBlock as Shown},
};
use freehold_ledger::{
    BlockRequest, Invalid, Outcome, Overrides, QueryRules, SIMULATED_BLOCKS_MAX, SimulatedBlock, SimulatedCall,
    Simulation, SimulationError, Status, Transfers, simulate,
};
use freehold_rpc::{Detail, EthBlock};
use jsonrpsee::{
    RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};

use super::{
    error::{
        coded, failure_text, internal, invalid_params, no_call, refused_overrides, revert_text, secret, unread_state,
    },
    params::two,
    request::{block_overrides, call_request, entropy, state_overrides},
    server::{Rpc, method},
};

type Answer<T> = Result<T, ErrorObjectOwned>;
type ShownBlock = Shown<EthBlock>;

const BLOCK_GAS: i32 = -38_015;
const NUMBER: i32 = -38_020;
const TIME: i32 = -38_021;
const CLIENT_LIMIT: i32 = -38_026;

/// Adds the methods of this file.
pub(super) fn add(module: &mut RpcModule<Rpc>) -> Result<(), RegisterMethodError> {
    method(module, "eth_simulateV1", simulated)
}

fn simulated(rpc: &Rpc, params: Params<'_>) -> Answer<Vec<ShownBlock>> {
    let (payload, id) = two::<SimulatePayload<TransactionRequest>, BlockId>(&params)?;
    let _turn = rpc.heavy_turn()?;
    let detail = if payload.return_full_transactions { Detail::Full } else { Detail::Hashes };
    let simulation = read(payload)?;
    let height = rpc.existing(id)?;
    let chain = rpc.chain();
    let header = chain.store.header(height).map_err(internal)?.ok_or_else(|| internal("the header is missing"))?;
    let state = chain.state(height).map_err(unread_state)?;
    let blocks =
        simulate(chain.context(), chain.parent(&header), &state, &simulation).map_err(|error| refusal(&error))?;
    Ok(blocks.iter().map(|block| shown(block, detail)).collect())
}

fn read(payload: SimulatePayload<TransactionRequest>) -> Answer<Simulation> {
    if payload.block_state_calls.is_empty() {
        return Err(invalid_params("blockStateCalls is empty"));
    }
    if payload.block_state_calls.len() as u64 > SIMULATED_BLOCKS_MAX {
        return Err(coded(CLIENT_LIMIT, SimulationError::Blocks));
    }
    let blocks = payload.block_state_calls.into_iter().map(|block| {
        let SimBlock { block_overrides: said, state_overrides: state, calls } = block;
        Ok(BlockRequest {
            block: block_overrides(said)?,
            state: state_overrides(state)?,
            calls: calls.into_iter().map(|call| call_request(call, Overrides::default())).collect::<Answer<_>>()?,
        })
    });
    Ok(Simulation {
        blocks: blocks.collect::<Answer<_>>()?,
        rules: if payload.validation { QueryRules::Strict } else { QueryRules::Lenient },
        transfers: if payload.trace_transfers { Transfers::Logged } else { Transfers::Unlogged },
        entropy: entropy()?,
    })
}

fn refusal(error: &SimulationError) -> ErrorObjectOwned {
    match error {
        SimulationError::Number { .. } => coded(NUMBER, error),
        SimulationError::Time { .. } => coded(TIME, error),
        SimulationError::Blocks | SimulationError::Calls | SimulationError::Gas => coded(CLIENT_LIMIT, error),
        SimulationError::BlockGas { .. } => coded(BLOCK_GAS, error),
        SimulationError::Invalid { invalid, .. } => match invalid_code(invalid) {
            Some(code) => coded(code, error),
            None => no_call(invalid),
        },
        SimulationError::Withheld(_) | SimulationError::Sealed => secret(error),
        SimulationError::Overrides(refusal) => refused_overrides(refusal),
        SimulationError::Ledger(_) => internal(error),
        other => internal(other),
    }
}

/// The code that execution-apis gives a call that cannot be made.
fn invalid_code(invalid: &Invalid) -> Option<i32> {
    Some(match invalid {
        Invalid::NonceTooLow { .. } => -38_010,
        Invalid::NonceTooHigh { .. } => -38_011,
        Invalid::GasPriceLessThanBasefee => -38_012,
        Invalid::CallGasCostMoreThanGasLimit { .. } | Invalid::GasFloorMoreThanGasLimit { .. } => -38_013,
        Invalid::LackOfFundForMaxFee { .. } => -38_014,
        Invalid::CallerGasLimitMoreThanBlock => BLOCK_GAS,
        Invalid::RejectCallerWithCode => -38_024,
        Invalid::CreateInitCodeSizeLimit => -38_025,
        _ => return None,
    })
}

fn shown(block: &SimulatedBlock, detail: Detail) -> ShownBlock {
    let bytes =
        block.header.length() + block.calls.iter().map(|call| call.transaction.encode_2718_len()).sum::<usize>();
    let sealed = Sealed::new_unchecked(block.header.clone(), block.hash);
    let header = RpcHeader::from_consensus(sealed, None, Some(U256::from(bytes)));
    let transactions = match detail {
        Detail::Hashes => {
            BlockTransactions::Hashes(block.calls.iter().map(|call| *call.transaction.tx_hash()).collect())
        }
        Detail::Full => {
            let full = block.calls.iter().enumerate().map(|(index, call)| {
                let info = TransactionInfo {
                    hash: Some(*call.transaction.tx_hash()),
                    index: Some(index as u64),
                    block_hash: Some(block.hash),
                    block_number: Some(block.header.number),
                    base_fee: block.header.base_fee_per_gas(),
                    block_timestamp: Some(block.header.timestamp),
                };
                Transaction::from_transaction(Recovered::new_unchecked(call.transaction.clone(), call.sender), info)
            });
            BlockTransactions::Full(full.collect())
        }
    };
    let mut first_log = 0;
    let calls = block.calls.iter().enumerate().map(|(index, call)| {
        let result = call_result(block, (index, call), first_log);
        first_log += call.outcome.logs.len() as u64;
        result
    });
    let calls = calls.collect();
    let inner = Block::new(header, transactions).with_withdrawals(Some(alloy_eips::eip4895::Withdrawals::default()));
    Shown { inner, calls }
}

fn call_result(block: &SimulatedBlock, (index, call): (usize, &SimulatedCall), first_log: u64) -> SimCallResult {
    let outcome = &call.outcome;
    let place = |(position, inner): (u64, &PlainLog)| Log {
        inner: inner.clone(),
        block_hash: Some(block.hash),
        block_number: Some(block.header.number),
        block_timestamp: Some(block.header.timestamp),
        transaction_hash: Some(*call.transaction.tx_hash()),
        transaction_index: Some(index as u64),
        log_index: Some(first_log + position),
        removed: false,
    };
    SimCallResult {
        return_data: outcome.output.clone(),
        logs: (0..).zip(&outcome.logs).map(place).collect(),
        gas_used: outcome.gas_used,
        max_used_gas: Some(outcome.gas_spent),
        status: outcome.is_success(),
        error: failed(outcome),
    }
}

fn failed(outcome: &Outcome) -> Option<SimulateError> {
    match &outcome.status {
        Status::Success => None,
        Status::Revert => Some(SimulateError {
            code: SimulateError::EXECUTION_REVERTED_CODE,
            message: revert_text(&outcome.output),
            data: Some(outcome.output.clone()),
        }),
        halt @ Status::Halt(_) => Some(SimulateError {
            code: SimulateError::VM_EXECUTION_ERROR_CODE,
            message: failure_text(halt),
            data: None,
        }),
    }
}
