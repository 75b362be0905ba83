//! Running the program with its output sealed to the app's owner, line by line.
//!
//! Records of both streams leave by this process's standard output, each as one line, so that whoever started it keeps or
//! drops lines and reads none. Not here: bounds on how much is kept.

use std::{
    io::{self, Write as _},
    os::fd::OwnedFd,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use freehold_primitives::X25519Key;
use freehold_rpc::{LOG_LINE_BYTES_MAX, LogSealer, LogSource, SEALED_LINE};
use rand::{TryRng as _, rngs::SysRng};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader},
    net::unix::pipe,
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use zeroize::Zeroizing;

use super::LaunchError;

/// Exit code of a program that a signal ended.
const KILLED: u8 = 128;

/// How long its last words may take.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(1);

/// Runs a program to its end, as `service` where the app has several; its exit code.
pub(super) async fn run(
    mut command: Command,
    owner: &X25519Key,
    service: Option<&str>,
    failed: impl Fn(io::Error) -> LaunchError,
) -> Result<u8, LaunchError> {
    let sealer = sealer(owner)?;
    let sealer = Mutex::new(match service {
        Some(name) => sealer.of_service(name),
        None => sealer,
    });
    // Before the program starts, so that no end of it is missed.
    let mut ended = signal(SignalKind::child()).map_err(&failed)?;
    let mut asked = signal(SignalKind::terminate()).map_err(&failed)?;
    // Standard input stays the host's: when it ends, the program's does.
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(&failed)?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let output = stream(child.stdout.take().map(OwnedFd::from)).map_err(&failed)?;
    let error = stream(child.stderr.take().map(OwnedFd::from)).map_err(&failed)?;
    let said =
        async { tokio::join!(lines(output, LogSource::Output, &sealer), lines(error, LogSource::Error, &sealer)) };
    tokio::pin!(said);
    let mut is_said = false;
    loop {
        if let Some(code) = reap(pid) {
            // A process that it left behind may hold the pipes.
            if !is_said {
                let _ = timeout(LAST_WORDS_WAIT, said).await;
            }
            return Ok(code);
        }
        tokio::select! {
            _ = ended.recv() => {}
            _ = &mut said, if !is_said => is_said = true,
            Some(()) = asked.recv() => drop(pid.map(|pid| kill_process(pid, Signal::TERM))),
        }
    }
}

/// Seals one stream of a program that somebody else runs, from a pipe until it ends.
pub(super) async fn pass(from: OwnedFd, source: LogSource, owner: &X25519Key) -> Result<(), LaunchError> {
    let sealer = Mutex::new(sealer(owner)?);
    let from = stream(Some(from)).map_err(LaunchError::Words)?;
    lines(from, source, &sealer).await;
    Ok(())
}

fn sealer(owner: &X25519Key) -> Result<LogSealer, LaunchError> {
    let mut entropy = Zeroizing::new([0; 32]);
    SysRng.try_fill_bytes(&mut *entropy).map_err(|_| LaunchError::Entropy)?;
    Ok(LogSealer::new(owner, &entropy))
}

/// Takes what has ended: the program's exit code, if it is among it. As the first process of a container this one inherits the
/// children of all others, and nobody else would let them go.
fn reap(program: Option<Pid>) -> Option<u8> {
    let mut code = None;
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if Some(pid) == program {
            code = Some(exit_code(status));
        }
    }
    code
}

fn exit_code(status: WaitStatus) -> u8 {
    status.exit_status().and_then(|code| u8::try_from(code).ok()).unwrap_or(KILLED)
}

/// The reading end of a program's output.
fn stream(pipe: Option<OwnedFd>) -> io::Result<Option<pipe::Receiver>> {
    pipe.map(pipe::Receiver::from_owned_fd).transpose()
}

async fn lines(from: Option<impl AsyncRead + Unpin>, source: LogSource, sealer: &Mutex<LogSealer>) {
    let Some(from) = from else { return };
    let mut reader = BufReader::new(from);
    let bound = u64::try_from(LOG_LINE_BYTES_MAX).unwrap_or(u64::MAX);
    let mut line = Zeroizing::new(Vec::new());
    loop {
        line.clear();
        match (&mut reader).take(bound).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        // Sealed and written under one lock, so that records leave in the order of their numbers.
        let mut sealer = sealer.lock().unwrap_or_else(PoisonError::into_inner);
        let record = sealer.seal(source, text);
        let mut out = io::stdout().lock();
        if writeln!(out, "{SEALED_LINE}{record}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}
