//! revm's machine with our context and precompiles, and two things more: it notes the gas that callers keep, and whether
//! code asked who sends.
//!
//! A precompile sees only the gas that was sent along with its call. What the whole transaction has used (Sapphire's
//! `GAS_USED`) needs what every caller on the way kept for itself.

use std::ops::{Deref, DerefMut};

use revm::{
    bytecode::opcode::{CALLER, ORIGIN},
    context::{Evm, FrameStack},
    context_interface::result::{EVMError, ExecutionResult},
    handler::{
        EthFrame, EvmTr, FrameInitOrResult, FrameTr, Handler as _,
        evm::{ContextDbError, FrameInitResult},
        instructions::EthInstructions,
    },
    inspector::{InspectorEvmTr, InspectorHandler as _},
    interpreter::{
        Instruction, InstructionContext, InstructionExecResult,
        instructions::{system, tx_info},
        interpreter::EthInterpreter,
    },
    primitives::hardfork::SpecId,
};

use crate::{
    handler::{MachineTx, OpeningHandler},
    provider::{MachineContext, Provider},
    trace::Recorder,
    view::ViewError,
};

pub(crate) type Frame = EthFrame<EthInterpreter>;
type Instructions<'a> = EthInstructions<EthInterpreter, MachineContext<'a>>;
type Inner<'a> = Evm<MachineContext<'a>, Recorder, Instructions<'a>, Provider<'a>, Frame>;

/// Gas of `CALLER` and `ORIGIN`.
const BASE_GAS: u16 = 2;

/// `CALLER`, noted.
fn caller(context: InstructionContext<'_, MachineContext<'_>, EthInterpreter>) -> InstructionExecResult {
    context.host.chain.sender_asked = true;
    system::caller(context)
}

/// `ORIGIN`, noted.
fn origin(context: InstructionContext<'_, MachineContext<'_>, EthInterpreter>) -> InstructionExecResult {
    context.host.chain.sender_asked = true;
    tx_info::origin(context)
}

/// Whoever runs it by a handler gives it this whole type, not what it dereferences to: only so is the gas noted.
pub(crate) struct Machine<'a>(Inner<'a>);

impl<'a> Machine<'a> {
    pub(crate) fn new(context: MachineContext<'a>, provider: Provider<'a>) -> Self {
        let mut instructions: Instructions<'a> = EthInstructions::new_mainnet_with_spec(SpecId::OSAKA);
        instructions.insert_instruction(CALLER, Instruction::new(caller), BASE_GAS);
        instructions.insert_instruction(ORIGIN, Instruction::new(origin), BASE_GAS);
        Self(Inner::new_with_inspector(context, Recorder::default(), instructions, provider))
    }

    /// Executes a transaction; what it changed stays in the journal.
    pub(crate) fn transact_one(&mut self, tx: MachineTx) -> Result<ExecutionResult, EVMError<ViewError>> {
        let MachineTx { env, input, opening_gas } = tx;
        self.ctx.tx = env;
        OpeningHandler::new(input, opening_gas).run(self)
    }

    /// As [`Self::transact_one`], while a recorder looks on.
    pub(crate) fn record_one(
        &mut self,
        tx: MachineTx,
        recorder: Recorder,
    ) -> (Result<ExecutionResult, EVMError<ViewError>>, Recorder) {
        let MachineTx { env, input, opening_gas } = tx;
        self.ctx.tx = env;
        self.0.inspector = recorder;
        let result = OpeningHandler::new(input, opening_gas).inspect_run(self);
        (result, std::mem::take(&mut self.0.inspector))
    }

    pub(crate) fn into_context(self) -> MachineContext<'a> {
        self.0.ctx
    }
}

impl<'a> Deref for Machine<'a> {
    type Target = Inner<'a>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Machine<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<'a> EvmTr for Machine<'a> {
    type Context = MachineContext<'a>;
    type Instructions = Instructions<'a>;
    type Precompiles = Provider<'a>;
    type Frame = Frame;

    fn all(&self) -> (&Self::Context, &Self::Instructions, &Self::Precompiles, &FrameStack<Frame>) {
        self.0.all()
    }

    fn all_mut(
        &mut self,
    ) -> (&mut Self::Context, &mut Self::Instructions, &mut Self::Precompiles, &mut FrameStack<Frame>) {
        self.0.all_mut()
    }

    fn frame_init(
        &mut self,
        init: <Frame as FrameTr>::FrameInit,
    ) -> Result<FrameInitResult<'_, Frame>, ContextDbError<Self::Context>> {
        let kept = &mut self.0.ctx.chain.gas_kept;
        kept.truncate(init.depth.saturating_sub(1));
        if init.depth > 0 {
            kept.push(self.0.frame_stack.get().interpreter.gas.remaining());
        }
        self.0.frame_init(init)
    }

    fn frame_run(&mut self) -> Result<FrameInitOrResult<Frame>, ContextDbError<Self::Context>> {
        self.0.frame_run()
    }

    fn frame_return_result(
        &mut self,
        result: <Frame as FrameTr>::FrameResult,
    ) -> Result<Option<<Frame as FrameTr>::FrameResult>, ContextDbError<Self::Context>> {
        self.0.frame_return_result(result)
    }
}

impl<'a> InspectorEvmTr for Machine<'a> {
    type Inspector = Recorder;

    fn all_inspector(
        &self,
    ) -> (&Self::Context, &Self::Instructions, &Self::Precompiles, &FrameStack<Self::Frame>, &Self::Inspector) {
        self.0.all_inspector()
    }

    fn all_mut_inspector(
        &mut self,
    ) -> (
        &mut Self::Context,
        &mut Self::Instructions,
        &mut Self::Precompiles,
        &mut FrameStack<Self::Frame>,
        &mut Self::Inspector,
    ) {
        self.0.all_mut_inspector()
    }
}
