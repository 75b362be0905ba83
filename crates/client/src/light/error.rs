//! Why a light client gives no answer, with a stable code for each reason (`spec/rpc.md`, "Refusals of a light client").

use std::time::Duration;

use freehold_ledger::CallError;
use freehold_primitives::{Digest, Height};
use freehold_rpc::{NodeError, VerifiedError};
use freehold_verify::{HeadError, KeysError};
use thiserror::Error;

use super::{
    calls::LightOutcome,
    checkpoint::CheckpointError,
    filters::LIGHT_FILTERS_MAX,
    logs::{LIGHT_LOG_BLOCKS_MAX, LIGHT_LOGS_MAX},
};

/// Why no executor's signature stands for a confidential call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unsigned {
    /// The genesis names no app whose instances are executors.
    #[error("the genesis of this chain names no app for executors")]
    NoApp,
    /// No node that was asked is a registered executor, or follows one.
    #[error("no node that was asked is a registered executor")]
    NoExecutor,
    /// None was asked yet.
    #[error("no executor was asked")]
    Unasked,
}

impl Unsigned {
    /// The word in an error's data.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::NoApp => "no-executor-app",
            Self::NoExecutor => "no-executor",
            Self::Unasked => "unasked",
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LightError {
    /// A node's answer is no proof, or there is none.
    #[error("{0}")]
    Verified(#[source] Box<VerifiedError>),
    /// The succession records lead nowhere.
    #[error(transparent)]
    Succession(#[from] KeysError),
    /// The newest header is too old, or goes back.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// A node took too long for all of an answer.
    #[error("the node took longer than {0:?}")]
    Timeout(Duration),
    /// A call read what the node's proofs do not hold.
    #[error("the node's proofs do not hold all that the call reads")]
    IncompleteProofs,
    /// A node says that a transaction or block is where it is not.
    #[error("the node names block {0} for something that is not in it")]
    WrongPlace(Height),
    /// A node answers with another transaction or hash.
    #[error("the node answers with another transaction than {0}")]
    OtherTransaction(Digest),
    /// The genesis that a node tells is not of a chain of this network key.
    #[error("the node tells a genesis that the network key has not signed under")]
    ForeignGenesis,
    /// The call reaches confidential storage, or its data is encrypted: nobody without state keys can make it again, and
    /// no registered executor signs what it gives.
    #[error(
        "the call reaches what is confidential and cannot be made again here, and {0}; an unproven answer is given only when \
         asked for"
    )]
    ConfidentialCall(Unsigned),
    /// The call cannot be made, or fails.
    #[error("{0}")]
    Call(#[source] Box<CallError>),
    /// An executor signed that the call fails.
    #[error("the call fails, by the signature of an executor")]
    Fails(Box<LightOutcome>),
    /// There is no such filter, or it was not polled for too long.
    #[error("there is no filter {0:#x}: make it again")]
    NoFilter(u64),
    /// Too many filters.
    #[error("{LIGHT_FILTERS_MAX} filters are in use: uninstall some")]
    Filters,
    /// State of another height than the newest.
    #[error("state is proven at the newest block, which is {newest}, and not at {asked}")]
    OldState {
        /// Height asked for.
        asked: Height,
        /// Height that is proven.
        newest: Height,
    },
    /// No such block.
    #[error("there is no block {0} yet")]
    NoBlock(String),
    /// A range of blocks is too long.
    #[error("a range of {0} blocks is above the bound of {LIGHT_LOG_BLOCKS_MAX}: ask for a smaller range")]
    LogBlocks(u64),
    /// Too many logs.
    #[error("more than {LIGHT_LOGS_MAX} logs: ask for a smaller range")]
    Logs,
    /// A range that ends before it begins.
    #[error("fromBlock {from} is above toBlock {to}")]
    Range {
        /// Begin.
        from: Height,
        /// End.
        to: Height,
    },
    /// Something that was asked for cannot be read.
    #[error("{0}")]
    Request(&'static str),
    /// No node was named.
    #[error("name at least one node with --node")]
    NoNodes,
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The system gives no randomness, or a task broke.
    #[error("this machine failed: {0}")]
    Machine(&'static str),
}

impl LightError {
    /// The stable code.
    pub fn code(&self) -> u16 {
        match self {
            Self::Verified(error) => error.code(),
            Self::Timeout(_) => 5,
            Self::Succession(_) => 61,
            Self::Head(HeadError::Stale { .. }) => 30,
            Self::Head(HeadError::Ahead { .. }) => 31,
            Self::Head(HeadError::GoesBack { .. }) => 32,
            Self::Head(HeadError::Fork(_)) => 33,
            Self::Head(_) => 34,
            Self::IncompleteProofs => 40,
            Self::WrongPlace(_) => 41,
            Self::OtherTransaction(_) => 42,
            Self::ForeignGenesis => 43,
            Self::ConfidentialCall(_) => 50,
            Self::Call(_) | Self::Fails(_) => 51,
            Self::OldState { .. } => 52,
            Self::NoBlock(_) => 53,
            Self::LogBlocks(_) => 54,
            Self::Logs => 55,
            Self::Range { .. } => 56,
            Self::Request(_) => 57,
            Self::NoNodes => 58,
            Self::Checkpoint(_) => 59,
            Self::Machine(_) => 60,
            Self::NoFilter(_) => 62,
            Self::Filters => 63,
        }
    }

    /// Whether another node could do better. What is proven, or wrong with the request, stays so.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Verified(error) => matches!(**error, VerifiedError::Confidential(_)),
            Self::Head(error) => matches!(error, HeadError::Fork(_) | HeadError::Ahead { .. }),
            // Another node may be one.
            Self::ConfidentialCall(Unsigned::NoExecutor) => false,
            _ => self.code() >= 50,
        }
    }

    /// Whether the node said something that does not hold, rather than nothing.
    pub(crate) fn is_lie(&self) -> bool {
        match self {
            Self::Verified(error) => !matches!(**error, VerifiedError::Node(_) | VerifiedError::NotFinal(_)),
            Self::Timeout(_) | Self::ConfidentialCall(_) => false,
            _ => true,
        }
    }
}

impl From<VerifiedError> for LightError {
    fn from(source: VerifiedError) -> Self {
        Self::Verified(Box::new(source))
    }
}

impl From<NodeError> for LightError {
    fn from(source: NodeError) -> Self {
        Self::Verified(Box::new(source.into()))
    }
}
