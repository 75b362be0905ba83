//! What a bundled app says, line by line, to whoever started the host.
//!
//! Bounded: a line is cut at [`LINE_BYTES_MAX`], and of one second no more than [`LINES_A_SECOND_MAX`] lines of a stream
//! are passed on; the rest is counted. Not here: keeping them.

use freehold_rpc::SEALED_LINE;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader},
    process::Child,
    sync::mpsc,
    time::{Duration, Instant},
};

use crate::event::HostEvent;

/// Longest piece of a line, in bytes.
const LINE_BYTES_MAX: u64 = 8 * 1024;
/// Most lines of a stream in a second.
const LINES_A_SECOND_MAX: u64 = 1_000;

/// Where an app said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// Passes on what a process says, until it says no more. Streams that are not piped are left alone.
/// `service` is which of an app's it is, where it has several.
pub(crate) fn forward(child: &mut Child, service: Option<&str>, events: &mpsc::UnboundedSender<HostEvent>) {
    let service = || service.map(str::to_owned);
    if let Some(output) = child.stdout.take() {
        tokio::spawn(lines(output, (service(), LogStream::Output), events.clone()));
    }
    if let Some(error) = child.stderr.take() {
        tokio::spawn(lines(error, (service(), LogStream::Error), events.clone()));
    }
}

/// The record of a line that its app's owner alone can read; `None` for a line in the open.
pub(crate) fn sealed_record(line: &str) -> Option<&str> {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    line.strip_prefix(SEALED_LINE).filter(|record| !record.is_empty() && record.bytes().all(is_base64))
}

/// Passes on the lines of a stream of the app's.
pub(crate) async fn lines(
    from: impl AsyncRead + Unpin,
    (service, stream): (Option<String>, LogStream),
    events: mpsc::UnboundedSender<HostEvent>,
) {
    let pass = |line| drop(events.send(HostEvent::AppLog { service: service.clone(), stream, line }));
    read_lines(from, &events, pass).await;
}

/// Reads lines, bounded, until there are no more; what is dropped is told as the app's.
pub(crate) async fn read_lines(
    from: impl AsyncRead + Unpin,
    events: &mpsc::UnboundedSender<HostEvent>,
    mut pass: impl FnMut(String),
) {
    let mut reader = BufReader::new(from);
    let (mut second, mut passed, mut dropped) = (Instant::now(), 0u64, 0u64);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        if second.elapsed() >= Duration::from_secs(1) {
            (second, passed) = (Instant::now(), 0);
            tell_dropped(&mut dropped, events);
        }
        passed += 1;
        if passed > LINES_A_SECOND_MAX {
            dropped += 1;
            continue;
        }
        pass(String::from_utf8_lossy(&line).trim_end().to_owned());
    }
    tell_dropped(&mut dropped, events);
}

fn tell_dropped(dropped: &mut u64, events: &mpsc::UnboundedSender<HostEvent>) {
    let lines = std::mem::take(dropped);
    if lines > 0 {
        let _ = events.send(HostEvent::AppLogDropped { lines });
    }
}
