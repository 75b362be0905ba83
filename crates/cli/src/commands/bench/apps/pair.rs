//! One program as two apps, a process and a container: this very program in the role `bench-app`, so that what differs is what
//! keeps it apart. The image is made here, of the program, its loader and its libraries; nothing is fetched.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Name of the role.
const ROLE: &str = "bench-app";
/// Port of the program where it is given no socket.
pub(super) const PORT: u16 = 8080;

/// Folders of the two apps.
pub(super) struct Pair {
    pub(super) process: PathBuf,
    pub(super) container: PathBuf,
}

/// Makes both below a folder.
pub(super) fn make(folder: &Path) -> Result<Pair> {
    let program = std::env::current_exe().context("this program's own file cannot be found")?;
    let pair = Pair { process: folder.join("pair-process"), container: folder.join("pair-container") };
    let files = pair.process.join("app/bin");
    fs::create_dir_all(&files)?;
    fs::copy(&program, files.join("freehold")).context("this program cannot be copied")?;
    let head = |name: &str, kind: &str| {
        format!("name: {name}\nversion: 0.1.0\ntee: tdx\nkind: {kind}\nresources: {{memory: 1024, cpus: 1}}\n")
    };
    let process = format!("freehold:\n  process: {{files: app, command: [bin/freehold, {ROLE}]}}\n");
    fs::write(pair.process.join("rofl.yaml"), head("pair-process", "raw") + &process)?;
    fs::create_dir_all(&pair.container)?;
    let image = image(&pair.container, &program)?;
    let compose = format!(
        "services:\n  app:\n    image: pair@sha256:{image}\n    command: [/bin/freehold, {ROLE}]\n    ports: ['{PORT}:{PORT}']\n"
    );
    fs::write(pair.container.join("compose.yaml"), compose)?;
    fs::write(pair.container.join("rofl.yaml"), head("pair-container", "container"))?;
    Ok(pair)
}

/// Makes the image in the app's folder, and gives the digest of its config.
fn image(app: &Path, program: &Path) -> Result<String> {
    let (root, blobs) = (app.join("root"), app.join("images/blobs/sha256"));
    fs::create_dir_all(root.join("bin"))?;
    fs::create_dir_all(&blobs)?;
    fs::copy(program, root.join("bin/freehold"))?;
    for library in libraries(program)? {
        let place = root.join(library.strip_prefix("/").context("a library has an absolute path")?);
        fs::create_dir_all(place.parent().context("a library lies in a folder")?)?;
        fs::copy(&library, &place).with_context(|| format!("{} cannot be copied", library.display()))?;
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755))?;
    }
    let layer = app.join("layer.tar");
    let words = ["--owner=0", "--group=0", "--mtime=@0", "--sort=name", "-cf"];
    let packed =
        Command::new("tar").args(words).arg(&layer).arg("-C").arg(&root).args(["bin", "lib", "lib64"]).status();
    ensure!(packed.is_ok_and(|status| status.success()), "`tar` does not pack the image");
    let layer_digest = hex::encode(Sha256::digest(fs::read(&layer)?));
    fs::rename(&layer, blobs.join(&layer_digest))?;
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer_digest}")] },
    })
    .to_string();
    let digest = hex::encode(Sha256::digest(config.as_bytes()));
    fs::write(blobs.join(&digest), config)?;
    fs::remove_dir_all(&root)?;
    Ok(digest)
}

/// The loader of a program and its libraries, as the system's `ldd` lists them: `libc.so.6 => /lib/libc.so.6 (0x7f…)`, and the
/// loader without an arrow.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("`ldd` cannot be started")?;
    ensure!(output.status.success(), "`ldd` does not tell this program's libraries");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let place = |line: &str| {
        let place = line.rsplit_once(" => ").map_or(line, |(_, place)| place).split(" (").next()?.trim();
        place.starts_with('/').then(|| PathBuf::from(place))
    };
    Ok(text.lines().filter_map(place).collect())
}
