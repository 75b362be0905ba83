//! Starting a program inside, with what the app's owner set as its environment (`spec/settings.md` §6).
//!
//! The host starts this, and this becomes the program: values come from the guest to this very process, so that no word of
//! the host's, no file and no argument ever holds one. Where the owner set a key for the app's log, this stays beside the
//! program instead, and what the program says leaves sealed (`spec/logs.md`).

mod seal;

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt as _, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use freehold_rpc::{
    EGRESS_VARIABLE, Endpoint, Environment, LOG_KEY_SETTING, LOG_SERVICE_VARIABLE, LocalClient, LogSource,
    proxy_variables,
};
use thiserror::Error;
use tokio::time::{Instant, sleep};

use crate::outlet;

/// Longest wait for an instance that serves and knows its owner's settings.
const SETTINGS_WAIT: Duration = Duration::from_secs(120);
/// Pause between two asks.
const POLL: Duration = Duration::from_millis(50);
/// The same while the owner has to act.
const OWNER_POLL: Duration = Duration::from_secs(1);

/// Why a program was not started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// There is no program.
    #[error("no program is named")]
    Program,
    /// The socket's path is too long.
    #[error(transparent)]
    Socket(#[from] freehold_rpc::EndpointError),
    /// The guest gave no settings in time.
    #[error("the guest gave no settings within {SETTINGS_WAIT:?}: {0}")]
    Settings(freehold_rpc::HttpError),
    /// The owner's key for the log is none.
    #[error("the setting {LOG_KEY_SETTING} is no key of 32 bytes in hex: remove it, or `freehold app deploy` anew")]
    LogKey,
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    Entropy,
    /// The way out cannot be opened.
    #[error("the relay to the gate cannot be started: {0}")]
    Outlet(#[source] io::Error),
    /// What the program says cannot be read.
    #[error("what the program says cannot be read: {0}")]
    Words(#[source] io::Error),
    /// The program cannot be started.
    #[error("{program} cannot be started: {source}")]
    Start {
        /// Which program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Waits for the owner's settings on the local API's socket, and becomes the program that `words` name, with them in its
/// environment: then it does not return. Where the owner set a key for the log, it runs the program, seals what it says, and
/// gives its exit code. While the owner has to set something first, `waits_for` is told what.
///
/// # Errors
/// Every [`LaunchError`].
pub async fn launch(socket: PathBuf, words: Vec<OsString>, waits_for: impl Fn(&[String])) -> Result<u8, LaunchError> {
    let (program, arguments) = words.split_first().ok_or(LaunchError::Program)?;
    let settings = wait(&LocalClient::new(Endpoint::unix(socket)?), waits_for).await?;
    let mut command = Command::new(program);
    command.args(arguments);
    let text = |name| settings.environment.get(name).and_then(|value| std::str::from_utf8(&value.0).ok());
    // These two are for this process alone.
    let is_own = |name: &str| [LOG_KEY_SETTING, LOG_SERVICE_VARIABLE].contains(&name);
    for (name, value) in settings.environment.iter().filter(|(name, _)| !is_own(name)) {
        command.env(name, OsStr::from_bytes(&value.0));
    }
    if let Some(gate) = std::env::var_os(EGRESS_VARIABLE) {
        let port = outlet::start(Path::new(&gate)).await.map_err(LaunchError::Outlet)?;
        // The only way out, so they stand above what anybody else set.
        command.envs(proxy_variables(port));
    }
    let failed = |source| LaunchError::Start { program: program.to_string_lossy().into_owned(), source };
    let key = settings.environment.get(LOG_KEY_SETTING).filter(|key| !key.0.is_empty());
    if key.is_none() {
        return Err(failed(command.exec()));
    }
    let key = text(LOG_KEY_SETTING).and_then(|text| text.parse().ok()).ok_or(LaunchError::LogKey)?;
    seal::run(command, &key, text(LOG_SERVICE_VARIABLE), failed).await
}

/// Seals what comes by a pipe, as `output` or `error` of a program that somebody else runs, to the owner's key (64 hex digits), until
/// it ends: in a VM PID 1 runs the program.
///
/// # Errors
/// [`LaunchError::LogKey`], [`LaunchError::Entropy`], [`LaunchError::Words`].
pub async fn seal_words(from: OwnedFd, source: LogSource, key: &str) -> Result<(), LaunchError> {
    seal::pass(from, source, &key.parse().map_err(|_| LaunchError::LogKey)?).await
}

/// Waits for an environment that is whole. For what only the owner can set it waits without an end, and says so.
async fn wait(local: &LocalClient, waits_for: impl Fn(&[String])) -> Result<Environment, LaunchError> {
    let mut end = Instant::now() + SETTINGS_WAIT;
    let mut told = Vec::new();
    loop {
        match local.environment().await {
            Ok(environment) if environment.missing.is_empty() => return Ok(environment),
            Ok(Environment { missing, .. }) => {
                if missing != told {
                    waits_for(&missing);
                }
                told = missing;
                end = Instant::now() + SETTINGS_WAIT;
                sleep(OWNER_POLL).await;
            }
            Err(error) if Instant::now() >= end => return Err(LaunchError::Settings(error)),
            Err(_) => sleep(POLL).await,
        }
    }
}
