//! An app of a few files, for tests of bundles that come from elsewhere; the host's tests of registries share it.

use std::fs;

use tempfile::TempDir;

const MANIFEST: &str = "\
name: oracle
version: 0.1.0
tee: tdx
kind: raw
resources: {memory: 64, cpus: 1}
freehold:
  process: {files: app, command: [python3, main.py]}
";

/// A folder with an app, one file of which has so many bytes.
pub(crate) fn app_folder(table_bytes: usize) -> TempDir {
    let dir = TempDir::new().expect("a folder");
    fs::create_dir_all(dir.path().join("app")).expect("a folder");
    fs::write(dir.path().join("rofl.yaml"), MANIFEST).expect("a file");
    fs::write(dir.path().join("app/main.py"), "print('hello')\n").expect("a file");
    fs::write(dir.path().join("app/table"), vec![7; table_bytes]).expect("a file");
    dir
}
