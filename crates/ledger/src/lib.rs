#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod block;
mod call;
mod call_data;
mod confidential;
mod context;
mod error;
mod fee;
mod genesis;
mod modules;
mod overrides;
mod query;
mod read;
mod simulate;
mod state;
mod term;
mod trace;
mod transaction;
mod witness;

pub use block::{
    ExecutedBlock, ExecutedReceipt, ExecutedTransaction, Ordered, Parent, PayloadRefusal, PreparedBlock, SkipReason,
    Skipped, check_payload, check_payload_with, execute_payload, prepare_payload,
};
pub use call::{AccessListed, CallError, CallRequest, access_list, call, estimate_gas, trace_call};
pub use call_data::OPENING_GAS;
pub use confidential::{call_data_key, call_data_secret};
pub use context::{
    BASE_FEE_MIN, BENEFICIARY, BLOCK_GAS_MAX, ChainContext, HISTORY_CONTRACT, MARKET, PAYLOAD_ROOTS_CONTRACT,
    PROTOCOL_NEWEST,
};
pub use error::{LedgerError, StateError};
pub use fee::next_base_fee;
pub use freehold_evm::{
    AccountOverride, AccountState, CALL_GAS_MAX, CallDataKey, Halt, Invalid, Outcome, OverrideRefusal, QueryRules,
    Sight, StateOverrides, Status, StorageOverride, TX_GAS_MAX, Trace, TraceError, TraceKind, TracePlan, Traced,
    Transfers, ViewError, Visibility,
};
pub use genesis::genesis_block;
pub use modules::{AttestationTerms, MembershipFault, ModuleRefusal, attest};
pub use overrides::{BlockOverrides, Overrides};
pub use read::{
    ExecutorRefusal, ShadowPage, entry_key, is_denied, read_committee, read_entry, read_entry_bytes, read_executor,
    read_grant_ids, read_master, read_masters, read_peers, read_players, read_protocol, read_roster, read_shadow,
    read_succession, read_turn, read_validator,
};
pub use simulate::{
    BlockRequest, SIMULATED_BLOCKS_MAX, SIMULATED_CALLS_MAX, SimulatedBlock, SimulatedCall, Simulation,
    SimulationError, simulate,
};
pub use state::{
    ACCOUNT_VALUE_BYTES, BlockHashes, Content, MemoryTree, StateTree, VALUE_BYTES_MAX, Write, account_value,
    read_account, read_account_value, read_storage, to_account, to_address,
};
pub use term::TurnFault;
pub use trace::{Selection, TracedTransaction, trace_payload};
pub use transaction::{Admitted, Recovered, Transaction, TransactionRefusal, admit, admit_with, intrinsic_gas};
pub use witness::{ReadSet, Recorder, Witness, history_key};
