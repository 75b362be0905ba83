//! What a person or a program reads: text and progress on a terminal, or one JSON object per line.
//!
//! Text goes to standard output, progress and warnings to standard error; under `--json` standard output holds JSON lines
//! only.

use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

/// Where output goes and in which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    form: Form,
    started: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Json,
}

impl Output {
    /// JSON lines when `json`, text otherwise.
    pub(crate) fn new(json: bool) -> Self {
        Self { form: if json { Form::Json } else { Form::Text }, started: Instant::now() }
    }

    /// Whether JSON lines are asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// An object under `--json`, nothing in text.
    pub(crate) fn object(&self, value: &Value) {
        if self.is_json() {
            line(&value.to_string());
        }
    }

    /// A line in any form: JSON that is ready.
    pub(crate) fn line(&self, text: &str) {
        line(text);
    }

    /// A line of text, nothing under `--json`.
    pub(crate) fn text(&self, text: &str) {
        if !self.is_json() {
            line(text);
        }
    }

    /// Text without a line end, at once: for answers that stream.
    pub(crate) fn piece(&self, text: &str) {
        if !self.is_json() {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        }
    }

    /// A step of a story: a name and what happened, with the seconds since the start.
    pub(crate) fn step(&self, name: &str, text: &str) {
        let seconds = self.started.elapsed().as_secs_f64();
        match self.form {
            Form::Text => line(&format!("{seconds:7.2} s  {name:<14} {text}")),
            Form::Json => self.object(&json!({
                "event": "step",
                "step": name,
                "text": text,
                "elapsed_ms": u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            })),
        }
    }

    /// A remark beside the matter, on standard error; nothing under `--json`.
    pub(crate) fn note(&self, text: &str) {
        if !self.is_json() {
            let mut err = std::io::stderr().lock();
            let _ = writeln!(err, "{text}");
        }
    }

    /// A warning, on standard error.
    pub(crate) fn warn(&self, text: &str) {
        let mut err = std::io::stderr().lock();
        let _ = writeln!(err, "warning: {text}");
    }

    /// A progress bar over bytes; silent where nobody looks.
    pub(crate) fn bar(&self, total: u64, what: &str) -> ProgressBar {
        if self.is_json() || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(total);
        let style = ProgressStyle::with_template("{msg:28} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that went away is no reason to fail.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

impl Output {
    /// What went wrong, with its causes; on standard error, and as an object under `--json`.
    pub(crate) fn failure(&self, error: &anyhow::Error) {
        let text = reasons(error);
        self.object(&json!({ "event": "error", "text": text }));
        let mut err = std::io::stderr().lock();
        let _ = writeln!(err, "error: {text}");
    }
}

/// An error and its causes in one sentence. Many errors say their cause themselves: it is not said again.
fn reasons(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests;
