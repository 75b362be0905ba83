//! What an app says, line by line, to whoever started it.
//!
//! Bounded: a line is cut at [`LINE_BYTES_MAX`], and of one second no more than [`LINES_A_SECOND_MAX`] lines of a stream
//! are passed on; the rest is counted. Not here: keeping them.

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader},
    time::{Duration, Instant},
};

/// Longest piece of a line, in bytes.
pub const LINE_BYTES_MAX: u64 = 8 * 1024;
/// Most lines of a stream in a second.
pub const LINES_A_SECOND_MAX: u64 = 1_000;

/// Where an app said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogStream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// What comes of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A line, or a piece of a long one.
    Line(String),
    /// So many lines were dropped.
    Dropped(u64),
}

/// Reads lines, bounded, until there are no more.
pub async fn read_lines(from: impl AsyncRead + Unpin, mut pass: impl FnMut(Heard)) {
    let mut reader = BufReader::new(from);
    let (mut second, mut passed, mut dropped) = (Instant::now(), 0u64, 0u64);
    let mut line = Vec::new();
    let tell_dropped = |dropped: &mut u64, pass: &mut dyn FnMut(Heard)| {
        let lines = std::mem::take(dropped);
        if lines > 0 {
            pass(Heard::Dropped(lines));
        }
    };
    loop {
        line.clear();
        match (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        if second.elapsed() >= Duration::from_secs(1) {
            (second, passed) = (Instant::now(), 0);
            tell_dropped(&mut dropped, &mut pass);
        }
        passed += 1;
        if passed > LINES_A_SECOND_MAX {
            dropped += 1;
            continue;
        }
        pass(Heard::Line(String::from_utf8_lossy(&line).trim_end().to_owned()));
    }
    tell_dropped(&mut dropped, &mut pass);
}
