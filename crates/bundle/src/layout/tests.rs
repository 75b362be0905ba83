//! Bundles: the same from the same, and hostile ones refused.

use std::{fs, os::unix::fs as unix, path::Path};

use freehold_crypto::AccountKey;
use tempfile::TempDir;

use super::*;

const MANIFEST: &str = "\
name: oracle
version: 0.1.0
tee: tdx
kind: raw
resources: {memory: 64, cpus: 1}
freehold:
  process: {files: app, command: [python3, main.py]}
";

/// A folder with an app, and its bundle at `out`.
fn app() -> TempDir {
    let dir = TempDir::new().expect("a folder");
    fs::create_dir_all(dir.path().join("app/data")).expect("a folder");
    fs::write(dir.path().join("rofl.yaml"), MANIFEST).expect("a file");
    fs::write(dir.path().join("app/main.py"), "print('hello')\n").expect("a file");
    fs::write(dir.path().join("app/data/table"), vec![7; 100_000]).expect("a file");
    dir
}

fn build(dir: &TempDir) -> Result<Bundle, BundleError> {
    build_bundle(dir.path(), &dir.path().join("out"))
}

fn refused(dir: &TempDir) -> u16 {
    open_bundle(&dir.path().join("out")).expect_err("a hostile bundle").code()
}

/// Every file below a folder with its content.
fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(here) = folders.pop() {
        for entry in fs::read_dir(here).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all.push((path.strip_prefix(folder).expect("below").to_owned(), fs::read(path).expect("a file")));
            }
        }
    }
    all.sort();
    all
}

/// Changes the OCI manifest of a bundle and names the changed one in the index: what an enemy can always do.
fn rewrite(dir: &TempDir, change: impl Fn(&str) -> String) {
    let out = dir.path().join("out");
    let index = fs::read_to_string(out.join("index.json")).expect("an index");
    let bundle = open_bundle(&out).expect("a bundle").digest();
    let blob = out.join("blobs/sha256");
    let changed = change(&fs::read_to_string(blob.join(bundle.to_string())).expect("a manifest"));
    let digest = crate::digests::of(changed.as_bytes());
    fs::write(blob.join(digest.to_string()), &changed).expect("a blob");
    let mut index: serde_json::Value = serde_json::from_str(&index).expect("JSON");
    index["manifests"][0]["digest"] = format!("sha256:{digest}").into();
    index["manifests"][0]["size"] = changed.len().into();
    fs::write(out.join("index.json"), index.to_string()).expect("an index");
}

#[test]
fn the_same_app_gives_the_same_bytes() {
    let (one, other) = (app(), app());
    // Neither times nor rights of others count.
    let file = other.path().join("app/main.py");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("rights");
    let (first, second) = (build(&one).expect("a bundle"), build(&other).expect("a bundle"));
    assert_eq!(first.digest(), second.digest());
    assert_eq!(content(&one.path().join("out")), content(&other.path().join("out")));
    // Building again in place changes nothing; a changed byte changes the identity.
    assert_eq!(build(&one).expect("a bundle").digest(), first.digest());
    fs::write(file, "print('hellO')\n").expect("a file");
    assert_ne!(build(&other).expect("a bundle").digest(), first.digest());
}

#[test]
fn files_come_out_as_they_went_in() {
    let dir = app();
    let bundle = build(&dir).expect("a bundle");
    assert_eq!(bundle.files().len(), 2);
    let into = dir.path().join("unpacked");
    bundle.unpack(&into).expect("unpacked");
    assert_eq!(content(&into), content(&dir.path().join("app")));
    assert!(bundle.unpack(&into).is_err(), "an existing folder is left alone");
}

#[test]
fn signatures_are_of_this_bundle() {
    let dir = app();
    build(&dir).expect("a bundle");
    let out = dir.path().join("out");
    let key = AccountKey::from_bytes(&[7; 32]).expect("a key");
    let signed = add_signature(&out, &key).expect("signed");
    assert_eq!(signed.signatures(), [BundleSignature { account: key.account() }]);
    assert_eq!(add_signature(&out, &key).expect("signed").signatures().len(), 1);
    // The signature stays with what it signed.
    rewrite(&dir, |text| text.replace("\"oracle\"", "\"0racle\""));
    assert_eq!(refused(&dir), 110);
}

#[test]
fn links_and_strangers_are_not_bundled() {
    let dir = app();
    unix::symlink("/etc/passwd", dir.path().join("app/link")).expect("a link");
    assert_eq!(build(&dir).expect_err("a link").code(), 102);
    let dir = app();
    unix::symlink("/etc", dir.path().join("app/folder")).expect("a link");
    assert_eq!(build(&dir).expect_err("a link").code(), 102);
    let dir = app();
    fs::create_dir(dir.path().join("out")).expect("a folder");
    fs::write(dir.path().join("out/precious"), "x").expect("a file");
    assert_eq!(build(&dir).expect_err("not ours").code(), 112);
    assert!(dir.path().join("out/precious").exists());
    let dir = app();
    fs::write(dir.path().join("rofl.yaml"), MANIFEST.replace("python3, main.py", "./main.py")).expect("a file");
    assert_eq!(build(&dir).expect_err("not executable").code(), 111);
}

#[test]
fn lying_blobs_are_refused() {
    let dir = app();
    let bundle = build(&dir).expect("a bundle");
    let blob = dir.path().join("out/blobs/sha256").join(bundle.files()[1].digest.to_string());
    fs::write(&blob, "print('hellO')\n").expect("a blob");
    assert_eq!(refused(&dir), 108);
    fs::write(&blob, "print('hello')\nx").expect("a blob");
    assert_eq!(refused(&dir), 109);
    // One that never ends is read no further than its size.
    fs::remove_file(&blob).expect("gone");
    unix::symlink("/dev/zero", &blob).expect("a link");
    assert_eq!(refused(&dir), 102);
    fs::remove_file(&blob).expect("gone");
    assert_eq!(refused(&dir), 101);
}

#[test]
fn paths_stay_inside() {
    for path in ["../main.py", "/main.py", "a/../../main.py", "./main.py", "a//b", "a\\\\b", "", "a/.."] {
        let dir = app();
        build(&dir).expect("a bundle");
        rewrite(&dir, |text| text.replace("\"main.py\"", &format!("\"{path}\"")));
        assert_eq!(refused(&dir), 103, "{path}");
    }
    // The same place twice, and a file where a folder is.
    for path in ["data/table", "data/table/below", "data"] {
        let dir = app();
        build(&dir).expect("a bundle");
        rewrite(&dir, |text| text.replace("\"main.py\"", &format!("\"{path}\"")));
        assert_eq!(refused(&dir), 104, "{path}");
    }
}

#[test]
fn sizes_are_bounded_before_they_are_read() {
    let dir = app();
    build(&dir).expect("a bundle");
    rewrite(&dir, |text| text.replace("\"size\":100000", "\"size\":9007199254740991"));
    assert_eq!(refused(&dir), 106);
    let dir = app();
    build(&dir).expect("a bundle");
    let spaces = " ".repeat(70_000);
    fs::write(dir.path().join("out/index.json"), spaces).expect("an index");
    assert_eq!(refused(&dir), 106);
}

#[test]
fn documents_of_another_shape_are_refused() {
    let changes: [(&str, &str); 5] = [
        ("\"schemaVersion\":2", "\"schemaVersion\":2,\"more\":1"),
        ("\"schemaVersion\":2", "\"schemaVersion\":1"),
        ("vnd.freehold.app.file.v1", "vnd.freehold.app.file.v2"),
        ("vnd.freehold.app.manifest.v1+yaml", "vnd.freehold.app.compose.v1+yaml"),
        ("vnd.freehold.app.v1\"", "vnd.freehold.app.v2\""),
    ];
    for (from, to) in changes {
        let dir = app();
        build(&dir).expect("a bundle");
        rewrite(&dir, |text| text.replacen(from, to, 1));
        let code = refused(&dir);
        // A manifest that is read as a compose file is refused as one.
        assert!(code == 107 || code < 100, "{from} → {to}: {code}");
    }
}

#[test]
fn the_bill_of_materials_names_every_file() {
    let dir = app();
    let bundle = build(&dir).expect("a bundle");
    let all = content(&dir.path().join("out/blobs"));
    let bill = all.iter().find_map(|(_, bytes)| {
        let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        (value["spdxVersion"] == "SPDX-2.3").then_some(value)
    });
    let bill = bill.expect("a bill of materials");
    for file in bundle.files() {
        let named = |entry: &serde_json::Value| entry["checksums"][0]["checksumValue"] == file.digest.to_string();
        assert!(bill["packages"].as_array().is_some_and(|files| files.iter().any(named)), "{}", file.path);
    }
}
