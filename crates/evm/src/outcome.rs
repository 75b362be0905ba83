//! What execution gives: the outcome of a transaction, the changes of a block, and why there is neither.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, Log, U256};
use freehold_primitives::Digest;
use revm::context::result::{EVMError, ExecutionResult, Output};
pub use revm::context::result::{HaltReason as Halt, InvalidTransaction as Invalid};
use thiserror::Error;

use crate::view::{AccountState, ViewError};

/// Why a transaction was not executed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvmError {
    /// It may not stand in this block: wrong nonce, too little money, and the like. State is as before.
    #[error("the transaction is not valid here: {0}")]
    Invalid(Invalid),
    /// State could not be read; the block cannot be executed.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The machine refused its own environment.
    #[error("the machine refused the block's environment")]
    Environment,
}

impl EvmError {
    pub(crate) fn new(error: EVMError<ViewError>, fault: Option<ViewError>) -> Self {
        match error {
            EVMError::Transaction(invalid) => Self::Invalid(invalid),
            EVMError::Database(view) => Self::View(view),
            EVMError::Header(_) | EVMError::Custom(_) | EVMError::CustomAny(_) => {
                fault.map_or(Self::Environment, Self::View)
            }
        }
    }
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It succeeded.
    Success,
    /// It reverted; the output says why.
    Revert,
    /// It was stopped, and all its gas is spent.
    Halt(Halt),
}

/// What a transaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// Gas that it paid for.
    pub gas_used: u64,
    /// Gas before refunds: the least limit under which it runs the same way.
    pub gas_spent: u64,
    /// Logs; none unless it succeeded.
    pub logs: Vec<Log>,
    /// Return data, or the reason of a revert.
    pub output: Bytes,
    /// Address of the contract that it made.
    pub created: Option<Address>,
    /// Whether it may hang on who sent it: code asked for its caller or for the origin, or called a system module or
    /// `SUBCALL`.
    pub sender_asked: bool,
}

impl Outcome {
    /// Whether it succeeded.
    pub fn is_success(&self) -> bool {
        self.status == Status::Success
    }

    pub(crate) fn new(result: ExecutionResult) -> Self {
        let (gas_used, gas_spent) = (result.tx_gas_used(), result.gas().total_gas_spent());
        match result {
            ExecutionResult::Success { logs, output, .. } => {
                let created = match &output {
                    Output::Create(_, address) => *address,
                    Output::Call(_) => None,
                };
                Self {
                    status: Status::Success,
                    gas_used,
                    gas_spent,
                    logs,
                    output: output.into_data(),
                    created,
                    sender_asked: false,
                }
            }
            ExecutionResult::Revert { output, .. } => Self {
                status: Status::Revert,
                gas_used,
                gas_spent,
                logs: Vec::new(),
                output,
                created: None,
                sender_asked: false,
            },
            ExecutionResult::Halt { reason, .. } => Self {
                status: Status::Halt(reason),
                gas_used,
                gas_spent,
                logs: Vec::new(),
                output: Bytes::new(),
                created: None,
                sender_asked: false,
            },
        }
    }
}

/// What a block changed, without writes that changed nothing. It holds secrets, so it has no `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Accounts; `None` where one ceased to exist.
    pub accounts: BTreeMap<Address, Option<AccountState>>,
    /// Slots of public accounts; zero where one ceased to exist.
    pub storage: BTreeMap<(Address, U256), U256>,
    /// Slots of confidential accounts, in plain: whoever keeps them seals them first.
    pub confidential: BTreeMap<(Address, U256), U256>,
    /// New code, by keccak-256.
    pub code: BTreeMap<B256, Bytes>,
    /// New documents, by digest.
    pub content: BTreeMap<Digest, Vec<u8>>,
}
