//! Why no share is served, or one of a peer not taken. Codes are stable: validators tell them to each other.

use freehold_ledger::ExecutorRefusal;
use thiserror::Error;

use super::HEADER_AGE_S_MAX;

/// Why no share is served, or one of a peer not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub(crate) enum ShareError {
    /// The ledger has no such grant.
    #[error("no such grant or instance")]
    Unknown,
    /// The grant was closed, or its time is over.
    #[error("the grant is closed or expired")]
    Closed,
    /// The chain denies what the grant's instance stands on.
    #[error("the chain denies what the instance stands on")]
    Denied,
    /// The generation was replaced and its time is over.
    #[error("the generation of the context is retired")]
    Retired,
    /// This validator's newest header is too old to say that a grant is live.
    #[error("this validator's newest header is older than {HEADER_AGE_S_MAX} s")]
    Stale,
    /// The recorded transport key is no key.
    #[error("the grant's transport key is not valid")]
    TransportKey,
    /// The recorded context names no key.
    #[error("the grant's context is not valid")]
    Context,
    /// State could not be read.
    #[error("state could not be read")]
    State,
    /// This validator holds no share in this term.
    #[error("this validator holds no share of the derivation key until the next resharing")]
    NoShare,
    /// Too few validators gave a share.
    #[error("{have} of {need} shares came in time: ask again")]
    TooFew {
        /// Shares that came.
        have: usize,
        /// Shares that make the key.
        need: usize,
    },
    /// A peer's share was not asked for.
    #[error("the share was not asked for")]
    Unasked,
    /// A peer's share belongs to another term than the one in force here.
    #[error("the share belongs to another term")]
    OtherTerm,
    /// The peer is no member of the committee.
    #[error("the peer is no member of the committee")]
    Stranger,
    /// A peer's share is not its share of this key for this grant.
    #[error("the share is not this validator's share of this key")]
    Wrong,
    /// An executor's state root key is asked for, and the genesis names no app for executors.
    #[error("the genesis names no app for validators and executors: nobody else receives state root keys")]
    NoExecutors,
    /// The instance belongs to another app than that of executors.
    #[error("the instance belongs to another app than that of validators and executors")]
    OtherApp,
    /// No executor needs this generation of the state root key yet.
    #[error("there is no such generation of the state root key yet")]
    NoGeneration,
    /// The state root keys are a dealer's, and no quorum holds them.
    #[error("the state root keys of this network come from a dealer's file: no quorum gives them")]
    NoQuorum,
    /// A peer's share does not carry its signature under the grant's master.
    #[error("the share is not signed by its validator")]
    Unsigned,
}

impl From<ExecutorRefusal> for ShareError {
    fn from(refusal: ExecutorRefusal) -> Self {
        match refusal {
            ExecutorRefusal::NoApp => Self::NoExecutors,
            ExecutorRefusal::Unknown => Self::Unknown,
            ExecutorRefusal::OtherApp => Self::OtherApp,
            ExecutorRefusal::Denied => Self::Denied,
            // Whatever else ends an executor ends its keys.
            _ => Self::Closed,
        }
    }
}

impl ShareError {
    /// Its stable code (`spec/key-service.md` §8).
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Unknown => 1,
            Self::Closed => 2,
            Self::Denied => 3,
            Self::Stale => 4,
            Self::TransportKey => 5,
            Self::Context => 6,
            Self::State => 7,
            Self::NoShare => 8,
            Self::TooFew { .. } => 9,
            Self::Unasked => 10,
            Self::OtherTerm => 11,
            Self::Stranger => 12,
            Self::Wrong => 13,
            Self::Retired => 14,
            Self::NoExecutors => 15,
            Self::OtherApp => 16,
            Self::NoGeneration => 17,
            Self::NoQuorum => 18,
            Self::Unsigned => 19,
        }
    }
}
