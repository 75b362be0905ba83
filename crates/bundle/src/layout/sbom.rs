//! The bill of materials beside a bundle: SPDX 2.3, JSON (ISO/IEC 5962), of the app's files, its images, and the packages that
//! the images' own lists name.
//!
//! Its date is fixed and its name is the bundle's digest, so that the same bundle has the same bill. Files stand as packages of the
//! purpose `FILE`, since SPDX demands SHA-1 of what it calls files. What an image says of its packages is its word. Not here:
//! licences of packages, and what is in no list.

mod packages;

#[cfg(test)]
mod tests;

use std::path::Path;

use freehold_primitives::Digest;
use serde_json::{Value, json};

use super::{BundledFile, Image, error::BundleError};
use crate::{compose::Compose, manifest::Manifest};
use packages::{Package, Packages};

/// A date is demanded, and none may depend on when it was built.
const CREATED: &str = "1970-01-01T00:00:00Z";
/// Id of the licence that the manifest names: its text may be any.
const LICENCE: &str = "LicenseRef-declared";
/// Most packages of images in a bill; what is left out is said.
const PACKAGES_MAX: usize = 20_000;

/// What a bill is of.
pub(super) struct Materials<'a> {
    pub(super) digest: &'a Digest,
    pub(super) manifest: &'a Manifest,
    pub(super) compose: Option<&'a Compose>,
    pub(super) files: &'a [BundledFile],
    /// Images that are in the bundle, and the layout with their layers.
    pub(super) images: &'a [Image],
    pub(super) layout: &'a Path,
}

/// Packages and relations of a bill, as they are found.
#[derive(Default)]
struct Bill {
    packages: Vec<Value>,
    relations: Vec<Value>,
}

impl Bill {
    fn add(&mut self, within: &str, id: &str, mut package: Value) {
        package["SPDXID"] = id.into();
        package["downloadLocation"] = "NOASSERTION".into();
        package["filesAnalyzed"] = false.into();
        let kind = if within == "SPDXRef-DOCUMENT" { "DESCRIBES" } else { "CONTAINS" };
        self.relations.push(json!({"spdxElementId": within, "relationshipType": kind, "relatedSpdxElement": id}));
        self.packages.push(package);
    }
}

pub(super) fn text(of: &Materials<'_>) -> Result<String, BundleError> {
    let Materials { manifest, files, .. } = of;
    let mut bill = Bill::default();
    let licence = manifest.about.get("license");
    bill.add(
        "SPDXRef-DOCUMENT",
        "SPDXRef-app",
        json!({
            "name": manifest.name,
            "versionInfo": manifest.version,
            "primaryPackagePurpose": "APPLICATION",
            "licenseDeclared": if licence.is_some() { LICENCE } else { "NOASSERTION" },
        }),
    );
    let images = of.compose.map(Compose::images).unwrap_or_default();
    let mut left = PACKAGES_MAX;
    for (index, named) in images.iter().enumerate() {
        let id = format!("SPDXRef-image-{index}");
        let found = match of.images.iter().find(|image| image.digest == named.digest) {
            Some(image) => packages::of_image(of.layout, image)?,
            None => Packages::Unknown("the image is not in the bundle"),
        };
        let (packages, comment) = found.told(&mut left);
        let checksums = json!([{"algorithm": "SHA256", "checksumValue": named.digest}]);
        let mut image = json!({"name": named.name, "primaryPackagePurpose": "CONTAINER", "checksums": checksums});
        if let Some(comment) = comment {
            image["comment"] = comment.into();
        }
        bill.add("SPDXRef-app", &id, image);
        for (number, package) in packages.iter().enumerate() {
            bill.add(&id, &format!("{id}-package-{number}"), described(package));
        }
    }
    for (index, file) in files.iter().enumerate() {
        let checksums = json!([{"algorithm": "SHA256", "checksumValue": file.digest}]);
        let file = json!({"name": format!("./{}", file.path), "primaryPackagePurpose": "FILE", "checksums": checksums});
        bill.add("SPDXRef-app", &format!("SPDXRef-file-{index}"), file);
    }
    let mut document = json!({
        "SPDXID": "SPDXRef-DOCUMENT",
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "name": manifest.name,
        "documentNamespace": format!("urn:freehold:bundle:sha256:{}", of.digest),
        "creationInfo": {"created": CREATED, "creators": ["Tool: freehold"]},
        "packages": bill.packages,
        "relationships": bill.relations,
    });
    if let Some(licence) = licence {
        document["hasExtractedLicensingInfos"] = json!([{"licenseId": LICENCE, "extractedText": licence}]);
    }
    super::document::text(&document)
}

fn described(package: &Package) -> Value {
    let locator = package.locator();
    json!({
        "name": package.name,
        "versionInfo": package.version,
        "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": locator},
        ],
    })
}
