//! Unpacking the layers of an image into a folder that becomes a container's root.
//!
//! Each layer is held to the digest that the image's config names. Whatever it says, nothing is written, removed or linked outside
//! of the folder: every path is resolved by the kernel with the folder as its root (`openat2`, `RESOLVE_IN_ROOT`), and
//! its last part is never followed. Devices are refused; setuid and setgid bits, times and extended attributes are dropped. Bytes
//! and members are bounded. A failed unpacking leaves a part of the image: the caller removes it. Not here: mounts.

mod files;
mod root;

#[cfg(test)]
mod tests;

use std::{
    io::{self, Read},
    path::Path,
};

use freehold_primitives::Digest;
use sha2::{Digest as _, Sha256};

use super::{
    Bundle,
    archive::{Member, MemberKind, members, parts},
    error::{ArchiveFault, BundleError},
    image::{Image, ImageLayer, LayerPacking},
    read::{blob_path, open_plain},
};

use root::Root;

pub use files::{UnpackedFile, UnpackedKind};
pub use root::{Ownership, read_in_root};

/// Most bytes of all archives of an image, unpacked.
const UNPACKED_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// Most members of all archives of an image.
const MEMBERS_MAX: usize = 300_000;
/// Largest window of a layer under zstd, as a power of two: 128 MiB, what `zstd -d` takes by default.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// A member of this name hides what lies in its folder in lower layers (OCI image specification 1.1, layer.md).
const OPAQUE: &str = ".wh..wh..opq";
/// A member whose name begins so hides the one of the rest of the name.
const WHITEOUT: &str = ".wh.";

/// What an unpacking may still use.
#[derive(Clone, Copy)]
struct Left {
    bytes: u64,
    members: usize,
}

impl Bundle {
    /// Unpacks the layers of one of its images into a folder that exists and is empty.
    ///
    /// # Errors
    /// [`BundleError::Archive`], [`BundleError::System`], [`BundleError::NotPlain`].
    pub fn unpack_image(&self, image: &Image, into: &Path, owner: Ownership) -> Result<(), BundleError> {
        self.unpack_layers(image, into, owner).map(drop)
    }

    /// The same, and the folder as it came to be.
    fn unpack_layers(&self, image: &Image, into: &Path, owner: Ownership) -> Result<Root, BundleError> {
        let mut root = Root::open(into, owner)?;
        let mut left = Left { bytes: UNPACKED_BYTES_MAX, members: MEMBERS_MAX };
        image.layers.iter().try_for_each(|layer| unpack_layer(&self.folder, layer, &mut root, &mut left))?;
        Ok(root)
    }
}

/// The archive in a layer, neither bounded nor checked.
pub(super) fn unpacked(layout: &Path, layer: &ImageLayer) -> Result<Box<dyn Read>, BundleError> {
    let path = blob_path(layout, &layer.digest);
    let blob = open_plain(&path)?.take(layer.bytes);
    Ok(match layer.packing {
        LayerPacking::Tar => Box::new(blob),
        LayerPacking::Gzip => Box::new(flate2::read::MultiGzDecoder::new(blob)),
        LayerPacking::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(blob).map_err(BundleError::system(&path))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(BundleError::system(&path))?;
            Box::new(decoder)
        }
    })
}

fn unpack_layer(layout: &Path, layer: &ImageLayer, root: &mut Root, left: &mut Left) -> Result<(), BundleError> {
    let name = layer.digest.to_string();
    let refuse = |member: String, fault| BundleError::Archive { archive: layer.digest.to_string(), member, fault };
    let mut metered =
        Metered { inner: unpacked(layout, layer)?, hasher: Sha256::new(), left: &mut left.bytes, is_over: false };
    root.begin_layer();
    let result = members(&name, &mut metered, |member, content| {
        left.members = left.members.checked_sub(1).ok_or_else(|| refuse(member.path(), ArchiveFault::Members))?;
        place(root, member, content).map_err(|fault| match fault {
            Fault::Refused(fault) => refuse(member.path(), fault),
            Fault::System(source) => BundleError::System { path: member.path().into(), source },
        })
    });
    if metered.is_over {
        return Err(refuse(String::new(), ArchiveFault::Bytes));
    }
    result?;
    if Digest(metered.hasher.finalize().into()) == layer.unpacked {
        Ok(())
    } else {
        Err(refuse(String::new(), ArchiveFault::Content))
    }
}

/// Why a member was not placed.
enum Fault {
    Refused(ArchiveFault),
    System(io::Error),
}

impl From<ArchiveFault> for Fault {
    fn from(fault: ArchiveFault) -> Self {
        Self::Refused(fault)
    }
}

impl From<rustix::io::Errno> for Fault {
    fn from(error: rustix::io::Errno) -> Self {
        Self::System(error.into())
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

fn place(root: &mut Root, member: &Member, content: &mut dyn Read) -> Result<(), Fault> {
    let Some((name, above)) = member.parts.split_last() else {
        return if member.kind == MemberKind::Folder { root.dress_top(member) } else { Err(ArchiveFault::Path.into()) };
    };
    if name == OPAQUE {
        return root.hide_all(above);
    }
    if let Some(hidden) = name.strip_prefix(WHITEOUT) {
        return if parts(hidden)?.len() == 1 { root.hide(above, hidden) } else { Err(ArchiveFault::Path.into()) };
    }
    match member.kind {
        MemberKind::Folder => root.folder(above, name, member),
        MemberKind::File => root.file(above, name, member, content),
        MemberKind::Symlink => root.symlink(above, name, member),
        MemberKind::Hardlink => root.hardlink(above, name, &parts(&member.link).map_err(|_| ArchiveFault::Link)?),
        MemberKind::Special => Err(ArchiveFault::Special.into()),
    }
}

/// Counts, bounds and hashes what is read.
struct Metered<'a> {
    inner: Box<dyn Read>,
    hasher: Sha256,
    left: &'a mut u64,
    is_over: bool,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        match self.left.checked_sub(u64::try_from(count).unwrap_or(u64::MAX)) {
            Some(left) => *self.left = left,
            None => {
                self.is_over = true;
                return Err(io::ErrorKind::FileTooLarge.into());
            }
        }
        Ok(count)
    }
}
