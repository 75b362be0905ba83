//! Calls that the kernel holds until somebody else has answered them (seccomp(2), seccomp_unotify(2)): `connect` and `listen`
//! of everything under one thread.
//!
//! Not here: what the answer is.

// Why unsafe: no crate of this tree gives the listener of a filter, nor connects to an address as a program wrote it.
#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
};

/// `AUDIT_ARCH_X86_64`.
const X86_64: u32 = 0xc000_003e;
/// Where number and architecture stand in what a filter sees (`struct seccomp_data`).
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
/// Longest address of a socket, in bytes (`struct sockaddr_storage`).
pub(super) const ADDRESS_BYTES_MAX: usize = 128;

/// Which call is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// `connect`, its address at this place of the caller's memory, so many bytes long.
    Connect { at: u64, bytes: u64 },
    /// `listen`, with so long a queue.
    Listen { backlog: i32 },
}

/// A call that is held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    id: u64,
    /// The thread that calls.
    pub(super) thread: u32,
    /// The socket, as the caller numbers it.
    pub(super) socket: i32,
    pub(super) asked: Asked,
}

/// The end at which held calls arrive.
#[derive(Debug)]
pub(super) struct Listener(OwnedFd);

impl Listener {
    /// Has the two calls of this thread, and of all that it starts, held from now on. It must have `no_new_privs`.
    ///
    /// # Errors
    /// What the kernel says: it has no such filter, or there is one with a listener already.
    pub(super) fn install() -> io::Result<Self> {
        let (load, equal, give) = (
            libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            libc::BPF_RET | libc::BPF_K,
        );
        let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
        // Calls of another architecture are ended by the list of calls.
        let mut filter = [
            step(load, 0, 0, ARCHITECTURE_AT),
            step(equal, 0, 3, X86_64),
            step(load, 0, 0, NUMBER_AT),
            step(equal, 2, 0, libc::SYS_connect as u32),
            step(equal, 1, 0, libc::SYS_listen as u32),
            step(give, 0, 0, libc::SECCOMP_RET_ALLOW),
            step(give, 0, 0, libc::SECCOMP_RET_USER_NOTIF),
        ];
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
        // SAFETY: `program` and the filter that it points to live until the call returns; the kernel copies them.
        let made =
            unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
        if made < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: with this flag the call gives a new descriptor, which nobody else has.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(made as i32) }))
    }

    /// Waits for the next call.
    ///
    /// # Errors
    /// What the kernel says; `NotFound` for a caller that has ended meanwhile.
    pub(super) fn next(&self) -> io::Result<Held> {
        // SAFETY: a structure of plain numbers, which the kernel wants zeroed.
        let mut held: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the request is that of this structure, which lives until the call returns.
        let got = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut held) };
        if got < 0 {
            return Err(io::Error::last_os_error());
        }
        let [socket, first, second, ..] = held.data.args;
        let asked = if i64::from(held.data.nr) == libc::SYS_connect {
            Asked::Connect { at: first, bytes: second & 0xffff_ffff }
        } else {
            Asked::Listen { backlog: first as i32 }
        };
        Ok(Held { id: held.id, thread: held.pid, socket: socket as i32, asked })
    }

    /// Whether the caller still waits: what was learnt by its number before was learnt of itself.
    pub(super) fn still_waits(&self, held: &Held) -> bool {
        // SAFETY: the request reads one number, which lives until the call returns.
        let state = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const held.id) };
        state == 0
    }

    /// Lets the call return: with 0, or with an error's number.
    pub(super) fn answer(&self, held: &Held, result: io::Result<()>) {
        let number = result.err().map_or(0, |error| error.raw_os_error().unwrap_or(libc::EPERM));
        let answer = libc::seccomp_notif_resp { id: held.id, val: 0, error: -number, flags: 0 };
        // SAFETY: the request is that of this structure, which lives until the call returns. A caller that is gone needs none.
        let _gone = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const answer) };
    }
}

/// `connect`, to an address as the kernel takes it.
///
/// # Errors
/// The kernel's.
pub(super) fn connect(socket: BorrowedFd<'_>, address: &[u8]) -> io::Result<()> {
    let length = address.len() as libc::socklen_t;
    // SAFETY: the kernel reads so many bytes at most, and they live until the call returns.
    done(unsafe { libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), length) })
}

/// `listen`.
///
/// # Errors
/// The kernel's.
pub(super) fn listen(socket: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    // SAFETY: the descriptor lives until the call returns.
    done(unsafe { libc::listen(socket.as_raw_fd(), backlog) })
}

/// The family of a socket (`AF_…`).
///
/// # Errors
/// The kernel's: it is no socket.
pub(super) fn family(socket: BorrowedFd<'_>) -> io::Result<i32> {
    let mut family: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel writes one number of this length, which lives until the call returns.
    let got = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_DOMAIN,
            (&raw mut family).cast(),
            &raw mut length,
        )
    };
    done(got).map(|()| family)
}

/// Has every descriptor but the standard ones close when this process starts another program.
///
/// # Errors
/// The kernel's: it is older than Linux 5.11.
pub(super) fn close_on_start() -> io::Result<()> {
    // SAFETY: no descriptor is closed here; each gets a mark.
    done(unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) })
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
