//! The app's disk: modules, the device mapper's target `verity`, and the mount. The kernel checks every block that is read
//! against the root hash, and stops the machine at the first that is wrong.

use std::{
    fs::{self, File},
    path::Path,
};

use freehold_image::{VERITY_BLOCK, VerityRoot};

use crate::{
    InitError,
    mapper::{Access, Mapper, Target, wait_for},
    sys,
};

/// The disk.
const DISK: &str = "/dev/vda";
/// Where it is mounted.
pub(crate) const ROOT: &str = "/root";
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
    let mapper = Mapper::open().map_err(InitError::system("opening the device mapper"))?;
    let target = Target {
        name: "app",
        kind: "verity",
        sectors: root.data_blocks * (VERITY_BLOCK / 512) as u64,
        parameters: &root.target(DISK),
        access: Access::Read,
    };
    let mapped = mapper.make(&target).map_err(InitError::system("opening the disk under its root"))?;
    sys::mount(&mapped, ROOT, "erofs", sys::READ_ONLY, "").map_err(InitError::system("mounting the disk"))
}
