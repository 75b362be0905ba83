//! Containers of real programs under the real runtime, hostile ones among them.
#![allow(clippy::unwrap_used)]

#[path = "../../../containers/src/tests/apps.rs"]
mod apps;
mod backends;
mod running;

use std::{fs, path::Path, sync::OnceLock};

use tempfile::TempDir;

pub(super) use apps::app;

/// The program of all images, compiled once: static, so that an image holds nothing else.
pub(super) fn program() -> &'static [u8] {
    static PROGRAM: OnceLock<Vec<u8>> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/container.rs");
        let dir = TempDir::new().unwrap();
        let output = dir.path().join("program");
        let mut rustc = std::process::Command::new("rustc");
        rustc.args([
            "--edition",
            "2024",
            "-O",
            "-C",
            "target-feature=+crt-static",
            "--target",
            "x86_64-unknown-linux-gnu",
        ]);
        assert!(rustc.arg(source).arg("-o").arg(&output).status().unwrap().success(), "the program compiles");
        fs::read(output).unwrap()
    })
}
