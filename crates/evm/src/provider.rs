//! What stands at special addresses: Ethereum's precompiles, Sapphire's, and the system modules.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, Bytes, KECCAK256_EMPTY, Log, U256};
use freehold_primitives::{BlockMoment, Digest};
use revm::{
    Context,
    context::{BlockEnv, CfgEnv, Journal as MachineJournal, TxEnv},
    context_interface::{ContextTr, JournalTr, LocalContextTr as _, journaled_state::JournalCheckpoint},
    handler::{EthPrecompiles, PrecompileProvider},
    interpreter::{CallInputs, CallScheme, Gas, InstructionResult, InterpreterResult},
    primitives::{AddressSet, hardfork::SpecId},
};

use crate::{
    module::{
        Construction, Journal, Module, ModuleCall, ModuleContext, ModuleEnvironment, ModuleFailure, ModuleSet,
        SlotWrite,
    },
    overlay::{Overlay, mark_slot, mark_value},
    sapphire::{
        Failure, GasMeter, Refusal, SapphireContext, SapphirePrecompile, SubcallError, SubcallPlace, Surroundings, run,
        run_subcall,
    },
    view::{ViewError, Visibility},
};

pub(crate) type MachineContext<'a> =
    Context<BlockEnv, TxEnv, CfgEnv, Overlay<'a>, MachineJournal<Overlay<'a>>, BlockPlace>;

/// What modules and precompiles see of block and transaction and the environment of the machine does not hold.
#[derive(Clone, Default)]
pub(crate) struct BlockPlace {
    pub(crate) chain_id: u64,
    pub(crate) height: u64,
    pub(crate) time_unix_s: u64,
    pub(crate) parent_time_unix_s: u64,
    pub(crate) tx_index: u32,
    pub(crate) sapphire: SapphireContext,
    /// Draws of randomness in this transaction; no part of the journal, so that a revert does not take them back.
    pub(crate) draws: u64,
    /// Gas that callers keep for themselves while what they call runs, from the outermost on.
    pub(crate) gas_kept: Vec<u64>,
    /// Whether anything in this transaction asked who sends it, or who calls.
    pub(crate) sender_asked: bool,
}

/// Where a simulation has moved precompiles of Ethereum's to, and which it has taken away.
#[derive(Debug, Clone, Default)]
pub(crate) struct PrecompileMoves {
    /// New place → old place.
    moved: BTreeMap<Address, Address>,
    gone: BTreeSet<Address>,
}

impl PrecompileMoves {
    pub(crate) const fn new() -> Self {
        Self { moved: BTreeMap::new(), gone: BTreeSet::new() }
    }

    /// Whether it is one that can move.
    pub(crate) fn may_move(address: &Address) -> bool {
        EthPrecompiles::new(SpecId::OSAKA).contains(address)
    }

    /// Moves a precompile; `false` where another stands already.
    pub(crate) fn put(&mut self, from: Address, to: Address) -> bool {
        self.gone.insert(from);
        self.moved.insert(to, from).is_none()
    }

    /// Takes a precompile away.
    pub(crate) fn hide(&mut self, address: Address) {
        self.gone.insert(address);
        self.moved.remove(&address);
    }

    /// The precompile that answers at an address, where one can.
    fn resolve(&self, address: Address) -> Option<Address> {
        match self.moved.get(&address) {
            Some(old) => Some(*old),
            None if self.gone.contains(&address) => None,
            None => Some(address),
        }
    }
}

pub(crate) struct Provider<'a> {
    ethereum: EthPrecompiles,
    moves: PrecompileMoves,
    modules: &'a ModuleSet,
    warm: AddressSet,
}

impl<'a> Provider<'a> {
    pub(crate) fn new(modules: &'a ModuleSet) -> Self {
        let ethereum = EthPrecompiles::new(SpecId::OSAKA);
        let mut warm = ethereum.warm_addresses().clone();
        warm.extend(modules.addresses());
        warm.extend(SapphirePrecompile::ALL.map(SapphirePrecompile::address));
        Self { ethereum, moves: PrecompileMoves::new(), modules, warm }
    }

    /// Puts precompiles elsewhere.
    pub(crate) fn set_moves(&mut self, moves: PrecompileMoves) {
        self.moves = moves;
    }

    fn call(
        &self,
        module: &dyn Module,
        ctx: &mut MachineContext<'_>,
        inputs: &CallInputs,
    ) -> Result<InterpreterResult, ()> {
        // Under DELEGATECALL and CALLCODE a module would act on another account's behalf.
        if !matches!(inputs.scheme, CallScheme::Call | CallScheme::StaticCall) {
            return Ok(ended(InstructionResult::Revert, Bytes::new(), inputs.gas_limit, inputs.gas_limit));
        }
        ctx.chain.sender_asked = true;
        let call = ModuleCall { input: inputs.input.bytes(ctx), caller: inputs.caller, value: inputs.call_value() };
        let environment = environment(ctx);
        let mut context = ModuleContext {
            journal: ctx,
            environment,
            module: module.address(),
            addresses: self.modules.addresses(),
            is_static: inputs.is_static,
            gas_left: inputs.gas_limit,
        };
        let result = module.call(&call, &mut context);
        let gas_left = context.gas_left;
        let (instruction, output, gas_left) = match result {
            Ok(output) => (InstructionResult::Return, output, gas_left),
            Err(ModuleFailure::Revert(output)) => (InstructionResult::Revert, output, gas_left),
            Err(ModuleFailure::OutOfGas) => (InstructionResult::PrecompileOOG, Bytes::new(), 0),
            Err(ModuleFailure::StaticCall) => (InstructionResult::StateChangeDuringStaticCall, Bytes::new(), 0),
            Err(ModuleFailure::View(fault)) => {
                ctx.db_mut().fault = Some(fault);
                return Err(());
            }
        };
        Ok(ended(instruction, output, inputs.gas_limit, gas_left))
    }

    /// A call to `SUBCALL`. Under DELEGATECALL and CALLCODE it would act on another account's behalf.
    fn subcall(&self, ctx: &mut MachineContext<'_>, inputs: &CallInputs) -> Result<InterpreterResult, ()> {
        if !matches!(inputs.scheme, CallScheme::Call | CallScheme::StaticCall) || !inputs.call_value().is_zero() {
            return Ok(answered(ctx, inputs.gas_limit, 0, Err(Refusal::Scheme.into())));
        }
        ctx.chain.sender_asked = true;
        let input = inputs.input.bytes(ctx);
        let environment = environment(ctx);
        let place = SubcallPlace {
            epoch: ctx.chain.sapphire.epoch,
            call_data_key: ctx.chain.sapphire.call_data_key,
            handler: self.modules.subcalls(),
            caller: inputs.caller,
        };
        let mut context = ModuleContext {
            journal: ctx,
            environment,
            module: inputs.bytecode_address,
            addresses: self.modules.addresses(),
            is_static: inputs.is_static,
            gas_left: inputs.gas_limit,
        };
        let result = run_subcall(&input, &place, &mut context);
        let gas_left = context.gas_left;
        match result {
            Ok(output) => Ok(answered(ctx, inputs.gas_limit, gas_left, Ok(output))),
            Err(SubcallError::Failure(failure)) => Ok(answered(ctx, inputs.gas_limit, gas_left, Err(failure))),
            Err(SubcallError::View(fault)) => {
                ctx.db_mut().fault = Some(fault);
                Err(())
            }
        }
    }
}

/// A call to any other precompile of Sapphire's.
fn sapphire(precompile: SapphirePrecompile, ctx: &mut MachineContext<'_>, inputs: &CallInputs) -> InterpreterResult {
    let input = inputs.input.bytes(ctx);
    let mut meter = GasMeter::new(inputs.gas_limit);
    let place = &mut ctx.chain;
    let kept = place.gas_kept.iter().fold(0, |sum: u64, gas| sum.saturating_add(*gas));
    let mut surroundings = Surroundings {
        context: &place.sapphire,
        tx_index: place.tx_index,
        draws: &mut place.draws,
        gas_available: ctx.tx.gas_limit.saturating_sub(kept),
    };
    let result = run(precompile, &input, &mut meter, &mut surroundings);
    answered(ctx, inputs.gas_limit, meter.left(), result)
}

/// The result of a precompile of Sapphire's.
fn answered(
    ctx: &mut MachineContext<'_>,
    gas_limit: u64,
    gas_left: u64,
    result: Result<Vec<u8>, Failure>,
) -> InterpreterResult {
    match result {
        Ok(output) => ended(InstructionResult::Return, output.into(), gas_limit, gas_left),
        Err(Failure::Revert) => ended(InstructionResult::Revert, Bytes::new(), gas_limit, gas_left),
        Err(Failure::OutOfGas) => ended(InstructionResult::PrecompileOOG, Bytes::new(), gas_limit, 0),
        Err(Failure::Refused(refusal)) => {
            // Only who calls a precompile directly, and not through a contract, hears why.
            if ctx.journaled_state.depth() == 1 {
                ctx.local.set_precompile_error_context(refusal.to_string());
            }
            ended(InstructionResult::PrecompileError, Bytes::new(), gas_limit, 0)
        }
    }
}

fn environment(ctx: &MachineContext<'_>) -> ModuleEnvironment {
    ModuleEnvironment {
        chain_id: ctx.chain.chain_id,
        height: ctx.chain.height,
        time_unix_s: ctx.chain.time_unix_s,
        parent_time_unix_s: ctx.chain.parent_time_unix_s,
        origin: ctx.tx.caller,
        origin_nonce: ctx.tx.nonce,
        tx_index: ctx.chain.tx_index,
    }
}

fn ended(result: InstructionResult, output: Bytes, gas_limit: u64, gas_left: u64) -> InterpreterResult {
    let mut gas = Gas::new(gas_limit);
    // Never more than the limit: `gas_left` starts there and only falls.
    let charged = gas.record_regular_cost(gas_limit - gas_left);
    assert!(charged, "a module spends no more gas than it was given");
    InterpreterResult::new(result, output, gas)
}

impl<'a> PrecompileProvider<MachineContext<'a>> for Provider<'_> {
    type Output = InterpreterResult;

    fn set_spec(&mut self, spec: SpecId) -> bool {
        <EthPrecompiles as PrecompileProvider<MachineContext<'a>>>::set_spec(&mut self.ethereum, spec)
    }

    fn run(&mut self, ctx: &mut MachineContext<'a>, inputs: &CallInputs) -> Result<Option<InterpreterResult>, String> {
        let Some(address) = self.moves.resolve(inputs.bytecode_address) else { return Ok(None) };
        let address = &address;
        let result = match (self.modules.get(address), SapphirePrecompile::at(address)) {
            (Some(module), _) => self.call(module, ctx, inputs),
            (None, Some(SapphirePrecompile::Subcall)) => self.subcall(ctx, inputs),
            (None, Some(precompile)) => Ok(sapphire(precompile, ctx, inputs)),
            (None, None) if *address == inputs.bytecode_address => return self.ethereum.run(ctx, inputs),
            (None, None) => {
                let inputs = CallInputs { bytecode_address: *address, ..inputs.clone() };
                return self.ethereum.run(ctx, &inputs);
            }
        };
        // The failure itself is kept in the overlay, typed.
        result.map(Some).map_err(|()| "state could not be read".to_owned())
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.warm
    }
}

impl Journal for MachineContext<'_> {
    fn sload(&mut self, address: Address, slot: U256) -> Result<(U256, bool), ViewError> {
        // Slots are reached only in loaded accounts; another module's may not be yet.
        self.journaled_state.load_account(address)?;
        let load = self.journaled_state.sload(address, slot)?;
        Ok((load.data, load.is_cold))
    }

    fn sstore(&mut self, address: Address, slot: U256, value: U256) -> Result<SlotWrite, ViewError> {
        self.journaled_state.load_account(address)?;
        let load = self.journaled_state.sstore(address, slot, value)?;
        self.journaled_state.touch_account(address);
        Ok(SlotWrite { original: load.data.original_value, present: load.data.present_value, cold: load.is_cold })
    }

    fn is_new_account(&mut self, address: Address) -> Result<bool, ViewError> {
        Ok(self.journaled_state.load_account(address)?.data.is_empty())
    }

    fn transfer(&mut self, from: Address, to: Address, value: U256) -> Result<bool, ViewError> {
        Ok(self.journaled_state.transfer(from, to, value)?.is_none())
    }

    fn log(&mut self, log: Log) {
        self.journaled_state.log(log);
    }

    fn put(&mut self, digest: Digest, bytes: Vec<u8>) {
        self.db_mut().put(digest, bytes);
    }

    fn content(&mut self, digest: &Digest) -> Result<Option<Vec<u8>>, ViewError> {
        self.db_mut().get(digest)
    }

    fn moment(&mut self, height: u64) -> Result<Option<BlockMoment>, ViewError> {
        let here = self.chain.height;
        if height >= here { Ok(None) } else { self.db_mut().view().moment(height) }
    }

    fn checkpoint(&mut self) -> JournalCheckpoint {
        self.journaled_state.checkpoint()
    }

    fn checkpoint_commit(&mut self) {
        self.journaled_state.checkpoint_commit();
    }

    fn checkpoint_revert(&mut self, checkpoint: JournalCheckpoint) {
        self.journaled_state.checkpoint_revert(checkpoint);
    }

    fn construction(&mut self, contract: Address) -> Result<Construction, ViewError> {
        let account = self.journaled_state.load_account(contract)?.data;
        // Code stands at the address only when the constructor has returned it, and code alone can call in its name.
        if !account.is_created_locally() || account.info.code_hash != KECCAK256_EMPTY {
            return Ok(Construction::Ended);
        }
        let written = account.storage.values().any(|slot| !slot.present_value().is_zero());
        Ok(if written { Construction::Written } else { Construction::Open })
    }

    fn visibility(&mut self, address: Address) -> Result<Visibility, ViewError> {
        self.db_mut().account_visibility(address)
    }

    fn mark(&self, contract: Address) -> (U256, U256) {
        (mark_slot(contract), mark_value(self.chain.height, self.chain.tx_index))
    }
}
