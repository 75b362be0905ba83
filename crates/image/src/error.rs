//! Why an image is not built, or a measurement not computed: typed, with a stable code (`spec/vm-image.md` §9).

use std::{io, path::PathBuf};

use freehold_primitives::Digest;
use thiserror::Error;

/// Why a firmware, kernel or command line cannot be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MeasureFault {
    /// The firmware has no table of GUIDs at its end.
    #[error("the firmware does not end in a table of GUIDs: take an OVMF image with its reset vector (`OVMF.fd`)")]
    FirmwareTable,
    /// An entry of that table, or what it points at, is malformed.
    #[error("the firmware's table of GUIDs is malformed")]
    FirmwareEntry,
    /// It was not built for TDX.
    #[error("the firmware names no TDX sections: it was not built for TDX")]
    NoTdx,
    /// It was not built for SEV-SNP.
    #[error("the firmware names no SEV sections: it was not built for SEV-SNP")]
    NoSnp,
    /// It was built without a page for the hashes of kernel, initrd and command line.
    #[error("the firmware has no page for kernel hashes: take OVMF's `AmdSev` build")]
    NoKernelHashes,
    /// A section is not whole pages, leaves the firmware, or overlaps.
    #[error("a section of the firmware is malformed")]
    Section,
    /// The kernel is no bzImage with an EFI stub.
    #[error("the kernel is no bzImage with an EFI stub")]
    Kernel,
    /// The initrd does not fit below the VM's memory.
    #[error("the initrd does not fit into the VM's memory")]
    Initrd,
    /// The command line is no ASCII text of a line, or too long.
    #[error("the kernel's command line is not one line of ASCII text of at most 2,047 bytes")]
    CommandLine,
    /// A shape of a VM that no measurement is known for.
    #[error("no measurement is known for such a VM: 1 to 512 CPUs, 128 MiB to 1 TiB")]
    Shape,
    /// A size that no state disk or file system of one has.
    #[error("a state disk has 16 MiB to 1 TiB")]
    StateSize,
}

impl MeasureFault {
    /// Stable number of the refusal.
    pub const fn code(self) -> u16 {
        match self {
            Self::FirmwareTable => 1,
            Self::FirmwareEntry => 2,
            Self::NoTdx => 3,
            Self::NoSnp => 4,
            Self::NoKernelHashes => 5,
            Self::Section => 6,
            Self::Kernel => 7,
            Self::Initrd => 8,
            Self::CommandLine => 9,
            Self::Shape => 10,
            Self::StateSize => 11,
        }
    }
}

/// Why an image is not built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// It cannot be measured.
    #[error(transparent)]
    Measure(#[from] MeasureFault),
    /// A path of a file system is not usable in it.
    #[error("`{0}` cannot stand in the image: a path has plain parts of at most 255 bytes, once, below a folder")]
    Path(String),
    /// More than a file system of this program holds.
    #[error("the image holds too much: at most {limit} {what}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How many.
        limit: u64,
    },
    /// A program's library is missing on this machine.
    #[error("`{program}` needs `{library}`, which is not on this machine")]
    Library {
        /// Which program.
        program: PathBuf,
        /// Which library.
        library: String,
    },
    /// A program is no ELF executable for x86-64.
    #[error("{} is no program for Linux on x86-64", .0.display())]
    Program(PathBuf),
    /// The kernel's package is not the pinned one.
    #[error(
        "{} is not the pinned kernel package: its SHA-256 is {found}, not {pinned}; get {name} from Debian's archive",
        path.display()
    )]
    KernelPackage {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What it should be.
        pinned: &'static str,
        /// Name of the package's file.
        name: &'static str,
    },
    /// A tool is missing or failed.
    #[error("`{tool}` did not run: {reason}")]
    Tool {
        /// Which.
        tool: &'static str,
        /// What it said.
        reason: String,
    },
    /// A file of an image is not the one that `image.json` names.
    #[error("the image in {} was changed: build it again", .0.display())]
    Changed(PathBuf),
    /// A model file is not what its digest says.
    #[error("{} is another file than the manifest names: its SHA-256 is {found}, not {wanted}", file.display())]
    OtherModel {
        /// The file.
        file: PathBuf,
        /// What it is.
        found: Digest,
        /// What it should be.
        wanted: Digest,
    },
    /// The disk of models cannot be written.
    #[error("the disk of models cannot be written: {0}")]
    Models(#[from] io::Error),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl ImageError {
    /// Stable number of the refusal.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Measure(fault) => fault.code(),
            Self::Path(_) => 20,
            Self::TooLarge { .. } => 21,
            Self::Library { .. } => 22,
            Self::Program(_) => 23,
            Self::KernelPackage { .. } => 24,
            Self::Tool { .. } => 25,
            Self::File { .. } => 26,
            Self::Changed(_) => 27,
            Self::OtherModel { .. } => 28,
            Self::Models(_) => 29,
        }
    }

    pub(crate) fn file(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
