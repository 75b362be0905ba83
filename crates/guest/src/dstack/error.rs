//! Why dstack's API refuses, typed; the sentence is what the client shows.

use freehold_crypto::KeyError;
use thiserror::Error;

use crate::{config::ScopeNotListed, evidence::QuoteError};

/// A refusal.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum DstackError {
    /// The body is no JSON of the expected shape.
    #[error("the request is malformed: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The instance does not serve.
    #[error("the instance does not serve now: {0}")]
    NotServing(&'static str),
    /// No such path.
    #[error("there is no such method")]
    NotFound,
    #[error("this algorithm is not supported: use secp256k1, secp256k1_prehashed or ed25519")]
    Algorithm,
    #[error(transparent)]
    Scope(#[from] ScopeNotListed),
    #[error("this hash is not supported: use sha512, sha384, sha256, keccak256 or raw")]
    Hash,
    #[error("path and purpose have at most {0} bytes")]
    Name(usize),
    #[error("at most {0} bytes are signed or verified at once")]
    Data(usize),
    #[error("a digest has 32 bytes, this has {0}")]
    Prehash(usize),
    #[error("report data has at most 64 bytes, this has {0}")]
    ReportData(usize),
    /// The chain could take a quote over this for the registration of another keyset.
    #[error(
        "report data of 17 to 32 bytes could be the statement of a keyset, so the app gets no quote over it: put a tag \
         behind it (33 to 64 bytes)"
    )]
    Statement,
    /// The machine is no TD.
    #[error("this instance runs on {0}, which gives no TDX quote: ask /freehold/v1/quote")]
    NotTdx(&'static str),
    #[error("an event has a name of 1 to {name} bytes and at most {payload} bytes of payload")]
    EventLength { name: usize, payload: usize },
    #[error("at most {0} events are emitted in one boot")]
    EventsFull(usize),
    #[error("a certificate has a subject of at most {subject} bytes and at most {names} names of 1 to 253 bytes")]
    Subject { subject: usize, names: usize },
    #[error("a certificate is valid for at most ten years, and from before its end")]
    Validity,
    #[error("the certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Quote(#[from] QuoteError),
    #[error("the system gives no randomness")]
    Randomness,
    #[error("the quote cannot be read")]
    Unreadable,
}
