#![doc = include_str!("../README.md")]
#![allow(clippy::print_stdout, reason = "PID 1's standard output is the console, its only log")]

mod app;
mod disk;
mod health;
mod sys;

use std::{path::Path, process};

use freehold_image::CommandLine;
use thiserror::Error;

/// Why the VM does not run its app. Every one powers it off.
#[derive(Debug, Error)]
enum InitError {
    /// A call of the kernel failed.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The disk does not say how the app is started.
    #[error("the disk does not say how the app is started: {0}")]
    Start(serde_json::Error),
    /// The disk is of another app than the command line names.
    #[error("the disk holds another app than the command line names")]
    OtherApp,
    /// The register did not take the event.
    #[error("RTMR3 did not take the app's event")]
    Register,
}

impl InitError {
    fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

fn main() {
    if process::id() != 1 {
        println!("freehold-init is PID 1 of a VM, and does nothing elsewhere");
        process::exit(2);
    }
    // A panic of PID 1 is a panic of the kernel, which ends the VM: so it may be left to itself.
    match run() {
        Ok(Some(code)) => println!("freehold: app ended with {code}"),
        Ok(None) => println!("freehold: self-test passed"),
        Err(error) => println!("freehold: refused: {error}"),
    }
    sys::power_off();
}

/// From the first mount to the app's end. `None` where the command line names no image.
fn run() -> Result<Option<i32>, InitError> {
    sys::mount("proc", "/proc", "proc", 0).map_err(InitError::system("mounting /proc"))?;
    sys::mount("sysfs", "/sys", "sysfs", 0).map_err(InitError::system("mounting /sys"))?;
    sys::mount("devtmpfs", "/dev", "devtmpfs", 0).map_err(InitError::system("mounting /dev"))?;
    let text = std::fs::read_to_string("/proc/cmdline").map_err(InitError::system("reading the command line"))?;
    let line = CommandLine::new(text.trim()).ok();
    let Some((root, app)) = line.as_ref().and_then(CommandLine::image) else { return Ok(None) };
    disk::load_modules(Path::new("/modules"))?;
    disk::open(&root)?;
    println!("freehold: disk opened under {}", root.hash);
    let start = app::read_start(&app)?;
    app::extend_register(&start.event)?;
    app::prepare()?;
    let health = health::serve().map_err(InitError::system("serving the app's socket"))?;
    let code = app::run(&start)?;
    drop(health);
    Ok(Some(code))
}
