//! `attest`: evidence of any TEE, from files: shown, judged, or made by the emulator.

mod claims;
mod emulate;
mod inspect;
mod names;
mod policy;
mod verify;

pub(super) use names::date;

use std::{fs::File, io::Read as _, path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use freehold_attestation::{EVENT_LOG_BYTES_MAX, container::Format};

use crate::{args::AttestCommand, output::Output};

/// Exit status where the arguments do not allow a verdict.
const USAGE: u8 = 2;

/// Runs the command.
pub(crate) fn run(command: &AttestCommand, output: Output) -> Result<ExitCode> {
    let done = match command {
        AttestCommand::Verify(args) => verify::run(args, output),
        AttestCommand::Inspect { file, format } => inspect::run(file, format.as_deref(), output),
        AttestCommand::Emulate(args) => emulate::run(args, output),
    };
    done.or_else(|error| {
        output.failure(&error);
        Ok(ExitCode::from(USAGE))
    })
}

/// Reads a file up to the longest that anything here takes, and a byte: what is longer is refused as too long.
fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    let cannot = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(cannot)?;
    let mut bytes = Vec::new();
    file.take(EVENT_LOG_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).with_context(cannot)?;
    Ok(bytes)
}

/// The format that the user states.
fn stated(name: Option<&str>) -> Result<Option<Format>> {
    let Some(name) = name else { return Ok(None) };
    let known = || Format::ALL.iter().map(|format| format.as_str()).collect::<Vec<_>>().join(", ");
    Format::of_name(name).map(Some).with_context(|| format!("{name} is no format: {}", known()))
}
