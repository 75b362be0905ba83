//! The local API of an image without an agent: `GET /freehold/v1/health`, which says that no agent serves. Every other path is
//! refused as the agent refuses before it serves (`spec/local-api.md`).

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    thread,
    time::Duration,
};

use crate::{app, disk::ROOT};

/// Longest request, in bytes, and longest wait for one.
const REQUEST_BYTES_MAX: u64 = 16 * 1024;
const WAIT: Duration = Duration::from_secs(5);
/// The answers.
const HEALTH: &str = r#"{"ready":false,"stage":"starting","reason":"this image holds no agent: no keys, no evidence","expires_at":0,"receipts":0,"anchored":0}"#;
const REFUSED: &str = r#"{"error":{"code":"not_serving","message":"this image holds no agent"}}"#;

/// Serves the app's socket until the process ends; the listener is kept by whoever holds what this gives.
pub(crate) fn serve() -> io::Result<UnixListener> {
    let path = format!("{ROOT}{}", app::LOCAL_API);
    let listener = UnixListener::bind(&path)?;
    app::allow_all(&path)?;
    let accepting = listener.try_clone()?;
    thread::Builder::new().name("health".to_owned()).spawn(move || {
        // One at a time: whoever is slow is cut off by the wait.
        for stream in accepting.incoming().flatten() {
            let _ = answer(&stream);
        }
    })?;
    Ok(listener)
}

fn answer(mut stream: &UnixStream) -> io::Result<()> {
    stream.set_read_timeout(Some(WAIT))?;
    stream.set_write_timeout(Some(WAIT))?;
    let mut lines = BufReader::new(stream.take(REQUEST_BYTES_MAX)).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let is_health = first.starts_with("GET /freehold/v1/health ");
    let (status, body) = if is_health { ("200 OK", HEALTH) } else { ("503 Service Unavailable", REFUSED) };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}
