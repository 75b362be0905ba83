//! Why nothing was said to an instance.

use std::io;

use freehold_primitives::Digest;
use thiserror::Error;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error as TlsError};

use crate::{error::AskError, report::ReportError, upgrades::UpgradesError};

/// Why nothing was said to an instance. In every case no byte of a request was sent.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IngressError {
    /// Nobody listens at the address.
    #[error("the ingress {0} does not answer: {1}; is the app's machine up?")]
    Unreachable(String, #[source] io::Error),
    /// The machine has no instance of this app.
    #[error("the ingress has no instance of this app now; a new one registers within seconds: try again")]
    NoInstance,
    /// TLS failed, for another reason than its key.
    #[error("the ingress: TLS failed: {0}")]
    Broken(#[source] io::Error),
    /// It took too long.
    #[error("the ingress did not give {0} in time")]
    Timeout(&'static str),
    /// The other side signs with another key than the instance's.
    #[error(
        "the other side shows another key than the instance's evidence binds: somebody stands between, or the instance \
         was replaced; nothing was sent"
    )]
    WrongKey,
    /// The key is not in the instance's keyset.
    #[error("the other side's key is not in the keyset of the instance; nothing was sent")]
    NotInKeyset,
    /// Another instance answers.
    #[error("instance {0} answers, which is not the one asked for; nothing was sent")]
    OtherInstance(Digest),
    /// No evidence came, or none that can be read.
    #[error("the other side gives no evidence in the form of a Freehold instance; nothing was sent")]
    NoEvidence,
    /// The lease of the verified instance is over.
    #[error("the lease of the verified instance is over; nothing was sent")]
    Ended,
    /// The evidence does not hold.
    #[error(transparent)]
    Unverified(#[from] AskError),
}

impl From<ReportError> for IngressError {
    fn from(error: ReportError) -> Self {
        Self::Unverified(error.into())
    }
}

impl IngressError {
    /// A stable word.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(..) => "unreachable",
            Self::NoInstance => "no_instance",
            Self::Broken(_) => "tls",
            Self::Timeout(_) => "timeout",
            Self::WrongKey => "wrong_key",
            Self::NotInKeyset => "not_in_keyset",
            Self::OtherInstance(_) => "other_instance",
            Self::NoEvidence => "no_evidence",
            Self::Ended => "ended",
            Self::Unverified(AskError::Upgrades(UpgradesError::Shortfall(_))) => "promise",
            Self::Unverified(_) => "unverified",
        }
    }

    /// What a handshake that failed means.
    pub(super) fn of_handshake(error: io::Error) -> Self {
        match error.get_ref().and_then(|source| source.downcast_ref::<TlsError>()) {
            Some(TlsError::InvalidCertificate(CertificateError::ApplicationVerificationFailure)) => Self::WrongKey,
            Some(TlsError::AlertReceived(AlertDescription::UnrecognisedName | AlertDescription::InternalError)) => {
                Self::NoInstance
            }
            _ => Self::Broken(error),
        }
    }
}
