//! Why encrypted call data, or a signed query, is refused.

use thiserror::Error;

/// Why encrypted call data, or a signed query, is refused. Codes never change their meaning (`spec/call-data.md` §6);
/// the sentences are Sapphire's where it has one, because its clients compare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
#[repr(u16)]
pub enum CallDataRefusal {
    /// The body of an encrypted call has not the fields that it must have.
    #[error("bad call envelope")]
    Envelope = 1,
    /// An encrypted call names a method in the open.
    #[error("non-empty method")]
    Method = 2,
    /// The epoch has not begun.
    #[error("epoch in the future")]
    EpochFuture = 3,
    /// The epoch's key is no longer accepted.
    #[error("epoch too far in the past")]
    EpochPast = 4,
    /// No accepted key opens it.
    #[error("Tag verification failed")]
    Tag = 5,
    /// What was sealed is no call.
    #[error("malformed call")]
    Inner = 6,
    /// The read-only flags outside and inside differ.
    #[error("read-only flag mismatch")]
    ReadOnly = 7,
    /// The body of the call is no byte string.
    #[error("invalid inner data")]
    Body = 8,
    /// There are no call-data keys here.
    #[error("confidential txs unavailable")]
    Unavailable = 9,
    /// The signature of a query is malformed, not in its lower half, or recovers to nothing.
    #[error("invalid signature")]
    Signature = 20,
    /// A query is signed by another account than it names.
    #[error("signer != caller")]
    Signer = 21,
    /// The caller has sent a transaction since it signed the query.
    #[error("stale nonce")]
    Nonce = 22,
    /// The block that a query is leashed to is not known, or no longer.
    #[error("base block not found")]
    BaseBlock = 23,
    /// The block that a query is leashed to has another hash.
    #[error("unexpected base block")]
    BaseHash = 24,
    /// The leash does not reach to the newest block.
    #[error("current block out of range")]
    Range = 25,
    /// A signed query asks for an older block than the newest.
    #[error("signed queries are answered at the newest block only")]
    OldBlock = 26,
}

impl CallDataRefusal {
    /// The stable code.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// Whether it is about a signed query, and not about an envelope.
    pub const fn is_query(self) -> bool {
        self.code() >= Self::Signature as u16
    }
}
