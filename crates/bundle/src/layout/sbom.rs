//! The bill of materials beside a bundle: SPDX 2.3, JSON (ISO/IEC 5962), of the app's files and images.
//!
//! Its date is fixed and its name is the bundle's digest, so that the same bundle has the same bill.

use serde_json::{Value, json};

use super::{BundledFile, error::BundleError};
use crate::{compose::Compose, manifest::Manifest};
use freehold_primitives::Digest;

/// A date is demanded, and none may depend on when it was built.
const CREATED: &str = "1970-01-01T00:00:00Z";

pub(super) fn text(
    digest: &Digest,
    manifest: &Manifest,
    compose: Option<&Compose>,
    files: &[BundledFile],
) -> Result<String, BundleError> {
    let app = json!({
        "SPDXID": "SPDXRef-app",
        "name": manifest.name,
        "versionInfo": manifest.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseDeclared": manifest.about.get("license").map_or("NOASSERTION", String::as_str),
    });
    let images = compose.map(Compose::images).unwrap_or_default();
    let image = |(index, image): (usize, &&crate::compose::ImageRef)| {
        json!({
            "SPDXID": format!("SPDXRef-image-{index}"),
            "name": image.name,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "checksums": [{"algorithm": "SHA256", "checksumValue": image.digest}],
        })
    };
    let packages: Vec<Value> = std::iter::once(app).chain(images.iter().enumerate().map(image)).collect();
    let file = |(index, file): (usize, &BundledFile)| {
        json!({
            "SPDXID": format!("SPDXRef-file-{index}"),
            "fileName": format!("./{}", file.path),
            "checksums": [{"algorithm": "SHA256", "checksumValue": file.digest}],
        })
    };
    let contains = (0..images.len()).map(|index| format!("SPDXRef-image-{index}"));
    let contains = contains.chain((0..files.len()).map(|index| format!("SPDXRef-file-{index}")));
    let relation = |from: &str, kind: &str, to: &str| json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to});
    let relations: Vec<Value> = std::iter::once(relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-app"))
        .chain(contains.map(|id| relation("SPDXRef-app", "CONTAINS", &id)))
        .collect();
    super::document::text(&json!({
        "SPDXID": "SPDXRef-DOCUMENT",
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "name": manifest.name,
        "documentNamespace": format!("urn:freehold:bundle:sha256:{digest}"),
        "creationInfo": {"created": CREATED, "creators": ["Tool: freehold"]},
        "packages": packages,
        "files": files.iter().enumerate().map(file).collect::<Vec<_>>(),
        "relationships": relations,
    }))
}
