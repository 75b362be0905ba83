//! The app's disk: modules, the device mapper's target `verity`, and the mount. The kernel checks every block that is read
//! against the root hash, and stops the machine at the first that is wrong.

use std::{
    fs::{self, File, OpenOptions},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use freehold_image::{VERITY_BLOCK, VerityRoot};

use crate::{InitError, sys};

/// The disk, and what the device mapper makes of it.
const DISK: &str = "/dev/vda";
const MAPPED: &str = "/dev/dm-0";
/// Where it is mounted.
pub(crate) const ROOT: &str = "/root";
/// How long devices may take to appear.
const DEVICE_WAIT: Duration = Duration::from_secs(20);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(10);
/// Modules that only load on the hardware they are for.
const HARDWARE: [&str; 2] = ["tdx-guest", "sev-guest"];
/// Bytes of `struct dm_ioctl` and `struct dm_target_spec` (Linux, `include/uapi/linux/dm-ioctl.h`).
const HEADER: usize = 312;
const TARGET: usize = 40;
/// Commands of the device mapper.
const CREATE: u8 = 3;
const RESUME: u8 = 6;
const LOAD: u8 = 9;
/// `DM_READONLY_FLAG`.
const FLAG_READ_ONLY: u32 = 1;
/// Name of the device.
const NAME: &[u8] = b"app";

/// Loads every module of a folder, in the order of names.
pub(crate) fn load_modules(folder: &Path) -> Result<(), InitError> {
    let list = fs::read_dir(folder).map_err(InitError::system("reading the modules"))?;
    let mut paths: Vec<_> = list.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let name = path.to_string_lossy();
        let loaded = File::open(&path).and_then(|file| sys::load_module(&file));
        if let Err(error) = loaded
            && !HARDWARE.iter().any(|module| name.contains(module))
        {
            return Err(InitError::system("loading a module")(error));
        }
    }
    Ok(())
}

/// Opens the disk under a root hash and mounts it, read-only.
pub(crate) fn open(root: &VerityRoot) -> Result<(), InitError> {
    wait_for(DISK).map_err(InitError::system("waiting for the disk"))?;
    let control = OpenOptions::new().read(true).write(true).open("/dev/mapper/control");
    let control = control.map_err(InitError::system("opening the device mapper"))?;
    let call = |command: u8, target: Option<&[u8]>| {
        let mut message = message(target);
        // `_IOWR(0xfd, command, struct dm_ioctl)`.
        let number = 3 << 30 | (HEADER as u64) << 16 | 0xfd << 8 | u64::from(command);
        sys::device_mapper(&control, number, &mut message).map_err(InitError::system("opening the disk under its root"))
    };
    call(CREATE, None)?;
    call(LOAD, Some(&target(root)))?;
    call(RESUME, None)?;
    wait_for(MAPPED).map_err(InitError::system("waiting for the opened disk"))?;
    sys::mount(MAPPED, ROOT, "erofs", sys::READ_ONLY).map_err(InitError::system("mounting the disk"))
}

fn wait_for(path: &str) -> std::io::Result<()> {
    let begun = Instant::now();
    while !Path::new(path).exists() {
        if begun.elapsed() > DEVICE_WAIT {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// A message: the header, and behind it at most one target.
fn message(target: Option<&[u8]>) -> Vec<u8> {
    let mut message = vec![0; HEADER];
    message.extend(target.unwrap_or_default());
    let length = message.len() as u32;
    let count = u32::from(target.is_some());
    for (at, value) in [(0, 4), (12, length), (16, HEADER as u32), (20, count), (28, FLAG_READ_ONLY)] {
        message[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
    }
    message[48..48 + NAME.len()].copy_from_slice(NAME);
    message
}

/// The target `verity` over the whole device.
fn target(root: &VerityRoot) -> Vec<u8> {
    let mut target = vec![0; TARGET];
    let sectors = root.data_blocks * (VERITY_BLOCK / 512) as u64;
    target[8..16].copy_from_slice(&sectors.to_le_bytes());
    target[24..30].copy_from_slice(b"verity");
    target.extend(root.target(DISK).bytes());
    target.push(0);
    target.resize(target.len().next_multiple_of(8), 0);
    target
}
