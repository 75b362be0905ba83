//! What a bundled app says, line by line, to whoever started the host.
//!
//! Bounded as [`freehold_containers::read_lines`] bounds it. Not here: keeping them.

use freehold_containers::{Heard, LogStream};
use freehold_rpc::SEALED_LINE;
use tokio::{io::AsyncRead, process::Child, sync::mpsc};

use crate::event::HostEvent;

/// Passes on what a process says, until it says no more. Streams that are not piped are left alone.
pub(crate) fn forward(child: &mut Child, events: &mpsc::UnboundedSender<HostEvent>) {
    if let Some(output) = child.stdout.take() {
        tokio::spawn(lines(output, (None, LogStream::Output), events.clone()));
    }
    if let Some(error) = child.stderr.take() {
        tokio::spawn(lines(error, (None, LogStream::Error), events.clone()));
    }
}

/// The record of a line that its app's owner alone can read; `None` for a line in the open.
pub(crate) fn sealed_record(line: &str) -> Option<&str> {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    line.strip_prefix(SEALED_LINE).filter(|record| !record.is_empty() && record.bytes().all(is_base64))
}

/// Passes on the lines of a stream of the app's; what is dropped is told.
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
    freehold_containers::read_lines(from, |heard| match heard {
        Heard::Line(line) => pass(line),
        Heard::Dropped(lines) => drop(events.send(HostEvent::AppLogDropped { lines })),
    })
    .await;
}
