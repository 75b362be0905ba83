//! The pinned kernel: one of Debian's packages, by its SHA-256, with the modules that an image needs.
//!
//! Pinned, because kernel and modules are measured: another package is another measurement. Debian signs them, so that
//! `module.sig_enforce` holds.

#[cfg(test)]
mod tests;

use std::{
    io::Read,
    path::Path,
    process::{Command, Stdio},
};

use sha2::{Digest as _, Sha256};

use crate::error::ImageError;

/// Name of the package's file: in Debian's backports until it is superseded, in Debian's archive of all versions for ever.
pub const KERNEL_PACKAGE: &str = "linux-image-6.18.15+deb13-cloud-amd64_6.18.15-1~bpo13+1_amd64.deb";
/// Its SHA-256, as Debian's signed index names it.
pub const KERNEL_SHA256: &str = "5a507681ea8c978d02265a7fec2f02c9588fb48b54b7f71edc1059e86007f3ec";
/// The kernel in it.
const KERNEL: &str = "boot/vmlinuz-6.18.15+deb13-cloud-amd64";
/// Where its modules are.
const MODULES: &str = "usr/lib/modules/6.18.15+deb13-cloud-amd64/kernel/";
/// The modules, each behind those that it needs. The last need hardware, and may fail without.
const MODULE_FILES: [&str; 17] = [
    "drivers/block/virtio_blk",
    "drivers/md/dm-mod",
    "drivers/md/dm-bufio",
    "lib/reed_solomon/reed_solomon",
    "drivers/md/dm-verity",
    "crypto/xor",
    "crypto/async_tx/async_tx",
    "crypto/async_tx/async_xor",
    "drivers/md/dm-integrity",
    "crypto/authenc",
    "drivers/md/dm-crypt",
    "fs/erofs/erofs",
    "fs/configfs/configfs",
    "arch/x86/crypto/aesni-intel",
    "drivers/virt/coco/guest/tsm_report",
    "drivers/virt/coco/tdx-guest/tdx-guest",
    "drivers/virt/coco/sev-guest/sev-guest",
];
/// Those that containers need beside them.
const CONTAINER_MODULE_FILES: [&str; 1] = ["fs/overlayfs/overlay"];
/// Largest package, in bytes.
const PACKAGE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Largest file that is taken out of it, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bytes of a record of a tar archive.
const RECORD: usize = 512;

/// What an image takes out of the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelFiles {
    /// The kernel, a bzImage with an EFI stub.
    pub kernel: Vec<u8>,
    /// Its modules, in the order in which they are loaded: file name and content, as packaged.
    pub modules: Vec<(String, Vec<u8>)>,
    /// Further ones, which only an image with containers holds.
    pub container_modules: Vec<(String, Vec<u8>)>,
}

impl KernelFiles {
    /// Reads the pinned package, with `dpkg-deb`.
    ///
    /// # Errors
    /// [`ImageError::KernelPackage`], [`ImageError::Tool`], [`ImageError::File`].
    pub fn read(package: &Path) -> Result<Self, ImageError> {
        let found = file_sha256(package)?;
        if found != KERNEL_SHA256 {
            return Err(ImageError::KernelPackage {
                path: package.to_owned(),
                found,
                pinned: KERNEL_SHA256,
                name: KERNEL_PACKAGE,
            });
        }
        let failed = |reason: String| ImageError::Tool { tool: "dpkg-deb", reason };
        let mut child = Command::new("dpkg-deb")
            .arg("--fsys-tarfile")
            .arg(package)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(format!("{error}; install the package `dpkg`")))?;
        let archive = child.stdout.take().ok_or_else(|| failed("it has no output".to_owned()))?;
        let files = wanted(archive);
        let status = child.wait().map_err(|error| failed(error.to_string()))?;
        if !status.success() {
            return Err(failed(format!("it ended with {status}")));
        }
        files.map_err(|error| failed(error.to_string()))?.ok_or_else(|| failed("a file is missing in it".to_owned()))
    }
}

/// Takes the wanted files out of a tar archive; `None` where one is missing.
fn wanted(mut archive: impl Read) -> std::io::Result<Option<KernelFiles>> {
    let name_of = |module: &str| format!("{MODULES}{module}.ko.xz");
    let names: Vec<String> = MODULE_FILES.iter().chain(&CONTAINER_MODULE_FILES).map(|module| name_of(module)).collect();
    let (mut kernel, mut found) = (None, vec![None; names.len()]);
    let mut header = [0; RECORD];
    loop {
        archive.read_exact(&mut header)?;
        let text = |from: usize, until: usize| {
            let field = &header[from..until];
            String::from_utf8_lossy(&field[..field.iter().position(|byte| *byte == 0).unwrap_or(field.len())])
                .into_owned()
        };
        let name = text(0, 100);
        if name.is_empty() {
            // The rest is read, so that the tool can end.
            std::io::copy(&mut archive, &mut std::io::sink())?;
            break;
        }
        let length = u64::from_str_radix(text(124, 136).trim(), 8).map_err(std::io::Error::other)?;
        let prefix = text(345, 500);
        let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        let name = name.trim_start_matches("./");
        let room = length.next_multiple_of(RECORD as u64);
        let place = names.iter().position(|wanted| wanted == name);
        if (place.is_some() || name == KERNEL) && length <= FILE_BYTES_MAX {
            let mut data = vec![0; room as usize];
            archive.read_exact(&mut data)?;
            data.truncate(length as usize);
            match place {
                Some(place) => found[place] = Some(data),
                None => kernel = Some(data),
            }
        } else {
            std::io::copy(&mut (&mut archive).take(room), &mut std::io::sink())?;
        }
    }
    let file_name = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
    let modules: Option<Vec<_>> =
        names.iter().map(file_name).zip(found).map(|(name, data)| Some((name, data?))).collect();
    Ok(kernel.zip(modules).map(|(kernel, mut modules)| {
        let container_modules = modules.split_off(MODULE_FILES.len());
        KernelFiles { kernel, modules, container_modules }
    }))
}

/// SHA-256 of a file, in hex.
fn file_sha256(path: &Path) -> Result<String, ImageError> {
    let mut file = std::fs::File::open(path).map_err(ImageError::file(path))?.take(PACKAGE_BYTES_MAX);
    let (mut hasher, mut piece) = (Sha256::new(), vec![0; 1024 * 1024]);
    loop {
        let count = file.read(&mut piece).map_err(ImageError::file(path))?;
        if count == 0 {
            return Ok(hex::encode(hasher.finalize()));
        }
        hasher.update(&piece[..count]);
    }
}
