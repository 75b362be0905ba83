//! Images as people have them: archives of `docker save` or of OCI layouts, and folders of either, sorted by digest.
//!
//! Everything in such an archive that an image consists of is named by its digest, so the lists of names and tags in it are
//! not read: every plain file is put under its SHA-256, and the digest in the compose file finds the rest. Links are
//! passed over: what they lead to is there under its own digest. Not here: whether an image is whole (`image`).

use std::{
    fs,
    io::{Read, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use super::{
    BUNDLE_BYTES_MAX, FILES_MAX,
    archive::{MemberKind, members},
    error::BundleError,
    read::{blob_path, open_plain},
};
use crate::digests;

/// How the name of an archive ends.
const ARCHIVE_ENDING: &str = "tar";

/// What a staging may still take.
struct Stage<'a> {
    into: &'a Path,
    files_left: usize,
    bytes_left: u64,
}

/// Puts all content below `from` into a layout at `into`, and names that.
pub(super) fn stage(from: &Path, into: &Path) -> Result<PathBuf, BundleError> {
    let blobs = into.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(BundleError::system(&blobs))?;
    let mut stage = Stage { into, files_left: FILES_MAX, bytes_left: BUNDLE_BYTES_MAX };
    let mut folders = vec![from.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(BundleError::system(&folder))? {
            let entry = entry.map_err(BundleError::system(&folder))?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(BundleError::system(entry.path()))?);
            if kind.is_dir() {
                stage.count()?;
                folders.push(path);
            } else if kind.is_file() {
                // Deeper inside, layers of `docker save` are called so too: they are content.
                if folder == from && path.extension().is_some_and(|ending| ending == ARCHIVE_ENDING) {
                    stage.archive(&path)?;
                } else {
                    stage.put(&path, &mut open_plain(&path)?)?;
                }
            }
        }
    }
    Ok(into.to_owned())
}

impl Stage<'_> {
    fn count(&mut self) -> Result<(), BundleError> {
        self.files_left = self.files_left.checked_sub(1).ok_or(BundleError::TooManyFiles(FILES_MAX))?;
        Ok(())
    }

    fn archive(&mut self, path: &Path) -> Result<(), BundleError> {
        let name = path.display().to_string();
        members(&name, open_plain(path)?, |member, content| {
            if member.kind == MemberKind::File { self.put(path, content) } else { Ok(()) }
        })
    }

    fn put(&mut self, path: &Path, mut content: &mut dyn Read) -> Result<(), BundleError> {
        self.count()?;
        let failed = |source| BundleError::System { path: path.to_owned(), source };
        let mut fresh = tempfile::NamedTempFile::new_in(self.into).map_err(BundleError::system(self.into))?;
        let (digest, bytes) =
            digests::copy(&mut content, self.bytes_left, |piece| fresh.write_all(piece)).map_err(failed)?;
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or_else(|| BundleError::TooLarge {
            what: path.display().to_string(),
            bytes,
            bound: BUNDLE_BYTES_MAX,
        })?;
        fresh.as_file().set_permissions(fs::Permissions::from_mode(0o644)).map_err(failed)?;
        let blob = blob_path(self.into, &digest);
        fresh.persist(&blob).map_err(|error| BundleError::System { path: blob, source: error.error })?;
        Ok(())
    }
}
