//! `eth_simulateV1`: blocks that never were, one on the other, over the state of a real one (execution-apis).
//!
//! Nothing of it stays, and no confidential state of the chain is read (`freehold_evm::Layers`): clocks, senders and
//! balances are made up here. Simulated headers have no state root: the tree has no root for what is not applied to it.

use std::collections::BTreeMap;

use alloy_consensus::{
    Eip658Value, Header, Receipt, ReceiptEnvelope, SignableTransaction as _, TxEip1559, TxEip2930, TxEip7702, TxLegacy,
    TxReceipt as _,
    proofs::{calculate_receipt_root, calculate_transaction_root},
};
use alloy_primitives::{Address, B256, Bloom, Signature, TxKind, U256};
use freehold_crypto::CallData;
use freehold_evm::{
    BlockContext, CALL_GAS_MAX, Evm, EvmError, Invalid, Layers, Outcome, OverrideRefusal, QueryRules, SapphireContext,
    StateOverrides, TX_GAS_MAX, Transfers, ViewError,
};
use freehold_primitives::{BlockMoment, Digest, Height};
use thiserror::Error;

use crate::{
    block::{Parent, block_context, empty_header, system_call, typed_receipt},
    call::CallRequest,
    confidential::query_context,
    context::{ChainContext, HISTORY_CONTRACT, PAYLOAD_ROOTS_CONTRACT},
    error::LedgerError,
    fee::next_base_fee,
    overrides::BlockOverrides,
    state::{BlockHashes, StateTree, TreeView},
    transaction::Transaction,
};

/// Most blocks of a simulation, those that fill gaps between heights included.
pub const SIMULATED_BLOCKS_MAX: u64 = 256;
/// Most calls of a simulation.
pub const SIMULATED_CALLS_MAX: usize = 1_024;
/// Seconds from one simulated block to the next.
const BLOCK_S: u64 = 1;

/// A block to simulate.
#[derive(Debug, Clone, Default)]
pub struct BlockRequest {
    /// What it is said to be.
    pub block: BlockOverrides,
    /// What accounts are said to be from then on.
    pub state: StateOverrides,
    /// Its calls, in order; their own overrides count for nothing.
    pub calls: Vec<CallRequest>,
}

/// A simulation.
#[derive(Debug, Clone)]
pub struct Simulation {
    /// Its blocks, in order.
    pub blocks: Vec<BlockRequest>,
    /// Whether calls are checked like transactions.
    pub rules: QueryRules,
    /// Whether transfers of value are told as logs.
    pub transfers: Transfers,
    /// Fresh entropy of this simulation alone.
    pub entropy: B256,
}

/// A call of a simulated block.
#[derive(Debug, Clone)]
pub struct SimulatedCall {
    /// The transaction that the call would be; its signature is empty.
    pub transaction: Transaction,
    /// Who sends it.
    pub sender: Address,
    /// What it did; logs of transfers are among its logs.
    pub outcome: Outcome,
}

/// A simulated block.
#[derive(Debug, Clone)]
pub struct SimulatedBlock {
    /// Its header, with no state root.
    pub header: Header,
    /// Hash of the header.
    pub hash: B256,
    /// Its calls.
    pub calls: Vec<SimulatedCall>,
}

/// Why there is no simulation.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// Heights must rise.
    #[error("block numbers must rise: {number} does not come after {parent}")]
    Number {
        /// The one before.
        parent: Height,
        /// What is asked for.
        number: Height,
    },
    /// Times must rise.
    #[error("block timestamps must rise: {time_unix_s} does not come after {parent_unix_s}")]
    Time {
        /// The one before.
        parent_unix_s: u64,
        /// What is asked for.
        time_unix_s: u64,
    },
    /// Too many blocks.
    #[error("a simulation has at most {SIMULATED_BLOCKS_MAX} blocks, those between the numbers asked for included")]
    Blocks,
    /// Too many calls.
    #[error("a simulation has at most {SIMULATED_CALLS_MAX} calls")]
    Calls,
    /// The gas of all calls is more than one call outside of any block may use.
    #[error("a simulation uses at most {CALL_GAS_MAX} gas in all")]
    Gas,
    /// The block has no room for a call's gas limit.
    #[error("block {block} has {left} gas left, its call {call} asks for {gas}")]
    BlockGas {
        /// Height.
        block: Height,
        /// Index of the call.
        call: usize,
        /// Gas that is left.
        left: u64,
        /// Gas that the call asks for.
        gas: u64,
    },
    /// A call may not be made.
    #[error("call {call} of block {block} cannot be made: {invalid}")]
    Invalid {
        /// Height.
        block: Height,
        /// Index of the call.
        call: usize,
        /// Why.
        invalid: Invalid,
    },
    /// A call comes to confidential state.
    #[error("the storage of {0} is confidential: a simulation cannot read it")]
    Withheld(Address),
    /// A call has encrypted or wrapped call data.
    #[error("encrypted call data is not opened in a simulation")]
    Sealed,
    /// The overrides may not be.
    #[error(transparent)]
    Overrides(OverrideRefusal),
    /// State could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl From<OverrideRefusal> for SimulationError {
    fn from(refusal: OverrideRefusal) -> Self {
        match refusal {
            OverrideRefusal::View(view) => Self::Ledger(view.into()),
            other => Self::Overrides(other),
        }
    }
}

impl From<EvmError> for SimulationError {
    fn from(error: EvmError) -> Self {
        match error {
            EvmError::View(ViewError::Withheld(address)) => Self::Withheld(address),
            other => Self::Ledger(other.into()),
        }
    }
}

/// Runs a simulation over the state behind `parent`.
///
/// # Errors
/// Any [`SimulationError`].
pub fn simulate(
    ctx: &ChainContext,
    parent: Parent<'_>,
    state: &dyn StateTree,
    request: &Simulation,
) -> Result<Vec<SimulatedBlock>, SimulationError> {
    if request.blocks.iter().map(|block| block.calls.len()).sum::<usize>() > SIMULATED_CALLS_MAX {
        return Err(SimulationError::Calls);
    }
    let (keyring, sapphire) = query_context(ctx, parent, request.entropy.0, state)?;
    let view = TreeView { state, content: parent.content, hashes: parent.hashes, keyring: keyring.as_ref() };
    let mut run = SimulationRun {
        ctx,
        request,
        sapphire,
        layers: Layers::new(&view),
        hashes: Hashes {
            chain: parent.hashes,
            simulated: BTreeMap::from([(parent.header.number, parent.header.clone())]),
        },
        gas_left: CALL_GAS_MAX,
        blocks: Vec::new(),
    };
    for block in &request.blocks {
        run.fill_gap(block)?;
        run.block(block)?;
    }
    Ok(run.blocks)
}

/// Headers of the chain and of the simulation.
struct Hashes<'a> {
    chain: &'a dyn BlockHashes,
    simulated: BTreeMap<Height, Header>,
}

impl BlockHashes for Hashes<'_> {
    fn header(&self, height: Height) -> Option<Header> {
        self.simulated.get(&height).cloned().or_else(|| self.chain.header(height))
    }
}

struct SimulationRun<'a> {
    ctx: &'a ChainContext,
    request: &'a Simulation,
    sapphire: SapphireContext,
    layers: Layers<'a>,
    hashes: Hashes<'a>,
    gas_left: u64,
    blocks: Vec<SimulatedBlock>,
}

impl SimulationRun<'_> {
    fn parent(&self) -> Header {
        let newest = self.hashes.simulated.last_key_value();
        newest.map(|(_, header)| header.clone()).expect("the real parent stands there from the start")
    }

    /// Heights that are left out get empty blocks.
    fn fill_gap(&mut self, block: &BlockRequest) -> Result<(), SimulationError> {
        let parent = self.parent().number;
        let number = block.block.height.unwrap_or(parent.saturating_add(1));
        let gap = number.checked_sub(parent).filter(|gap| *gap > 0);
        let gap = gap.ok_or(SimulationError::Number { parent, number })?;
        if self.blocks.len() as u64 + gap > SIMULATED_BLOCKS_MAX {
            return Err(SimulationError::Blocks);
        }
        for _ in 1..gap {
            self.block(&BlockRequest::default())?;
        }
        Ok(())
    }

    fn open_header(&self, said: &BlockOverrides) -> Result<Header, SimulationError> {
        let parent = self.parent();
        let parent_unix_s = parent.timestamp;
        let timestamp = said.time_unix_s.unwrap_or(parent_unix_s.saturating_add(BLOCK_S));
        if timestamp <= parent_unix_s {
            return Err(SimulationError::Time { parent_unix_s, time_unix_s: timestamp });
        }
        let base_fee = match (said.base_fee, self.request.rules) {
            (Some(base_fee), _) => base_fee,
            (None, QueryRules::Lenient) => 0,
            (None, QueryRules::Strict) => next_base_fee(&parent, timestamp, &self.hashes)?,
        };
        let blank = empty_header();
        Ok(Header {
            parent_hash: parent.hash_slow(),
            number: parent.number + 1,
            timestamp,
            gas_limit: said.gas_limit.unwrap_or(blank.gas_limit),
            beneficiary: said.beneficiary.unwrap_or(blank.beneficiary),
            mix_hash: said.prev_randao.unwrap_or_default(),
            base_fee_per_gas: Some(base_fee),
            parent_beacon_block_root: Some(said.payload_root.unwrap_or_default()),
            ..blank
        })
    }

    fn block(&mut self, asked: &BlockRequest) -> Result<(), SimulationError> {
        let header = self.open_header(&asked.block)?;
        self.layers.put(&asked.state)?;
        asked.block.record(&mut self.layers);
        let block = BlockContext {
            parent_time_unix_s: self.parent().timestamp,
            gas_limit: header.gas_limit,
            beneficiary: header.beneficiary,
            sapphire: self.sapphire.clone(),
            ..block_context(self.ctx, &header)
        };
        let mut evm = Evm::query(block, self.request.rules, self.ctx.modules(), &self.layers).moving(&self.layers);
        system_call(&mut evm, HISTORY_CONTRACT, header.parent_hash)?;
        system_call(&mut evm, PAYLOAD_ROOTS_CONTRACT, header.parent_beacon_block_root.unwrap_or_default())?;
        let mut calls = Vec::with_capacity(asked.calls.len());
        let (mut gas_used, mut gas_left) = (0, self.gas_left);
        for (index, call) in asked.calls.iter().enumerate() {
            let room = (header.gas_limit - gas_used, gas_left);
            let done = one_call(self.ctx, self.request, &mut evm, (&header, index, room), call)?;
            gas_used += done.outcome.gas_used;
            gas_left -= done.outcome.gas_used.min(gas_left);
            calls.push(done);
        }
        let changes = evm.finish();
        self.gas_left = gas_left;
        self.layers.apply(changes);
        let block = sealed(header, calls);
        let (height, time_unix_s) = (block.header.number, block.header.timestamp);
        self.layers.record(BlockMoment { height, block_hash: Digest(block.hash.0), time_unix_s });
        self.hashes.simulated.insert(height, block.header.clone());
        self.blocks.push(block);
        Ok(())
    }
}

/// Runs a call; `room` is the gas that is left in its block and in the whole simulation.
fn one_call(
    ctx: &ChainContext,
    request: &Simulation,
    evm: &mut Evm<'_>,
    (header, index, (block_left, all_left)): (&Header, usize, (u64, u64)),
    call: &CallRequest,
) -> Result<SimulatedCall, SimulationError> {
    if !matches!(CallData::read(&call.data), CallData::Plain) {
        return Err(SimulationError::Sealed);
    }
    let gas_max = if request.rules == QueryRules::Strict { TX_GAS_MAX } else { CALL_GAS_MAX };
    let gas = call.gas.unwrap_or_else(|| block_left.min(all_left).min(gas_max));
    if gas > block_left {
        return Err(SimulationError::BlockGas { block: header.number, call: index, left: block_left, gas });
    }
    if gas > all_left || all_left == 0 {
        return Err(SimulationError::Gas);
    }
    let nonce = match call.nonce {
        Some(nonce) => nonce,
        None => evm.account(&call.from)?.nonce,
    };
    let tx = freehold_evm::TxEnv { gas_limit: gas, nonce, ..call.tx_env(ctx.chain_id(), true) };
    let place = u32::try_from(index).expect("a simulation has at most 1,024 calls");
    let outcome = evm.transact_noting(tx, place, request.transfers).map_err(|error| match error {
        EvmError::Invalid(invalid) => SimulationError::Invalid { block: header.number, call: index, invalid },
        other => other.into(),
    })?;
    let transaction = unsigned(ctx.chain_id(), call, gas, nonce);
    Ok(SimulatedCall { transaction, sender: call.from, outcome })
}

/// The transaction that a call would be, with an empty signature.
fn unsigned(chain_id: u64, call: &CallRequest, gas_limit: u64, nonce: u64) -> Transaction {
    let signature = Signature::new(U256::ZERO, U256::ZERO, false);
    let (to, value, input) = (call.to.map_or(TxKind::Create, TxKind::Call), call.value, call.data.clone());
    let access_list = call.access_list.clone();
    let gas_price = call.gas_price.unwrap_or_default();
    let tip = call.priority_fee.unwrap_or_default();
    match (call.to, call.authorizations.is_empty(), call.gas_price.filter(|_| call.priority_fee.is_none())) {
        (Some(to), false, _) => {
            let (max_fee_per_gas, max_priority_fee_per_gas) = (gas_price, tip);
            let authorization_list = call.authorizations.clone();
            let tx = TxEip7702 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to,
                value,
                access_list,
                authorization_list,
                input,
            };
            tx.into_signed(signature).into()
        }
        (_, _, Some(gas_price)) if access_list.is_empty() => {
            let tx = TxLegacy { chain_id: Some(chain_id), nonce, gas_price, gas_limit, to, value, input };
            tx.into_signed(signature).into()
        }
        (_, _, Some(gas_price)) => {
            let tx = TxEip2930 { chain_id, nonce, gas_price, gas_limit, to, value, access_list, input };
            tx.into_signed(signature).into()
        }
        (_, _, None) => {
            let (max_fee_per_gas, max_priority_fee_per_gas) = (gas_price, tip);
            let tx = TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to,
                value,
                access_list,
                input,
            };
            tx.into_signed(signature).into()
        }
    }
}

/// The block with everything that hangs on its calls.
fn sealed(header: Header, calls: Vec<SimulatedCall>) -> SimulatedBlock {
    let mut gas_used = 0;
    let mut logs_bloom = Bloom::ZERO;
    let mut receipts: Vec<ReceiptEnvelope> = Vec::with_capacity(calls.len());
    for call in &calls {
        gas_used += call.outcome.gas_used;
        let receipt = Receipt {
            status: Eip658Value::Eip658(call.outcome.is_success()),
            cumulative_gas_used: gas_used,
            logs: call.outcome.logs.clone(),
        };
        let receipt = typed_receipt(call.transaction.tx_type(), receipt.into());
        logs_bloom |= receipt.bloom();
        receipts.push(receipt);
    }
    let transactions: Vec<&Transaction> = calls.iter().map(|call| &call.transaction).collect();
    let header = Header {
        transactions_root: calculate_transaction_root(&transactions),
        receipts_root: calculate_receipt_root(&receipts),
        logs_bloom,
        gas_used,
        ..header
    };
    let hash = header.hash_slow();
    SimulatedBlock { header, hash, calls }
}
