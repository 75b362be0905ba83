//! The agent as a program of its own, for the image of a VM: PID 1 starts it with the way to the host as standard input.
//!
//! On a host's own machine the same agent is a role of `freehold`.
#![allow(clippy::print_stderr, reason = "in a VM standard error is the console, its only log")]

use std::{env, os::fd::AsFd as _, path::PathBuf, process::ExitCode};

use freehold_guest::{StopReason, VmPlaces, run_in_vm};

fn main() -> ExitCode {
    let words: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let Ok([own, local_api, app_socket]) = <[PathBuf; 3]>::try_from(words) else {
        eprintln!("usage: freehold-guest OWN_FOLDER LOCAL_API_SOCKET APP_SOCKET, the host's pipe as standard input");
        return ExitCode::from(2);
    };
    let pipe = match std::io::stdin().as_fd().try_clone_to_owned() {
        Ok(pipe) => pipe,
        Err(error) => return failed(&error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    match runtime.block_on(run_in_vm(pipe, VmPlaces { own, local_api, app_socket })) {
        Ok(StopReason::Asked) => ExitCode::SUCCESS,
        Ok(reason) => failed(&reason.as_str()),
        Err(error) => failed(&error),
    }
}

fn failed(reason: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("freehold: agent: {reason}");
    ExitCode::FAILURE
}
