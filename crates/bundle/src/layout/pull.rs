//! Bringing a bundle, or one image, from elsewhere, by its digest alone: what is missing is asked for, blob by blob, and each is
//! held to its digest before it stands under it.
//!
//! Nothing that the source says about the bundle is believed: the digest names the manifest, the manifest its parts, the
//! compose file its images. What stands beside a bundle is named by whoever asks for it, and must name the bundle as its
//! subject. Not here: how bytes travel.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use freehold_primitives::Digest;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::{
    BUNDLE_BYTES_MAX, Bundle, FILES_MAX,
    document::{
        APP_TYPE, BESIDE_TYPES, COMPOSE_TYPE, Descriptor, MARK, MARK_FILE, OCI_MANIFEST_BYTES_MAX, OCI_MANIFEST_TYPE,
        OciManifest, parse,
    },
    error::BundleError,
    image,
    read::{ARTIFACTS_MAX, blob, blob_path, open_bundle, read_bounded},
    write::{put_file, write_index},
};
use crate::compose::{COMPOSE_BYTES_MAX, Compose};

/// What a blob is to a registry, which keeps the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlobKind {
    /// A manifest or an index.
    Document,
    /// Anything else.
    Content,
}

/// A blob that is needed and that the folder does not hold yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingBlob {
    /// SHA-256 of its content.
    pub digest: Digest,
    /// Most bytes that it may have.
    pub bytes_max: u64,
    /// What it is.
    pub kind: BlobKind,
}

/// What is brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Bundle,
    Image,
}

/// Blobs that are known to be needed, with their bounds.
pub(super) type Needed = BTreeMap<Digest, (u64, BlobKind)>;

/// A bundle or an image on its way into a folder.
#[derive(Debug)]
pub struct BundlePull {
    folder: PathBuf,
    digest: Digest,
    goal: Goal,
    /// Manifests beside the bundle.
    beside: Vec<Digest>,
    left: u64,
}

/// A blob that is being written. It stands in the layout only after [`BundlePull::keep`].
#[derive(Debug)]
pub struct BlobWriter {
    file: NamedTempFile,
    hasher: Sha256,
    written: u64,
    wanted: MissingBlob,
}

impl BundlePull {
    /// Begins, or goes on with what an earlier pull left in the folder. `bytes_max` bounds all that is there then.
    ///
    /// # Errors
    /// [`BundleError::System`].
    pub fn begin(folder: &Path, digest: Digest, bytes_max: u64) -> Result<Self, BundleError> {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(BundleError::system(&blobs))?;
        let mut left = bytes_max.min(BUNDLE_BYTES_MAX);
        for entry in fs::read_dir(&blobs).map_err(BundleError::system(&blobs))? {
            let about = entry.and_then(|entry| entry.metadata()).map_err(BundleError::system(&blobs))?;
            left = left.saturating_sub(about.len());
        }
        Ok(Self { folder: folder.to_owned(), digest, goal: Goal::Bundle, beside: Vec::new(), left })
    }

    /// Begins to bring one image into a layout of images that may hold others: the folder [`IMAGES_FOLDER`](super::IMAGES_FOLDER) of
    /// an app.
    ///
    /// # Errors
    /// [`BundleError::System`].
    pub fn image(folder: &Path, digest: Digest) -> Result<Self, BundleError> {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(BundleError::system(&blobs))?;
        Ok(Self { folder: folder.to_owned(), digest, goal: Goal::Image, beside: Vec::new(), left: BUNDLE_BYTES_MAX })
    }

    /// Asks for a manifest beside the bundle too: a signature, or the bill of materials. More than a layout holds are passed
    /// over.
    pub fn bring_beside(&mut self, manifest: Digest) {
        if self.goal == Goal::Bundle && self.beside.len() + 1 < ARTIFACTS_MAX && !self.beside.contains(&manifest) {
            self.beside.push(manifest);
        }
    }

    /// What is missing as far as can be said now; more may show once these are there. Empty when the bundle is whole.
    ///
    /// # Errors
    /// Any [`BundleError`] that a document of the bundle deserves.
    pub fn missing(&self) -> Result<Vec<MissingBlob>, BundleError> {
        let mut needed = Needed::new();
        match self.goal {
            Goal::Bundle => self.need(&mut needed)?,
            Goal::Image => image::needed(&self.folder, vec![self.digest], &mut needed)?,
        }
        let is_missing = |digest: &Digest| fs::symlink_metadata(blob_path(&self.folder, digest)).is_err();
        let missing = needed.into_iter().filter(|(digest, _)| is_missing(digest));
        Ok(missing.map(|(digest, (bytes_max, kind))| MissingBlob { digest, bytes_max, kind }).collect())
    }

    /// A place for a missing blob.
    ///
    /// # Errors
    /// [`BundleError::System`], [`BundleError::TooLarge`].
    pub fn writer(&self, wanted: &MissingBlob) -> Result<BlobWriter, BundleError> {
        let file = NamedTempFile::new_in(&self.folder).map_err(BundleError::system(&self.folder))?;
        let wanted = MissingBlob { bytes_max: wanted.bytes_max.min(self.left), ..wanted.clone() };
        Ok(BlobWriter { file, hasher: Sha256::new(), written: 0, wanted })
    }

    /// Puts a blob that was written to its end under its digest.
    ///
    /// # Errors
    /// [`BundleError::Digest`], [`BundleError::System`].
    pub fn keep(&mut self, blob: BlobWriter) -> Result<(), BundleError> {
        let BlobWriter { file, hasher, written, wanted } = blob;
        let found = Digest(hasher.finalize().into());
        if found != wanted.digest {
            return Err(BundleError::Digest { expected: wanted.digest, found });
        }
        let path = blob_path(&self.folder, &found);
        let rights = fs::Permissions::from_mode(0o644);
        let synced = file.as_file().set_permissions(rights).and_then(|()| file.as_file().sync_all());
        synced.map_err(BundleError::system(&path))?;
        file.persist(&path).map_err(|error| BundleError::System { path, source: error.error })?;
        self.left = self.left.saturating_sub(written);
        Ok(())
    }

    /// Writes mark and index, opens the bundle and checks all of it once more. Only for a bundle.
    ///
    /// # Errors
    /// Any [`BundleError`].
    pub fn finish(self) -> Result<Bundle, BundleError> {
        let mut entries = vec![self.entry(&self.digest, APP_TYPE)?];
        for digest in &self.beside {
            let artifact = self.manifest(digest)?;
            let subject = artifact.subject.as_ref().map(|subject| subject.sha256("a manifest")).transpose()?;
            if subject != Some(self.digest) || !BESIDE_TYPES.contains(&artifact.artifact_type.as_str()) {
                let fault = "what should stand beside the bundle is no signature or bill of it".to_owned();
                return Err(BundleError::Document { document: "a manifest", fault });
            }
            entries.push(self.entry(digest, &artifact.artifact_type)?);
        }
        write_index(&self.folder, entries)?;
        put_file(&self.folder.join(MARK_FILE), MARK.as_bytes())?;
        open_bundle(&self.folder)
    }

    fn entry(&self, manifest: &Digest, artifact_type: &str) -> Result<Descriptor, BundleError> {
        let path = blob_path(&self.folder, manifest);
        let bytes = fs::metadata(&path).map_err(BundleError::system(&path))?.len();
        let artifact_type = Some(artifact_type.to_owned());
        Ok(Descriptor { artifact_type, ..Descriptor::new(OCI_MANIFEST_TYPE, manifest, bytes) })
    }

    fn manifest(&self, digest: &Digest) -> Result<OciManifest, BundleError> {
        let artifact: OciManifest =
            parse("the manifest", &read_bounded(&blob_path(&self.folder, digest), OCI_MANIFEST_BYTES_MAX)?)?;
        let few = if *digest == self.digest { FILES_MAX + 2 } else { 1 };
        if artifact.layers.len() > few { Err(BundleError::TooManyFiles(few)) } else { Ok(artifact) }
    }

    /// Every blob that is known to belong to the bundle or to stand beside it, with its bound.
    fn need(&self, needed: &mut Needed) -> Result<(), BundleError> {
        for digest in std::iter::once(&self.digest).chain(&self.beside) {
            needed.insert(*digest, (OCI_MANIFEST_BYTES_MAX, BlobKind::Document));
            if fs::symlink_metadata(blob_path(&self.folder, digest)).is_err() {
                continue;
            }
            let artifact = self.manifest(digest)?;
            for layer in &artifact.layers {
                needed.insert(layer.sha256("the manifest")?, (layer.size.min(BUNDLE_BYTES_MAX), BlobKind::Content));
            }
            let compose = artifact.layers.iter().find(|layer| layer.media_type == COMPOSE_TYPE);
            if let Some(layer) = compose
                && fs::symlink_metadata(blob_path(&self.folder, &layer.sha256("the manifest")?)).is_ok()
            {
                let compose = Compose::parse(&blob(&self.folder, layer, COMPOSE_BYTES_MAX)?)?;
                let images = compose.services.values().map(|service| service.image.digest).collect();
                image::needed(&self.folder, images, needed)?;
            }
        }
        Ok(())
    }
}

impl BlobWriter {
    /// Bytes that were written so far.
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// The next piece.
    ///
    /// # Errors
    /// [`BundleError::TooLarge`] where it would pass the blob's bound or the bundle's, [`BundleError::System`].
    pub fn write(&mut self, piece: &[u8]) -> Result<(), BundleError> {
        self.written = self.written.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if self.written > self.wanted.bytes_max {
            let what = format!("blob {}", self.wanted.digest);
            return Err(BundleError::TooLarge { what, bytes: self.written, bound: self.wanted.bytes_max });
        }
        self.hasher.update(piece);
        self.file.write_all(piece).map_err(BundleError::system(self.file.path()))
    }
}
