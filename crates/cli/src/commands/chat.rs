//! `chat`: a conversation, every turn checked.

use std::{io::BufRead as _, process::ExitCode};

use anyhow::Result;
use freehold_client::{AskOptions, Asker, Chat};
use serde_json::json;
use tokio::sync::mpsc;

use super::ask;
use crate::{args::ChatArgs, find, output::Output, stack, verdict};

/// Runs the command: one line is one turn; `/clear` forgets, an empty line or the end of input ends.
pub(crate) async fn run(args: ChatArgs, output: Output) -> Result<ExitCode> {
    let endpoints = find::endpoints(&args.find).await?;
    let options = AskOptions { max_tokens: Some(args.max_tokens), ..AskOptions::default() };
    let asker = Asker::new(stack::target(&endpoints)?).demanding(args.demand.demand());
    let mut chat = Chat::new(asker, options);
    output.text("Each line is a turn. /clear forgets what was said; an empty line ends.");
    let mut lines = read_lines();
    let mut all_valid = true;
    loop {
        output.piece("\n> ");
        let line = tokio::select! {
            line = lines.recv() => line,
            stop = super::asked_to_stop() => { stop?; None }
        };
        match line.as_deref().map(str::trim) {
            None | Some("") => break,
            Some("/clear") => chat.clear(),
            Some(text) => all_valid &= turn(&mut chat, text, output).await,
        }
    }
    Ok(if all_valid { ExitCode::SUCCESS } else { ExitCode::from(super::FAILURE) })
}

/// One turn. A turn that fails is told and leaves the conversation as it was.
async fn turn(chat: &mut Chat, text: &str, output: Output) -> bool {
    match chat.say(text, &mut |event| ask::show(event, output)).await {
        Ok(answer) => {
            output.object(&json!({
                "event": "answer",
                "text": answer.text,
                "receipt_id": answer.receipt.receipt_id,
                "valid": answer.verdict.is_valid(),
            }));
            output.text(&verdict::sentence(&answer.verdict));
            answer.verdict.is_valid()
        }
        Err(error) => {
            output.failure(&error.into());
            false
        }
    }
}

/// Lines of standard input, read on a thread of their own so that a signal is not held up.
fn read_lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    lines
}
