//! The device mapper by its own calls (Linux, `include/uapi/linux/dm-ioctl.h`): no tool of it is in the image.

use std::{
    fs::{File, OpenOptions},
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use zeroize::Zeroizing;

use crate::sys;

/// How long devices may take to appear, and the pause between two looks.
const DEVICE_WAIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);
/// Bytes of `struct dm_ioctl` and `struct dm_target_spec`.
const HEADER: usize = 312;
const TARGET: usize = 40;
/// Commands.
const CREATE: u8 = 3;
const REMOVE: u8 = 4;
const RESUME: u8 = 6;
const LOAD: u8 = 9;
/// `DM_READONLY_FLAG` and `DM_SECURE_DATA_FLAG`: the kernel wipes its copy of the message.
const FLAG_READ_ONLY: u32 = 1;
const FLAG_SECURE: u32 = 1 << 15;

/// Whether a device is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

/// One target over a whole device.
pub(crate) struct Target<'a> {
    /// Name of the device: letters.
    pub(crate) name: &'static str,
    /// The target's.
    pub(crate) kind: &'static str,
    /// Length, in sectors.
    pub(crate) sectors: u64,
    pub(crate) parameters: &'a str,
    pub(crate) access: Access,
}

/// The device mapper.
pub(crate) struct Mapper(File);

impl Mapper {
    pub(crate) fn open() -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).open("/dev/mapper/control").map(Self)
    }

    /// Makes a device of a target; its path. What was made of it by half is removed.
    pub(crate) fn make(&self, target: &Target<'_>) -> io::Result<String> {
        let device = (target.name, target.access);
        let minor = minor(&self.call(CREATE, device, None)?);
        let started = self.call(LOAD, device, Some(&table(target))).and_then(|_| self.call(RESUME, device, None));
        let path = format!("/dev/dm-{minor}");
        let there = started.and_then(|_| wait_for(&path));
        if there.is_err() {
            let _ = self.remove(target.name);
        }
        there.map(|()| path)
    }

    /// Removes a device by its name, which nobody may have open.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        self.call(REMOVE, (name, Access::Write), None).map(drop)
    }

    fn call(&self, command: u8, device: (&str, Access), table: Option<&[u8]>) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut message = message(device, table);
        // `_IOWR(0xfd, command, struct dm_ioctl)`.
        let number = 3 << 30 | (HEADER as u64) << 16 | 0xfd << 8 | u64::from(command);
        sys::device_mapper(&self.0, number, &mut message)?;
        Ok(message)
    }
}

/// Waits for a device.
pub(crate) fn wait_for(path: &str) -> io::Result<()> {
    let begun = Instant::now();
    while !Path::new(path).exists() {
        if begun.elapsed() > DEVICE_WAIT {
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// A message: the header, and behind it at most one target.
fn message((name, access): (&str, Access), table: Option<&[u8]>) -> Zeroizing<Vec<u8>> {
    let table = table.unwrap_or_default();
    let length = HEADER + table.len();
    let mut message = Zeroizing::new(Vec::with_capacity(length));
    message.resize(HEADER, 0);
    message.extend(table);
    let count = u32::from(!table.is_empty());
    let flags = FLAG_SECURE | if access == Access::Read { FLAG_READ_ONLY } else { 0 };
    for (at, value) in [(0, 4), (12, length as u32), (16, HEADER as u32), (20, count), (28, flags)] {
        message[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
    }
    message[48..48 + name.len()].copy_from_slice(name.as_bytes());
    message
}

/// The table's one line.
fn table(target: &Target<'_>) -> Zeroizing<Vec<u8>> {
    let length = (TARGET + target.parameters.len() + 1).next_multiple_of(8);
    // Never moved, so that no copy of a key stays behind.
    let mut table = Zeroizing::new(Vec::with_capacity(length));
    table.resize(TARGET, 0);
    table[8..16].copy_from_slice(&target.sectors.to_le_bytes());
    table[24..24 + target.kind.len()].copy_from_slice(target.kind.as_bytes());
    table.extend(target.parameters.bytes());
    table.resize(length, 0);
    table
}

/// The minor number of a device in the kernel's answer.
fn minor(answer: &[u8]) -> u32 {
    let device = u32::from_le_bytes(answer[40..44].try_into().expect("four bytes are four bytes"));
    device & 0xff | (device >> 12) & 0xf_ff00
}
