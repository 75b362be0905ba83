//! In the agent's place: it asks PID 1 for the state disk as the disk's first two bytes say (what to ask, and the key's bytes),
//! first with a key that is none where the disk is to be opened, and then says that it serves.
#![allow(clippy::print_stdout, reason = "what it is told belongs on the VM's console")]

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    process::ExitCode,
};

const OPEN: u8 = 1;

fn ask(socket: &str, kind: u8, mib: u64, key: u8) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(&[&[kind][..], &mib.to_be_bytes(), &[key; 96]].concat())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn keep(words: &[String]) -> io::Result<()> {
    let [_, api, _, disk, socket, folder, mib, ..] = words else { return Err(io::ErrorKind::InvalidInput.into()) };
    let mib = mib.parse().map_err(io::Error::other)?;
    let mut wish = [0; 2];
    File::open(disk)?.read_exact(&mut wish)?;
    let [kind, key] = wish;
    if kind == OPEN {
        println!("keeper: another key: {}", ask(socket, kind, mib, !key)?);
    }
    println!("keeper: the key: {}", ask(socket, kind, mib, key)?);
    println!("keeper: again: {}", ask(socket, kind, mib, key)?);
    println!("keeper: own folder: {}", std::path::Path::new(folder).is_dir());
    let body = r#"{"environment": {}}"#;
    for mut stream in UnixListener::bind(api)?.incoming().flatten() {
        let _ = stream.read(&mut [0; 1024]);
        let _ = write!(stream, "HTTP/1.0 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    }
    Ok(())
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match keep(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("keeper: {error}");
            ExitCode::FAILURE
        }
    }
}
