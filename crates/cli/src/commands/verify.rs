//! `verify`: checks a proof offline.

use std::{fs::File, io::Read as _, path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use freehold_client::pinned_network_key;
use freehold_node::Clock;
use freehold_primitives::{NetworkKey, SuccessionRecord};
use freehold_verify::{PROOF_BYTES_MAX, Verdict, VerifyOptions, read_succession, verify_bundle};

use crate::{args::VerifyArgs, data_dir, output::Output, verdict};

/// Exit status where the arguments do not allow a verdict.
const USAGE: u8 = 2;

/// Runs the command.
pub(crate) fn run(args: &VerifyArgs, output: Output) -> Result<ExitCode> {
    match check(args) {
        Ok(found) => {
            verdict::show(&found, output);
            Ok(if found.is_valid() { ExitCode::SUCCESS } else { ExitCode::from(super::FAILURE) })
        }
        Err(error) => {
            output.failure(&error);
            Ok(ExitCode::from(USAGE))
        }
    }
}

fn check(args: &VerifyArgs) -> Result<Verdict> {
    let network_key = trusted_key(args)?;
    let text = read_bounded(&args.proof)?;
    let header = args.header.as_deref().map(read_bounded).transpose()?;
    let succession = args.succession.as_deref().map(read_records).transpose()?.unwrap_or_default();
    let now = args.now.unwrap_or_else(|| Clock::system().now_s());
    let demand = args.demand.demand();
    let mut options = VerifyOptions::new(network_key, now);
    options.demand = Some(&demand);
    options.max_age_s = args.max_age;
    options.succession = &succession;
    options.header = header.as_deref();
    options.require_hardware = args.require_hardware;
    options.require_now = args.require_now;
    verify_bundle(&text, &options).with_context(|| match &args.header {
        Some(path) => format!("{} is no header of this network", path.display()),
        None => "the proof's own header".to_owned(),
    })
}

/// The network key to trust: the one named, else the one pinned in the data directory.
fn trusted_key(args: &VerifyArgs) -> Result<NetworkKey> {
    if let Some(key) = args.network_key {
        return Ok(key);
    }
    let folder = data_dir::of(args.data_dir.as_deref(), args.chain_id)?;
    pinned_network_key(&folder)?.with_context(|| {
        format!("no network key is pinned in {}: name the one you trust with --network-key", folder.display())
    })
}

/// Reads succession records; the verifier judges them.
pub(crate) fn read_records(path: &Path) -> Result<Vec<SuccessionRecord>> {
    read_succession(&read_bounded(path)?).with_context(|| format!("{} holds no succession records", path.display()))
}

/// Reads a file up to the largest proof and a byte: what is longer is refused by the verifier as too long. Bytes that are
/// no UTF-8 can be no proof either, and become replacement characters that no proof holds.
pub(crate) fn read_bounded(path: &Path) -> Result<String> {
    let cannot = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(cannot)?;
    let mut bytes = Vec::new();
    file.take(PROOF_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).with_context(cannot)?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}
