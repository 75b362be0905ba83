#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod execute;
mod handler;
mod layer;
mod machine;
mod module;
mod outcome;
mod overlay;
mod provider;
mod recover;
mod sapphire;
mod trace;
mod view;

pub use execute::{
    BlockContext, CALL_GAS_MAX, CODE_BYTES_MAX, Evm, INIT_CODE_BYTES_MAX, QueryRules, TX_GAS_MAX, Transfers, simulate,
};
pub use handler::{FirstInput, MachineTx};
pub use layer::{AccountOverride, Layers, OverrideRefusal, StateOverrides, StorageOverride};
pub use module::{
    CONTENT_GAS_PER_BYTE, Construction, Module, ModuleCall, ModuleContext, ModuleEnvironment, ModuleFailure, ModuleSet,
    ModuleSetError,
};
pub use outcome::{Changes, EvmError, Halt, Invalid, Outcome, Status};
pub use recover::{recover_account, signed_authorizations};
pub use revm::context::TxEnv;
pub use sapphire::{
    BlockRandomness, CallDataKey, SapphireContext, Subcall, SubcallFailure, SubcallHandler, SubcallRefusal,
};
pub use trace::{Sight, Trace, TraceError, TraceKind, TracePlan, Traced};
pub use view::{AccountState, MemoryView, StateView, ViewError, Visibility};
