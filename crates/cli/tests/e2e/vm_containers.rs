//! The same bundle of containers beside the host and in a VM: one digest, one key, one way of compose; and images that lie, which no
//! VM's image is made of.
//!
//! Needs root, `runc`, `qemu-system-x86_64`, `dpkg-deb`, `rustc`, the pinned kernel package, which `FREEHOLD_KERNEL_PACKAGE` names,
//! and PID 1, agent and the containers' program beside the binary, which `cargo test --workspace` builds.

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use serde_json::{Value, json};

use crate::{
    containers::{COMPOSE, containers_work, saved, sha256},
    support::{BINARY, Running, app_answer, get, told, turn},
    vm::{kernel, measured, printed},
};

/// A one-shot job that the front waits for, a variable of the file's own, and one that the owner sets.
const FURTHER: &str = "  job:\n    image: test@sha256:IMAGE\n    command: [say, migrated]\n    restart: 'no'\n";

/// The app's model.
const MODEL: &str = "weights of the model";

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
fn app(dir: &Path, note: &str, listed: SocketAddr) -> PathBuf {
    fs::write(dir.join("m.bin"), MODEL).unwrap();
    let model = sha256(dir, MODEL.as_bytes());
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
    let manifest = format!(
        "name: boxes\nversion: 0.1.0\ntee: tdx\nkind: container\nresources:\n  memory: 256\n  cpus: 1\n  storage: \
         {{kind: disk-persistent, size: 16}}\nartifacts: {{container: {{compose: compose.yaml}}}}\nfreehold: \
         {{egress: ['{listed}'], models: [{{name: m.bin, sha256: {model}}}]}}\n"
    );
    fs::write(folder.join("rofl.yaml"), manifest).unwrap();
    fs::write(folder.join("compose.yaml"), compose).unwrap();
    fs::write(folder.join("images/test.tar"), archive).unwrap();
    folder
}

/// What the app answers, once it is what a compose file and its owner say.
fn answer(running: &Running) -> (Value, Value) {
    let answer = app_answer(running);
    assert_eq!((&answer["greeting"], &answer["token"]), (&json!("hello"), &json!("token of the owner")), "{answer}");
    assert_eq!((&answer["model"], answer["key"]["key"].as_str().map(str::len)), (&json!(MODEL), Some(64)), "{answer}");
    (answer["key"].clone(), answer["store"].clone())
}

/// A server of the machine that says one word to whoever connects.
fn machine() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        listener.incoming().flatten().for_each(|mut stream| drop(stream.write_all(b"of the machine")));
    });
    at
}

/// The list of the manifest holds, and nothing goes around the gate.
fn reaches_what_is_listed(running: &Running, listed: SocketAddr, other: SocketAddr) {
    for (target, told) in [(listed, "stopped 200 of the machine"), (other, "stopped 403 not_listed")] {
        let (_, out) = get(&running.text("api"), &format!("/out/{target}"));
        assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), json!({"out": told}));
    }
}

#[test]
fn one_bundle_of_containers_runs_alike_under_both_launchers() {
    let Some(kernel) = ready() else { return };
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let (data, package) = (dir.path().join("net"), kernel.to_str().unwrap());
    let (listed, other) = (machine(), machine());
    let (folder, data) = (app(dir.path(), "one", listed), data.to_str().unwrap());
    let place = folder.to_str().unwrap();
    let models = dir.path().display().to_string();
    let build = ["app", "build", place, "--kernel", package, "--models", &models];
    let built = told(dir.path(), &build).unwrap();
    let _up = Running::start(&["up", "--no-app", "--validators", "1", "--rpc", "127.0.0.1:0", "--data-dir", data]);
    let run = ["app", "run", place, "--data-dir", data, "--api", "127.0.0.1:0", "--once", "--models", &models];
    let in_vm = [&run[..], &["--launcher", "qemu", "--kernel", package, "--accel", "tcg"]].concat();
    let again = [&in_vm[..], &["--keep-policy"]].concat();

    let direct = Running::start(&run);
    assert_eq!((&direct.ready["digest"], measured(&direct)), (&built["digest"], printed(&built, "direct")));
    let owner = ["app", "secret", "set", "TOKEN", "--from-file", "token", "--folder", place, "--data-dir", data];
    fs::write(dir.path().join("token"), "of the owner").unwrap();
    told(dir.path(), &owner).unwrap();
    let (key, store) = answer(&direct);
    assert_eq!(store, json!("1"));
    reaches_what_is_listed(&direct, listed, other);
    direct.interrupt();

    let begun = Instant::now();
    let vm = Running::start(&[&in_vm[..], &["--add-to-policy"]].concat());
    assert_eq!((&vm.ready["digest"], measured(&vm)), (&built["digest"], printed(&built, "qemu")));
    assert_eq!(answer(&vm), (key.clone(), json!("1")));
    reaches_what_is_listed(&vm, listed, other);
    eprintln!("containers in the VM, from the command to an answer: {:?}", begun.elapsed());
    let begun = Instant::now();
    vm.interrupt();
    eprintln!("powered off in {:?}", begun.elapsed());

    // The volume outlives the VM, on its sealed disk.
    let vm = Running::start(&again);
    assert_eq!(answer(&vm), (key, json!("2")));
    vm.interrupt();

    // Another image is another measurement, which the policy does not name: `vm` shows what the chain says to that.
    app(dir.path(), "two", listed);
    let changed = told(dir.path(), &build).unwrap();
    assert_ne!(printed(&changed, "qemu"), printed(&built, "qemu"));

    what_a_vm_cannot_give_is_refused(&folder, package);
}

/// What is not run as its files say is not built.
fn what_a_vm_cannot_give_is_refused(folder: &Path, package: &str) {
    let place = folder.to_str().unwrap();
    let models = folder.parent().unwrap().to_str().unwrap();
    let build = || told(folder, &["app", "build", place, "--kernel", package, "--models", models]).unwrap_err();
    let (manifest, compose) = (folder.join("rofl.yaml"), folder.join("compose.yaml"));
    let (said, text) = (fs::read_to_string(&manifest).unwrap(), fs::read_to_string(&compose).unwrap());
    fs::write(&manifest, said.replace("freehold: {", "freehold: {gpu: {count: 1}, ")).unwrap();
    assert!(build().contains("asks for GPUs"));
    fs::write(&manifest, &said).unwrap();
    fs::write(&compose, text.replace("command: [store, '6379']", "command: [store, '6379']\n    ports: ['6379:6379']"))
        .unwrap();
    assert!(build().contains("a VM's host reaches one port alone"));
}
