//! Why a bundle cannot be built or is refused.

use std::{io, path::PathBuf};

use freehold_primitives::Digest;
use thiserror::Error;

use crate::error::ManifestError;

/// Why a bundle cannot be built or is refused. Codes: `spec/bundle.md` §6.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Its manifest or compose file is refused.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = .path.display())]
    System {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something is neither a file nor a folder.
    #[error("{path} is a link or a special file: a bundle holds plain files; copy what it points to", path = .0.display())]
    NotPlain(PathBuf),
    /// A name that no bundle may hold.
    #[error("{0:?} is no path of a bundle: relative, of plain parts, up to 512 bytes of UTF-8")]
    Path(String),
    /// Two files in one place, or a file where a folder is.
    #[error("{0:?} stands twice, or is a file and a folder")]
    Clash(String),
    /// Too many files.
    #[error("more than {0} files")]
    TooManyFiles(usize),
    /// Too many bytes.
    #[error("{what} has {bytes} bytes or more, the bound is {bound}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// Its length as far as it was looked at.
        bytes: u64,
        /// The bound.
        bound: u64,
    },
    /// A document of the layout is not what it should be.
    #[error("{document} is not a bundle's: {fault}")]
    Document {
        /// Which.
        document: &'static str,
        /// What is wrong.
        fault: String,
    },
    /// A blob is not what its digest says.
    #[error("blob {expected} has the digest {found}: the bundle was changed or damaged; build it anew")]
    Digest {
        /// What the manifest says.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// A blob is longer or shorter than the manifest says.
    #[error("blob {digest} has {found} bytes or more, its manifest says {expected}")]
    Size {
        /// The blob.
        digest: Digest,
        /// What the manifest says.
        expected: u64,
        /// What it is.
        found: u64,
    },
    /// An image that the compose file names is not among the images.
    #[error(
        "image sha256:{0} is not in the folder `images`: put it there as an OCI image layout or an archive, build with \
             --pull, or name another"
    )]
    ImageMissing(Digest),
    /// An image is of a form that is not run.
    #[error("an image cannot be used: {0}")]
    Image(&'static str),
    /// An archive is not what may be unpacked.
    #[error("the archive {archive} is refused: {member:?}: {fault}")]
    Archive {
        /// Which: the digest of a layer, or the path of a file.
        archive: String,
        /// The member at fault; empty for the archive as a whole.
        member: String,
        /// What is wrong.
        fault: ArchiveFault,
    },
    /// A signature does not hold.
    #[error("a signature of the bundle does not hold: {0}")]
    Signature(&'static str),
    /// The program does not stand among the files.
    #[error("the program {0:?} is not among the app's files, or cannot be run: copy it there, and chmod +x it")]
    Program(String),
    /// The place to build into holds something else.
    #[error("{path} exists and is no bundle: name another place with --output", path = .0.display())]
    Occupied(PathBuf),
}

impl BundleError {
    /// Stable code.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Manifest(error) => error.code(),
            Self::System { .. } => 101,
            Self::NotPlain(_) => 102,
            Self::Path(_) => 103,
            Self::Clash(_) => 104,
            Self::TooManyFiles(_) => 105,
            Self::TooLarge { .. } => 106,
            Self::Document { .. } => 107,
            Self::Digest { .. } => 108,
            Self::Size { .. } => 109,
            Self::Signature(_) => 110,
            Self::Program(_) => 111,
            Self::Occupied(_) => 112,
            Self::ImageMissing(_) => 113,
            Self::Image(_) => 114,
            Self::Archive { fault, .. } => fault.code(),
        }
    }

    pub(crate) fn system(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::System { path, source }
    }
}

/// What is wrong with a member of an archive. Codes: `spec/bundle.md` §6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ArchiveFault {
    /// Not the format that it should have, or cut short.
    #[error("it is no archive of the form that its image names, or ends too early")]
    Form,
    /// A path that is no plain one.
    #[error("its path has `..`, is too long or too deep, or is not UTF-8")]
    Path,
    /// A path through what is no folder.
    #[error("its path leads through a file or a broken link")]
    Through,
    /// A link to what is not in the image.
    #[error("it is a link to what is not in the image")]
    Link,
    /// A device, pipe or socket.
    #[error("devices, pipes and sockets are not unpacked")]
    Special,
    /// More members than the bound.
    #[error("the image has more files than the bound")]
    Members,
    /// More bytes than the bound.
    #[error("the image unpacks to more bytes than the bound")]
    Bytes,
    /// Content of another digest than the image's config names.
    #[error("its content is not the one that the image's config names")]
    Content,
}

impl ArchiveFault {
    const fn code(self) -> u16 {
        match self {
            Self::Form => 115,
            Self::Path => 116,
            Self::Through => 117,
            Self::Link => 118,
            Self::Special => 119,
            Self::Members => 120,
            Self::Bytes => 121,
            Self::Content => 122,
        }
    }
}
