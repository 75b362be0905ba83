//! Traces of transactions and calls, for whoever debugs: what is asked for, and what came of it.
//!
//! Invariant: unless the chain lets everything be seen ([`Sight::Everything`]), a trace is a function of public data. It
//! ends where the first secret enters (`spec/confidential-state.md` §6): at the frame of a confidential contract, at a read
//! of a confidential slot, at a draw of randomness, or before the first frame where call data was sealed. Tracing
//! changes no outcome. Forms of traces are those of geth and Parity, built by `revm-inspectors`.

mod recorder;

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, map::HashSet};
use alloy_rpc_types_trace::{
    geth::{GethDebugBuiltInTracerType as BuiltIn, GethDebugTracerType, GethDebugTracingOptions, GethTrace},
    parity::{TraceResults, TraceType},
};
use revm::{
    DatabaseRef,
    bytecode::Bytecode,
    context::{
        BlockEnv, TxEnv,
        result::{ExecutionResult, Output, ResultAndState},
    },
    context_interface::block::BlobExcessGasAndPrice,
    context_interface::transaction::AccessList,
    state::{AccountInfo, EvmState},
};
use revm_inspectors::{
    access_list::AccessListInspector,
    tracing::{DebugInspector, TracingInspector, TracingInspectorConfig, TransactionContext},
};
use thiserror::Error;

pub(crate) use recorder::Recorder;
use recorder::{Instrument, STEPS_MAX};

use crate::{
    overlay::Overlay,
    view::{ViewError, Visibility},
};

/// What is asked for.
#[derive(Debug, Clone)]
pub enum TraceKind {
    /// A tracer of geth's: struct logs, `callTracer`, `flatCallTracer`, `prestateTracer`, `4byteTracer`, `noopTracer`.
    Geth(Box<GethDebugTracingOptions>),
    /// Parity's traces of these types.
    Parity(HashSet<TraceType>),
    /// Accounts and slots that are touched, beside those that the transaction lists already.
    AccessList(AccessList),
}

/// How far a trace sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// Up to the first secret.
    Public,
    /// Everything: only on a chain whose genesis says so.
    Everything,
}

/// A trace to be made.
#[derive(Debug, Clone)]
pub struct TracePlan {
    /// What is asked for.
    pub kind: TraceKind,
    /// How far it sees.
    pub sight: Sight,
    /// Hash of the block, where there is one.
    pub block_hash: Option<B256>,
    /// Hash of the transaction, where there is one.
    pub tx_hash: Option<B256>,
}

/// Why there is no trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The tracer is not one that is served.
    #[error(
        "no such tracer here: struct logs, callTracer, flatCallTracer, prestateTracer, 4byteTracer and noopTracer are served"
    )]
    Tracer,
    /// The tracer's configuration has another form.
    #[error("the configuration of the tracer is malformed")]
    Config,
    /// The trace is larger than a node keeps.
    #[error("the trace is too large: ask with limit, disableStack or onlyTopCall, or trace less")]
    TooLarge,
}

/// What was traced.
#[derive(Debug, Clone)]
pub enum Trace {
    /// In geth's form.
    Geth(Box<GethTrace>),
    /// In Parity's.
    Parity(Box<TraceResults>),
    /// Accounts and slots.
    AccessList(AccessList),
}

/// A trace, and where it ends.
#[derive(Debug, Clone)]
pub struct Traced {
    /// What was traced.
    pub trace: Trace,
    /// Frames, from the outermost on, that were still open when the first secret entered; `None` where none did, so that the
    /// trace is whole. Their results are not shown, nor anything that followed.
    pub closed: Option<usize>,
    /// Bytes that it took while it was made, roughly.
    pub bytes: usize,
}

impl TracePlan {
    /// A recorder for one transaction.
    ///
    /// # Errors
    /// [`TraceError::Tracer`], [`TraceError::Config`].
    pub(crate) fn recorder(&self) -> Result<Recorder, TraceError> {
        let instrument = match &self.kind {
            TraceKind::Geth(options) => Instrument::Debug(Box::new(debug_inspector(options)?)),
            TraceKind::Parity(types) => {
                let inspector = TracingInspector::new(TracingInspectorConfig::from_parity_config(types));
                Instrument::Parity(Box::new(inspector))
            }
            TraceKind::AccessList(listed) => Instrument::AccessList(AccessListInspector::new(listed.clone())),
        };
        Ok(Recorder::new(instrument, self.sight))
    }

    /// What the recorder wrote down, as the asker wants it.
    ///
    /// # Errors
    /// [`TraceError::TooLarge`]; [`TraceError::Config`] where the instrument refuses.
    pub(crate) fn build(&self, recorder: Recorder, end: &TraceEnd<'_, '_>) -> Result<Traced, TraceError> {
        let (closed, bytes) = (recorder.closed(), recorder.bytes());
        if recorder.is_too_large() {
            return Err(TraceError::TooLarge);
        }
        let seen = ResultAndState::new(end.result(closed), end.state(self.sight, closed));
        let trace = match recorder.into_instrument() {
            Instrument::Nothing => return Err(TraceError::Tracer),
            Instrument::Debug(mut debug) => {
                let context = TransactionContext {
                    block_hash: self.block_hash,
                    tx_index: Some(end.overlay.tx_index as usize),
                    tx_hash: self.tx_hash,
                };
                let mut state = end.overlay;
                let trace = debug.get_result(Some(context), end.tx, &end.block(), &seen, &mut state);
                Trace::Geth(Box::new(trace.map_err(|_| TraceError::Config)?))
            }
            Instrument::Parity(inspector) => {
                let TraceKind::Parity(types) = &self.kind else { return Err(TraceError::Tracer) };
                let builder = inspector.into_parity_builder();
                let results = builder.into_trace_results_with_state(&seen, types, end.overlay);
                Trace::Parity(Box::new(results.map_err(|_| TraceError::Config)?))
            }
            Instrument::AccessList(inspector) => Trace::AccessList(inspector.into_access_list()),
        };
        Ok(Traced { trace, closed, bytes })
    }
}

fn debug_inspector(options: &GethDebugTracingOptions) -> Result<DebugInspector, TraceError> {
    match &options.tracer {
        None => {}
        Some(GethDebugTracerType::BuiltInTracer(
            BuiltIn::CallTracer
            | BuiltIn::FlatCallTracer
            | BuiltIn::PreStateTracer
            | BuiltIn::FourByteTracer
            | BuiltIn::NoopTracer,
        )) => {}
        Some(GethDebugTracerType::JsTracer(name)) if name.is_empty() => {}
        Some(_) => return Err(TraceError::Tracer),
    }
    let mut options = options.clone();
    let limit = options.config.limit.filter(|limit| *limit > 0).unwrap_or(STEPS_MAX);
    options.config.limit = Some(limit.min(STEPS_MAX));
    DebugInspector::new(options).map_err(|_| TraceError::Config)
}

/// What stands when a traced transaction has ended, before it is committed.
pub(crate) struct TraceEnd<'e, 'a> {
    pub(crate) result: &'e ExecutionResult,
    pub(crate) state: &'e EvmState,
    pub(crate) tx: &'e TxEnv,
    pub(crate) block: &'e BlockEnv,
    pub(crate) overlay: &'e Overlay<'a>,
}

impl TraceEnd<'_, '_> {
    /// The result, whose output is not shown when a secret may be in it.
    fn result(&self, closed: Option<usize>) -> ExecutionResult {
        let mut result = self.result.clone();
        if closed.is_some() {
            match &mut result {
                ExecutionResult::Success { output: Output::Call(output) | Output::Create(output, _), .. }
                | ExecutionResult::Revert { output, .. } => *output = Bytes::new(),
                ExecutionResult::Halt { .. } => {}
            }
        }
        result
    }

    /// What the transaction touched, without storage that is confidential. Once a secret has entered, what was only read
    /// may hang on it: then what changed is left, which the block shows anyway.
    fn state(&self, sight: Sight, closed: Option<usize>) -> EvmState {
        let mut state = self.state.clone();
        if sight == Sight::Everything {
            return state;
        }
        let marks = Overlay::marks(&state);
        for (address, account) in &mut state {
            if self.overlay.visibility_after(address, account, &marks) != Visibility::Public {
                account.storage.clear();
            }
            if closed.is_some() {
                account.storage.retain(|_, slot| slot.is_changed());
            }
        }
        if closed.is_some() {
            state.retain(|address, account| {
                let before = self.overlay.peek(address).ok().flatten().unwrap_or_default();
                let is_same = before.balance == account.info.balance && before.nonce == account.info.nonce;
                !account.storage.is_empty() || !is_same || before.code_hash != account.info.code_hash
            });
        }
        state
    }

    fn block(&self) -> BlockEnv {
        let blob_excess_gas_and_price = Some(BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice: 1 });
        BlockEnv { blob_excess_gas_and_price, ..self.block.clone() }
    }
}

/// State before the traced transaction, without storage: builders of traces ask for accounts and code alone.
impl DatabaseRef for &Overlay<'_> {
    type Error = ViewError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, ViewError> {
        Ok(self.peek(&address)?.map(|account| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            code: None,
            ..AccountInfo::default()
        }))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, ViewError> {
        if code_hash == KECCAK256_EMPTY || code_hash.is_zero() {
            return Ok(Bytecode::default());
        }
        self.peek_code(&code_hash)
    }

    fn storage_ref(&self, _: Address, _: U256) -> Result<U256, ViewError> {
        Ok(U256::ZERO)
    }

    fn block_hash_ref(&self, _: u64) -> Result<B256, ViewError> {
        Ok(B256::ZERO)
    }
}
