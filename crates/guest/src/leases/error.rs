//! Why a lease or counter is refused, typed, with what to do next.

use std::sync::Arc;

use freehold_primitives::{
    UnixSeconds,
    entries::{LEASE_FENCE_CODE, NOT_LIVE_CODE},
};
use freehold_rpc::{DiskReport, VerifiedError};
use thiserror::Error;

use crate::{sealed_file::SealedError, sender::SendError};

/// Why a lease is not taken or a counter not raised. Many increments share one error of their batch.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub(crate) enum LeaseError {
    #[error("the instance does not serve now")]
    NotServing,
    #[error("a name has 1 to 64 characters of A-Z a-z 0-9 . _ -")]
    Name,
    #[error("a lease lasts 10 to 3600 seconds")]
    Length,
    #[error("a counter rises by 1 to 4294967296 at once, and not above 18446744073709551615")]
    By,
    #[error("at most 64 counters stand under one lease")]
    CountersFull,
    #[error("this instance holds as many leases as it may")]
    TooMany,
    #[error("another instance holds the lease under fence {fence} until {expires_at}; wait, or ask with `wait_s`")]
    Held { fence: u64, expires_at: UnixSeconds },
    #[error("this instance does not hold the lease now: acquire it, and take up the state of its last holder")]
    Lost,
    #[error(
        "this disk has seen batch {} of the counters, and the chain holds {}: the disk was rolled back or is new, or another \
         instance wrote since. Bring the data of the newest batch here, then call `adopt` with that number",
        .0.disk_sequence, .0.chain_sequence
    )]
    DiskBehind(DiskReport),
    #[error(
        "the chain shows batch {} of the counters, and this disk has seen {}: no honest chain goes back. Keep this disk, and \
         ask the operators of the network",
        .0.chain_sequence, .0.disk_sequence
    )]
    ChainBehind(DiskReport),
    #[error("another copy of this instance raised these counters: this one stops")]
    Copied,
    #[error("the chain proved no batch in time; whether it was raised is not known, and the value was given to nobody")]
    Unavailable,
    #[error(transparent)]
    Send(Arc<SendError>),
    #[error(transparent)]
    Unverified(Arc<VerifiedError>),
    #[error(transparent)]
    Record(Arc<SealedError>),
}

impl LeaseError {
    /// Whether nothing is ever raised again under the fence.
    pub(super) const fn is_final(&self) -> bool {
        matches!(self, Self::Lost | Self::Copied)
    }
}

impl From<SendError> for LeaseError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Unverified(error) => error.into(),
            SendError::Refused { code: LEASE_FENCE_CODE | NOT_LIVE_CODE } => Self::Lost,
            error => Self::Send(Arc::new(error)),
        }
    }
}

impl From<VerifiedError> for LeaseError {
    fn from(error: VerifiedError) -> Self {
        Self::Unverified(Arc::new(error))
    }
}

impl From<SealedError> for LeaseError {
    fn from(error: SealedError) -> Self {
        Self::Record(Arc::new(error))
    }
}
