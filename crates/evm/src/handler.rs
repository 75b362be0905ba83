//! A transaction by Ethereum's rules, but for call data that came encrypted: the first frame gets other bytes than the
//! transaction carries and pays for, and opening them has a price.
//!
//! The machine's own rules decide everything else. Who opens call data, and why it is refused, is the ledger's business.

use alloy_primitives::Bytes;
use revm::{
    context::{
        TxEnv,
        result::{EVMError, HaltReason, InvalidTransaction},
    },
    context_interface::{JournalTr as _, journaled_state::account::JournaledAccountTr as _},
    handler::{FrameResult, Handler, MainnetHandler},
    inspector::{
        InspectorEvmTr as _, InspectorHandler,
        handler::{frame_end, frame_start},
    },
    interpreter::{
        CallInput, CallOutcome, CreateOutcome, FrameInput, Gas, InitialAndFloorGas, InstructionResult,
        InterpreterResult, interpreter::EthInterpreter, interpreter_action::FrameInit,
    },
};

use crate::{
    machine::{Frame, Machine},
    view::ViewError,
};

/// What the first frame of a transaction gets for call data, or for init code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FirstInput {
    /// What the transaction carries.
    #[default]
    Carried,
    /// These bytes instead.
    Opened(Bytes),
    /// Nothing: the transaction fails before its first instruction, moves no value, and pays for what it carries.
    Refused,
}

/// A transaction, and what became of its call data.
#[derive(Debug, Clone, Default)]
pub struct MachineTx {
    /// The transaction as it was sent.
    pub env: TxEnv,
    /// What its first frame gets.
    pub input: FirstInput,
    /// Gas that it pays beside its intrinsic cost: the price of an opening.
    pub opening_gas: u64,
}

impl From<TxEnv> for MachineTx {
    fn from(env: TxEnv) -> Self {
        Self { env, ..Self::default() }
    }
}

type Error = EVMError<ViewError>;
type Mainnet<'a> = MainnetHandler<Machine<'a>, Error, Frame>;

/// The machine's handler with the first input put in its place.
pub(crate) struct OpeningHandler<'a> {
    mainnet: Mainnet<'a>,
    input: FirstInput,
    opening_gas: u64,
}

impl OpeningHandler<'_> {
    pub(crate) fn new(input: FirstInput, opening_gas: u64) -> Self {
        Self { mainnet: Mainnet::default(), input, opening_gas }
    }
}

impl<'a> Handler for OpeningHandler<'a> {
    type Evm = Machine<'a>;
    type Error = Error;
    type HaltReason = HaltReason;

    fn validate_initial_tx_gas(&self, evm: &mut Self::Evm) -> Result<InitialAndFloorGas, Error> {
        let gas = self.mainnet.validate_initial_tx_gas(evm)?;
        let gas = gas.with_initial_regular_gas(gas.initial_regular_gas() + self.opening_gas);
        let gas_limit = evm.ctx.tx.gas_limit;
        if gas.initial_total_gas() > gas_limit {
            let initial_gas = gas.initial_total_gas();
            return Err(InvalidTransaction::CallGasCostMoreThanGasLimit { initial_gas, gas_limit }.into());
        }
        Ok(gas)
    }

    fn run_exec_loop(&mut self, evm: &mut Self::Evm, mut first: FrameInit) -> Result<FrameResult, Error> {
        match &self.input {
            FirstInput::Carried => {}
            FirstInput::Opened(bytes) => put(&mut first.frame_input, bytes.clone()),
            FirstInput::Refused => return refused(evm, &first.frame_input),
        }
        self.mainnet.run_exec_loop(evm, first)
    }
}

/// The same while a recorder looks on.
impl InspectorHandler for OpeningHandler<'_> {
    type IT = EthInterpreter;

    fn inspect_run_exec_loop(&mut self, evm: &mut Self::Evm, mut first: FrameInit) -> Result<FrameResult, Error> {
        match &self.input {
            FirstInput::Carried => {}
            FirstInput::Opened(bytes) => put(&mut first.frame_input, bytes.clone()),
            FirstInput::Refused => {
                let (ctx, recorder) = evm.ctx_inspector();
                frame_start(ctx, recorder, &mut first.frame_input);
                let mut result = refused(evm, &first.frame_input)?;
                let (ctx, recorder) = evm.ctx_inspector();
                frame_end(ctx, recorder, &first.frame_input, &mut result);
                return Ok(result);
            }
        }
        self.mainnet.inspect_run_exec_loop(evm, first)
    }
}

fn put(frame: &mut FrameInput, bytes: Bytes) {
    match frame {
        FrameInput::Call(call) => call.input = CallInput::Bytes(bytes),
        FrameInput::Create(create) => create.set_init_code(bytes),
        FrameInput::Empty => {}
    }
}

/// The result of a transaction whose first frame is not entered: a revert without data that gives back what gas is left.
fn refused(evm: &mut Machine<'_>, frame: &FrameInput) -> Result<FrameResult, Error> {
    let reverted = |gas| InterpreterResult::new(InstructionResult::Revert, Bytes::new(), Gas::new(gas));
    match frame {
        FrameInput::Call(call) => Ok(FrameResult::Call(CallOutcome::new(reverted(call.gas_limit), 0..0))),
        FrameInput::Create(create) => {
            // The frame that makes a contract counts the sender's nonce up; this one is never entered.
            evm.ctx.journaled_state.load_account_mut(create.caller())?.data.bump_nonce();
            Ok(FrameResult::Create(CreateOutcome::new(reverted(create.gas_limit()), None)))
        }
        FrameInput::Empty => unreachable!("the machine makes a first frame of every transaction"),
    }
}
