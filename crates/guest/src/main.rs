//! The agent as a program of its own, for the image of a VM: PID 1 starts it with the way to the host as standard input. As other
//! roles it is the relay by which the app reaches the gate, what starts a container's program with the owner's settings, and what
//! seals what a program says.
//!
//! On a host's own machine the same agent is a role of `freehold`.
#![allow(clippy::print_stderr, reason = "in a VM standard error is the console, its only log")]

use std::{
    env,
    ffi::{OsStr, OsString},
    os::fd::AsFd as _,
    path::PathBuf,
    process::ExitCode,
};

use freehold_guest::{StopReason, VmPlaces, VmState, launch, relay_egress, run_in_vm, seal_words};
use freehold_rpc::LogSource;
use serde::de::DeserializeOwned;

/// Words of the other roles.
const RELAY: &str = "--relay";
const SEAL: &str = "--seal";
const LAUNCH: [&str; 3] = ["launch", "--socket", "--"];
/// Words that say where things stand, without that of containers.
const PLACES: usize = 7;
/// Variables with how the app is reached over TLS, and with the scopes of its keys, JSON.
const INGRESS_VARIABLE: &str = "FREEHOLD_INGRESS";
const SCOPES_VARIABLE: &str = "FREEHOLD_SCOPES";

fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().skip(1).collect();
    if let [role, name, socket, end, command @ ..] = &words[..]
        && [role, name, end].into_iter().zip(LAUNCH).all(|(word, expect)| word == expect)
    {
        return start(socket.into(), command.to_vec());
    }
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
    if let [role, key, stream] = &words[..]
        && role == SEAL
        && let (Some(key), Some(source)) = (key.to_str(), source(stream))
    {
        return match std::io::stdin().as_fd().try_clone_to_owned() {
            Ok(pipe) => runtime
                .block_on(seal_words(pipe, source, key))
                .map_or_else(|error| failed(&error), |()| ExitCode::SUCCESS),
            Err(error) => failed(&error),
        };
    }
    let Some(places) = places(words) else {
        eprintln!(
            "usage: freehold-guest OWN_FOLDER LOCAL_API_SOCKET APP_SOCKET DISK DISK_SOCKET STATE_FOLDER MIB, the host's pipe \
             as standard input, and behind it SERVICES where there are containers; or freehold-guest {RELAY} PORT \
             GATE_SOCKET; or freehold-guest {SEAL} KEY output|error, with what is said as standard input; or \
             freehold-guest launch --socket SOCKET -- COMMAND"
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

/// Which stream of a program a word names.
fn source(word: &OsStr) -> Option<LogSource> {
    match word.to_str()? {
        "output" => Some(LogSource::Output),
        "error" => Some(LogSource::Error),
        _ => None,
    }
}

/// Where PID 1 says that things stand.
fn places(mut words: Vec<OsString>) -> Option<VmPlaces> {
    let services = (words.len() > PLACES).then(|| words.pop()).flatten().map(PathBuf::from);
    let [own, local_api, app_socket, device, asked, folder, mib] = <[OsString; PLACES]>::try_from(words).ok()?;
    let mib = mib.to_str()?.parse().ok()?;
    let [own, local_api, app_socket, device, asked, folder] =
        [own, local_api, app_socket, device, asked, folder].map(PathBuf::from);
    let (ingress, scopes) = (told(INGRESS_VARIABLE)?, told(SCOPES_VARIABLE)?);
    let state = VmState { device, asked, folder, mib };
    Some(VmPlaces { own, local_api, app_socket, state, services, ingress, scopes })
}

/// What PID 1 says in a variable; nothing where there is none, `None` where it is malformed.
fn told<T: DeserializeOwned + Default>(variable: &str) -> Option<T> {
    env::var(variable).map_or_else(|_| Some(T::default()), |text| serde_json::from_str(&text).ok())
}

/// Becomes a container's program, with what the app's owner set in its environment.
fn start(socket: PathBuf, command: Vec<OsString>) -> ExitCode {
    // One thread: a container may have no place for a second.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let waits_for = |names: &[String]| {
        eprintln!("waiting for the app's owner: freehold app secret set {}", names.join(" | "));
    };
    match runtime.block_on(launch(socket, command, waits_for)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => failed(&error),
    }
}

fn failed(reason: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("freehold: agent: {reason}");
    ExitCode::FAILURE
}
