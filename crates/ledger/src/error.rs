//! Why a payload cannot be executed. None of this is the fault of a transaction: one that may not stand is left out.

use freehold_evm::{EvmError, ModuleSetError, ViewError};
use freehold_primitives::{CodecError, Digest, Generation, Height};
use thiserror::Error;

use crate::{modules::MembershipFault, term::TurnFault};

/// Why the authenticated store failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StateError {
    /// The store itself failed.
    #[error("the state store failed")]
    Store(#[source] Box<dyn core::error::Error + Send + Sync>),
    /// Writes are not for the height above the store's.
    #[error("writes for height {found} do not follow height {at}")]
    Height {
        /// Height of the store.
        at: Height,
        /// Height of the writes.
        found: Height,
    },
    /// A value is longer than 96 bytes.
    #[error("a value of {0} bytes is too long for the state tree")]
    ValueTooLong(usize),
    /// Writes are not in ascending order of their keys, or name a key twice.
    #[error("writes are not in ascending order of their keys")]
    Unsorted,
}

impl From<StateError> for ViewError {
    fn from(error: StateError) -> Self {
        Self::Store(Box::new(error))
    }
}

/// Why a payload, a genesis or a call cannot be executed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The payload is of another chain.
    #[error("the payload is of chain {found}, not {expected}")]
    Chain {
        /// This chain.
        expected: u64,
        /// The payload's.
        found: u64,
    },
    /// The payload does not follow the parent block.
    #[error("payload {found} does not follow block {parent}")]
    Height {
        /// Height of the parent block.
        parent: Height,
        /// Height of the payload.
        found: Height,
    },
    /// The payload is older than its parent block.
    #[error("the payload's time is before its parent's")]
    Time,
    /// The body is not the one that the head names.
    #[error("the body has digest {found}, the head names {expected}")]
    Body {
        /// In the head.
        expected: Digest,
        /// Of the bytes.
        found: Digest,
    },
    /// The body is no canonical document.
    #[error("the body of the payload is not canonical")]
    Codec(#[from] CodecError),
    /// The header of a block that the rules need is missing.
    #[error("the header of block {0} is missing")]
    HeaderMissing(Height),
    /// The store failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// State could not be read, or the machine refused its environment.
    #[error(transparent)]
    Evm(#[from] EvmError),
    /// State could not be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// Two modules at one address.
    #[error(transparent)]
    Modules(#[from] ModuleSetError),
    /// A root of trust in the genesis is not acceptable.
    #[error("a root of trust in the genesis is refused: {0}")]
    Roots(#[from] freehold_attestation::Refusal),
    /// A genesis for production with keys from one dealer.
    #[error("a production genesis needs keys from a distributed key generation")]
    Ceremony,
    /// The membership of the genesis is not acceptable.
    #[error("the membership of the genesis is refused: {0}")]
    Membership(#[from] MembershipFault),
    /// The turn to a new term is missing, misplaced or not the one that follows.
    #[error("the turn of the payload is refused: {0}")]
    Turn(#[from] TurnFault),
    /// This node is a follower.
    #[error("this node holds no state keys: it cannot execute blocks")]
    KeysMissing,
    /// Keys from a dealer under a production genesis.
    #[error("a production genesis refuses state keys of a dealer")]
    DevelopmentKeys,
    /// A generation is in use that this node does not hold.
    #[error("this node does not hold generation {0} of the state root key")]
    GenerationMissing(Generation),
    /// This node holds another key than the one whose commitment stands in state.
    #[error(
        "this node's state root key of generation {0} is not the one that the chain commits to: restore the key file of \
         this network"
    )]
    WrongKey(Generation),
    /// A height whose evidence this program cannot judge.
    #[error(
        "from height {height} on the chain judges evidence by version {version} of its verifier, which this program does \
         not know: upgrade freehold and start it again; nothing is lost"
    )]
    VerifierUnknown {
        /// Height of the block that was to be executed.
        height: Height,
        /// The version in force there.
        version: u32,
    },
    /// A height whose rules this program does not know.
    #[error(
        "from height {height} on the chain follows version {version} of its protocol, which this program does not know: \
         install release {release} and start it again; nothing is lost"
    )]
    ProtocolUnknown {
        /// Height of the block that was to be executed.
        height: Height,
        /// The version in force there.
        version: u32,
        /// Release that was announced with it.
        release: String,
    },
    /// The store is not empty where genesis is to be written.
    #[error("the state store is not empty")]
    NotEmpty,
    /// A system call at the start of a block failed.
    #[error("the system call to {0} failed")]
    SystemCall(alloy_primitives::Address),
}
