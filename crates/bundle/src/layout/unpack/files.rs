//! The files of an image for whoever makes a file system of them: by path, with the rights and owners that the image gives, whoever unpacks.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{
    super::{
        Bundle,
        error::{ArchiveFault, BundleError},
        image::Image,
    },
    Ownership,
    root::{Dress, Root},
};

/// A file of an unpacked image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpackedFile {
    /// Its path below the image's root, parts joined by `/`; empty for the root itself.
    pub path: String,
    /// What it is.
    pub kind: UnpackedKind,
    /// Its rights, without setuid and setgid.
    pub mode: u32,
    /// The image's number of its owner, below 65,536.
    pub uid: u32,
    /// And of its group.
    pub gid: u32,
}

/// What a file of an unpacked image is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnpackedKind {
    /// A folder.
    Folder,
    /// A file, whose content is here. A second name of a file is a file of its own.
    File(PathBuf),
    /// A link to a path.
    Symlink(String),
}

impl Bundle {
    /// Unpacks an image into a folder that exists and is empty, as any user, and gives its files in the order of their paths, the
    /// root first. What is in the folder has the rights of whoever unpacks.
    ///
    /// # Errors
    /// [`BundleError::Archive`], [`BundleError::System`], [`BundleError::NotPlain`].
    pub fn image_files(&self, image: &Image, folder: &Path) -> Result<Vec<UnpackedFile>, BundleError> {
        listed(folder, self.unpack_layers(image, folder, Ownership::Noted)?)
    }
}

/// What stands in a folder, as it was noted.
pub(super) fn listed(folder: &Path, root: Root) -> Result<Vec<UnpackedFile>, BundleError> {
    let mut files = Vec::new();
    list(folder, String::new(), &root.into_noted(), &mut files)?;
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn list(
    place: &Path,
    path: String,
    noted: &HashMap<u64, Dress>,
    files: &mut Vec<UnpackedFile>,
) -> Result<(), BundleError> {
    let failed = |source| BundleError::System { path: place.to_owned(), source };
    let about = fs::symlink_metadata(place).map_err(failed)?;
    let strange = || BundleError::Archive { archive: String::new(), member: path.clone(), fault: ArchiveFault::Path };
    let Dress { mode, uid, gid } = *noted.get(&about.ino()).ok_or_else(strange)?;
    let kind = if about.is_symlink() {
        let target = fs::read_link(place).map_err(failed)?;
        UnpackedKind::Symlink(target.to_str().ok_or_else(strange)?.to_owned())
    } else if about.is_dir() {
        for entry in fs::read_dir(place).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(strange)?;
            let below = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            list(&entry.path(), below, noted, files)?;
        }
        UnpackedKind::Folder
    } else {
        UnpackedKind::File(place.to_owned())
    };
    files.push(UnpackedFile { path, kind, mode, uid, gid });
    Ok(())
}
