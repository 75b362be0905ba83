//! What a bundle's layout holds, in the two kinds that a registry keeps apart: blobs, and manifests that name them
//! (OCI distribution specification 1.1).
//!
//! A registry drops what no manifest names. Images of a bundle are named by its compose file alone, so one more manifest,
//! which exists at the registry only, names their blobs. Not here: talking to registries.

use std::collections::BTreeMap;

use freehold_primitives::Digest;

use super::{
    Bundle,
    document::{APP_TYPE, Descriptor, EMPTY, OCI_MANIFEST_BYTES_MAX, OCI_MANIFEST_TYPE, OciManifest, text},
    error::BundleError,
    read::{artifact, blob, index},
};
use crate::digests;

/// Artifact type of the manifest that names the blobs of a bundle's images.
const IMAGES_TYPE: &str = "application/vnd.freehold.app.images.v1";
/// Media type of such a blob.
const IMAGE_BLOB_TYPE: &str = "application/vnd.freehold.app.image-blob.v1";

/// A manifest, ready to be put into a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleDocument {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its media type.
    pub media_type: &'static str,
    /// What it is an artifact of.
    pub artifact_type: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// All that a bundle consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleContents {
    /// Blobs with their lengths, each once.
    pub blobs: BTreeMap<Digest, u64>,
    /// The bundle's manifest.
    pub bundle: BundleDocument,
    /// What has the bundle as its subject: bill of materials, signatures, and the blobs of its images if it has any.
    pub beside: Vec<BundleDocument>,
}

impl Bundle {
    /// Lists what its layout holds.
    ///
    /// # Errors
    /// Any [`BundleError`] of a layout that was changed since it was opened.
    pub fn contents(&self) -> Result<BundleContents, BundleError> {
        let mut blobs = BTreeMap::new();
        let (mut bundle, mut beside, mut subject) = (None, Vec::new(), None);
        for entry in index(&self.folder)?.manifests {
            let manifest = artifact(&self.folder, &entry)?;
            for part in manifest.layers.iter().chain([&manifest.config]) {
                blobs.insert(part.sha256("the manifest")?, part.size);
            }
            let document = BundleDocument {
                digest: entry.sha256("the index")?,
                media_type: OCI_MANIFEST_TYPE,
                artifact_type: manifest.artifact_type,
                bytes: blob(&self.folder, &entry, OCI_MANIFEST_BYTES_MAX)?,
            };
            if document.artifact_type == APP_TYPE {
                subject = Some(Descriptor::new(OCI_MANIFEST_TYPE, &document.digest, entry.size));
                bundle = Some(document);
            } else {
                beside.push(document);
            }
        }
        let absent = || BundleError::Document { document: "the index", fault: "it names no bundle".to_owned() };
        let bundle = bundle.ok_or_else(absent)?;
        let images: BTreeMap<Digest, u64> = self.images.iter().flat_map(super::Image::blobs).collect();
        if !images.is_empty() {
            beside.push(named(&images, subject)?);
            blobs.extend(images);
            let empty = u64::try_from(EMPTY.len()).unwrap_or(0);
            blobs.insert(digests::of(EMPTY), empty);
        }
        Ok(BundleContents { blobs, bundle, beside })
    }
}

/// The manifest that names the blobs of images.
fn named(images: &BTreeMap<Digest, u64>, subject: Option<Descriptor>) -> Result<BundleDocument, BundleError> {
    let layers = images.iter().map(|(digest, bytes)| Descriptor::new(IMAGE_BLOB_TYPE, digest, *bytes)).collect();
    let manifest = OciManifest { subject, ..OciManifest::new(IMAGES_TYPE, layers) };
    let bytes = text(&manifest)?.into_bytes();
    Ok(BundleDocument {
        digest: digests::of(&bytes),
        media_type: OCI_MANIFEST_TYPE,
        artifact_type: IMAGES_TYPE.to_owned(),
        bytes,
    })
}
