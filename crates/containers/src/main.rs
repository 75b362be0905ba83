//! The containers of a VM as a program of its own, for the VM's image: PID 1 starts it where an app of one program would be.
#![allow(clippy::print_stderr, reason = "in a VM standard error goes where the app's words go")]

use std::{env, path::PathBuf, process::ExitCode};

use freehold_containers::{VmContainerPlaces, run_in_vm};

/// Exit code where a service ended by a signal, or nothing ran.
const BROKEN: u8 = 255;

fn main() -> ExitCode {
    let words: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let Ok([plan, images, sockets, storage, models, gate, launcher, run]) = <[PathBuf; 8]>::try_from(words) else {
        eprintln!("usage: freehold-containers PLAN IMAGES SOCKETS STORAGE MODELS GATE_SOCKET LAUNCHER RUN_FOLDER");
        return ExitCode::from(2);
    };
    // In a TEE, PID 1 lets nothing out but what is sealed to the app's owner.
    let tells_all = env::var_os("FREEHOLD_TOLD").is_none_or(|told| told != "sealed");
    let places = VmContainerPlaces { plan, images, sockets, storage, models, gate, launcher, run, tells_all };
    let ended = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run_in_vm(places)).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match ended {
        Ok(code) => ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(BROKEN)),
        Err(reason) => {
            eprintln!("freehold: containers: {reason}");
            ExitCode::from(BROKEN)
        }
    }
}
