//! One run of QEMU under a time limit, and the self-test by which KVM is chosen: a device that opens is no proof that guests
//! run (`/dev/kvm` of a nested machine may open and never boot one), so a guest is booted.

use std::{
    io::{self, Read},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use thiserror::Error;

use crate::{
    boot::CommandLine,
    qemu::{Accel, QEMU, QemuLaunch},
    shape::VmShape,
};

/// Most bytes of a console that are kept.
const CONSOLE_BYTES_MAX: u64 = 1024 * 1024;
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(20);
/// How long KVM has for the self-test: far more than it needs, and less than emulation of a slow machine takes.
const SELF_TEST_WAIT: Duration = Duration::from_secs(10);
/// What PID 1 says when its command line names no image.
const SELF_TEST_LINE: &str = "freehold: self-test passed";

/// Why a VM did not run to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunError {
    /// QEMU is missing.
    #[error("`{QEMU}` cannot be started: {0}; install the package `qemu-system-x86`")]
    Start(io::Error),
    /// It did not end in time.
    #[error("the VM did not end within {0:?}; its console said: {1}")]
    TimedOut(Duration, String),
}

/// What a VM said until it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its console, bounded.
    pub console: String,
    /// From the start of QEMU to its end.
    pub took: Duration,
}

/// Runs a VM until it powers off, or kills it at the limit.
///
/// # Errors
/// [`RunError`].
pub fn run_vm(launch: &QemuLaunch<'_>, limit: Duration) -> Result<Ran, RunError> {
    let begun = Instant::now();
    let mut child = Command::new(QEMU)
        .args(launch.arguments())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(RunError::Start)?;
    let read = |stream: Option<Box<dyn Read + Send>>| {
        thread::spawn(move || {
            let mut text = Vec::new();
            if let Some(mut stream) = stream {
                let _ = stream.by_ref().take(CONSOLE_BYTES_MAX).read_to_end(&mut text);
                // The rest is thrown away, so that nothing waits for a reader.
                let _ = io::copy(&mut stream, &mut io::sink());
            }
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    let console = read(child.stdout.take().map(|stream| Box::new(stream) as _));
    let complaints = read(child.stderr.take().map(|stream| Box::new(stream) as _));
    let in_time = loop {
        match child.try_wait() {
            Ok(Some(_)) => break true,
            Ok(None) if begun.elapsed() < limit => thread::sleep(POLL),
            _ => break false,
        }
    };
    if !in_time {
        let _ = child.kill();
        let _ = child.wait();
    }
    let took = begun.elapsed();
    let text = |thread: thread::JoinHandle<String>| thread.join().unwrap_or_default();
    let console = text(console) + &text(complaints);
    if in_time { Ok(Ran { console, took }) } else { Err(RunError::TimedOut(limit, console)) }
}

/// Whether a guest boots under an accelerator within a limit: the image's kernel and PID 1, told of no image, say so and power
/// off.
pub fn self_test(accel: &Accel, image: &Path, limit: Duration) -> bool {
    let (Ok(shape), Ok(line)) = (VmShape::new(1, 512), CommandLine::new("console=ttyS0 quiet panic=-1")) else {
        return false;
    };
    let launch = QemuLaunch { accel, shape, image, line: &line, ports: &[], state: None };
    run_vm(&launch, limit).is_ok_and(|ran| ran.console.contains(SELF_TEST_LINE))
}

/// KVM where a self-test boot worked, else software.
pub fn usable_accel(image: &Path) -> Accel {
    if Path::new("/dev/kvm").exists() && self_test(&Accel::Kvm, image, SELF_TEST_WAIT) {
        Accel::Kvm
    } else {
        Accel::Tcg
    }
}
