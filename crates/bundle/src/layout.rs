//! The bundle: an app as one content-addressed OCI artifact in an OCI image layout (`spec/bundle.md`).
//!
//! Its identity is the SHA-256 of its OCI manifest, which names manifest, compose file and every file of the app by
//! digest and size. The same inputs give the same bytes: no time, no user, no order of a directory enters. Reading trusts
//! nothing: every size is bounded before, every digest checked after. Not here: registries.

mod archive;
mod contents;
mod document;
mod error;
mod image;
mod pull;
mod read;
mod sbom;
mod signature;
mod stage;
mod unpack;
mod write;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use freehold_primitives::Digest;

use crate::{compose::Compose, manifest::Manifest};

pub use contents::{BundleContents, BundleDocument};
pub use document::BESIDE_TYPES;
pub use error::{ArchiveFault, BundleError};
pub use image::{IMAGE_LAYERS_MAX, IMAGES_FOLDER, Image, ImageHealth, ImageLayer, ImageProgram, LayerPacking};
pub use pull::{BlobKind, BlobWriter, BundlePull, MissingBlob};
pub use read::open_bundle;
pub use signature::{BundleSignature, bundle_signing_digest};
pub use unpack::{Ownership, UnpackedFile, UnpackedKind, read_in_root};
pub use write::{add_signature, build_bundle, read_compose};

/// Most files of a bundle.
pub const FILES_MAX: usize = 4096;
/// Most bytes of all files of a bundle.
pub const BUNDLE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// A file of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundledFile {
    /// Where it stands, below the app's folder.
    pub path: String,
    /// SHA-256 of its content.
    pub digest: Digest,
    /// Its length.
    pub bytes: u64,
    /// Whether it can be run.
    pub is_executable: bool,
}

/// A bundle whose every digest was checked.
#[derive(Debug, Clone)]
pub struct Bundle {
    folder: PathBuf,
    digest: Digest,
    manifest: Manifest,
    compose: Option<Compose>,
    files: Vec<BundledFile>,
    images: Vec<Image>,
    signatures: Vec<BundleSignature>,
}

impl Bundle {
    /// Its identity: SHA-256 of its OCI manifest.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The app's manifest.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The app's compose file, for containers.
    pub const fn compose(&self) -> Option<&Compose> {
        self.compose.as_ref()
    }

    /// The app's files, by path.
    pub fn files(&self) -> &[BundledFile] {
        &self.files
    }

    /// The images that the compose file names, by digest: all of them, or none if they are not in the bundle.
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// Who signed it; each signature was checked.
    pub fn signatures(&self) -> &[BundleSignature] {
        &self.signatures
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}
