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
mod query;
mod read;
mod state;
mod transaction;
mod witness;

pub use block::{
    ExecutedBlock, ExecutedReceipt, ExecutedTransaction, Ordered, Parent, PayloadRefusal, PreparedBlock, SkipReason,
    Skipped, check_payload, check_payload_with, execute_payload, prepare_payload,
};
pub use call::{CallError, CallRequest, call, estimate_gas};
pub use call_data::OPENING_GAS;
pub use confidential::{call_data_key, call_data_secret};
pub use context::{BASE_FEE_MIN, BENEFICIARY, BLOCK_GAS_MAX, ChainContext, HISTORY_CONTRACT, PAYLOAD_ROOTS_CONTRACT};
pub use error::{LedgerError, StateError};
pub use fee::next_base_fee;
pub use freehold_evm::{
    AccountState, CALL_GAS_MAX, CallDataKey, Halt, Invalid, Outcome, Status, TX_GAS_MAX, ViewError, Visibility,
};
pub use genesis::genesis_block;
pub use modules::{AttestationTerms, ModuleRefusal, attest};
pub use read::{entry_key, read_entry, read_entry_bytes};
pub use state::{
    ACCOUNT_VALUE_BYTES, BlockHashes, Content, MemoryTree, StateTree, VALUE_BYTES_MAX, Write, account_value,
    read_account, read_account_value, read_storage, to_account, to_address,
};
pub use transaction::{Admitted, Recovered, Transaction, TransactionRefusal, admit, admit_with, intrinsic_gas};
pub use witness::{ReadSet, Recorder, Witness, history_key};
