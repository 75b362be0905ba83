//! Why a question got no proven answer: what was wrong, and what to do next.

use freehold_crypto::ReceiptError;
use freehold_primitives::{AppId, Digest};
use freehold_rpc::{HttpError, NodeError, VerifiedError};
use freehold_verify::{DocumentError, HeaderFileError, InstanceError};
use thiserror::Error;

use crate::{collect::CollectError, exchange::ExchangeError, report::ReportError, upgrades::UpgradesError};

/// Why a question got no proven answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AskError {
    /// The node gave no usable answer.
    #[error("the node: {0}; is the network up? `freehold status` tells")]
    Node(#[source] Box<NodeError>),
    /// The app gave no usable answer.
    #[error("the app: {0}; is it up? `freehold status` tells")]
    Http(#[source] Box<HttpError>),
    /// The chain's answers do not hold under the network key.
    #[error("{0}; ask another node, or check --network-key")]
    Chain(#[source] Box<VerifiedError>),
    /// The instance's report cannot be read.
    #[error("{0}; nothing was sent")]
    Report(#[from] ReportError),
    /// The instance does not verify.
    #[error("{0}; nothing was sent")]
    Instance(#[from] InstanceError),
    /// The chain knows no such instance.
    #[error("the chain knows no instance {0}; nothing was sent. A new instance registers within seconds: try again")]
    NotRegistered(Digest),
    /// The instance is of another app.
    #[error("the instance is of app {found}, which is not the one asked for; nothing was sent")]
    OtherApp {
        /// App of the instance.
        found: AppId,
    },
    /// The chain knows no such app.
    #[error("the chain knows no app {0}; nothing was sent")]
    NoApp(AppId),
    /// The app does not keep to what is demanded of its upgrades.
    #[error("{0}; nothing was sent. `freehold app policy show` tells what the app promises")]
    Upgrades(#[from] UpgradesError),
    /// The node's newest certified header is old.
    #[error(
        "the node's newest certified header is {age_s} s old; nothing was sent. Check this machine's clock, or ask another node"
    )]
    StaleNode {
        /// Its age by our clock.
        age_s: u64,
    },
    /// The app lists no model.
    #[error("the app lists no model: it may still be loading one, try again in a moment")]
    NoModel,
    /// The instance holds another key than the one that was verified.
    #[error("the instance changed its key between verification and request; it read nothing: try again")]
    OtherKey,
    /// Sealing, opening, or the stream.
    #[error("{0}")]
    Exchange(#[from] ExchangeError),
    /// The app refused the request.
    #[error("the app refused the request with status {status}: {body}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said.
        body: String,
    },
    /// The answer came without a receipt.
    #[error("the answer came without a receipt, so that nothing proves it")]
    NoReceipt,
    /// The receipt is malformed, or its signature does not verify.
    #[error("the receipt does not hold: {0}")]
    Receipt(ReceiptError),
    /// The receipt speaks of something else.
    #[error("the receipt names another {0} than was exchanged")]
    OtherReceipt(&'static str),
    /// The parts of the proof cannot be had.
    #[error("the proof is not complete: {0}")]
    Collect(#[source] Box<CollectError>),
    /// The proof cannot be written.
    #[error("the proof cannot be written: {0}")]
    Document(#[from] DocumentError),
    /// Never with our own options, which name no header file.
    #[error("{0}")]
    HeaderFile(#[source] Box<HeaderFileError>),
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Randomness,
}

macro_rules! boxed {
    ($($variant:ident($source:ty)),*) => {$(
        impl From<$source> for AskError {
            fn from(source: $source) -> Self {
                Self::$variant(Box::new(source))
            }
        }
    )*};
}
boxed!(Node(NodeError), Http(HttpError), Chain(VerifiedError), Collect(CollectError), HeaderFile(HeaderFileError));
