//! The same bundle beside the host and in a VM: one app on the chain, one key, one policy that names both.
//!
//! Needs `qemu-system-x86_64`, `dpkg-deb`, `bwrap`, `rustc`, the pinned kernel package, which `FREEHOLD_KERNEL_PACKAGE` names,
//! and PID 1 and agent beside the binary, which `cargo test --workspace` builds.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use freehold_image::KERNEL_PACKAGE;
use serde_json::Value;

use crate::support::{BINARY, Running, app_answer, sandbox_works, told, turn};

/// The kernel package where a VM can be booted here, else a loud skip.
fn kernel() -> Option<PathBuf> {
    let has = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    let tools = ["qemu-system-x86_64", "dpkg-deb", "rustc"];
    let missing = tools.into_iter().filter(|tool| !has(tool)).map(str::to_owned);
    let beside = |name: &str| Path::new(BINARY).with_file_name(name);
    let programs = ["freehold-init", "freehold-guest"].into_iter().filter(|name| !beside(name).is_file());
    let missing: Vec<String> = missing.chain(programs.map(|name| beside(name).display().to_string())).collect();
    match std::env::var_os("FREEHOLD_KERNEL_PACKAGE") {
        Some(package) if missing.is_empty() => Some(package.into()),
        package => {
            let named = if package.is_some() { "is set" } else { "must name it" };
            eprintln!(
                "SKIPPED: no app runs in a VM: missing {missing:?}; the kernel is {KERNEL_PACKAGE}, FREEHOLD_KERNEL_PACKAGE {named}"
            );
            None
        }
    }
}

/// An app's folder with the program of `programs/keyed.rs`, and what else its folder holds.
fn app(folder: &Path, note: &str) {
    fs::create_dir_all(folder.join("app")).unwrap();
    let manifest = "name: keyed\nversion: 0.1.0\ntee: tdx\nkind: raw\nresources:\n  memory: 256\n  cpus: 1\nfreehold:\n  \
                    process:\n    files: app\n    command: [./keyed]\n    environment:\n      GREETING: hello\n  egress: deny\n";
    fs::write(folder.join("rofl.yaml"), manifest).unwrap();
    fs::write(folder.join("app/note"), note).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/programs/keyed.rs");
    let built = Command::new("rustc")
        .args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-o"])
        .arg(folder.join("app/keyed"))
        .arg(source)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

/// What a build says that instances show under a launcher.
fn printed(built: &Value, launcher: &str) -> Value {
    let backends = built["backends"].as_array().unwrap().iter();
    let mut found = backends.filter(|shown| shown["launcher"] == launcher && shown["machine"] == "emulated-tdx");
    found.next().unwrap_or_else(|| panic!("no {launcher} in {built}"))["measurement"].clone()
}

/// What a run measured before it was ready.
fn measured(running: &Running) -> Value {
    running.told.iter().find(|told| told["event"] == "measured").unwrap()["measurement"].clone()
}

/// The instance's key, once the rest of its answer is as it must be.
fn key(running: &Running) -> Value {
    let answer = app_answer(running);
    assert_eq!(answer["app"], running.ready["app_id"], "{answer}");
    assert_eq!((&answer["health"], &answer["greeting"]), (&Value::from(200), &Value::from("hello")), "{answer}");
    // No network, and no sight of the machine's.
    assert_eq!(answer["network"], 0, "{answer}");
    let key = answer["key"].clone();
    assert_eq!(key["key"].as_str().map(str::len), Some(64), "{answer}");
    key
}

#[test]
fn one_bundle_gets_one_key_under_both_launchers_and_a_changed_image_gets_none() {
    let (Some(kernel), true) = (kernel(), sandbox_works()) else { return };
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let (folder, data, package) = (dir.path().join("keyed"), dir.path().join("net"), kernel.to_str().unwrap());
    let (place, data) = (folder.to_str().unwrap(), data.to_str().unwrap());
    app(&folder, "first");
    let built = told(dir.path(), &["app", "build", place, "--kernel", package]).unwrap();
    let _up = Running::start(&["up", "--no-app", "--validators", "1", "--rpc", "127.0.0.1:0", "--data-dir", data]);
    let run = ["app", "run", place, "--data-dir", data, "--api", "127.0.0.1:0", "--once"];
    let in_vm = [&run[..], &["--launcher", "qemu", "--kernel", package, "--accel", "tcg"]].concat();

    let direct = Running::start(&run);
    assert_eq!(measured(&direct), printed(&built, "direct"));
    let first = key(&direct);
    direct.interrupt();

    // Without its owner's word the chain admits no other launcher.
    let refused = Running::try_start(&[&in_vm[..], &["--keep-policy"]].concat()).err().unwrap();
    assert!(!refused.status.success(), "{refused:?}");

    let begun = Instant::now();
    let vm = Running::start(&[&in_vm[..], &["--add-to-policy"]].concat());
    eprintln!("in the VM, from the command to a serving instance: {:?}", begun.elapsed());
    assert_eq!(measured(&vm), printed(&built, "qemu"));
    assert_eq!(key(&vm), first);
    local_api_is_not_the_hosts(&vm);
    let begun = Instant::now();
    vm.interrupt();
    eprintln!("powered off in {:?}", begun.elapsed());

    // The policy names both.
    let direct = Running::start(&[&run[..], &["--keep-policy"]].concat());
    assert_eq!(key(&direct), first);
    direct.interrupt();

    // What no VM can give is refused, not left out.
    let manifest = folder.join("rofl.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace("egress: deny", "egress: open")).unwrap();
    let refused = told(dir.path(), &["app", "build", place, "--kernel", package]).unwrap_err();
    assert!(refused.contains("wants a network"), "{refused}");

    app(&folder, "other");
    let refused = Running::try_start(&[&in_vm[..], &["--keep-policy"]].concat()).err().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("the chain refused the registration"), "{said}");
}

/// Behind the socket of a VM's host stands health and nothing else.
fn local_api_is_not_the_hosts(vm: &Running) {
    use std::io::{Read as _, Write as _};
    let socket = vm.text("local_api");
    let ask = |request: &str| {
        let mut stream = std::os::unix::net::UnixStream::connect(socket.strip_prefix("unix:").unwrap()).unwrap();
        write!(stream, "{request} HTTP/1.0\r\nhost: x\r\ncontent-length: 0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(ask("GET /freehold/v1/health").contains("200 OK"));
    for request in ["POST /rofl/v1/keys/generate", "GET /freehold/v1/environment", "GET /rofl/v1/app/id"] {
        assert!(ask(request).contains("404 Not Found"), "{request}");
    }
}
