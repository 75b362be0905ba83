//! A real registry, where there is one, and registries that lie.
#![allow(clippy::unwrap_used)]

#[path = "../../../bundle/src/layout/pull/tests/fixture.rs"]
mod fixture;
mod helpers;
mod hostile;
mod real;

use std::{
    fs,
    path::{Path, PathBuf},
};

use freehold_bundle::{Bundle, build_bundle};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::{credentials::find_in, helper::Search, *};
use crate::collateral::VendorClient;

/// No folder of helpers.
const NOWHERE: Search<'static> = Search::of(None);

/// A folder with an app, and its bundle at `out`.
fn an_app() -> (TempDir, Bundle, PathBuf) {
    let dir = fixture::app_folder(600_000);
    let layout = dir.path().join("out");
    let bundle = build_bundle(dir.path(), &layout).unwrap();
    (dir, bundle, layout)
}

/// An app of one container whose image is an index, a manifest, a config and a layer in the layout `images`, and the digests of
/// index and manifest.
fn image_app(dir: &Path, registry: &str) -> (PathBuf, [String; 2]) {
    let folder = dir.join("boxes");
    let blobs = folder.join("images/blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = hex::encode(Sha256::digest(bytes));
        fs::write(blobs.join(&digest), bytes).unwrap();
        digest
    };
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    layer.append_data(&mut header, "bin/program", &b"hello"[..]).unwrap();
    let layer = layer.into_inner().unwrap();
    let layer_digest = put(&layer);
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/program"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]}})
    .to_string();
    let oci = |kind: &str| format!("application/vnd.oci.image.{kind}");
    let part = |kind: &str, digest: &str, bytes: &[u8]| json!({"mediaType": oci(kind), "digest": format!("sha256:{digest}"), "size": bytes.len()});
    let manifest = json!({"schemaVersion": 2, "mediaType": oci("manifest.v1+json"),
        "config": part("config.v1+json", &put(config.as_bytes()), config.as_bytes()),
        "layers": [part("layer.v1.tar", &layer_digest, &layer)]})
    .to_string();
    let manifest_digest = put(manifest.as_bytes());
    let mut entry = part("manifest.v1+json", &manifest_digest, manifest.as_bytes());
    entry["platform"] = json!({"architecture": "amd64", "os": "linux"});
    let index = json!({"schemaVersion": 2, "mediaType": oci("index.v1+json"), "manifests": [entry]}).to_string();
    let index_digest = put(index.as_bytes());
    let text = "name: boxes\nversion: 0.1.0\ntee: tdx\nkind: container\nresources: {memory: 64, cpus: 1}\n";
    fs::write(folder.join("rofl.yaml"), text).unwrap();
    let compose = format!("services: {{web: {{image: '{registry}/shop/web:1@sha256:{index_digest}'}}}}\n");
    fs::write(folder.join("compose.yaml"), compose).unwrap();
    (folder, [index_digest, manifest_digest])
}

/// Puts the image of such an app into a repository, as others would.
async fn push_image(registry: &Registry, layout: &Path, [index, manifest]: &[String; 2]) {
    let blobs = layout.join("blobs/sha256");
    let document = |name: &String| fs::read(blobs.join(name)).unwrap();
    for entry in fs::read_dir(&blobs).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        registry.upload(&name.parse().unwrap(), entry.metadata().unwrap().len(), &entry.path()).await.unwrap();
    }
    for (digest, kind) in [(manifest, "manifest"), (index, "index")] {
        let kind = format!("application/vnd.oci.image.{kind}.v1+json");
        registry.put_bytes(&document(digest), &kind, &format!("sha256:{digest}")).await.unwrap();
    }
}

/// A repository that is opened with a password, or without.
fn opened(name: &str, access: Access, config: Option<&Path>) -> Registry {
    let name = ImageName::parse(name).unwrap();
    let password = config.and_then(|config| find_in(config, name.registry(), NOWHERE).unwrap());
    Registry::with(VendorClient::new(None).unwrap(), &name, access, password).unwrap()
}

#[test]
fn names_are_read_as_people_write_them() {
    let check = |text: &str, expect: &str| assert_eq!(ImageName::parse(text).unwrap().to_string(), expect, "{text}");
    check("redis", "docker.io/library/redis");
    check("redis:7", "docker.io/library/redis:7");
    check("shop/web", "docker.io/shop/web");
    check("localhost/web", "localhost/web");
    check("registry.example.org:5000/a/b_c/d-e:1.2", "registry.example.org:5000/a/b_c/d-e:1.2");
    for text in [
        "",
        "/",
        "a/",
        "/a",
        "A",
        "a/../b",
        "a//b",
        "h:x/a",
        "h.example/a:",
        "h.example/a:-x",
        "h.example/a b",
        "a@b",
        "h.example/a?b",
        "h.example/%2e",
        "-h.example:99999/a",
        "a_",
        &"a".repeat(600),
    ] {
        assert_eq!(ImageName::parse(text).unwrap_err().code(), 130, "{text}");
    }
    let digest = "ab".repeat(32);
    let whole: Reference = format!("oci://h.example/a:1@sha256:{digest}").parse().unwrap();
    assert_eq!((whole.name.tag(), whole.digest.unwrap().to_string()), ("1", digest.clone()));
    assert!(format!("h.example/a@sha256:{}", digest.to_uppercase()).parse::<Reference>().is_err());
    assert_eq!(ImageName::parse("127.0.0.1:5/a").unwrap().origin(), "http://127.0.0.1:5/");
    assert_eq!(ImageName::parse("127.example/a").unwrap().origin(), "https://127.example/");
    assert_eq!(ImageName::parse("redis").unwrap().origin(), "https://registry-1.docker.io/");
}

#[test]
fn passwords_are_found_for_their_registry_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("config.json");
    let find = |registry: &str| find_in(&path, registry, NOWHERE);
    assert!(find("h.example").unwrap().is_none());
    // alice:secret
    let text = r#"{"auths": {"h.example": {"auth": "YWxpY2U6c2VjcmV0"}, "https://index.docker.io/v1/": {"auth": "YWxpY2U6c2VjcmV0"},
        "x.example": {}, "bad.example": {"auth": "!"}}}"#;
    fs::write(&path, text).unwrap();
    for registry in ["h.example", "docker.io"] {
        assert_eq!(*find(registry).unwrap().unwrap().header(), "Basic YWxpY2U6c2VjcmV0");
    }
    for registry in ["x.example", "sub.h.example", "h.example:5000"] {
        assert!(find(registry).unwrap().is_none(), "{registry}");
    }
    assert_eq!(find("bad.example").map(drop).unwrap_err().code(), 136);
    fs::write(&path, "[").unwrap();
    assert_eq!(find("h.example").map(drop).unwrap_err().code(), 136);
}
