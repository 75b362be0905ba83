//! The app's disk: modules, the device mapper's target `verity`, and the mount. The kernel checks every block that is read
//! against the root hash, and stops the machine at the first that is wrong.

use std::{
    fs::{self, File},
    io,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use freehold_image::{MODELS_SERIAL, VERITY_BLOCK, VerityRoot};

use crate::{
    InitError,
    mapper::{Access, Mapper, Target, wait_for},
    sys,
};

/// The disk.
const DISK: &str = "/dev/vda";
/// Where it is mounted.
pub(crate) const ROOT: &str = "/root";
/// Where the app sees its models.
pub(crate) const MODELS: &str = "/models";
/// How long the disk of models may take to appear, and the pause between two looks.
const DISK_WAIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);
/// Modules that only load on the hardware they are for.
const HARDWARE: [&str; 3] = ["aesni-intel", "tdx-guest", "sev-guest"];

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
    mount_under(root, ("app", DISK), ROOT)
}

/// The same for the disk of models, in the app's root.
pub(crate) fn open_models(root: &VerityRoot) -> Result<(), InitError> {
    let failed = InitError::system;
    let begun = Instant::now();
    let disk = loop {
        if let Some(disk) = with_serial(MODELS_SERIAL).map_err(failed("looking for the disk of models"))? {
            break disk;
        }
        if begun.elapsed() > DISK_WAIT {
            return Err(failed("waiting for the disk of models")(io::ErrorKind::TimedOut.into()));
        }
        thread::sleep(POLL);
    };
    wait_for(&disk).map_err(failed("waiting for the disk of models"))?;
    mount_under(root, ("models", &disk), &format!("{ROOT}{MODELS}"))
}

/// The disk that says this of itself.
fn with_serial(serial: &str) -> io::Result<Option<String>> {
    for entry in fs::read_dir("/sys/block")? {
        let entry = entry?;
        if fs::read_to_string(entry.path().join("serial")).is_ok_and(|said| said.trim() == serial) {
            return Ok(Some(format!("/dev/{}", entry.file_name().to_string_lossy())));
        }
    }
    Ok(None)
}

fn mount_under(root: &VerityRoot, (name, disk): (&'static str, &str), place: &str) -> Result<(), InitError> {
    let mapper = Mapper::open().map_err(InitError::system("opening the device mapper"))?;
    let target = Target {
        name,
        kind: "verity",
        sectors: root.data_blocks * (VERITY_BLOCK / 512) as u64,
        parameters: &root.target(disk),
        access: Access::Read,
    };
    let mapped = mapper.make(&target).map_err(InitError::system("opening a disk under its root"))?;
    sys::mount(&mapped, place, "erofs", sys::READ_ONLY, "").map_err(InitError::system("mounting a disk"))
}
