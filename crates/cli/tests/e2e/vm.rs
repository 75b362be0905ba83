//! The same bundle beside the host and in a VM: one app on the chain, one key, one policy that names both, the same way out; and
//! what the VM's state disk keeps, refuses and notices.
//!
//! Needs `qemu-system-x86_64`, `dpkg-deb`, `bwrap`, `rustc`, `openssl`, `python3`, the pinned kernel package, which `FREEHOLD_KERNEL_PACKAGE` names,
//! and PID 1 and agent beside the binary, which `cargo test --workspace` builds.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use freehold_crypto::sha256;
use freehold_image::KERNEL_PACKAGE;
use serde_json::{Value, json};

use crate::{
    authority::Authority,
    egress::{Server, certificate, check_offline},
    ingress::{DOMAIN, port},
    support::{BINARY, Running, app_answer, free_address, post_path, sandbox_works, told, turn, until},
};

/// The kernel package where a VM can be booted here, else a loud skip.
pub(crate) fn kernel() -> Option<PathBuf> {
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

/// The app's model, and the folder of it beside the app's manifest.
const MODEL: &str = "what it learned";
const MODELS: &str = "models";

/// An app's folder with the program of `programs/keyed.rs`, and what else its folder holds.
pub(crate) fn app(folder: &Path, (note, port): (&str, u16), ingress: &str) {
    fs::create_dir_all(folder.join("app")).unwrap();
    let manifest = format!(
        "name: keyed\nversion: 0.1.0\ntee: tdx\nkind: raw\nresources:\n  memory: 256\n  cpus: 1\n  storage:\n    kind: \
         disk-persistent\n    size: 16\nfreehold:\n  process:\n    files: app\n    command: [./keyed]\n    environment:\n      \
         GREETING: hello\n  scopes: [app, provider]\n  egress: ['127.0.0.1:{port}']\n  models: [{{name: m.bin, sha256: {}}}]\n{ingress}",
        sha256(MODEL.as_bytes())
    );
    fs::create_dir_all(folder.join(MODELS)).unwrap();
    fs::write(folder.join(MODELS).join("m.bin"), MODEL).unwrap();
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

/// What the app answers to a path and a body.
fn asked(running: &Running, path: &str, body: &str) -> Value {
    let api = running.text("api");
    let answer = post_path(api.trim_start_matches("http://"), path, body.as_bytes());
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"))
}

/// How often the app has stored, and what its disk's record says of the lease's counters.
fn stored(running: &Running) -> (Value, Value) {
    app_answer(running);
    let count = asked(running, "/store", "");
    let lease = asked(running, "/local/freehold/v1/leases/db/acquire", r#"{"wait_s": 20}"#);
    assert!(count["count"].is_u64() && lease["held"] == true, "{count} {lease}");
    (count["count"].clone(), lease["disk"]["state"].clone())
}

/// A counter that was raised; else the refusal's code.
fn raised(running: &Running) -> Value {
    let answer = asked(running, "/local/freehold/v1/counters/increment", r#"{"lease": "db", "counter": "batches"}"#);
    if answer["value"].is_u64() { answer["value"].clone() } else { answer["error"]["code"].clone() }
}

/// Keys are given of the scopes that the manifest lists, and of no other.
fn gives_keys_of_what_is_listed(running: &Running) {
    for (scope, is_given) in [("provider", true), ("app", true), ("instance", false)] {
        let wish = json!({ "key_id": "scoped", "kind": "raw-256", "scope": scope }).to_string();
        let answer = asked(running, "/local/freehold/v1/keys/generate", &wish);
        assert_eq!(
            (answer["key"].is_string(), answer["error"].is_object()),
            (is_given, !is_given),
            "{scope}: {answer}"
        );
    }
}

/// What the manifest lists holds: of keys, and of whom to reach, for the app's own connections and for the guest's fetch, which is
/// checked offline.
fn lists_hold(running: &Running, (dir, data): (&Path, &str), (listed, other): (u16, u16)) {
    gives_keys_of_what_is_listed(running);
    for (port, said) in [(listed, "200"), (other, "403")] {
        let out = asked(running, "/out", &format!("127.0.0.1:{port}"));
        assert!(out["said"].as_str().unwrap().contains(said) && out["direct"] == false, "{port}: {out}");
    }
    let pem = fs::read_to_string(dir.join("cert.pem")).unwrap();
    let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let fetch = |port: u16| {
        let ask = json!({ "url": format!("https://127.0.0.1:{port}/price"), "roots": [der] });
        asked(running, "/local/freehold/v1/fetch", &ask.to_string())
    };
    let fetched = fetch(listed);
    assert_eq!(fetched["record"]["status"], 200, "{fetched}");
    check_offline(dir, data, &fetched);
    assert_eq!(fetch(other)["error"]["code"], "egress_denied");
}

/// Whether the app's files are sealed where it keeps them.
fn has_encrypted_disk(running: &Running) -> Value {
    asked(running, "/local/freehold/v1/instance", "")["capabilities"]["encrypted_disk"].clone()
}

/// What a build says that instances show under a launcher.
pub(crate) fn printed(built: &Value, launcher: &str) -> Value {
    let backends = built["backends"].as_array().unwrap().iter();
    let mut found = backends.filter(|shown| shown["launcher"] == launcher && shown["machine"] == "emulated-tdx");
    found.next().unwrap_or_else(|| panic!("no {launcher} in {built}"))["measurement"].clone()
}

/// What a run measured before it was ready.
pub(crate) fn measured(running: &Running) -> Value {
    running.told.iter().find(|told| told["event"] == "measured").unwrap()["measurement"].clone()
}

/// The instance's key, once the rest of its answer is as it must be.
fn key(running: &Running) -> Value {
    let answer = app_answer(running);
    assert_eq!(answer["app"], running.ready["app_id"], "{answer}");
    assert_eq!((&answer["health"], &answer["greeting"]), (&Value::from(200), &Value::from("hello")), "{answer}");
    // No network, and no sight of the machine's.
    assert_eq!(answer["network"], 0, "{answer}");
    assert_eq!(asked(running, "/model", ""), json!({ "model": MODEL, "alone": true }));
    let key = answer["key"].clone();
    assert_eq!(key["key"].as_str().map(str::len), Some(64), "{answer}");
    key
}

#[test]
fn one_bundle_runs_alike_under_both_launchers_and_its_vm_keeps_state() {
    let dir = tempfile::tempdir().unwrap();
    let (Some(kernel), true, true) = (kernel(), sandbox_works(), certificate(dir.path())) else { return };
    let _turn = turn();
    let (listed, other) = (Server::start(dir.path()), Server::start(dir.path()));
    let ports = (listed.port, other.port);
    let (folder, data, package) = (dir.path().join("keyed"), dir.path().join("net"), kernel.to_str().unwrap());
    let (place, data) = (folder.to_str().unwrap(), data.to_str().unwrap());
    let [tls, http] = [free_address(), free_address()];
    let authority = Authority::start(dir.path(), port(&tls), port(&http));
    let ingress = authority.as_ref().map(|authority| authority.told(DOMAIN, "http-01")).unwrap_or_default();
    app(&folder, ("first", listed.port), &ingress);
    let models = folder.join(MODELS);
    let models = models.to_str().unwrap();
    let build = ["app", "build", place, "--kernel", package, "--models", models];
    let built = told(dir.path(), &build).unwrap();
    let _up = Running::start(&["up", "--no-app", "--validators", "1", "--rpc", "127.0.0.1:0", "--data-dir", data]);
    let run = ["app", "run", place, "--data-dir", data, "--api", "127.0.0.1:0", "--models", models, "--once"];
    let in_vm = [&run[..], &["--launcher", "qemu", "--kernel", package, "--accel", "tcg"]].concat();
    let again = [&in_vm[..], &["--keep-policy"]].concat();

    let direct = Running::start(&run);
    assert_eq!(measured(&direct), printed(&built, "direct"));
    let first = key(&direct);
    lists_hold(&direct, (dir.path(), data), ports);
    assert_eq!((&asked(&direct, "/store", "")["count"], has_encrypted_disk(&direct)), (&json!(1), json!(false)));
    direct.interrupt();

    // Without its owner's word the chain admits no other launcher.
    let refused = Running::try_start(&again).err().unwrap();
    assert!(!refused.status.success(), "{refused:?}");

    let begun = Instant::now();
    let vm = Running::start(&[&in_vm[..], &["--add-to-policy"]].concat());
    eprintln!("in the VM, from the command to a serving instance: {:?}", begun.elapsed());
    assert_eq!(measured(&vm), printed(&built, "qemu"));
    assert_eq!(key(&vm), first);
    lists_hold(&vm, (dir.path(), data), ports);
    local_api_is_not_the_hosts(&vm);
    assert_eq!((stored(&vm), has_encrypted_disk(&vm)), ((json!(1), json!("current")), json!(true)));
    assert_eq!(raised(&vm), 1);
    let begun = Instant::now();
    vm.interrupt();
    eprintln!("powered off in {:?}", begun.elapsed());
    let snapshot = dir.path().join("snapshot");
    let snapshot = snapshot.to_str().unwrap();
    told(dir.path(), &["app", "snapshot", place, snapshot, "--data-dir", data]).unwrap();

    // What was stored is there after a boot, with the disk's record beside it.
    let vm = Running::start(&[&again[..], &["--ingress", &tls, "--ingress-http", &http]].concat());
    tls_ends_in_the_vm(&vm, data);
    if let Some(authority) = &authority {
        certified_in_the_vm(authority, port(&tls), &vm);
    }
    assert_eq!(stored(&vm), (json!(2), json!("current")));
    assert_eq!(raised(&vm), 2);
    let busy = told(dir.path(), &["app", "snapshot", place, "again", "--data-dir", data]).unwrap_err();
    assert!(busy.contains("stop the app first"), "{busy}");
    vm.interrupt();

    // The older disk opens, on whatever machine it is brought to, and is noticed.
    told(dir.path(), &["app", "restore", snapshot, "keyed", "--data-dir", data]).unwrap();
    let vm = Running::start(&again);
    assert_eq!(stored(&vm), (json!(2), json!("behind")));
    assert_eq!(raised(&vm), "disk_behind");
    vm.interrupt();

    // The policy names both.
    let direct = Running::start(&[&run[..], &["--keep-policy"]].concat());
    assert_eq!((key(&direct), &asked(&direct, "/store", "")["count"]), (first, &json!(2)));
    direct.interrupt();

    what_does_not_open_is_left(&again, &dir.path().join("net/apps/keyed/state.disk"));

    another_model_is_not_run(&folder, [&build, &[&run[..], &["--keep-policy"]].concat()]);
    open_is_every_public_address(&folder, &[&in_vm[..], &["--state-disk", "new"]].concat(), listed.port);

    app(&folder, ("other", listed.port), &ingress);
    let refused = Running::try_start(&[&again[..], &["--state-disk", "new"]].concat()).err().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("the chain refused the registration"), "{said}");
    // The disk that was refused is beside the new one, and so are those whose place the snapshot and the open app's took.
    assert!(
        ["1", "2", "3"].iter().all(|number| dir.path().join(format!("net/apps/keyed/state.disk.{number}")).is_file())
    );
}

/// A disk whose header was changed is no new one: it is told what it is, and nothing of it is written to.
fn what_does_not_open_is_left(command: &[&str], path: &Path) {
    let disk = fs::File::options().read(true).write(true).open(path).unwrap();
    for place in [40, 64 * 1024 + 40] {
        let mut byte = [0];
        disk.read_exact_at(&mut byte, place).unwrap();
        disk.write_all_at(&[byte[0] ^ 1], place).unwrap();
    }
    let before = fs::read(path).unwrap();
    let refused = Running::try_start(command).err().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("disk_sealed") && said.contains("--state-disk new"), "{said}");
    assert!(fs::read(path).unwrap() == before);
}

/// Another model is not run under this one's name, by neither launcher.
fn another_model_is_not_run(folder: &Path, commands: [&[&str]; 2]) {
    let file = folder.join(MODELS).join("m.bin");
    fs::write(&file, "what somebody else learned").unwrap();
    for command in commands {
        let refused = told(folder, command).unwrap_err();
        assert!(refused.contains("m.bin is another file than"), "{refused}");
    }
    fs::write(&file, MODEL).unwrap();
}

/// Without a list the app reaches public addresses through the gate, and nothing of this machine; past it, nobody.
fn open_is_every_public_address(folder: &Path, command: &[&str], listed: u16) {
    let manifest = folder.join("rofl.yaml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replace(&format!("['127.0.0.1:{listed}']"), "open")).unwrap();
    let vm = Running::start(command);
    app_answer(&vm);
    for inside in [format!("127.0.0.1:{listed}"), format!("localhost:{listed}"), "10.0.0.1:443".to_owned()] {
        let out = asked(&vm, "/out", &inside);
        assert!(out["said"].as_str().unwrap().contains("403") && out["direct"] == false, "{inside}: {out}");
    }
    // An address of nobody's: the gate lets it through, wherever this machine's network leads.
    let out = asked(&vm, "/out", "192.0.1.1:443");
    let said = out["said"].as_str().unwrap();
    assert!(["200", "502", "504"].iter().any(|status| said.contains(status)) && out["direct"] == false, "{out}");
    vm.interrupt();
}

/// The domain is certified from inside the VM, for clients that know nothing of Freehold: the authority is the image's to name, and
/// no list has it.
fn certified_in_the_vm(authority: &Authority, tls_port: u16, vm: &Running) {
    let begun = Instant::now();
    let mut answer = Vec::new();
    until("the domain is certified", || {
        let output = authority.curl((DOMAIN, tls_port), "/");
        answer = output.stdout;
        output.status.success()
    });
    eprintln!("certified in the VM after {:?}", begun.elapsed());
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["app"], vm.ready["app_id"], "{answer}");
}

/// A verified instance answers over a connection whose key its quote bound.
fn tls_ends_in_the_vm(vm: &Running, data: &str) {
    let (app, ingress) = (vm.text("app_id"), vm.text("ingress"));
    let words = ["proxy", "--app", &app, "--ingress", &ingress, "--listen", "127.0.0.1:0", "--data-dir", data];
    let proxy = Running::start(&words);
    let address = proxy.text("proxy");
    // Under software emulation a first handshake may take longer than the proxy waits.
    let mut inside = String::new();
    until("the VM answers over TLS", || {
        inside = post_path(address.trim_start_matches("http://"), "/local/freehold/v1/instance", b"");
        !inside.is_empty()
    });
    let inside: Value = serde_json::from_str(&inside).unwrap_or_else(|error| panic!("{error}: {inside}"));
    assert_eq!(inside["instance_id"], proxy.text("instance_id"), "{inside}");
    proxy.interrupt();
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
