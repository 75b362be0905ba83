//! The pipe to the host, a character device of virtio-serial, as a socket that the runtime can wait for: two threads carry its
//! bytes. They end with the process.

use std::{
    fs::File,
    io::{Read, Write},
    net::Shutdown,
    os::{fd::OwnedFd, unix::net::UnixStream as Socket},
    thread,
};

use tokio::net::UnixStream;

/// Bytes that are carried at once.
const PIECE: usize = 32 * 1024;

/// The pipe as a socket.
pub(super) fn socket(pipe: OwnedFd) -> std::io::Result<UnixStream> {
    let (own, given) = Socket::pair()?;
    let (mut from_host, mut to_host) = (File::from(pipe.try_clone()?), File::from(pipe));
    let (mut inward, mut outward) = (own.try_clone()?, own);
    thread::Builder::new().name("from host".to_owned()).spawn(move || {
        carry(&mut from_host, &mut inward);
        // The host is gone, and so is the link.
        let _ = inward.shutdown(Shutdown::Both);
    })?;
    thread::Builder::new().name("to host".to_owned()).spawn(move || {
        carry(&mut outward, &mut to_host);
        let _ = outward.shutdown(Shutdown::Both);
    })?;
    given.set_nonblocking(true)?;
    UnixStream::from_std(given)
}

/// Carries bytes until either side ends.
fn carry(from: &mut impl Read, to: &mut impl Write) {
    let mut piece = vec![0; PIECE];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..count]).is_err() {
            return;
        }
    }
}
