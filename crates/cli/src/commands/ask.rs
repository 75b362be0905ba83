//! `ask`: one question, privately, with the answer checked.

use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path, process::ExitCode};

use anyhow::{Context as _, Result};
use freehold_client::{Answer, AskEvent, AskOptions, Asker, Message, Texts};
use serde_json::{Value, json};

use crate::{args::AskArgs, find, output::Output, stack, verdict};

/// Runs the command.
pub(crate) async fn run(args: AskArgs, output: Output) -> Result<ExitCode> {
    let endpoints = find::endpoints(&args.find).await?;
    let asker = Asker::new(stack::target(&endpoints)?).demanding(args.demand.demand());
    let options = AskOptions {
        max_tokens: Some(args.max_tokens),
        texts: if args.redact { Texts::Redacted } else { Texts::Kept },
        ..AskOptions::default()
    };
    let answer = asker.ask(&[Message::user(args.question)], &options, &mut |event| show(event, output)).await?;
    conclude(&answer, args.save_proof.as_deref(), output)
}

/// Shows a step of asking: the answer as it streams, the rest in a line.
pub(crate) fn show(event: AskEvent<'_>, output: Output) {
    match event {
        AskEvent::InstanceVerified { trust_domain, .. } => {
            output.note(&format!("the instance is registered and its quote verifies ({})", trust_domain.as_str()));
        }
        AskEvent::RequestSealed { bytes } => {
            output.note(&format!("the question is encrypted to the instance ({bytes} bytes)\n"));
        }
        AskEvent::Text(piece) => {
            output.piece(piece);
            output.object(&json!({ "event": "text", "text": piece }));
        }
        AskEvent::ReceiptChecked { receipt } => output.note(&format!("\n\nreceipt {} checked", receipt.receipt_id)),
        AskEvent::Anchored { height: Some(height) } => output.note(&format!("anchored in block {height}")),
        AskEvent::Anchored { height: None } => {
            output.note("not anchored yet: ask for the proof again in a moment, or keep this one without an end time");
        }
        _ => {}
    }
}

/// Shows the verdict, writes the proof, and gives the exit status.
fn conclude(answer: &Answer, save: Option<&Path>, output: Output) -> Result<ExitCode> {
    if let Some(path) = save {
        write_private(path, &answer.proof)?;
        output.note(&format!("proof written to {}", path.display()));
    }
    let verdict: Value = serde_json::from_str(&answer.verdict.to_json()).context("the verdict is JSON")?;
    output.object(&json!({
        "event": "answer",
        "text": answer.text,
        "receipt_id": answer.receipt.receipt_id,
        "proof": save,
        "verdict": verdict,
    }));
    output.text(&verdict::sentence(&answer.verdict));
    Ok(if answer.verdict.is_valid() { ExitCode::SUCCESS } else { ExitCode::from(super::FAILURE) })
}

/// Writes a proof: readable by its owner only, since it holds what was asked and answered.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let cannot = || format!("cannot write {}: check the path and the free space", path.display());
    // A file that is there keeps its mode when it is opened again; so it goes first.
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).with_context(cannot),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).with_context(cannot)?;
    file.write_all(text.as_bytes()).with_context(cannot)
}
