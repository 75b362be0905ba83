//! How catching up fails: what sources did, and what this machine did.

use std::path::PathBuf;

use freehold_primitives::Height;
use freehold_rpc::{Endpoint, NodeError};
use freehold_verify::{BlockError, FinalityError};
use thiserror::Error;

use crate::{
    chain::ChainError,
    executor::ExecutorError,
    genesis::GenesisError,
    store::{BlockStoreError, TreeError},
};

/// What a source said that is not so. A source that lied once is not asked again.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Lie {
    /// The answer is no answer to what was asked: other JSON, out of its bounds, or endless.
    #[error("its answer has no known form: {0}")]
    Form(String),
    /// The genesis is not of a chain of the network key.
    #[error("it is of another network: the network key has not signed under its genesis")]
    Genesis,
    /// No certificate of the network key covers the headers.
    #[error("its headers are not covered by the network key: {0}")]
    Finality(FinalityError),
    /// Headers, transactions or receipts are others than certified.
    #[error("its block is not the certified one: {0}")]
    Block(BlockError),
    /// The blocks do not follow on the ones here.
    #[error("its blocks do not follow on block {0} here")]
    Gap(Height),
    /// The payload is another one than the header names.
    #[error("its payload {0} is not the one that the header names")]
    Payload(Height),
    /// The seed is not the one that the header's randomness comes from.
    #[error("its seed of payload {0} is not the header's")]
    Seed(Height),
    /// A certificate of a payload does not verify.
    #[error("its certificate of payload {0} is not the network key's")]
    Certificate(Height),
    /// The writes do not give the certified state root.
    #[error("its writes of block {0} do not give the certified state root")]
    Writes(Height),
    /// Content is not what its digest says, or some is missing.
    #[error("its content is not what the digests say, or some is missing")]
    Content,
    /// The state that it offers is not under a certified root.
    #[error("the state that it offers at height {0} is not the certified one")]
    State(Height),
    /// Operations of the state's log without their proof.
    #[error("its operations of the state are not under the certified root")]
    Operations,
    /// Its succession records do not hold, or do not lead from the genesis over the key that is trusted.
    #[error("its succession records do not lead from the genesis to the network key")]
    Succession,
}

impl Lie {
    /// The stable code (`spec/sync.md` §5).
    pub const fn code(&self) -> u16 {
        match self {
            Self::Form(_) => 1,
            Self::Genesis => 2,
            Self::Finality(_) => 3,
            Self::Block(_) => 4,
            Self::Gap(_) => 5,
            Self::Payload(_) => 6,
            Self::Seed(_) => 7,
            Self::Certificate(_) => 8,
            Self::Writes(_) => 9,
            Self::Content => 10,
            Self::State(_) => 11,
            Self::Operations => 12,
            Self::Succession => 13,
        }
    }
}

/// Why this node does not catch up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SyncError {
    /// No source was named.
    #[error("no node is named to follow: give one or more with --follow")]
    NoSources,
    /// Every source lied; the last one's lie.
    #[error("{endpoint} lied and no other source is left: {lie}. Name nodes that are run by others")]
    Lied {
        /// Which.
        endpoint: Endpoint,
        /// How.
        lie: Lie,
    },
    /// No source answers.
    #[error("no source answers; the last one tried, {endpoint}, said: {source}")]
    Away {
        /// Which.
        endpoint: Endpoint,
        /// What came instead.
        source: Box<NodeError>,
    },
    /// No source makes progress: none covers what is asked for with a certificate.
    #[error("no source proves height {0} in time")]
    NotFinal(Height),
    /// The sources dropped the parts of each state before they had all arrived.
    #[error(
        "the sources moved on before a state had arrived, {0} times: the link is too slow, or they make blocks too fast; start again to go on"
    )]
    Outrun(u32),
    /// No source keeps what is asked for.
    #[error(
        "no source keeps {what} any more ({endpoint}: {reason}): name an archive, or start in a fresh folder with --sync state"
    )]
    NotKept {
        /// What was asked for.
        what: &'static str,
        /// Which was asked last.
        endpoint: Endpoint,
        /// What it said.
        reason: String,
    },
    /// Executing a certified payload gave another block: this build or its state is at fault.
    #[error(
        "executing payload {0} gave another block than the certified one: this build computes differently, or its state is damaged"
    )]
    Diverged(Height),
    /// The folder holds stores already.
    #[error("{0} holds blocks already: state is synced into a fresh folder only")]
    Exists(PathBuf),
    /// The folder belongs to another network.
    #[error("{0} holds another network than that of the network key: give this one a folder of its own")]
    OtherNetwork(PathBuf),
    /// The parts of a state were proven and the whole is another: the disk is at fault.
    #[error("the state put together on this disk is not the one that was proven: check the disk and start again")]
    Disk,
    /// A file could not be read, written or moved.
    #[error("{path} cannot be read, written or moved: {source}; check the free space and the rights of the folder")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The folder's genesis.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The block store.
    #[error(transparent)]
    Blocks(#[from] BlockStoreError),
    /// The state tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The chain could not be read or executed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The stores lack what they should hold.
    #[error(transparent)]
    Executor(#[from] ExecutorError),
}

impl SyncError {
    /// The stable code (`spec/sync.md` §5).
    pub const fn code(&self) -> u16 {
        match self {
            Self::Lied { lie, .. } => lie.code(),
            Self::NoSources => 30,
            Self::Away { .. } => 31,
            Self::NotFinal(_) | Self::Outrun(_) => 32,
            Self::NotKept { .. } => 33,
            Self::Diverged(_) => 34,
            Self::Exists(_) => 35,
            Self::OtherNetwork(_) => 36,
            Self::Disk => 37,
            Self::File { .. } => 38,
            Self::Genesis(_) => 39,
            Self::Blocks(_) | Self::Tree(_) | Self::Chain(_) | Self::Executor(_) => 40,
        }
    }
}
