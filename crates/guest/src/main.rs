//! The agent as a program of its own, for the image of a VM: PID 1 starts it with the way to the host as standard input. As another
//! role it is the relay by which the app reaches the gate.
//!
//! On a host's own machine the same agent is a role of `freehold`.
#![allow(clippy::print_stderr, reason = "in a VM standard error is the console, its only log")]

use std::{env, ffi::OsString, os::fd::AsFd as _, path::PathBuf, process::ExitCode};

use freehold_guest::{StopReason, VmIngress, VmPlaces, VmState, relay_egress, run_in_vm};

/// Word of the other role.
const RELAY: &str = "--relay";
/// Variable with how the app is reached over TLS, JSON.
const INGRESS_VARIABLE: &str = "FREEHOLD_INGRESS";

fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().skip(1).collect();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    if let [role, port, gate] = &words[..]
        && role == RELAY
        && let Some(port) = port.to_str().and_then(|port| port.parse().ok())
    {
        return match runtime.block_on(relay_egress(gate.into(), port)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        };
    }
    let Some(places) = places(words) else {
        eprintln!(
            "usage: freehold-guest OWN_FOLDER LOCAL_API_SOCKET APP_SOCKET DISK DISK_SOCKET STATE_FOLDER MIB, the host's pipe \
             as standard input; or freehold-guest {RELAY} PORT GATE_SOCKET"
        );
        return ExitCode::from(2);
    };
    let pipe = match std::io::stdin().as_fd().try_clone_to_owned() {
        Ok(pipe) => pipe,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(run_in_vm(pipe, places)) {
        Ok(StopReason::Asked) => ExitCode::SUCCESS,
        Ok(reason) => failed(&reason.as_str()),
        Err(error) => failed(&error),
    }
}

/// Where PID 1 says that things stand.
fn places(words: Vec<OsString>) -> Option<VmPlaces> {
    let [own, local_api, app_socket, device, asked, folder, mib] = <[OsString; 7]>::try_from(words).ok()?;
    let mib = mib.to_str()?.parse().ok()?;
    let [own, local_api, app_socket, device, asked, folder] =
        [own, local_api, app_socket, device, asked, folder].map(PathBuf::from);
    let ingress = match env::var(INGRESS_VARIABLE) {
        Ok(text) => serde_json::from_str(&text).ok()?,
        Err(_) => VmIngress::default(),
    };
    Some(VmPlaces { own, local_api, app_socket, state: VmState { device, asked, folder, mib }, ingress })
}

fn failed(reason: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("freehold: agent: {reason}");
    ExitCode::FAILURE
}
