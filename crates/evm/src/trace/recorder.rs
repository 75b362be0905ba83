//! What is written down while a transaction runs: an instrument of `revm-inspectors`, fed until the first secret enters.
//!
//! Every event is checked before the instrument sees it. Frames that are open at the cut are still ended for it, with
//! results that say nothing; the outermost one keeps its status and gas, which the receipt shows. What is kept is
//! bounded. Beside the instrument stand the transfers of value that `eth_simulateV1` shows as logs.

use core::num::NonZeroU64;

use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256, address, b256};
use revm::{
    Inspector,
    context_interface::{ContextTr, JournalTr, Transaction as _},
    interpreter::{
        CallInput, CallInputs, CallOutcome, CreateInputs, CreateOutcome, Gas, InstructionResult, Interpreter,
        InterpreterResult,
    },
};
use revm_inspectors::{
    access_list::AccessListInspector,
    tracing::{DebugInspector, StackSnapshotType, TracingInspector},
};

use super::Sight;
use crate::provider::MachineContext;

/// Most steps of a trace.
pub(super) const STEPS_MAX: u64 = 100_000;
/// Most bytes that a trace may take while it is made, roughly counted.
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// What a step and a frame count beside the data they hold.
const STEP_BYTES: usize = 256;
const FRAME_BYTES: usize = 1_024;
/// Who seems to log transfers of value (execution-apis, `eth_simulateV1`).
const TRANSFER_LOGGER: Address = address!("0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");
/// keccak-256 of `Transfer(address,address,uint256)`.
const TRANSFER_TOPIC: B256 = b256!("0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// What writes down.
#[derive(Default)]
pub(crate) enum Instrument {
    #[default]
    Nothing,
    Debug(Box<DebugInspector>),
    Parity(Box<TracingInspector>),
    AccessList(AccessListInspector),
}

/// The inspector of the machine. It writes down nothing by default.
#[derive(Default)]
pub(crate) struct Recorder {
    instrument: Instrument,
    sees_everything: bool,
    /// Whether call data came sealed: the first frame's input is a secret then.
    pub(crate) sealed: bool,
    /// Frames that the instrument knows and that are open.
    open: usize,
    /// Frames that are open and that the instrument does not know.
    hidden: usize,
    closed: Option<usize>,
    bytes: usize,
    steps: u64,
    is_too_large: bool,
    transfers: Option<Transfers>,
}

impl Recorder {
    pub(crate) fn new(instrument: Instrument, sight: Sight) -> Self {
        Self { instrument, sees_everything: sight == Sight::Everything, ..Self::default() }
    }

    /// Logs each transfer of value.
    pub(crate) fn of_transfers() -> Self {
        Self { transfers: Some(Transfers::default()), ..Self::default() }
    }

    pub(crate) const fn closed(&self) -> Option<usize> {
        self.closed
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) const fn is_too_large(&self) -> bool {
        self.is_too_large
    }

    pub(crate) fn into_instrument(self) -> Instrument {
        self.instrument
    }

    /// Whether the instrument may see what comes now.
    fn sees(&mut self, context: &MachineContext<'_>) -> bool {
        if self.closed.is_some() || self.is_too_large {
            return false;
        }
        if !self.sees_everything && (context.chain.draws > 0 || context.db().secret_read) {
            self.closed = Some(self.open);
            return false;
        }
        true
    }

    fn count(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.is_too_large |= self.bytes > BYTES_MAX;
    }

    /// Whether the frame of this account is a confidential contract's.
    fn is_closed_frame(&self, context: &mut MachineContext<'_>, target: Address) -> bool {
        !self.sees_everything && context.db_mut().is_confidential_contract(target)
    }

    /// Notes that a frame began; whether the instrument is to see it.
    fn begin(&mut self, context: &MachineContext<'_>, bytes: usize) -> bool {
        if !self.sees(context) {
            self.hidden += 1;
            return false;
        }
        self.count(FRAME_BYTES.saturating_add(bytes));
        self.open += 1;
        true
    }

    /// Notes that a frame ended: `None` where the instrument does not know it, else the result that it may see.
    fn end(&mut self, context: &MachineContext<'_>, result: &InterpreterResult) -> Option<InterpreterResult> {
        if self.hidden > 0 {
            self.hidden -= 1;
            return None;
        }
        let seen = self.sees(context);
        self.open = self.open.saturating_sub(1);
        Some(match (seen, self.open) {
            (true, _) => {
                self.count(result.output.len());
                result.clone()
            }
            (false, 0) => {
                // Receipts tell success from failure, not one failure from another.
                let told = if result.is_ok() { result.result } else { InstructionResult::Revert };
                InterpreterResult::new(told, Bytes::new(), result.gas)
            }
            (false, _) => InterpreterResult::new(InstructionResult::Stop, Bytes::new(), Gas::new(0)),
        })
    }
}

/// Calls a hook of whatever instrument there is.
macro_rules! to_instrument {
    ($self:ident, $instrument:ident => $call:expr) => {
        match &mut $self.instrument {
            Instrument::Nothing => {}
            Instrument::Debug($instrument) => $call,
            Instrument::Parity($instrument) => $call,
            Instrument::AccessList($instrument) => $call,
        }
    };
}

impl<'a> Inspector<MachineContext<'a>> for Recorder {
    fn initialize_interp(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext<'a>) {
        if let Some(transfers) = &mut self.transfers {
            transfers.enter(context);
        }
        if self.hidden == 0 && self.sees(context) {
            to_instrument!(self, it => Inspector::<MachineContext<'a>>::initialize_interp(it, interpreter, context));
        }
    }

    fn step(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext<'a>) {
        if self.transfers.is_some() || !self.sees(context) {
            return;
        }
        self.steps += 1;
        self.count_step(interpreter);
        to_instrument!(self, it => Inspector::<MachineContext<'a>>::step(it, interpreter, context));
    }

    fn step_end(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext<'a>) {
        if self.transfers.is_none() && self.sees(context) {
            to_instrument!(self, it => Inspector::<MachineContext<'a>>::step_end(it, interpreter, context));
        }
    }

    fn log(&mut self, context: &mut MachineContext<'a>, log: Log) {
        if self.transfers.is_none() && self.sees(context) {
            self.count(log.data.data.len());
            to_instrument!(self, it => Inspector::<MachineContext<'a>>::log(it, context, log));
        }
    }

    fn call(&mut self, context: &mut MachineContext<'a>, inputs: &mut CallInputs) -> Option<CallOutcome> {
        if let Some(transfers) = &mut self.transfers {
            let value = inputs.transfer_value().unwrap_or_default();
            transfers.begin(inputs.transfer_from(), inputs.transfer_to(), value);
            return None;
        }
        if !self.begin(context, inputs.input.len()) {
            return None;
        }
        let mut seen = inputs.clone();
        if self.sealed {
            seen.input = CallInput::Bytes(context.tx.input().clone());
        }
        to_instrument!(self, it => drop(Inspector::<MachineContext<'a>>::call(it, context, &mut seen)));
        if self.sealed && !self.sees_everything || self.is_closed_frame(context, inputs.target_address) {
            self.closed = Some(self.open);
        }
        None
    }

    fn call_end(&mut self, context: &mut MachineContext<'a>, inputs: &CallInputs, outcome: &mut CallOutcome) {
        if let Some(transfers) = &mut self.transfers {
            return transfers.end(context, outcome.result.is_ok());
        }
        let Some(result) = self.end(context, &outcome.result) else { return };
        let mut seen = outcome.clone();
        seen.result = result;
        to_instrument!(self, it => Inspector::<MachineContext<'a>>::call_end(it, context, inputs, &mut seen));
    }

    fn create(&mut self, context: &mut MachineContext<'a>, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        if let Some(transfers) = &mut self.transfers {
            let caller = inputs.caller();
            let nonce = context.journaled_state.load_account(caller).ok()?.data.info.nonce;
            transfers.begin(caller, inputs.created_address(nonce), inputs.value());
            return None;
        }
        if !self.begin(context, inputs.init_code().len()) {
            return None;
        }
        let mut seen = inputs.clone();
        if self.sealed {
            seen.set_init_code(context.tx.input().clone());
        }
        to_instrument!(self, it => drop(Inspector::<MachineContext<'a>>::create(it, context, &mut seen)));
        if self.sealed && !self.sees_everything {
            self.closed = Some(self.open);
        }
        None
    }

    fn create_end(&mut self, context: &mut MachineContext<'a>, inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        if let Some(transfers) = &mut self.transfers {
            return transfers.end(context, outcome.result.is_ok());
        }
        let Some(result) = self.end(context, &outcome.result) else { return };
        let mut seen = outcome.clone();
        seen.result = result;
        to_instrument!(self, it => Inspector::<MachineContext<'a>>::create_end(it, context, inputs, &mut seen));
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        // What could have brought a secret in was noticed at this instruction's step.
        if self.closed.is_none() && !self.is_too_large && self.hidden == 0 {
            to_instrument!(self, it => Inspector::<MachineContext<'a>>::selfdestruct(it, contract, target, value));
        }
    }
}

impl Recorder {
    /// What the instrument keeps of a step.
    fn count_step(&mut self, interpreter: &Interpreter) {
        let config = match &self.instrument {
            Instrument::Debug(debug) => match &**debug {
                DebugInspector::Default(inspector, _) => *inspector.config(),
                _ => return,
            },
            Instrument::Parity(inspector) => *inspector.config(),
            Instrument::Nothing | Instrument::AccessList(_) => return,
        };
        if !config.record_steps {
            return;
        }
        let limit = config.step_limit.map_or(STEPS_MAX, NonZeroU64::get);
        if self.steps > limit {
            // Who asked for fewer has them; who did not would take the part for the whole.
            self.is_too_large |= limit >= STEPS_MAX;
            return;
        }
        let stack =
            if config.record_stack_snapshots == StackSnapshotType::None { 0 } else { interpreter.stack.len() * 32 };
        let memory = if config.record_memory_snapshots { interpreter.memory.len() } else { 0 };
        let returned = if config.record_returndata_snapshots { 64 } else { 0 };
        self.count(STEP_BYTES + stack + memory + returned);
    }
}

/// Transfers of value, told as logs of the frame that they belong to, so that they go when it reverts.
#[derive(Default)]
struct Transfers {
    /// The transfer of the frame that is about to begin.
    next: Option<(Address, Address, U256)>,
}

impl Transfers {
    fn begin(&mut self, from: Address, to: Address, value: U256) {
        self.next = (!value.is_zero()).then_some((from, to, value));
    }

    /// The frame runs.
    fn enter(&mut self, context: &mut MachineContext<'_>) {
        if let Some((from, to, value)) = self.next.take() {
            let topics = vec![TRANSFER_TOPIC, from.into_word(), to.into_word()];
            let data = LogData::new_unchecked(topics, value.to_be_bytes::<32>().to_vec().into());
            context.journaled_state.log(Log { address: TRANSFER_LOGGER, data });
        }
    }

    /// The frame has ended; one without code never ran.
    fn end(&mut self, context: &mut MachineContext<'_>, is_ok: bool) {
        if is_ok {
            self.enter(context);
        }
        self.next = None;
    }
}
