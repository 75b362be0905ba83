//! Why nothing was fetched.

use std::{io, time::Duration};

use thiserror::Error;

/// Why nothing was fetched.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum FetchError {
    /// The ask is out of its bounds.
    #[error("{0}")]
    Ask(&'static str),
    /// The guest was given no way out.
    #[error("this instance has no way out: its host offers none")]
    NoGate,
    /// No certified time yet.
    #[error("the instance knows no certified time")]
    NoTime,
    /// Too many exchanges are under way.
    #[error("too many fetches are under way; try again")]
    Busy,
    /// The app may not reach the host.
    #[error("the app may not reach {0}: {1}")]
    Denied(String, String),
    /// Nobody is reached.
    #[error("{0} cannot be reached: {1}")]
    Unreachable(String, String),
    /// TLS failed: the certificate is not for this host, not under the roots, or out of its time.
    #[error("the server's TLS is refused: {0}")]
    Tls(#[source] io::Error),
    /// The exchange broke.
    #[error("the exchange broke: {0}")]
    Broken(#[source] hyper::Error),
    /// It took too long.
    #[error("it took longer than {0:?}")]
    Timeout(Duration),
    /// The response is too large.
    #[error("the response is larger than {0} bytes")]
    TooLarge(u64),
}
