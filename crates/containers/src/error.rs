//! Why containers are not run.

use std::{io, path::PathBuf};

use freehold_bundle::BundleError;
use thiserror::Error;

/// Why containers are not run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// The compose file or an image asks for what is not to be had; better not run than run otherwise than it says.
    #[error("{what}; {hint}")]
    CannotRun {
        /// What it asks for.
        what: String,
        /// What to do.
        hint: &'static str,
    },
    /// What runs containers is not there or too old.
    #[error("the app is made of containers and needs {needs}, and {fault}: {hint}")]
    NoRuntime {
        /// What it needs.
        needs: &'static str,
        /// What is there instead.
        fault: String,
        /// What to do.
        hint: &'static str,
    },
    /// An image is refused.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The plan of a VM's disk cannot be read.
    #[error("the plan of the containers is malformed: {0}")]
    Plan(#[from] serde_json::Error),
    /// A file, mount or process failed.
    #[error("{what} ({path}): {source}; check the free space and the rights", path = .path.display())]
    System {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ContainerError {
    /// A refusal with what to do.
    pub fn cannot(what: &str, hint: &'static str) -> Self {
        Self::CannotRun { what: what.to_owned(), hint }
    }

    pub(crate) fn system(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::System { what, path, source }
    }
}
