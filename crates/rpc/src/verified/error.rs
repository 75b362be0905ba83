//! Why there is no checked value, with a stable code for each reason (`spec/rpc.md`, "Refusals of a light client").

use freehold_primitives::{Account, Height};
use freehold_verify::{AnswerError, BlockError, EntryError, FinalityError, StateError};
use thiserror::Error;

use crate::node_client::NodeError;

/// Why there is no checked value.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VerifiedError {
    /// The node gave no usable answer.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The headers are not covered by the network key.
    #[error("the node's headers are not covered by the network key: {0}")]
    Finality(#[from] FinalityError),
    /// The entry is not under the state root.
    #[error("the node's entry is not under the certified state: {0}")]
    Entry(#[from] EntryError),
    /// The proof is of another height than its header.
    #[error("the node's proof does not belong to the certified header of height {0}")]
    OtherHeight(Height),
    /// No certificate covered the height in time.
    #[error("no certificate covered height {0} in time")]
    NotFinal(Height),
    /// The key that the node names for call data is not the chain's.
    #[error("the call-data key that the node names is not the chain's")]
    NoCallDataKey,
    /// A leaf is not under the state root.
    #[error("the node's answer is not under the certified state: {0}")]
    State(#[from] StateError),
    /// A block is not the one of its header.
    #[error("the node's block is not the certified one: {0}")]
    Block(#[from] BlockError),
    /// Fewer headers or no block where there must be some.
    #[error("the node withholds blocks below height {0}, which the chain has")]
    Withheld(Height),
    /// The account's storage is confidential: proven, and nobody without state keys can say more.
    #[error("the storage of 0x{0} is confidential: its slots can be neither read nor proven")]
    Confidential(Account),
    /// Content that a proven slot names is not to be had.
    #[error("the node has not the content of an entry that its state names")]
    NoContent,
    /// What the node calls an executor's answer is none to this call.
    #[error("the node's answer is not that of a registered executor: {0}")]
    Answer(#[from] AnswerError),
}

impl VerifiedError {
    /// The stable code.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Node(NodeError::Unreachable(_)) => 1,
            Self::Node(NodeError::Refused { .. }) => 2,
            Self::Node(NodeError::Malformed { .. }) => 3,
            Self::Node(NodeError::NotExecuted { .. }) => 4,
            Self::Finality(_) => 10,
            Self::Entry(_) => 11,
            Self::OtherHeight(_) => 12,
            Self::NotFinal(_) => 13,
            Self::NoCallDataKey => 14,
            Self::NoContent => 15,
            Self::State(_) => 16,
            Self::Block(_) => 17,
            Self::Withheld(_) => 18,
            Self::Confidential(_) => 19,
            Self::Answer(_) => 20,
        }
    }
}
