//! Putting an image together, and its folder: kernel, initrd, disk, and `image.json`, which names the rest by digest.

#[cfg(test)]
mod tests;

use std::path::Path;

use freehold_primitives::{Digest, Register};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    boot::CommandLine,
    cpio::cpio,
    elf::{Program, with_libraries},
    erofs::erofs,
    error::ImageError,
    kernel::KernelFiles,
    state::STATE_AGENT_MIB,
    tree::Tree,
    verity::{VerityRoot, verity_sealed},
};

/// Version of the image's layout.
const FORMAT: u32 = 1;
/// Where the modules stand in the initramfs; PID 1 loads them in the order of their names.
const MODULES_FOLDER: &str = "modules";
/// Where the app's files stand in the disk, and the file that says what starts them.
const APP_FOLDER: &str = "app";
const START_FILE: &str = "start.json";
/// Where the app's storage is mounted in the disk, and the state disk in the initramfs.
const STORAGE_FOLDER: &str = "storage";
const STATE_FOLDER: &str = "state";
/// Where the disk of models is mounted in the disk.
const MODELS_FOLDER: &str = "models";
/// Folders that PID 1 mounts something on.
const MOUNTS: [&str; 5] = ["proc", "sys", "dev", "run", "tmp"];
/// Largest file of an image, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// Names of an image's files.
const KERNEL_FILE: &str = "kernel";
const INITRD_FILE: &str = "initrd";
const DISK_FILE: &str = "disk";
const IMAGE_FILE: &str = "image.json";

/// How the app is started (`spec/vm-image.md` §3): a file beside its own, under the same root hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppStart {
    /// Digest of the bundle.
    pub app: Digest,
    /// The event that RTMR3 of a TD is extended by before anything else runs (`spec/evidence.md` §3).
    pub event: Register,
    /// What the command is.
    pub kind: StartKind,
    /// The program, absolute or below the app's files, and its arguments.
    pub command: Vec<String>,
    /// Its environment.
    pub environment: Vec<(String, String)>,
    /// Most memory of its address space, in MiB.
    pub memory_mib: Option<u64>,
    /// Most open files.
    pub open_files: Option<u64>,
    /// Most processes.
    pub processes: Option<u64>,
    /// Largest file it may write, in MiB.
    pub file_mib: Option<u64>,
    /// Whether it is started again when it ends.
    pub restart: RestartRule,
    /// Where it keeps files, as `/storage`.
    pub storage: AppStorage,
    /// Its way out; `None` where it reaches nobody.
    pub proxy: Option<AppProxy>,
    /// How it is reached over TLS.
    pub ingress: AppIngress,
    /// Names of its model files, which stand on a disk of their own.
    pub models: Vec<String>,
    /// Scopes of the keys that it may ask for, in the local API's words; all where empty. PID 1 passes them on to the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// How an app is reached over TLS: names, and who certifies them (`spec/ingress.md` §4). PID 1 passes it on to the agent as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppIngress {
    /// Names of the DNS that lead to it, in lower case.
    pub domains: Vec<String>,
    /// The authority; `None` where the instance signs its certificates itself.
    pub acme: Option<AppAuthority>,
}

/// A certificate authority that speaks ACME (RFC 8555).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppAuthority {
    /// Address of its directory.
    pub directory: String,
    /// Roots of its own TLS, DER in base64; those of the web where empty.
    pub roots: Vec<String>,
    /// The challenge: `tls-alpn-01` or `http-01`.
    pub challenge: String,
}

/// What PID 1 starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartKind {
    /// The app's one program, without rights.
    Process,
    /// What runs the app's containers, as root of the VM; the containers have no rights.
    Containers,
}

/// Where an app keeps files, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppStorage {
    /// Where.
    pub kind: StorageRule,
    /// Its size, in MiB; 0 where there is none.
    pub mib: u64,
}

impl AppStorage {
    /// None.
    pub const NONE: Self = Self { kind: StorageRule::None, mib: 0 };

    /// Size of the file system of the state disk that the image asks for: the agent's part, and the app's where it is on disk.
    pub const fn state_mib(&self) -> u64 {
        match self.kind {
            StorageRule::None | StorageRule::Ram => STATE_AGENT_MIB,
            StorageRule::DiskEphemeral | StorageRule::DiskPersistent => STATE_AGENT_MIB.saturating_add(self.mib),
        }
    }
}

/// Where files are kept, by the manifest's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StorageRule {
    /// Nowhere.
    None,
    /// In memory.
    Ram,
    /// On the state disk, until the VM ends.
    DiskEphemeral,
    /// On the state disk.
    DiskPersistent,
}

/// A proxy at the app's own loopback, whose connections go to the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppProxy {
    /// Its port.
    pub port: u16,
    /// Variables that name it; they stand above what the app's owner set.
    pub environment: Vec<(String, String)>,
}

/// Whether a program is started again when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartRule {
    /// Always.
    Always,
    /// Unless it ended with status 0.
    OnFailure,
    /// Never.
    Never,
}

/// What an image is made of.
#[derive(Debug, Clone)]
pub struct ImageParts {
    /// Kernel and modules.
    pub kernel: KernelFiles,
    /// PID 1, and the agent if there is one; they are put into the initramfs with their libraries.
    pub programs: Vec<Program>,
    /// Programs of this machine that the app needs, with their libraries: they stand beside its files in its root.
    pub system: Vec<Program>,
    /// The app's files.
    pub files: Tree,
    /// What else stands on the disk: the unpacked images of containers, and their plan.
    pub beside: Tree,
    /// How it is started.
    pub start: AppStart,
    /// Root of the disk of its model files, where it names any; the disk itself is written beside the image.
    pub models: Option<VerityRoot>,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The kernel.
    pub kernel: Vec<u8>,
    /// The initramfs.
    pub initrd: Vec<u8>,
    /// The disk: file system, superblock, hash tree.
    pub disk: Vec<u8>,
    /// The measured command line.
    pub line: CommandLine,
    /// Root of the disk.
    pub root: VerityRoot,
    /// Digest of the bundle in it.
    pub app: Digest,
    /// Root of the disk of its model files.
    pub models: Option<VerityRoot>,
}

/// `image.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    app: Digest,
    command_line: String,
    root: Digest,
    data_blocks: u64,
    kernel: Digest,
    initrd: Digest,
    disk: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    models: Option<ModelsRoot>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelsRoot {
    root: Digest,
    data_blocks: u64,
}

impl Image {
    /// Puts an image together: the same parts give the same bytes.
    ///
    /// # Errors
    /// [`ImageError`]: a path is not usable, a library is missing, or it grows too large.
    pub fn build(parts: ImageParts) -> Result<Self, ImageError> {
        let ImageParts { kernel, programs, system, files, beside, start, models } = parts;
        let mut initramfs = Tree::new();
        for folder in MOUNTS.iter().chain(&["root", STATE_FOLDER, MODULES_FOLDER]) {
            initramfs.folder(folder)?;
        }
        with_libraries(&mut initramfs, &programs)?;
        let further = if start.kind == StartKind::Containers { kernel.container_modules } else { Vec::new() };
        for (index, (name, data)) in kernel.modules.into_iter().chain(further).enumerate() {
            initramfs.file(&format!("{MODULES_FOLDER}/{index:02}-{name}"), data, false)?;
        }
        let mut disk = Tree::new();
        for folder in MOUNTS.iter().chain(&[APP_FOLDER, STORAGE_FOLDER, MODELS_FOLDER]) {
            disk.folder(folder)?;
        }
        with_libraries(&mut disk, &system)?;
        for (path, node) in files.into_nodes() {
            disk.add(&format!("{APP_FOLDER}/{path}"), node)?;
        }
        for (path, node) in beside.into_nodes() {
            disk.add(&path, node)?;
        }
        let text = serde_json::to_vec(&start).expect("plain data has a JSON form");
        disk.file(START_FILE, text, false)?;
        let (disk, root) = verity_sealed(erofs(&disk)?)?;
        let line = CommandLine::of_image(&root, &start.app, models.as_ref())?;
        Ok(Self { kernel: kernel.kernel, initrd: cpio(&initramfs)?, disk, line, root, app: start.app, models })
    }

    fn document(&self) -> Document {
        let digest = |bytes: &[u8]| Digest(Sha256::digest(bytes).into());
        Document {
            format: FORMAT,
            app: self.app,
            command_line: self.line.as_str().to_owned(),
            root: self.root.hash,
            data_blocks: self.root.data_blocks,
            kernel: digest(&self.kernel),
            initrd: digest(&self.initrd),
            disk: digest(&self.disk),
            models: self.models.map(|VerityRoot { hash, data_blocks }| ModelsRoot { root: hash, data_blocks }),
        }
    }

    /// SHA-256 of `image.json`, which names every byte of the image: its identity.
    pub fn digest(&self) -> Digest {
        Digest(Sha256::digest(self.text()).into())
    }

    fn text(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(&self.document()).expect("plain data has a JSON form")
    }

    /// Writes the image's files into a folder, which is made.
    ///
    /// # Errors
    /// [`ImageError::File`].
    pub fn write(&self, folder: &Path) -> Result<(), ImageError> {
        std::fs::create_dir_all(folder).map_err(ImageError::file(folder))?;
        let files: [(&str, &[u8]); 4] = [
            (KERNEL_FILE, &self.kernel),
            (INITRD_FILE, &self.initrd),
            (DISK_FILE, &self.disk),
            (IMAGE_FILE, &self.text()),
        ];
        for (name, data) in files {
            let path = folder.join(name);
            std::fs::write(&path, data).map_err(ImageError::file(&path))?;
        }
        Ok(())
    }

    /// Reads an image from its folder and checks every file against `image.json`; the disk of models is checked as it is read, by
    /// the kernel in the VM.
    ///
    /// # Errors
    /// [`ImageError::File`], [`ImageError::Changed`], [`ImageError::Measure`].
    pub fn open(folder: &Path) -> Result<Self, ImageError> {
        let read = |name: &str| {
            let path = folder.join(name);
            let length = std::fs::metadata(&path).map_err(ImageError::file(&path))?.len();
            if length > FILE_BYTES_MAX {
                return Err(ImageError::TooLarge { what: "bytes in a file", limit: FILE_BYTES_MAX });
            }
            std::fs::read(&path).map_err(ImageError::file(&path))
        };
        let text = read(IMAGE_FILE)?;
        let changed = || ImageError::Changed(folder.to_owned());
        let document: Document = serde_json::from_slice(&text).map_err(|_| changed())?;
        let root = VerityRoot { hash: document.root, data_blocks: document.data_blocks };
        let models = document.models.map(|ModelsRoot { root, data_blocks }| VerityRoot { hash: root, data_blocks });
        let image = Self {
            kernel: read(KERNEL_FILE)?,
            initrd: read(INITRD_FILE)?,
            disk: read(DISK_FILE)?,
            line: CommandLine::of_image(&root, &document.app, models.as_ref())?,
            root,
            app: document.app,
            models,
        };
        if image.text() == text { Ok(image) } else { Err(changed()) }
    }
}
