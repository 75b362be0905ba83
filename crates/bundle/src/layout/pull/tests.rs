//! Bundles that come piece by piece from somebody who may lie.

mod fixture;

use std::{fs, path::Path};

use tempfile::TempDir;

use super::*;
use crate::build_bundle;

/// A folder with an app, and its bundle at `out`.
fn app() -> (TempDir, Bundle) {
    let dir = fixture::app_folder(100_000);
    let bundle = build_bundle(dir.path(), &dir.path().join("out")).expect("a bundle");
    (dir, bundle)
}

/// Brings all that is missing from a layout, each blob as `change` makes it.
fn pulled(
    from: &Path,
    into: &Path,
    digest: Digest,
    change: impl Fn(Vec<u8>) -> Vec<u8>,
) -> Result<Bundle, BundleError> {
    let mut pull = BundlePull::begin(into, digest, BUNDLE_BYTES_MAX)?;
    loop {
        let missing = pull.missing()?;
        if missing.is_empty() {
            return pull.finish();
        }
        for wanted in missing {
            let mut writer = pull.writer(&wanted)?;
            let bytes = fs::read(blob_path(from, &wanted.digest)).map_err(BundleError::system(from))?;
            writer.write(&change(bytes))?;
            pull.keep(writer)?;
        }
    }
}

#[test]
fn a_bundle_is_brought_by_its_digest_and_is_the_same() {
    let (dir, bundle) = app();
    let into = dir.path().join("in");
    let brought = pulled(&dir.path().join("out"), &into, bundle.digest(), |bytes| bytes).expect("a bundle");
    assert_eq!((brought.digest(), brought.files()), (bundle.digest(), bundle.files()));
    // What is there already is not asked for again.
    let again = BundlePull::begin(&into, bundle.digest(), BUNDLE_BYTES_MAX).expect("a pull");
    assert_eq!(again.missing().expect("documents"), Vec::new());
}

#[test]
fn a_source_that_lies_is_refused_and_leaves_nothing() {
    let (dir, bundle) = app();
    let (from, into) = (dir.path().join("out"), dir.path().join("in"));
    let flipped = |mut bytes: Vec<u8>| {
        bytes[0] ^= 1;
        bytes
    };
    let refused = pulled(&from, &into, bundle.digest(), flipped).expect_err("another content");
    assert_eq!(refused.code(), 108);
    assert_eq!(fs::read_dir(into.join("blobs/sha256")).expect("a folder").count(), 0);
    let longer = |bytes: Vec<u8>| [bytes, vec![0; 5 * 1024 * 1024]].concat();
    assert_eq!(pulled(&from, &into, bundle.digest(), longer).expect_err("longer").code(), 106);
}

#[test]
fn a_bundle_above_the_bound_ends_at_it() {
    let (dir, bundle) = app();
    let mut pull = BundlePull::begin(&dir.path().join("in"), bundle.digest(), 50_000).expect("a pull");
    let from = dir.path().join("out");
    let refused = loop {
        let missing = pull.missing().expect("documents");
        let Some(wanted) = missing.last().cloned() else { panic!("it was brought") };
        let mut writer = pull.writer(&wanted).expect("a place");
        if let Err(refused) = writer.write(&fs::read(blob_path(&from, &wanted.digest)).expect("a blob")) {
            break refused;
        }
        pull.keep(writer).expect("its digest");
    };
    assert_eq!(refused.code(), 106);
    // What an earlier pull brought counts.
    let again = BundlePull::begin(&dir.path().join("in"), bundle.digest(), 50_000).expect("a pull");
    assert!(again.left < 50_000);
}
