//! Encrypted call data as Sapphire's clients send it, and the answers to it (`spec/call-data.md`).
//!
//! A call is a CBOR map; the encrypted form holds the client's ephemeral key and a sealed inner call. Data that is no
//! such map is plain. Whatever is wrong with an envelope is a [`CallDataRefusal`], at the cost of one pass over the data
//! and one opening for each key tried. Which epochs count, and what a refusal costs, is the ledger's rule.

mod envelope;
mod query;
mod refusal;
mod result;

pub use envelope::{CallData, OpenedCall, SealedCall, seal_call, wrap_call};
pub use query::{Leash, QueryCall, QueryProof, SignedQuery};
pub use refusal::CallDataRefusal;
pub use result::{CallFailure, CallResult, ResultError, ResultOpener, ResultSealer};

/// How a client wants the failure of its call to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureForm {
    /// In the open, as on Sapphire.
    Plain,
    /// In the sealed answer, like a success.
    Sealed,
}
