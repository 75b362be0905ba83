//! The same bundle of containers beside the host and in a VM: one digest, one key, one way of compose; and images that lie, which no
//! VM's image is made of.
//!
//! Needs root, `runc`, `qemu-system-x86_64`, `dpkg-deb`, `rustc`, the pinned kernel package, which `FREEHOLD_KERNEL_PACKAGE` names,
//! and PID 1, agent and the containers' program beside the binary, which `cargo test --workspace` builds.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use serde_json::{Value, json};

use crate::{
    containers::{COMPOSE, containers_work, saved},
    support::{BINARY, Running, app_answer, told, turn},
    vm::{kernel, measured, printed},
};

/// A one-shot job that the front waits for, a variable of the file's own, and one that the owner sets.
const FURTHER: &str = "  job:\n    image: test@sha256:IMAGE\n    command: [say, migrated]\n    restart: 'no'\n";

/// The kernel package where containers run in a VM here, else a loud skip.
fn ready() -> Option<PathBuf> {
    let runner = Path::new(BINARY).with_file_name("freehold-containers");
    let kernel = kernel().filter(|_| containers_work())?;
    if !runner.is_file() {
        eprintln!("SKIPPED: no containers run in a VM: {} is missing", runner.display());
        return None;
    }
    Some(kernel)
}

/// An app's folder: compose file, manifest with storage, images.
fn app(dir: &Path, note: &str) -> PathBuf {
    let (archive, id) = saved(dir, note);
    let named = "    environment: {TOKEN: 'token ${TOKEN}', GREETING: hello}\n    user: web\n";
    let waits = "depends_on: {store: {condition: service_healthy}, job: {condition: service_completed_successfully}}";
    let compose = COMPOSE
        .replace("    user: web\n", named)
        .replace("depends_on: {store: {condition: service_healthy}}", waits)
        .replace("volumes:\n  data:\n", &format!("{FURTHER}volumes:\n  data:\n"))
        .replace("IMAGE", &id);
    let folder = dir.join("boxes");
    fs::create_dir_all(folder.join("images")).unwrap();
    let manifest = "name: boxes\nversion: 0.1.0\ntee: tdx\nkind: container\nresources:\n  memory: 256\n  cpus: 1\n  storage: \
                    {kind: disk-persistent, size: 16}\nartifacts: {container: {compose: compose.yaml}}\n";
    fs::write(folder.join("rofl.yaml"), manifest).unwrap();
    fs::write(folder.join("compose.yaml"), compose).unwrap();
    fs::write(folder.join("images/test.tar"), archive).unwrap();
    folder
}

/// What the app answers, once it is what a compose file and its owner say.
fn answer(running: &Running) -> (Value, Value) {
    let answer = app_answer(running);
    assert_eq!((&answer["greeting"], &answer["token"]), (&json!("hello"), &json!("token of the owner")), "{answer}");
    assert_eq!(answer["key"]["key"].as_str().map(str::len), Some(64), "{answer}");
    (answer["key"].clone(), answer["store"].clone())
}

#[test]
fn one_bundle_of_containers_runs_alike_under_both_launchers() {
    let Some(kernel) = ready() else { return };
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let (data, package) = (dir.path().join("net"), kernel.to_str().unwrap());
    let (folder, data) = (app(dir.path(), "one"), data.to_str().unwrap());
    let place = folder.to_str().unwrap();
    let built = told(dir.path(), &["app", "build", place, "--kernel", package]).unwrap();
    let _up = Running::start(&["up", "--no-app", "--validators", "1", "--rpc", "127.0.0.1:0", "--data-dir", data]);
    let run = ["app", "run", place, "--data-dir", data, "--api", "127.0.0.1:0", "--once"];
    let in_vm = [&run[..], &["--launcher", "qemu", "--kernel", package, "--accel", "tcg"]].concat();
    let again = [&in_vm[..], &["--keep-policy"]].concat();

    let direct = Running::start(&run);
    assert_eq!((&direct.ready["digest"], measured(&direct)), (&built["digest"], printed(&built, "direct")));
    let owner = ["app", "secret", "set", "TOKEN", "--from-file", "token", "--folder", place, "--data-dir", data];
    fs::write(dir.path().join("token"), "of the owner").unwrap();
    told(dir.path(), &owner).unwrap();
    let (key, store) = answer(&direct);
    assert_eq!(store, json!("1"));
    direct.interrupt();

    let begun = Instant::now();
    let vm = Running::start(&[&in_vm[..], &["--add-to-policy"]].concat());
    assert_eq!((&vm.ready["digest"], measured(&vm)), (&built["digest"], printed(&built, "qemu")));
    assert_eq!(answer(&vm), (key.clone(), json!("1")));
    eprintln!("containers in the VM, from the command to an answer: {:?}", begun.elapsed());
    let begun = Instant::now();
    vm.interrupt();
    eprintln!("powered off in {:?}", begun.elapsed());

    // The volume outlives the VM, on its sealed disk.
    let vm = Running::start(&again);
    assert_eq!(answer(&vm), (key, json!("2")));
    vm.interrupt();

    // Another image is another measurement, which the policy does not name: `vm` shows what the chain says to that.
    app(dir.path(), "two");
    let other = told(dir.path(), &["app", "build", place, "--kernel", package]).unwrap();
    assert_ne!(printed(&other, "qemu"), printed(&built, "qemu"));

    what_a_vm_cannot_give_is_refused(&folder, package);
}

/// What is not run as its files say is not built.
fn what_a_vm_cannot_give_is_refused(folder: &Path, package: &str) {
    let place = folder.to_str().unwrap();
    let build = || told(folder, &["app", "build", place, "--kernel", package]).unwrap_err();
    let (manifest, compose) = (folder.join("rofl.yaml"), folder.join("compose.yaml"));
    let (said, text) = (fs::read_to_string(&manifest).unwrap(), fs::read_to_string(&compose).unwrap());
    fs::write(&manifest, format!("{said}freehold: {{gpu: {{count: 1}}}}\n")).unwrap();
    assert!(build().contains("asks for GPUs"));
    fs::write(&manifest, &said).unwrap();
    fs::write(&compose, text.replace("command: [store, '6379']", "command: [store, '6379']\n    ports: ['6379:6379']"))
        .unwrap();
    assert!(build().contains("a VM's host reaches one port alone"));
}
