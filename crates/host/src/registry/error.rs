//! Why something was not taken from a registry, or not given to one. Codes: `spec/bundle.md` §7.

use std::{io, path::PathBuf};

use freehold_bundle::BundleError;
use freehold_primitives::Digest;
use http::StatusCode;
use thiserror::Error;

use crate::collateral::{FetchError, VendorUrl};

/// Why something was not taken from a registry, or not given to one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The text is no name of a repository.
    #[error("{0:?} is no name at a registry: write HOST/NAME, HOST/NAME:TAG or HOST/NAME@sha256:…")]
    Name(String),
    /// The registry was not reached, broke off, was too slow or too long, or sends elsewhere.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What came is not what its digest names, is too large, or is no bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The registry lets nobody in, or not with this password.
    #[error("{registry} refuses: {hint}")]
    Unauthorized {
        /// Which registry.
        registry: String,
        /// What to do.
        hint: &'static str,
    },
    /// The registry asks for a proof that this client cannot give.
    #[error("{registry} asks to be let in, in a way that is not understood: {fault}")]
    Challenge {
        /// Which registry.
        registry: String,
        /// What is wrong.
        fault: &'static str,
    },
    /// Docker's file of passwords cannot be used.
    #[error("{path}: {fault}", path = .path.display())]
    Passwords {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: &'static str,
    },
    /// What keeps passwords for the registry gives none.
    #[error("the credential helper {helper:?} {fault}")]
    Helper {
        /// Its name, as Docker's file has it.
        helper: String,
        /// What is wrong, and what to do.
        fault: &'static str,
    },
    /// There is no such thing.
    #[error("{url} is not there: the registry has no such name or digest, or shows it to nobody without a password")]
    Missing {
        /// What was asked.
        url: VendorUrl,
    },
    /// It refused, or answered without sense.
    #[error("{url} answered {status}{said}")]
    Refused {
        /// What was asked.
        url: VendorUrl,
        /// Status.
        status: StatusCode,
        /// What it said, shortened; empty where it said nothing.
        said: String,
    },
    /// An upload is to go to another host.
    #[error("{url} wants the upload at {to}, which is another host: nothing is sent there")]
    UploadElsewhere {
        /// What was asked.
        url: VendorUrl,
        /// Where it should go.
        to: String,
    },
    /// The registry gave another digest to what was sent.
    #[error("the registry keeps {wanted} under another digest: it changed what was sent, or lost it")]
    Changed {
        /// What was sent.
        wanted: Digest,
    },
    /// A file of the bundle cannot be read.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl RegistryError {
    /// Stable code; those of what came are `spec/bundle.md` §6's.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Bundle(error) => error.code(),
            Self::Name(_) => 130,
            Self::Fetch(FetchError::TooLarge { .. }) => 132,
            Self::Fetch(FetchError::Redirected { .. }) => 133,
            Self::Fetch(_) => 131,
            Self::Unauthorized { .. } => 134,
            Self::Challenge { .. } => 135,
            Self::Passwords { .. } => 136,
            Self::Missing { .. } => 137,
            Self::Refused { .. } => 138,
            Self::UploadElsewhere { .. } => 139,
            Self::Changed { .. } => 140,
            Self::File { .. } => 141,
            Self::Helper { .. } => 142,
        }
    }
}
