//! What a confined program may connect to, and listen on: sockets in its own folders by their names, and of the network what
//! its manifest says.
//!
//! Landlock does not judge a connection to a named socket before its ABI 9, and a filter of calls does not see where one leads. So
//! each call is held, and made here on the caller's own socket: what is dialled is what was judged, whatever the caller
//! writes into its memory meanwhile (seccomp_unotify(2)). Never is a held call let go on by itself.

use std::{
    fs::{self, File},
    io,
    net::Ipv4Addr,
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::{ffi::OsStrExt as _, fs::FileExt as _},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use rustix::{
    fs::{Mode, OFlags, open, openat},
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

use super::listener::{self, ADDRESS_BYTES_MAX, Asked, Held, Listener};

/// Held calls that are being made at once; one more is told to come again.
const CALLS_MAX: usize = 64;

/// What of the network a program reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialled {
    /// Nothing.
    Nothing,
    /// This port of the loopback.
    Loopback(u16),
    /// All that this machine reaches.
    Everything,
}

/// What may be reached.
#[derive(Debug, Clone)]
pub(super) struct Reachable {
    /// Folders whose sockets may be reached by their names.
    pub(super) folders: Vec<PathBuf>,
    pub(super) dialled: Dialled,
}

/// Answers held calls for as long as this process lives.
pub(super) fn answer(listener: Listener, reachable: Reachable) {
    let shared = Arc::new((listener, reachable, AtomicUsize::new(0)));
    loop {
        let held = match shared.0.next() {
            Ok(held) => held,
            // A caller that ended, or a signal; once all have ended the process ends too.
            Err(_) => {
                thread::sleep(std::time::Duration::from_millis(1));
                continue;
            }
        };
        if shared.2.fetch_add(1, Ordering::AcqRel) >= CALLS_MAX {
            shared.2.fetch_sub(1, Ordering::AcqRel);
            shared.0.answer(&held, Err(io::Error::from_raw_os_error(libc::EAGAIN)));
            continue;
        }
        let own = Arc::clone(&shared);
        let make = move || {
            let (listener, reachable, count) = &*own;
            listener.answer(&held, reachable.make(listener, &held));
            count.fetch_sub(1, Ordering::AcqRel);
        };
        if thread::Builder::new().name("held-call".to_owned()).spawn(make).is_err() {
            shared.2.fetch_sub(1, Ordering::AcqRel);
            shared.0.answer(&held, Err(io::Error::from_raw_os_error(libc::EAGAIN)));
        }
    }
}

fn refused() -> io::Error {
    io::Error::from_raw_os_error(libc::EACCES)
}

impl Reachable {
    /// Makes a held call.
    fn make(&self, listener: &Listener, held: &Held) -> io::Result<()> {
        let socket = borrowed(held)?;
        match held.asked {
            Asked::Listen { backlog } => {
                let is_named = listener::family(socket.as_fd())? == libc::AF_UNIX;
                if !listener.still_waits(held) || !(is_named || self.dialled == Dialled::Everything) {
                    return Err(refused());
                }
                listener::listen(socket.as_fd(), backlog)
            }
            Asked::Connect { at, bytes } => {
                let length = usize::try_from(bytes).ok().filter(|length| (2..=ADDRESS_BYTES_MAX).contains(length));
                let length = length.ok_or(io::ErrorKind::InvalidInput)?;
                let mut address = [0; ADDRESS_BYTES_MAX];
                let address = &mut address[..length];
                File::open(format!("/proc/{}/mem", held.thread))?.read_exact_at(address, at)?;
                let target = self.judged(address, held.thread)?;
                if !listener.still_waits(held) {
                    return Err(refused());
                }
                match target {
                    Target::As(address) => listener::connect(socket.as_fd(), &address),
                    // The very file that was judged, whatever its name leads to by now.
                    Target::Named(file) => {
                        let mut address = libc::AF_UNIX.to_ne_bytes()[..2].to_vec();
                        address.extend(format!("/proc/self/fd/{}\0", file.as_raw_fd()).bytes());
                        listener::connect(socket.as_fd(), &address)
                    }
                }
            }
        }
    }

    /// Where an address leads, if it may be reached. Addresses are as the kernel takes them (unix(7), ip(7), ipv6(7)).
    fn judged(&self, address: &[u8], thread: u32) -> io::Result<Target> {
        let (family, rest) = address.split_at(2);
        match i32::from(u16::from_ne_bytes([family[0], family[1]])) {
            libc::AF_UNIX => self.named(rest, thread).map(Target::Named),
            libc::AF_INET | libc::AF_INET6 | libc::AF_UNSPEC | libc::AF_NETLINK
                if self.dialled == Dialled::Everything =>
            {
                Ok(Target::As(address.to_vec()))
            }
            libc::AF_INET if rest.len() >= 6 => {
                let port = u16::from_be_bytes([rest[0], rest[1]]);
                let to = Ipv4Addr::new(rest[2], rest[3], rest[4], rest[5]);
                let may = self.dialled == Dialled::Loopback(port) && to == Ipv4Addr::LOCALHOST;
                if may { Ok(Target::As(address.to_vec())) } else { Err(refused()) }
            }
            _ => Err(refused()),
        }
    }

    /// The socket of a name, if it lies in a folder that may be reached. Abstract names may not.
    fn named(&self, name: &[u8], thread: u32) -> io::Result<OwnedFd> {
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        if name.is_empty() {
            return Err(refused());
        }
        let name = Path::new(std::ffi::OsStr::from_bytes(name));
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let file = if name.is_absolute() {
            open(name, flags, Mode::empty())
        } else {
            let folder = open(format!("/proc/{thread}/cwd"), flags | OFlags::DIRECTORY, Mode::empty())?;
            openat(folder, name, flags, Mode::empty())
        };
        let file = file.map_err(|error| if self.holds(name) { error.into() } else { refused() })?;
        let place = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        if self.holds(&place) { Ok(file) } else { Err(refused()) }
    }

    fn holds(&self, place: &Path) -> bool {
        self.folders.iter().any(|folder| place.starts_with(folder))
    }
}

/// Where a call leads.
enum Target {
    /// This address.
    As(Vec<u8>),
    /// The socket that this file is.
    Named(OwnedFd),
}

/// The caller's own socket.
fn borrowed(held: &Held) -> io::Result<OwnedFd> {
    let status = fs::read_to_string(format!("/proc/{}/status", held.thread))?;
    let process = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
    let process = process.and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    let process = pidfd_open(process, PidfdFlags::empty())?;
    Ok(pidfd_getfd(process, held.socket, PidfdGetfdFlags::empty())?)
}
