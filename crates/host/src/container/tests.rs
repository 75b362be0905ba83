//! Containers of real programs under the real runtime, hostile ones among them.
#![allow(clippy::unwrap_used)]

#[path = "../../../containers/src/tests/apps.rs"]
mod apps;
mod backends;
mod running;

use std::{fs, path::Path, sync::OnceLock};

use tempfile::TempDir;

use super::container_ingress;

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

#[test]
fn an_image_tells_the_agent_the_domains_that_its_host_routes() {
    let dir = TempDir::new().unwrap();
    let compose = "services:\n  web:\n    image: IMAGE\n    ports: ['8080:80']\n    annotations:\n      \
                   net.oasis.proxy.ports.8080.mode: terminate-tls\n      net.oasis.proxy.ports.8080.custom_domain: \
                   shop.example\n";
    let manifest = "resources: {memory: 128, cpus: 1}\nfreehold: {ingress: {domains: [own.example]}}\n";
    let bundle = app(dir.path(), b"x", manifest, compose);
    let routed = container_ingress(&bundle).unwrap().domains;
    assert_eq!(routed, ["own.example", "shop.example"]);
    assert_eq!(crate::vm_ingress(&bundle).unwrap().domains, routed);
}
