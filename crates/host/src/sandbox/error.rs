//! Why a program was not confined, and so not started.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why a program was not confined, and so not started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfineError {
    /// The host did not say what to start.
    #[error("this role is started by a host, which says what to confine")]
    Plan,
    /// The kernel does not hold files and sockets as it must.
    #[error("Landlock of ABI 6 or newer (Linux 6.12, and `landlock` among the kernel's `lsm=`) is needed: {0}")]
    Ruleset(#[from] landlock::RulesetError),
    /// It says that it holds them in part alone.
    #[error("the kernel holds only a part of what Landlock is asked for: Linux 6.12 or newer is needed")]
    Partial,
    /// The filter of system calls is refused.
    #[error("system calls cannot be filtered here: {0}")]
    Calls(#[from] seccompiler::Error),
    /// Something else that must be done before is refused.
    #[error("{what}: {source}")]
    System {
        /// What was to be done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The program cannot be started.
    #[error("{program} cannot be started: {source}")]
    Start {
        /// Which program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ConfineError {
    pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
