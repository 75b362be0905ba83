//! Roles that the host starts as processes of their own: the guest agent, what starts and what confines an app, and the private
//! inference app.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use freehold_guest::{GuestConfig, StopReason, asked_by_host};
use freehold_host::{APP_SOCKET_VARIABLE, LOCAL_API_VARIABLE, MODEL_VARIABLE};

use crate::{
    args::{LaunchArgs, RoleArgs},
    output::Output,
    stack::MODEL_NAME_VARIABLE,
};

/// Runs the guest agent.
pub(crate) async fn guest(args: RoleArgs) -> Result<ExitCode> {
    let reason = freehold_guest::run(GuestConfig::read(&args.config)?, asked_by_host()).await?;
    // The host starts a successor whatever the reason; the status is for whoever reads its log.
    Ok(if reason == StopReason::Asked { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Becomes another program, with what the app's owner set in its environment, or runs it with its output sealed; or is
/// the relay that leads it to the gate.
pub(crate) fn launch(args: LaunchArgs, output: Output) -> Result<ExitCode> {
    // One thread: a container may have no place for a second.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("the runtime cannot be started")?;
    if let Some(gate) = args.relay {
        runtime.block_on(freehold_guest::relay_egress(gate, 0))?;
        return Ok(ExitCode::SUCCESS);
    }
    let socket = args.socket.or_else(|| std::env::var_os(LOCAL_API_VARIABLE).map(PathBuf::from));
    let socket = socket.with_context(|| format!("{LOCAL_API_VARIABLE} is not set: the host starts this role"))?;
    let waits_for = |names: &[String]| {
        output.warn(&format!("waiting for the app's owner: freehold app secret set {}", names.join(" | ")));
    };
    Ok(ExitCode::from(runtime.block_on(freehold_guest::launch(socket, args.words, waits_for))?))
}

/// Keeps another program apart, and stays beside it.
pub(crate) fn confine() -> Result<ExitCode> {
    Ok(ExitCode::from(freehold_host::confine()?))
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
