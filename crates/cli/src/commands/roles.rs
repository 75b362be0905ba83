//! Roles that the host starts as processes of their own: the guest agent and the private inference app.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use freehold_guest::{GuestConfig, StopReason, asked_by_host};
use freehold_host::{APP_SOCKET_VARIABLE, LOCAL_API_VARIABLE, MODEL_VARIABLE};

use crate::{args::RoleArgs, stack::MODEL_NAME_VARIABLE};

/// Runs the guest agent.
pub(crate) async fn guest(args: RoleArgs) -> Result<ExitCode> {
    let reason = freehold_guest::run(GuestConfig::read(&args.config)?, asked_by_host()).await?;
    // The host starts a successor whatever the reason; the status is for whoever reads its log.
    Ok(if reason == StopReason::Asked { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Becomes another program, with what the app's owner set in its environment, or runs it with its output sealed.
pub(crate) async fn launch(words: Vec<OsString>) -> Result<ExitCode> {
    let socket = std::env::var_os(LOCAL_API_VARIABLE);
    let socket = socket.with_context(|| format!("{LOCAL_API_VARIABLE} is not set: the host starts this role"))?;
    Ok(ExitCode::from(freehold_guest::launch(PathBuf::from(socket), words).await?))
}

/// Runs the private inference app; the host tells it its sockets and its model by the environment.
pub(crate) async fn inference() -> Result<ExitCode> {
    let variable =
        |name: &str| std::env::var(name).with_context(|| format!("{name} is not set: the host starts this role"));
    let config = freehold_inference::Config {
        local_socket: PathBuf::from(variable(LOCAL_API_VARIABLE)?),
        listen_socket: PathBuf::from(variable(APP_SOCKET_VARIABLE)?),
        model_path: PathBuf::from(variable(MODEL_VARIABLE)?),
        model_name: variable(MODEL_NAME_VARIABLE)?,
        context: None,
        workers: 1,
    };
    freehold_inference::run(config).await?;
    Ok(ExitCode::SUCCESS)
}
