//! The role `bench-app`: the program of the pair. It answers at the socket that it is given, or in a container at its port.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    os::unix::net::UnixListener,
    path::PathBuf,
    process::ExitCode,
    thread,
};

use anyhow::{Context as _, Result};
use freehold_host::APP_SOCKET_VARIABLE;

use super::{
    overhead::{SPIN, spin},
    pair::PORT,
};

/// What is read of a request at once, in bytes; it holds the first line.
const REQUEST_BYTES: usize = 4_096;

/// Serves until it is ended from outside.
pub(crate) fn app() -> Result<ExitCode> {
    // In a container this is the first process, which hears no signal that it did not ask for.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match std::env::var_os(APP_SOCKET_VARIABLE).map(PathBuf::from) {
        Some(socket) => {
            let listener = UnixListener::bind(&socket).context("the app's socket cannot be bound")?;
            thread::spawn(move || listener.incoming().flatten().for_each(answer));
        }
        None => {
            let listener =
                TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).context("the app's port cannot be bound")?;
            thread::spawn(move || listener.incoming().flatten().for_each(answer));
        }
    }
    runtime.block_on(crate::commands::asked_to_stop())?;
    Ok(ExitCode::SUCCESS)
}

/// Answers one request; whoever asks for the loop is told how long it took.
fn answer(mut stream: impl Read + Write) {
    let mut request = [0; REQUEST_BYTES];
    let length = stream.read(&mut request).unwrap_or(0);
    let path = request[..length].split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let body = if path == SPIN.as_bytes() { spin().to_string() } else { "0".to_owned() };
    let head = format!("HTTP/1.0 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    let _gone = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat());
}
