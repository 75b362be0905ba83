//! Images in bundles: the same from the same, and hostile ones refused.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::{Bundle, build_bundle, open_bundle};

const MANIFEST: &str = "\
name: web
version: 0.1.0
tee: tdx
kind: container
resources: {memory: 64, cpus: 1}
artifacts: {container: {compose: compose.yaml}}
";
const LAYER: &[u8] = b"a layer: whoever unpacks it will see whether it is an archive";

fn put(layout: &Path, bytes: &[u8]) -> Value {
    let digest = digests::of(bytes);
    fs::create_dir_all(layout.join("blobs/sha256")).expect("a folder");
    fs::write(blob_path(layout, &digest), bytes).expect("a blob");
    json!({"digest": format!("sha256:{digest}"), "size": bytes.len()})
}

/// An app with one image, whose config and manifest can be changed before they get their digests.
fn app(config: impl Fn(&mut Value), manifest: impl Fn(&mut Value)) -> TempDir {
    let dir = TempDir::new().expect("a folder");
    let images = dir.path().join("images");
    let mut layer = put(&images, LAYER);
    layer["mediaType"] = "application/vnd.oci.image.layer.v1.tar".into();
    let mut said = json!({"architecture": "amd64", "os": "linux", "created": "2020-01-01T00:00:00Z",
        "config": {"Cmd": ["/bin/httpd"], "Env": null}, "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}});
    config(&mut said);
    let said = put(&images, said.to_string().as_bytes());
    let mut top = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST_TYPE, "config": said, "layers": [layer]});
    manifest(&mut top);
    let top = put(&images, top.to_string().as_bytes());
    let mut entry = top;
    entry["platform"] = json!({"architecture": "amd64", "os": "linux"});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]});
    let index = put(&images, index.to_string().as_bytes());
    let digest = index["digest"].as_str().expect("a digest");
    let compose = format!("services:\n  web:\n    image: example.org/web@{digest}\n");
    fs::write(dir.path().join("rofl.yaml"), MANIFEST).expect("a file");
    fs::write(dir.path().join("compose.yaml"), compose).expect("a file");
    dir
}

fn build(dir: &TempDir) -> Result<Bundle, BundleError> {
    build_bundle(dir.path(), &dir.path().join("out"))
}

fn layer_blob(layout: &Path) -> std::path::PathBuf {
    blob_path(layout, &digests::of(LAYER))
}

#[test]
fn images_are_bundled_by_digest_and_the_bundle_names_them() {
    let (one, other) = (app(|_| {}, |_| {}), app(|_| {}, |_| {}));
    let (bundle, again) = (build(&one).expect("a bundle"), build(&other).expect("a bundle"));
    assert_eq!(bundle.digest(), again.digest());
    let [image] = bundle.images() else { panic!("one image") };
    assert_eq!(image.program.cmd.as_deref(), Some(&["/bin/httpd".to_owned()][..]));
    assert_eq!(image.layers[0].bytes, u64::try_from(LAYER.len()).expect("a length"));
    assert_eq!(fs::read(layer_blob(&one.path().join("out"))).expect("a layer"), LAYER);
    // Another config is another image and so another bundle.
    let changed = build(&app(|config| config["config"]["Cmd"] = json!(["/bin/sh"]), |_| {})).expect("a bundle");
    assert_ne!(changed.digest(), bundle.digest());
}

#[test]
fn images_that_lie_or_are_missing_are_refused() {
    for (bytes, code) in [(&b"another layer"[..], 109), (&[b'x'; LAYER.len()][..], 108)] {
        let dir = app(|_| {}, |_| {});
        build(&dir).expect("a bundle");
        fs::write(layer_blob(&dir.path().join("out")), bytes).expect("a blob");
        assert_eq!(open_bundle(&dir.path().join("out")).expect_err("a lie").code(), code);
        fs::write(layer_blob(&dir.path().join("images")), bytes).expect("a blob");
        assert_eq!(build(&dir).expect_err("a lie").code(), code);
    }
    let dir = app(|_| {}, |_| {});
    let layer = layer_blob(&dir.path().join("images"));
    fs::remove_file(&layer).expect("gone");
    std::os::unix::fs::symlink("/dev/zero", &layer).expect("a link");
    assert_eq!(build(&dir).expect_err("a link").code(), 102);
    fs::remove_dir_all(dir.path().join("images/blobs")).expect("gone");
    assert_eq!(build(&dir).expect_err("no image").code(), 113);
}

#[test]
fn images_of_another_form_are_refused() {
    let refused = |dir: TempDir| build(&dir).expect_err("refused").code();
    assert_eq!(refused(app(|config| config["architecture"] = "arm64".into(), |_| {})), 114);
    assert_eq!(refused(app(|config| config["rootfs"]["diff_ids"] = json!([]), |_| {})), 114);
    assert_eq!(refused(app(|config| config["rootfs"]["diff_ids"][0] = "sha256:../..".into(), |_| {})), 107);
    assert_eq!(refused(app(|_| {}, |top| top["mediaType"] = INDEX_TYPE.into())), 114);
    assert_eq!(refused(app(|_| {}, |top| top["layers"][0]["mediaType"] = "text/plain".into())), 114);
    assert_eq!(refused(app(|_| {}, |top| top["layers"][0]["digest"] = "sha256:../../x".into())), 107);
    assert_eq!(refused(app(|_| {}, |top| top["layers"][0]["size"] = (1u64 << 50).into())), 106);
    let many = |top: &mut Value| top["layers"] = vec![top["layers"][0].clone(); IMAGE_LAYERS_MAX + 1].into();
    assert_eq!(refused(app(|_| {}, many)), 114);
}

/// An archive of `docker save` with the one image of [`app`], as older releases of Docker write it.
fn docker_archive(layer: &[u8], config: &[u8], entry: impl Fn(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |path: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(bytes.len()).expect("a length"));
        header.set_mode(0o644);
        builder.append_data(&mut header, path, bytes).expect("a member");
    };
    add("0123/layer.tar", layer);
    add("4567.json", config);
    add("manifest.json", br#"[{"Config":"4567.json","RepoTags":["web:1"],"Layers":["0123/layer.tar"]}]"#);
    entry(&mut builder);
    builder.into_inner().expect("an archive")
}

/// An app whose folder `images` holds what `fill` puts there; its image is named by its config.
fn docker_app(fill: impl Fn(&Path, &[u8], &[u8])) -> TempDir {
    let dir = TempDir::new().expect("a folder");
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/httpd"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", digests::of(LAYER))]}})
    .to_string();
    let compose = format!("services:\n  web:\n    image: web@sha256:{}\n", digests::of(config.as_bytes()));
    fs::write(dir.path().join("rofl.yaml"), MANIFEST).expect("a file");
    fs::write(dir.path().join("compose.yaml"), compose).expect("a file");
    fs::create_dir(dir.path().join("images")).expect("a folder");
    fill(&dir.path().join("images"), LAYER, config.as_bytes());
    dir
}

#[test]
fn archives_of_docker_save_and_of_layouts_give_the_same_bundle() {
    let saved = docker_app(|images, layer, config| {
        fs::write(images.join("web.tar"), docker_archive(layer, config, |_| {})).expect("an archive");
    });
    let unpacked = docker_app(|images, layer, config| {
        let mut archive = tar::Archive::new(std::io::Cursor::new(docker_archive(layer, config, |_| {})));
        archive.unpack(images).expect("unpacked");
    });
    let layout = docker_app(|images, layer, config| {
        put(images, layer);
        put(images, config);
    });
    let bundle = build(&saved).expect("a bundle");
    let [image] = bundle.images() else { panic!("one image") };
    assert_eq!((image.layers[0].digest, image.layers[0].packing), (digests::of(LAYER), LayerPacking::Tar));
    for other in [unpacked, layout] {
        assert_eq!(build(&other).expect("a bundle").digest(), bundle.digest());
    }
    // An OCI layout in an archive.
    let dir = app(|_| {}, |_| {});
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all(".", dir.path().join("images")).expect("members");
    let whole = build(&dir).expect("a bundle");
    fs::remove_dir_all(dir.path().join("images")).expect("gone");
    fs::create_dir(dir.path().join("images")).expect("a folder");
    fs::write(dir.path().join("images/any.tar"), builder.into_inner().expect("an archive")).expect("a file");
    assert_eq!(build(&dir).expect("a bundle").digest(), whole.digest());
}

#[test]
fn hostile_archives_of_images_are_refused() {
    // Paths in it are no paths here: content goes by its digest.
    let outside = docker_app(|images, layer, config| {
        let mut bytes = docker_archive(layer, config, |_| {});
        bytes.truncate(bytes.len() - 1024);
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..10].copy_from_slice(b"../../evil");
        header.set_size(0);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        fs::write(images.join("web.tar"), bytes).expect("an archive");
    });
    assert_eq!(build(&outside).expect_err("a path upwards").code(), 116);
    let noise = docker_app(|images, _, _| fs::write(images.join("web.tar"), [b'x'; 4096]).expect("a file"));
    assert_eq!(build(&noise).expect_err("no archive").code(), 115);
    let without = docker_app(|images, _, config| {
        fs::write(images.join("web.tar"), docker_archive(b"another layer", config, |_| {})).expect("an archive");
    });
    assert_eq!(build(&without).expect_err("no layer").code(), 114);
    let many = docker_app(|images, layer, config| {
        let add = |builder: &mut tar::Builder<Vec<u8>>| {
            for number in 0..=super::super::FILES_MAX {
                let mut header = tar::Header::new_gnu();
                header.set_size(0);
                header.set_mode(0o644);
                builder.append_data(&mut header, number.to_string(), &[][..]).expect("a member");
            }
        };
        fs::write(images.join("web.tar"), docker_archive(layer, config, add)).expect("an archive");
    });
    assert_eq!(build(&many).expect_err("too many").code(), 105);
}
