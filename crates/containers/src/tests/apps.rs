//! Bundles of containers for tests, this room's and the host's, with one image that holds one program.

use std::{
    fs,
    path::{Path, PathBuf},
};

use freehold_bundle::{Bundle, build_bundle};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Puts an image with the program at `/bin/program` into an app's folder, and gives the digest of its config.
pub(crate) fn image(folder: &Path, program: &[u8]) -> String {
    let blobs = folder.join("images/blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = hex::encode(Sha256::digest(bytes));
        fs::write(blobs.join(&digest), bytes).unwrap();
        digest
    };
    let mut layer = tar::Builder::new(Vec::new());
    let mut add = |path: &str, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_uid(0);
        header.set_gid(0);
        layer.append_data(&mut header, path, content).unwrap();
    };
    add("bin/program", 0o6755, program);
    add("etc/passwd", 0o644, b"root:x:0:0::/root:/\nweb:x:33:34::/var/www:/\n");
    add("etc/group", 0o644, b"root:x:0:\nwww:x:34:\n");
    let layer = put(&layer.into_inner().unwrap());
    let config = json!({"architecture": "amd64", "os": "linux",
        "config": {"Entrypoint": ["/bin/program"], "Cmd": ["exit", "7"], "Env": ["FROM_IMAGE=said"], "User": "root"},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer}")]}});
    put(config.to_string().as_bytes())
}

/// An app of containers; `IMAGE` in the compose file stands for its image.
pub(crate) fn app(dir: &Path, program: &[u8], manifest: &str, compose: &str) -> Bundle {
    let folder: PathBuf = dir.join("app");
    fs::create_dir_all(&folder).unwrap();
    let image = format!("test@sha256:{}", image(&folder, program));
    let manifest = format!("name: a\nversion: 0.1.0\ntee: tdx\nkind: container\n{manifest}");
    fs::write(folder.join("rofl.yaml"), manifest).unwrap();
    fs::write(folder.join("compose.yaml"), compose.replace("IMAGE", &image)).unwrap();
    build_bundle(&folder, &dir.join("bundle")).unwrap()
}
