//! The calls of the kernel that the standard library does not make, in the one module that may.
#![allow(unsafe_code)]

use std::{
    ffi::CString,
    fs::File,
    io,
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Flags of mounts.
pub(crate) const READ_ONLY: u64 = libc::MS_RDONLY | libc::MS_NODEV | libc::MS_NOSUID;
pub(crate) const NO_RIGHTS: u64 = libc::MS_NODEV | libc::MS_NOSUID;
/// Number of the app's user and group.
pub(crate) const APP_USER: u32 = 1000;
/// Number of the user that relays run as.
const RELAY_USER: u32 = 1001;
/// `MODULE_INIT_COMPRESSED_FILE` (Linux, `include/uapi/linux/module.h`).
const COMPRESSED: libc::c_int = 4;
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(20);

/// Whether to wait for a process that ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reap {
    /// One that has ended, if there is one.
    Ended,
    /// The next that ends.
    Wait,
}

fn checked(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn text(value: &str) -> io::Result<CString> {
    CString::new(value).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Mounts a file system, with its own options.
pub(crate) fn mount(source: &str, place: &str, kind: &str, flags: u64, options: &str) -> io::Result<()> {
    let (source, place, kind, options) = (text(source)?, text(place)?, text(kind)?, text(options)?);
    // SAFETY: four strings that end in zero and live over the call.
    let result = unsafe { libc::mount(source.as_ptr(), place.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast()) };
    checked(result.into())
}

/// Shows a folder at another place, without devices and rights.
pub(crate) fn bind(source: &str, place: &str) -> io::Result<()> {
    mount(source, place, "", libc::MS_BIND, "")?;
    mount("", place, "", libc::MS_BIND | libc::MS_REMOUNT | NO_RIGHTS, "")
}

/// Unmounts what is mounted at a place.
pub(crate) fn unmount(place: &str) -> io::Result<()> {
    let place = text(place)?;
    // SAFETY: a string that ends in zero and lives over the call.
    checked(unsafe { libc::umount2(place.as_ptr(), 0) }.into())
}

/// Which network a program has.
#[derive(Debug)]
pub(crate) enum Net {
    /// One of its own, with nothing in it.
    Own,
    /// That of another process.
    Of(File),
}

/// Has a command start in a network of its own, whose loopback is up, as the user of relays.
pub(crate) fn with_loopback(command: &mut Command) {
    let enter = || {
        // `struct ifreq`: the name, and behind it the flags.
        let mut ask = [0_u8; 40];
        ask[..2].copy_from_slice(b"lo");
        ask[16..18].copy_from_slice(&(libc::IFF_UP as u16).to_ne_bytes());
        // SAFETY: calls with numbers, an empty list, and a request as large as the kernel's that lives over the call; none of
        // them allocates, as is due between fork and exec.
        unsafe {
            checked(libc::unshare(libc::CLONE_NEWNET).into())?;
            let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
            checked(socket.into())?;
            checked(libc::ioctl(socket, libc::SIOCSIFFLAGS, ask.as_mut_ptr()).into())?;
            checked(libc::close(socket).into())?;
            checked(libc::setgroups(0, std::ptr::null()).into())?;
            checked(libc::setresgid(RELAY_USER, RELAY_USER, RELAY_USER).into())?;
            checked(libc::setresuid(RELAY_USER, RELAY_USER, RELAY_USER).into())?;
            checked(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into())
        }
    };
    // SAFETY: the closure makes system calls alone and allocates nothing.
    unsafe { command.pre_exec(enter) };
}

/// Makes a character device.
pub(crate) fn device(place: &str, major: u32, minor: u32) -> io::Result<()> {
    let place = text(place)?;
    // SAFETY: a string that ends in zero and lives over the call.
    let result = unsafe { libc::mknod(place.as_ptr(), libc::S_IFCHR | 0o666, libc::makedev(major, minor)) };
    checked(result.into())
}

/// Loads a module from its compressed file; the kernel checks its signature.
pub(crate) fn load_module(file: &File) -> io::Result<()> {
    // SAFETY: a descriptor that is open over the call and an empty string that ends in zero.
    checked(unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), COMPRESSED) })
}

/// One command of the device mapper over its whole message, which the kernel reads and writes.
pub(crate) fn device_mapper(control: &File, command: u64, message: &mut [u8]) -> io::Result<()> {
    // SAFETY: the message begins with `struct dm_ioctl`, whose `data_size` is the message's length (`mapper::message`): the
    // kernel touches no byte behind it.
    checked(unsafe { libc::ioctl(control.as_raw_fd(), command, message.as_mut_ptr()) }.into())
}

/// How a program is confined.
pub(crate) struct Confined<'a> {
    /// Its root folder.
    pub(crate) root: &'a str,
    /// Its working folder, below that.
    pub(crate) folder: &'a str,
    /// Resources and how much of them it may use.
    pub(crate) limits: Vec<(u32, u64)>,
    pub(crate) net: Net,
}

/// Has a command start without rights: in its own mounts and IPC, below a root, as the app's user, bounded.
pub(crate) fn confine(command: &mut Command, confined: Confined<'_>) -> io::Result<()> {
    let Confined { root, folder, limits, net } = confined;
    let (root, folder) = (text(root)?, text(folder)?);
    let enter = move || {
        for (kind, most) in &limits {
            let limit = libc::rlimit { rlim_cur: *most, rlim_max: *most };
            // SAFETY: a limit that lives over the call.
            checked(unsafe { libc::setrlimit(*kind, &raw const limit) }.into())?;
        }
        let apart = libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
        // SAFETY: calls with numbers, strings that end in zero, and an empty list; none of them allocates, as is due
        // between fork and exec.
        unsafe {
            match &net {
                Net::Own => checked(libc::unshare(libc::CLONE_NEWNET).into())?,
                Net::Of(other) => checked(libc::setns(other.as_raw_fd(), libc::CLONE_NEWNET).into())?,
            }
            checked(libc::unshare(apart).into())?;
            checked(libc::chroot(root.as_ptr()).into())?;
            checked(libc::chdir(folder.as_ptr()).into())?;
            checked(libc::setgroups(0, std::ptr::null()).into())?;
            checked(libc::setresgid(APP_USER, APP_USER, APP_USER).into())?;
            checked(libc::setresuid(APP_USER, APP_USER, APP_USER).into())?;
            checked(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into())
        }
    };
    // SAFETY: the closure makes system calls alone and allocates nothing.
    unsafe { command.pre_exec(enter) };
    Ok(())
}

/// Has a command start as root in its own mounts, whose root is a mounted folder, with the kernel's folders in it. The folder is
/// moved over the root, since no program can leave the initramfs' own for another (Linux, pivot_root(2)).
pub(crate) fn enter_disk(command: &mut Command, root: &str) -> io::Result<()> {
    let root = text(root)?;
    let enter = move || {
        let kernels = [(c"proc", c"/proc"), (c"sysfs", c"/sys"), (c"cgroup2", c"/sys/fs/cgroup")];
        // SAFETY: calls with numbers and strings that end in zero; none of them allocates, as is due between fork and exec.
        unsafe {
            checked(libc::unshare(libc::CLONE_NEWNS).into())?;
            checked(libc::chdir(root.as_ptr()).into())?;
            let (here, top) = (c".".as_ptr(), c"/".as_ptr());
            checked(libc::mount(here, top, std::ptr::null(), libc::MS_MOVE, std::ptr::null()).into())?;
            checked(libc::chroot(here).into())?;
            checked(libc::chdir(top).into())?;
            for (kind, place) in kernels {
                let (kind, flags) = (kind.as_ptr(), NO_RIGHTS | libc::MS_NOEXEC);
                checked(libc::mount(kind, place.as_ptr(), kind, flags, std::ptr::null()).into())?;
            }
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls alone and allocates nothing.
    unsafe { command.pre_exec(enter) };
    Ok(())
}

/// Takes the end of one process, whoever started it: its number, and its exit status or 128 and the signal. An error where
/// there is no process.
pub(crate) fn reap(how: Reap) -> io::Result<Option<(u32, i32)>> {
    let mut status = 0;
    let flags = if how == Reap::Ended { libc::WNOHANG } else { 0 };
    // SAFETY: a place for the status that lives over the call.
    let number = unsafe { libc::waitpid(-1, &raw mut status, flags) };
    checked(number.into())?;
    let Some(number) = u32::try_from(number).ok().filter(|number| *number > 0) else { return Ok(None) };
    let status = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) };
    Ok(Some((number, status)))
}

/// Asks a process to end.
pub(crate) fn terminate(process: u32) {
    signal(process, libc::SIGTERM);
}

/// Ends a process.
pub(crate) fn kill(process: u32) {
    signal(process, libc::SIGKILL);
}

/// Ends every process but this one.
pub(crate) fn kill_all() {
    // SAFETY: a call with numbers; from PID 1 it reaches everybody but PID 1 (kill(2)).
    unsafe { libc::kill(-1, libc::SIGKILL) };
}

fn signal(process: u32, signal: libc::c_int) {
    // A number of 1 or less would be more than one process, or this one.
    if let Ok(process) = libc::pid_t::try_from(process)
        && process > 1
    {
        // SAFETY: a call with numbers; one that is gone is an error that nobody needs.
        unsafe { libc::kill(process, signal) };
    }
}

/// Waits until the other end of a port is there: before, the kernel takes it for hung up.
pub(crate) fn wait_for_host(port: &File, limit: Duration) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        let mut ask = libc::pollfd { fd: port.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
        // SAFETY: one structure that lives over the call.
        checked(unsafe { libc::poll(&raw mut ask, 1, 0) }.into())?;
        if ask.revents & libc::POLLHUP == 0 && ask.revents & libc::POLLOUT != 0 {
            return Ok(());
        }
        if begun.elapsed() > limit {
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(POLL);
    }
}

/// Writes everything and turns the machine off; does not return on a machine that can.
pub(crate) fn power_off() -> ! {
    // SAFETY: calls without pointers.
    unsafe {
        libc::sync();
        libc::reboot(libc::RB_POWER_OFF);
    }
    loop {
        std::thread::park();
    }
}
