//! `attest emulate`: evidence of the emulator, in every status that a machine can be in, for `attest verify` and for
//! whoever tests a policy.

mod make;
mod table;

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use freehold_node::Clock;
use serde_json::json;

use self::{
    make::{Made, made},
    table::cases,
};
use crate::{args::AttestEmulateArgs, output::Output};

/// Runs the command.
pub(super) fn run(args: &AttestEmulateArgs, output: Output) -> Result<ExitCode> {
    if args.list {
        list(output);
        return Ok(ExitCode::SUCCESS);
    }
    let (kind, status) = (args.kind.as_deref().unwrap_or_default(), args.status.as_str());
    let all = cases();
    // What is in order is called up to date where the vendor has such a status.
    let same = |known: &str| known == status || (status == "good" && known == "up-to-date");
    let Some(case) = all.iter().find(|case| case.kind == kind && same(case.status)) else {
        bail!("there is no status {status} of the kind {kind}: `attest emulate --list` shows what there is");
    };
    let mut report_data = [0; 64];
    if let Some(text) = &args.report_data {
        let bytes = hex::decode(text).context("--report-data is no hex")?;
        let begin = report_data.get_mut(..bytes.len()).context("--report-data is longer than 64 bytes")?;
        begin.copy_from_slice(&bytes);
    }
    let now_unix_s = args.now.unwrap_or_else(|| Clock::system().now_s());
    let made = made(case, &report_data, now_unix_s);
    write(&made, &args.out)?;
    let code = case.expected.map(|refusal| refusal.code());
    output.object(&json!({
        "kind": kind,
        "status": status,
        "evidence": args.out.join(made.evidence_name).display().to_string(),
        "collateral": made.collateral.as_ref().map(|_| args.out.join("collateral.bin").display().to_string()),
        "now": now_unix_s,
        "code": code,
    }));
    output.text(&format!("{} in {}", made.evidence_name, args.out.display()));
    let said = code.map_or_else(|| "accepted".to_owned(), |code| format!("refused: {code}"));
    output.text(&format!("`attest verify` at {now_unix_s} under the default policy: {said}"));
    Ok(ExitCode::SUCCESS)
}

fn write(made: &Made, out: &Path) -> Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let put = |name: &str, bytes: &[u8]| {
        let path = out.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    put(made.evidence_name, &made.evidence)?;
    made.collateral.as_ref().map_or(Ok(()), |bytes| put("collateral.bin", bytes))
}

fn list(output: Output) {
    for case in cases() {
        let code = case.expected.map(|refusal| refusal.code());
        output.object(&json!({
            "kind": case.kind,
            "status": case.status,
            "code": code,
            "text": case.expected.map(|refusal| refusal.to_string()),
        }));
        let said =
            case.expected.map_or_else(|| "accepted".to_owned(), |refusal| format!("{} {refusal}", refusal.code()));
        output.text(&format!("{:<8} {:<36} {said}", case.kind, case.status));
    }
}
