//! Bills of images as distributions make them, and as enemies do.

use std::{fs, path::PathBuf};

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;
use crate::{build_bundle, open_bundle};

type Files<'a> = &'a [(&'a str, &'a str)];

fn tar_of(files: Files<'_>) -> Vec<u8> {
    let mut layer = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len().try_into().expect("a length"));
        layer.append_data(&mut header, path, content.as_bytes()).expect("a member");
    }
    layer.into_inner().expect("an archive")
}

/// The packages in the bill of an app whose image has these layers: their locators, and the image's comment.
fn bill(layers: &[Vec<u8>]) -> (Vec<String>, Value) {
    let dir = TempDir::new().expect("a folder");
    let blobs: PathBuf = dir.path().join("images/blobs/sha256");
    fs::create_dir_all(&blobs).expect("a folder");
    let put = |bytes: &[u8]| {
        let digest = hex::encode(Sha256::digest(bytes));
        fs::write(blobs.join(&digest), bytes).expect("a blob");
        digest
    };
    let ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", put(layer))).collect();
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/x"]},
        "rootfs": {"type": "layers", "diff_ids": ids}});
    let image = put(config.to_string().as_bytes());
    let manifest =
        "name: a\nversion: 0.1.0\nlicense: My own\ntee: tdx\nkind: container\nresources: {memory: 64, cpus: 1}\n";
    fs::write(dir.path().join("rofl.yaml"), manifest).expect("a file");
    fs::write(dir.path().join("compose.yaml"), format!("services: {{one: {{image: 'x@sha256:{image}'}}}}\n"))
        .expect("a file");
    let bundle = build_bundle(dir.path(), &dir.path().join("out")).expect("a bundle");
    assert_eq!(open_bundle(&dir.path().join("out")).expect("a bundle").digest(), bundle.digest());
    let contents = bundle.contents().expect("its contents");
    let manifest: Value = serde_json::from_slice(&contents.beside[0].bytes).expect("a manifest");
    let digest = manifest["layers"][0]["digest"].as_str().expect("a digest").trim_start_matches("sha256:");
    let text = fs::read(dir.path().join("out/blobs/sha256").join(digest)).expect("a bill");
    let document: Value = serde_json::from_slice(&text).expect("a document");
    let packages = document["packages"].as_array().expect("packages");
    let locator = |package: &Value| package["externalRefs"][0]["referenceLocator"].as_str().map(str::to_owned);
    (packages.iter().filter_map(locator).collect(), packages[1]["comment"].clone())
}

#[test]
fn packages_of_three_kinds_of_lists_are_in_the_bill() {
    let below = tar_of(&[
        ("etc/os-release", "NAME=x\nID=\"debian\"\n"),
        (
            "var/lib/dpkg/status",
            "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9+deb12u4\n\n\
             Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n",
        ),
        ("var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 12.4\n"),
        ("lib/apk/db/installed", "C:Q1\nP:musl\nV:1.2.4-r2\nA:x86_64\n\nP:busybox\nV:1.36\n"),
        ("usr/lib/python3/a.dist-info/METADATA", "Name: Oasis_Client\nVersion: 1.0\n\nName: not this\nVersion: 2\n"),
        ("usr/lib/python3/b.dist-info/METADATA", "Name: hidden\nVersion: 1\n"),
    ]);
    let above = tar_of(&[
        ("usr/lib/python3/.wh.b.dist-info", ""),
        ("var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 13\n"),
    ]);
    let (locators, comment) = bill(&[below, above]);
    let expect = [
        "pkg:deb/debian/base-files@13",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64",
        "pkg:apk/debian/busybox@1.36",
        "pkg:apk/debian/musl@1.2.4-r2?arch=x86_64",
        "pkg:pypi/oasis-client@1.0",
    ];
    assert_eq!(locators, expect);
    assert_eq!(comment, Value::Null);
}

#[test]
fn what_cannot_be_read_or_is_not_there_is_said() {
    let (locators, comment) = bill(&[tar_of(&[("bin/x", "x")])]);
    assert_eq!((locators.len(), comment), (0, json!("the image has no list of packages")));
    let (locators, comment) = bill(&[b"no archive at all, but long enough to be looked at".repeat(40)]);
    assert_eq!((locators.len(), comment), (0, json!("a layer of the image cannot be read")));
    // A list that is none, and names that would break out of a locator.
    let (locators, _) = bill(&[tar_of(&[(
        "var/lib/dpkg/status",
        "Package: a@b?c#d/e\nVersion: 1\u{1b}[2J%00\n\nVersion: 3\n\nPackage: \nVersion: 1\n\nnonsense\n",
    )])]);
    assert_eq!(locators, ["pkg:deb/debian/a%40b%3Fc%23d%2Fe@1%5B2J%2500"]);
}

proptest! {
    #[test]
    fn any_list_gives_locators_that_hold(text in "(Package|Version|P|V|Name|Status)?(: |:)?.{0,80}\\n{0,2}(Version: |V:).{0,80}") {
        for path in ["var/lib/dpkg/status", "lib/apk/db/installed", "a.dist-info/METADATA", "etc/os-release"] {
            let lists = std::collections::BTreeMap::from([(path.to_owned(), text.clone()), ("usr/lib/os-release".to_owned(), text.clone())]);
            for package in packages::read(&lists) {
                let locator = package.locator();
                prop_assert!(locator.starts_with("pkg:") && locator.bytes().all(|byte| byte.is_ascii_graphic()), "{}", locator);
                prop_assert_eq!(locator.matches('@').count(), 1);
            }
        }
    }
}
