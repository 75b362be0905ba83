//! The calls of the kernel that mount and unmount, in the one module that may: in a VM there are no programs for it.
#![allow(unsafe_code)]

use std::{ffi::CString, io, os::unix::ffi::OsStrExt as _, path::Path};

/// What every mount of containers has: no devices, no set-user-id programs.
const NO_RIGHTS: libc::c_ulong = libc::MS_NODEV | libc::MS_NOSUID;

/// Mounts a file system with its own options.
pub(crate) fn mount(kind: &str, at: &Path, options: &str) -> io::Result<()> {
    let text = |bytes: &[u8]| CString::new(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let (kind, at, options) = (text(kind.as_bytes())?, text(at.as_os_str().as_bytes())?, text(options.as_bytes())?);
    // SAFETY: strings that end in zero and live over the call.
    let result = unsafe { libc::mount(kind.as_ptr(), at.as_ptr(), kind.as_ptr(), NO_RIGHTS, options.as_ptr().cast()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Shows a file or folder at another place too.
pub(crate) fn bind(source: &Path, at: &Path) -> io::Result<()> {
    let text = |path: &Path| {
        CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
    };
    let (source, at) = (text(source)?, text(at)?);
    // SAFETY: strings that end in zero and live over the call; a bind has neither kind nor options.
    let result =
        unsafe { libc::mount(source.as_ptr(), at.as_ptr(), std::ptr::null(), libc::MS_BIND, std::ptr::null()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes a mount away at once; what still uses it keeps it until it ends.
pub(crate) fn unmount(at: &Path) -> io::Result<()> {
    let at = CString::new(at.as_os_str().as_bytes()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: a string that ends in zero and lives over the call.
    let result = unsafe { libc::umount2(at.as_ptr(), libc::MNT_DETACH) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
