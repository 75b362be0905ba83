//! The documents of an OCI image layout as bundles use them (OCI image specification 1.1: `oci-layout`, index, manifest,
//! descriptor). Unknown members are refused: what nobody reads should not be in a thing that is named by its digest.

use std::collections::BTreeMap;

use freehold_crypto::to_jcs;
use freehold_primitives::Digest;
use serde::{Deserialize, Serialize};

use super::error::BundleError;

/// Name of the file that marks a layout.
pub(super) const MARK_FILE: &str = "oci-layout";
/// What stands in it.
pub(super) const MARK: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
/// Name of the index.
pub(super) const INDEX_FILE: &str = "index.json";
/// Largest index.
pub(super) const INDEX_BYTES_MAX: u64 = 64 * 1024;
/// Largest OCI manifest.
pub(super) const OCI_MANIFEST_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Media types of the specification.
pub(super) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// An OCI manifest.
pub(super) const OCI_MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The empty config of artifacts.
pub(super) const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// Its content.
pub(super) const EMPTY: &[u8] = b"{}";

/// Artifact type of bundles.
pub(super) const APP_TYPE: &str = "application/vnd.freehold.app.v1";
/// The app's manifest.
pub(super) const MANIFEST_TYPE: &str = "application/vnd.freehold.app.manifest.v1+yaml";
/// The app's compose file.
pub(super) const COMPOSE_TYPE: &str = "application/vnd.freehold.app.compose.v1+yaml";
/// A file of the app.
pub(super) const FILE_TYPE: &str = "application/vnd.freehold.app.file.v1";
/// An executable file of the app.
pub(super) const EXECUTABLE_TYPE: &str = "application/vnd.freehold.app.executable.v1";
/// A signature.
pub(super) const SIGNATURE_TYPE: &str = "application/vnd.freehold.app.signature.v1+json";
/// A bill of materials.
pub(super) const SBOM_TYPE: &str = "application/spdx+json";
/// Artifact types of what may stand beside a bundle: its signatures and its bill of materials.
pub const BESIDE_TYPES: [&str; 2] = [SIGNATURE_TYPE, SBOM_TYPE];

/// Annotation with a file's path.
pub(super) const TITLE: &str = "org.opencontainers.image.title";
/// Annotation with a version.
pub(super) const VERSION: &str = "org.opencontainers.image.version";

/// Names a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub(super) fn new(media_type: &str, digest: &Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: format!("sha256:{digest}"),
            size,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }

    /// The digest, if it is a SHA-256.
    pub(super) fn sha256(&self, document: &'static str) -> Result<Digest, BundleError> {
        self.digest.strip_prefix("sha256:").and_then(crate::digests::parse).ok_or_else(|| BundleError::Document {
            document,
            fault: "a digest is not sha256: and 64 lower-case hex digits".to_owned(),
        })
    }
}

/// An OCI manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OciManifest {
    pub(super) schema_version: u32,
    pub(super) media_type: String,
    pub(super) artifact_type: String,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

impl OciManifest {
    pub(super) fn new(artifact_type: &str, layers: Vec<Descriptor>) -> Self {
        let empty = u64::try_from(EMPTY.len()).unwrap_or(0);
        Self {
            schema_version: 2,
            media_type: OCI_MANIFEST_TYPE.to_owned(),
            artifact_type: artifact_type.to_owned(),
            config: Descriptor::new(EMPTY_TYPE, &crate::digests::of(EMPTY), empty),
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// The index of a layout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Index {
    pub(super) schema_version: u32,
    pub(super) media_type: String,
    pub(super) manifests: Vec<Descriptor>,
}

/// The one text of a document.
pub(super) fn text(document: &impl Serialize) -> Result<String, BundleError> {
    let broken = |fault: String| BundleError::Document { document: "a document", fault };
    let value = serde_json::to_value(document).map_err(|error| broken(error.to_string()))?;
    to_jcs(&value).map_err(|error| broken(error.to_string()))
}

/// Reads a document.
pub(super) fn parse<'a, T: Deserialize<'a>>(document: &'static str, bytes: &'a [u8]) -> Result<T, BundleError> {
    serde_json::from_slice(bytes).map_err(|error| BundleError::Document { document, fault: error.to_string() })
}
