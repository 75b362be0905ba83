//! Connecting to a socket that somebody untrusted made.

use std::{io, os::fd::AsRawFd as _, path::Path};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use tokio::net::UnixStream;

/// Connects to a socket that an app may have made. A link in its place could lead to any socket of the machine: it is not
/// followed.
///
/// # Errors
/// What the system says; [`io::ErrorKind::InvalidInput`] for what is no socket.
pub async fn connect_plain(path: &Path) -> io::Result<UnixStream> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let socket = open(path, flags, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&socket)?.st_mode) != FileType::Socket {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // The very file that was looked at, whatever has its name now.
    UnixStream::connect(format!("/proc/self/fd/{}", socket.as_raw_fd())).await
}
