//! Registries, other backends' formats, and what others' own tools say of them.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    containers::{COMPOSE, saved},
    support::{OwnRegistry, passes, told, validators},
};

const AGENT: &str =
    "registry.example.org/agent@sha256:00000000000000000000000000000000000000000000000000000000000000aa";

/// An app of containers with its images, built; its folder is `boxes`.
fn boxes(dir: &Path) -> Value {
    let (archive, id) = saved(dir, "one");
    fs::write(dir.join("compose.yaml"), COMPOSE.replace("IMAGE", &id).replace("user: web", "user: '33'")).unwrap();
    told(dir, &["app", "init", "boxes", "--kind", "container", "--from", "compose.yaml"]).unwrap();
    fs::create_dir(dir.join("boxes/images")).unwrap();
    fs::write(dir.join("boxes/images/test.tar"), archive).unwrap();
    told(dir, &["app", "build", "boxes"]).unwrap()
}

#[test]
fn manifests_and_bills_are_valid_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let built = boxes(dir.path());
    let (app, key) = ("rofl1qqn9xndja7e2pnxhttktmecvwzz0yqwxsquqyxdf", "ab".repeat(96));
    let write = ["app", "manifest", "boxes/bundle", "--kubernetes", "--agent-image", AGENT];
    let network = ["--app", app, "--rpc", "http://10.0.0.1:8545", "--network-key", &key];
    let write = [&write[..], &network].concat();
    let class = ["--runtime-class", "kata-qemu-tdx", "--namespace", "shop"];
    let made = told(dir.path(), &[&write[..], &class].concat()).unwrap();
    assert_eq!(made["digest"], built["digest"]);
    let yaml = made["yaml"].as_str().unwrap();
    assert_eq!(yaml, told(dir.path(), &[&write[..], &class].concat()).unwrap()["yaml"].as_str().unwrap());
    let path = dir.path().join("app.yaml");
    fs::write(&path, yaml).unwrap();
    let index: Value = serde_json::from_slice(&fs::read(dir.path().join("boxes/bundle/index.json")).unwrap()).unwrap();
    let blob = |digest: &Value| {
        let name = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        fs::read(dir.path().join("boxes/bundle/blobs/sha256").join(name)).unwrap()
    };
    let is_bill = |entry: &&Value| entry["artifactType"] == "application/spdx+json";
    let entry = index["manifests"].as_array().unwrap().iter().find(is_bill).unwrap();
    let manifest: Value = serde_json::from_slice(&blob(&entry["digest"])).unwrap();
    let bill = dir.path().join("bill.spdx.json");
    fs::write(&bill, blob(&manifest["layers"][0]["digest"])).unwrap();
    let Some(bin) = validators() else { return };
    for version in ["1.29", "1.31", "1.34", "1.37"] {
        passes(Command::new(bin.join("kubernetes-validate")).args(["--strict", "-k", version]).arg(&path));
    }
    passes(Command::new(bin.join("pyspdxtools")).arg("--infile").arg(&bill));
    // The validators are no sieve: each refuses a broken one.
    fs::write(&path, yaml.replace("replicas: 1", "replicas: \"one\"")).unwrap();
    let refused = Command::new(bin.join("kubernetes-validate")).args(["--strict", "-k", "1.34"]).arg(&path).output();
    assert!(!refused.unwrap().status.success());
    fs::write(&bill, fs::read_to_string(&bill).unwrap().replace("SPDXRef-DOCUMENT", "SPDXRef DOCUMENT")).unwrap();
    assert!(!Command::new(bin.join("pyspdxtools")).arg("--infile").arg(&bill).output().unwrap().status.success());
}

#[test]
fn a_bundle_travels_through_a_registry_and_a_tag_is_told_its_digest() {
    let Some(registry) = OwnRegistry::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let built = boxes(dir.path());
    let name = format!("{}/shop/boxes", registry.address);
    let pushed = told(dir.path(), &["app", "push", &format!("{name}:1"), "boxes/bundle"]).unwrap();
    assert_eq!((&pushed["digest"], &pushed["source"]), (&built["digest"], &json!(format!("oci://{name}"))));
    for reference in [format!("oci://{name}:1"), format!("oci://{}", pushed["reference"].as_str().unwrap())] {
        let shown = told(dir.path(), &["app", "show", &reference]).unwrap();
        assert_eq!((&shown["digest"], &shown["images"]), (&built["digest"], &built["images"]));
    }
    let refused = told(dir.path(), &["app", "show", &format!("oci://{name}:2")]).unwrap_err();
    assert!(refused.contains("is not there"), "{refused}");
    // A tag is no image: it is told which digest it has now.
    let compose = dir.path().join("boxes/compose.yaml");
    fs::write(&compose, format!("services: {{web: {{image: '{name}:1'}}}}\n")).unwrap();
    let refused = told(dir.path(), &["app", "build", "boxes"]).unwrap_err();
    assert!(refused.contains("names no digest"), "{refused}");
    let refused = told(dir.path(), &["app", "build", "boxes", "--pull"]).unwrap_err();
    let pinned = format!("image: {name}:1@sha256:{}", built["digest"].as_str().unwrap());
    assert!(refused.contains(&pinned), "{refused}");
}
