//! Executing the transactions of one block, and calls outside of any block.

use alloy_primitives::{Address, B256, Bytes, U256};
use freehold_primitives::Digest;
use revm::{
    DatabaseCommit, ExecuteEvm, SystemCallEvm,
    context::{
        BlockEnv, CfgEnv, Context, Journal, LocalContext, TxEnv,
        result::{EVMError, ExecutionResult},
    },
    context_interface::{ContextTr, JournalTr, block::BlobExcessGasAndPrice},
    primitives::hardfork::SpecId,
};

use crate::{
    handler::MachineTx,
    layer::Layers,
    machine::Machine,
    module::ModuleSet,
    outcome::{Changes, EvmError, Outcome},
    overlay::Overlay,
    provider::{BlockPlace, Provider},
    sapphire::SapphireContext,
    trace::{Recorder, TraceEnd, TraceError, TracePlan, Traced},
    view::{AccountState, StateView, ViewError},
};

/// Most gas of a transaction (EIP-7825).
pub const TX_GAS_MAX: u64 = 1 << 24;
/// Longest code of a contract, in bytes: as on Sapphire, above Ethereum's 24 KiB (EIP-170).
pub const CODE_BYTES_MAX: usize = 64 * 1024;
/// Longest init code, in bytes; a transaction is at most 128 KiB in all.
pub const INIT_CODE_BYTES_MAX: usize = 96 * 1024;
/// Most gas of a call outside of any block.
pub const CALL_GAS_MAX: u64 = 100_000_000;

/// The block that transactions see.
#[derive(Clone, Default)]
pub struct BlockContext {
    /// Chain id of EIP-155.
    pub chain_id: u64,
    /// Height.
    pub height: u64,
    /// Header time, unix seconds.
    pub time_unix_s: u64,
    /// Header time of the parent: the `now` of modules.
    pub parent_time_unix_s: u64,
    /// Base fee per gas in units of 10⁻¹⁸.
    pub base_fee: u64,
    /// Gas limit of the block.
    pub gas_limit: u64,
    /// Who receives priority fees.
    pub beneficiary: Address,
    /// What `PREVRANDAO` answers.
    pub prev_randao: B256,
    /// What Sapphire's precompiles see.
    pub sapphire: SapphireContext,
}

/// How a machine outside of any block takes what it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryRules {
    /// Nonces, chain ids and the caller's code are not checked, gas reaches to [`CALL_GAS_MAX`], and where the price of gas is
    /// 0 the base fee is 0 too.
    Lenient,
    /// As in a block.
    Strict,
}

/// What a machine notes beside outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfers {
    /// Only what contracts log.
    Unlogged,
    /// Each transfer of value too, as a log of the address `0xeeee…ee` (execution-apis, `eth_simulateV1`).
    Logged,
}

/// Executes one block's transactions in their order, over the state of its parent.
pub struct Evm<'a> {
    machine: Machine<'a>,
    rules: QueryRules,
    base_fee: u64,
}

impl<'a> Evm<'a> {
    /// A machine at the start of a block.
    pub fn new(block: BlockContext, modules: &'a ModuleSet, view: &'a dyn StateView) -> Self {
        let base_fee = block.base_fee;
        Self { machine: machine(block, TX_GAS_MAX, Provider::new(modules), view), rules: QueryRules::Strict, base_fee }
    }

    /// A machine outside of any block, of which nothing stays unless its changes are put on a layer.
    pub fn query(block: BlockContext, rules: QueryRules, modules: &'a ModuleSet, view: &'a dyn StateView) -> Self {
        let block = BlockContext { sapphire: block.sapphire.into_query(), ..block };
        let base_fee = block.base_fee;
        let gas_max = if rules == QueryRules::Lenient { CALL_GAS_MAX } else { TX_GAS_MAX };
        let mut machine = machine(block, gas_max, Provider::new(modules), view);
        if rules == QueryRules::Lenient {
            machine.ctx.cfg.disable_nonce_check = true;
            machine.ctx.cfg.disable_eip3607 = true;
            machine.ctx.cfg.tx_chain_id_check = false;
        }
        Self { machine, rules, base_fee }
    }

    /// The same with precompiles where these layers have them.
    #[must_use]
    pub fn moving(mut self, layers: &Layers<'_>) -> Self {
        self.machine.precompiles.set_moves(layers.moves());
        self
    }

    /// An account as it stands now.
    ///
    /// # Errors
    /// [`EvmError::View`].
    pub fn account(&self, address: &Address) -> Result<AccountState, EvmError> {
        Ok(self.machine.ctx.db().peek(address)?.unwrap_or_default())
    }

    /// Executes a transaction; `index` counts the transactions of the block.
    ///
    /// # Errors
    /// Any [`EvmError`]; after [`EvmError::Invalid`] state is as before and the machine goes on.
    pub fn transact(&mut self, tx: impl Into<MachineTx>, index: u32) -> Result<Outcome, EvmError> {
        let tx = self.begin(tx.into(), index);
        let result = self.machine.transact_one(tx);
        self.settle(result)
    }

    /// As [`Self::transact`], with or without logs of transfers.
    ///
    /// # Errors
    /// As [`Self::transact`].
    pub fn transact_noting(
        &mut self,
        tx: impl Into<MachineTx>,
        index: u32,
        transfers: Transfers,
    ) -> Result<Outcome, EvmError> {
        if transfers == Transfers::Unlogged {
            return self.transact(tx, index);
        }
        let tx = self.begin(tx.into(), index);
        let (result, _) = self.machine.record_one(tx, Recorder::of_transfers());
        self.settle(result)
    }

    /// As [`Self::transact`], with a trace.
    ///
    /// # Errors
    /// As [`Self::transact`]; why there is no trace stands beside the outcome.
    pub fn trace(
        &mut self,
        tx: impl Into<MachineTx>,
        index: u32,
        plan: &TracePlan,
    ) -> Result<(Outcome, Result<Traced, TraceError>), EvmError> {
        let tx = self.begin(tx.into(), index);
        let mut recorder = match plan.recorder() {
            Ok(recorder) => recorder,
            Err(error) => {
                let result = self.machine.transact_one(tx);
                return Ok((self.settle(result)?, Err(error)));
            }
        };
        recorder.sealed = tx.opening_gas > 0;
        let (result, recorder) = self.machine.record_one(tx, recorder);
        let mut traced = Err(TraceError::Tracer);
        let outcome = self.settle_with(result, |end| traced = plan.build(recorder, end))?;
        Ok((outcome, traced))
    }

    fn begin(&mut self, mut tx: MachineTx, index: u32) -> MachineTx {
        let ctx = &mut self.machine.ctx;
        ctx.chain.tx_index = index;
        ctx.chain.draws = 0;
        ctx.chain.sender_asked = false;
        ctx.db_mut().tx_index = index;
        ctx.db_mut().secret_read = false;
        if self.rules == QueryRules::Lenient {
            tx.env.gas_limit = tx.env.gas_limit.min(CALL_GAS_MAX);
            ctx.block.gas_limit = ctx.block.gas_limit.max(tx.env.gas_limit);
            ctx.block.basefee = if tx.env.gas_price == 0 { 0 } else { self.base_fee };
        }
        tx
    }

    /// Calls a contract in the name of the system, outside of gas and fees (EIP-2935, EIP-4788).
    ///
    /// # Errors
    /// [`EvmError::View`], [`EvmError::Environment`].
    pub fn system_call(&mut self, contract: Address, input: Bytes) -> Result<Outcome, EvmError> {
        let result = self.machine.system_call_one(contract, input);
        self.settle(result)
    }

    /// Writes an entry in the name of the chain itself, outside of gas: canonical bytes under their digest, which goes
    /// into a slot of a module.
    ///
    /// # Errors
    /// [`EvmError::View`].
    pub fn write_entry(&mut self, module: Address, slot: U256, digest: Digest, bytes: Vec<u8>) -> Result<(), EvmError> {
        Ok(self.machine.ctx.db_mut().write_entry(module, slot, (digest, bytes))?)
    }

    /// What the block changed.
    pub fn finish(self) -> Changes {
        self.machine.into_context().journaled_state.database.into_changes()
    }

    fn settle<E>(&mut self, result: Result<ExecutionResult, E>) -> Result<Outcome, EvmError>
    where
        E: Into<EVMError<ViewError>>,
    {
        self.settle_with(result, |_| {})
    }

    /// Ends a transaction; `look` sees it before it is committed.
    fn settle_with<E>(
        &mut self,
        result: Result<ExecutionResult, E>,
        look: impl FnOnce(&TraceEnd<'_, '_>),
    ) -> Result<Outcome, EvmError>
    where
        E: Into<EVMError<ViewError>>,
    {
        let state = self.machine.finalize();
        let sender_asked = self.machine.ctx.chain.sender_asked;
        match result {
            Ok(result) => {
                let ctx = &self.machine.ctx;
                look(&TraceEnd { result: &result, state: &state, tx: &ctx.tx, block: &ctx.block, overlay: ctx.db() });
                let database = self.machine.ctx.db_mut();
                database.commit(state);
                database.end_transaction(result.is_success());
                Ok(Outcome { sender_asked, ..Outcome::new(result) })
            }
            Err(error) => {
                let database = self.machine.ctx.db_mut();
                database.end_transaction(false);
                Err(EvmError::new(error.into(), database.fault.take()))
            }
        }
    }
}

/// Executes a call over the state of the newest block by [`QueryRules::Lenient`]; nothing of it stays.
///
/// # Errors
/// Any [`EvmError`].
pub fn simulate(
    block: BlockContext,
    modules: &ModuleSet,
    view: &dyn StateView,
    tx: impl Into<MachineTx>,
) -> Result<Outcome, EvmError> {
    Evm::query(block, QueryRules::Lenient, modules, view).transact(tx, 0)
}

fn machine<'a>(block: BlockContext, gas_max: u64, provider: Provider<'a>, view: &'a dyn StateView) -> Machine<'a> {
    let mut cfg = CfgEnv::new_with_spec(SpecId::OSAKA).with_chain_id(block.chain_id);
    cfg.tx_gas_limit_cap = Some(gas_max);
    cfg.limit_contract_code_size = Some(CODE_BYTES_MAX);
    cfg.limit_contract_initcode_size = Some(INIT_CODE_BYTES_MAX);
    let mut journal = Journal::new(Overlay::new(view, block.height));
    journal.set_spec_id(SpecId::OSAKA);
    let context = Context {
        block: BlockEnv {
            number: U256::from(block.height),
            beneficiary: block.beneficiary,
            timestamp: U256::from(block.time_unix_s),
            gas_limit: block.gas_limit,
            basefee: block.base_fee,
            difficulty: U256::ZERO,
            prevrandao: Some(block.prev_randao),
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice: 1 }),
            slot_num: 0,
        },
        tx: TxEnv::default(),
        cfg,
        journaled_state: journal,
        chain: BlockPlace {
            chain_id: block.chain_id,
            height: block.height,
            time_unix_s: block.time_unix_s,
            parent_time_unix_s: block.parent_time_unix_s,
            sapphire: block.sapphire,
            ..BlockPlace::default()
        },
        local: LocalContext::default(),
        error: Ok(()),
    };
    Machine::new(context, provider)
}
