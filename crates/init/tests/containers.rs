//! Containers in the VM, booted in software: a job, a service that waits for it, its user, its storage, and what is told of them.
//!
//! Needs `qemu-system-x86_64`, `dpkg-deb`, `runc`, `rustc`, the pinned kernel package, which `FREEHOLD_KERNEL_PACKAGE` names, and
//! `freehold-containers` beside PID 1, which `cargo test --workspace` builds.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::{
    env, fs,
    io::Read as _,
    os::unix::{fs::FileExt as _, net::UnixListener},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use freehold_image::{
    Accel, AppIngress, AppStart, AppStorage, HostPort, Image, ImageParts, KernelFiles, Node, NodeKind, Program,
    QemuLaunch, RestartRule, RunError, StartKind, StateLayout, StorageRule, Tree, VmShape, run_vm,
};
use freehold_primitives::{Digest, Register};
use serde_json::{Value, json};

/// Longest run of one VM.
const LIMIT: Duration = Duration::from_secs(300);
/// Users of containers in a VM (`spec/vm-image.md` §12).
const USERS_FIRST: u32 = 0x4000_0000;
/// Digest of the one image.
const IMAGE: [u8; 32] = [0xee; 32];
/// The app's storage.
const STORAGE: AppStorage = AppStorage { kind: StorageRule::DiskPersistent, mib: 16 };

/// What a VM with containers is made of.
struct Ready {
    kernel: KernelFiles,
    runc: PathBuf,
    runner: PathBuf,
}

/// All that is needed, or a loud skip.
fn ready() -> Option<Ready> {
    let has = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    let folders = env::var_os("PATH").unwrap_or_default();
    let runc = env::split_paths(&folders).map(|folder| folder.join("runc")).find(|file| file.is_file());
    let runner = Path::new(env!("CARGO_BIN_EXE_freehold-init")).with_file_name("freehold-containers");
    match (env::var_os("FREEHOLD_KERNEL_PACKAGE"), runc) {
        (Some(package), Some(runc)) if runner.is_file() && has("qemu-system-x86_64") && has("dpkg-deb") => {
            Some(Ready { kernel: KernelFiles::read(package.as_ref()).unwrap(), runc, runner })
        }
        _ => {
            eprintln!(
                "SKIPPED: no VM with containers is booted: something that the head of this file names is missing"
            );
            None
        }
    }
}

/// The program of the image: static, so that the image holds nothing else.
fn program(dir: &Path) -> Vec<u8> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/contained.rs");
    let output = dir.join("contained");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "--target", "x86_64-unknown-linux-gnu"]);
    assert!(rustc.arg(source).arg("-o").arg(&output).status().unwrap().success(), "the program compiles");
    fs::read(output).unwrap()
}

fn service(word: &str, user: &str, waits_for: Value) -> Value {
    json!({
        "image": Digest(IMAGE), "command": ["/bin/contained", word], "environment": { "SAID": "in the plan" }, "owned": {},
        "user": user, "working_dir": "/", "mounts": [{ "source": "data", "target": "/data", "is_read_only": false }],
        "is_read_only": false, "limits": { "memory_bytes": 64 << 20, "cpu_milli": 1_000, "processes": 32 },
        "depends_on": waits_for, "health": null, "restart": "no", "grace_ms": 2_000, "has_local_api": false
    })
}

fn beside(program: Vec<u8>) -> Tree {
    let job = service("write", "web", json!({}));
    let look = service("look", "web", json!({ "job": "completed" }));
    let plan = json!({
        "services": { "job": job, "look": look }, "memory_bytes": 128 << 20, "network": "alone",
        "storage": ["disk-persistent", 16 << 20], "ports": [], "is_sealed": false
    });
    let mut tree = Tree::new();
    tree.file("containers/plan.json", plan.to_string().into_bytes(), false).unwrap();
    let sockets = json!({ "services": [], "environments": [] });
    tree.file("containers/sockets.json", sockets.to_string().into_bytes(), false).unwrap();
    let image = format!("images/{}", Digest(IMAGE));
    let folder = |mode| Node { kind: NodeKind::Folder, mode, uid: USERS_FIRST, gid: USERS_FIRST };
    let file = |data: &[u8], mode| Node { kind: NodeKind::File(data.to_vec()), ..folder(mode) };
    let users = "root:x:0:0::/root:/\nweb:x:33:34::/var/www:/\n";
    let nodes = [
        ("", folder(0o755)),
        ("/bin", folder(0o755)),
        ("/bin/contained", file(&program, 0o755)),
        ("/etc", folder(0o755)),
        ("/etc/passwd", file(users.as_bytes(), 0o644)),
        ("/secret", Node { uid: USERS_FIRST + 33, ..file(b"of web", 0o400) }),
        ("/roots", file(b"of root", 0o400)),
    ];
    for (path, node) in nodes {
        tree.add(&format!("{image}{path}"), node).unwrap();
    }
    tree
}

fn image(ready: Ready, dir: &Path) -> Image {
    let init = Path::new(env!("CARGO_BIN_EXE_freehold-init"));
    let keeper = init.with_file_name("examples").join("keeper");
    let placed = |file: &Path, place: &str| Program { file: file.to_owned(), place: place.to_owned() };
    let words = "/bin/freehold-containers /containers/plan.json /images /run/freehold/app /storage \
                 /models /run/freehold/egress.sock /bin/freehold-guest /run/containers";
    let parts = ImageParts {
        kernel: ready.kernel,
        programs: vec![placed(init, "init"), placed(&keeper, "agent")],
        system: vec![placed(&ready.runner, "bin/freehold-containers"), placed(&ready.runc, "bin/runc")],
        files: Tree::new(),
        beside: beside(program(dir)),
        start: AppStart {
            app: Digest([0xab; 32]),
            event: Register([0xcd; 48]),
            kind: StartKind::Containers,
            command: words.split(' ').map(str::to_owned).collect(),
            environment: Vec::new(),
            memory_mib: None,
            open_files: None,
            processes: None,
            file_mib: None,
            restart: RestartRule::Never,
            storage: STORAGE,
            proxy: None,
            ingress: AppIngress::default(),
            models: Vec::new(),
            scopes: Vec::new(),
        },
        models: None,
    };
    Image::build(parts).unwrap()
}

#[test]
fn containers_of_the_measured_disk_run_in_order_as_their_users_and_end_the_vm() {
    let Some(ready) = ready() else { return };
    let dir = tempfile::tempdir().unwrap();
    let image = image(ready, dir.path());
    let state = dir.path().join("state.disk");
    let disk = fs::File::options().read(true).write(true).create_new(true).open(&state).unwrap();
    disk.set_len(StateLayout::new(STORAGE.state_mib()).unwrap().disk_bytes()).unwrap();
    disk.write_all_at(&[2, 0x5a], 0).unwrap();
    let names = ["freehold.link", "freehold.out", "freehold.err"];
    let ports = names.map(|name| HostPort { name, socket: dir.path().join(name) });
    let _link = UnixListener::bind(&ports[0].socket).unwrap();
    let words = [&ports[1], &ports[2]].map(|port| {
        let listener = UnixListener::bind(&port.socket).unwrap();
        thread::spawn(move || {
            let mut said = String::new();
            let _ = listener.accept().unwrap().0.read_to_string(&mut said);
            said
        })
    });
    let folder = dir.path().join("image");
    image.write(&folder).unwrap();
    let launch = QemuLaunch {
        accel: &Accel::Tcg,
        shape: VmShape::new(1, 1024).unwrap(),
        image: &folder,
        line: &image.line,
        ports: &ports,
        state: Some(&state),
    };
    let console = match run_vm(&launch, LIMIT) {
        Ok(ran) => {
            eprintln!("containers in the VM, from boot to power off: {:?}, disk {} bytes", ran.took, image.disk.len());
            ran.console
        }
        Err(RunError::TimedOut(_, console)) => console,
        Err(error) => panic!("{error}"),
    };
    let [output, errors] = words.map(|thread| thread.join().unwrap());
    let told = format!("{console}\n{output}\n{errors}");
    assert!(console.contains("freehold: app ended with 21"), "{told}");
    let events: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |service: &str| -> Vec<&str> {
        let said = events.iter().map(|event| &event["said"]).filter(|said| said["service"] == service);
        said.filter_map(|said| said["line"].as_str()).collect()
    };
    assert_eq!(said("job"), ["written"], "{told}");
    let expect = [
        "uid 33",
        "said in the plan",
        "kept by the job",
        "secret of web",
        "root refused",
        "disk refused",
        "agent refused",
    ];
    assert_eq!(said("look"), expect, "{told}");
    let ended = |code: i64| events.iter().position(|event| event["exited"]["code"] == code);
    assert!(ended(0).unwrap() < ended(21).unwrap(), "{told}");
}
