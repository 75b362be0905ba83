//! The same containers on each backend that is here: the plan, the limits, the network, restarts, and what a crash leaves.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use freehold_containers::{ContainerBackend, OciRuntime};

use super::{
    running::{Ground, lines, runs_here},
    *,
};
use crate::HostEvent;

const MANIFEST: &str = "resources: {memory: 256, cpus: 2, storage: {kind: disk-persistent, size: 16}}\n\
                        freehold: {models: [{name: m.bin, sha256: ffef5ec7c636aae5274e3fa2b2f288981d9e10971df9198fe1d005d7397aec4e}]}\n";
const COMPOSE: &str = "services:\n  front:\n    image: IMAGE\n    command: [check, 'store:6379']\n    depends_on:\n      \
                       store: {condition: service_healthy}\n  store:\n    image: IMAGE\n    command: [store, '6379']\n    \
                       ports: ['6379:6379']\n    volumes: ['data:/data']\n    restart: always\n    \
                       healthcheck: {test: [CMD, /bin/program, check, '127.0.0.1:6379'], interval: 1s}\n  \
                       user:\n    image: IMAGE\n    command: [look, a, 'b c']\n    user: web\n    read_only: true\n    \
                       tmpfs: /tmp\n    environment: {WORD: said}\n  \
                       hog: {image: IMAGE, command: [hog], mem_limit: 64m}\nvolumes: {data: }\n";

/// A containerd of this test's own, until it is dropped.
struct OwnContainerd {
    child: Child,
    dir: TempDir,
}

impl Drop for OwnContainerd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl OwnContainerd {
    /// Starts one; where it is missing, says so loudly.
    fn start() -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let text = format!(
            "version = 2\nroot = '{}'\nstate = '{}'\ndisabled_plugins = ['io.containerd.grpc.v1.cri', \
             'io.containerd.internal.v1.opt']\n[grpc]\naddress = '{}'\n[ttrpc]\naddress = '{}'\n",
            at("root"),
            at("state"),
            at("c.sock"),
            at("t.sock")
        );
        fs::write(dir.path().join("config.toml"), text).unwrap();
        let mut command = Command::new("containerd");
        command.arg("--config").arg(dir.path().join("config.toml"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let Ok(child) = child else {
            eprintln!("SKIPPED: needs containerd (Debian: `apt-get install containerd`), which is missing here");
            return None;
        };
        let containerd = Self { child, dir };
        let backend = containerd.backend();
        let end = Instant::now() + Duration::from_secs(20);
        while backend.check().is_err() {
            assert!(Instant::now() < end, "containerd does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(containerd)
    }

    fn backend(&self) -> ContainerBackend {
        ContainerBackend::Containerd(self.dir.path().join("c.sock"))
    }
}

/// The containers run as their compose file says.
async fn run_as_said(backend: &ContainerBackend, isolation: &str) {
    let mut ground = Ground::on(backend, MANIFEST, |_| COMPOSE.to_owned());
    assert_eq!(ground.app.isolation().as_str(), isolation);
    let running = ground.begin();
    let mut told = Vec::new();
    let begun = Instant::now();
    while !told.iter().any(|event| matches!(event, HostEvent::ServiceExited { service, .. } if service == "front")) {
        told.push(ground.hear(|_| true).await);
    }
    eprintln!("{isolation}: a healthy dependency and its dependent: {:?}", begun.elapsed());
    let exit = |wanted: &str| {
        told.iter().find_map(|event| match event {
            HostEvent::ServiceExited { service, code, .. } if service == wanted => Some(*code),
            _ => None,
        })
    };
    assert_eq!(exit("front"), Some(Some(0)), "{told:?}");
    assert!(matches!(exit("hog"), Some(Some(1..) | None)), "memory is bounded: {told:?}");
    assert!(lines(&told, "hog").is_empty(), "memory is bounded: {told:?}");
    let user = lines(&told, "user");
    for expect in [
        "args [\"a\", \"b c\"]",
        "WORD=said",
        "Uid: 33",
        "Gid: 34",
        "CapEff: 0000000000000000",
        "root read-only",
        "/models/m.bin in /models: weights of the model, read-only",
    ] {
        assert!(user.contains(&expect), "{expect}: {user:?}");
    }
    // A port leads in from outside, and a killed container comes again with its volume.
    assert_eq!(ground.answer().await, "1");
    ground.app.containers.signal("store", "KILL").await;
    ground.hear(|event| matches!(event, HostEvent::ServiceStarted { service, .. } if service == "store")).await;
    assert_eq!(ground.answer().await, "2");
    // The host dies; its successor ends what it left before it starts its own.
    running.abort();
    let _ = running.await;
    assert!(ground.app.containers.running().contains(&"store".to_owned()), "the crash leaves containers");
    let running = ground.begin();
    ground.hear(|event| matches!(event, HostEvent::ServiceStarted { service, .. } if service == "store")).await;
    assert_eq!(ground.answer().await, "3");
    ground.stop.send_replace(true);
    tokio::time::timeout(Duration::from_secs(20), running).await.unwrap().unwrap().unwrap();
    ground.check_gone();
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_are_tasks_of_a_containerd() {
    if !runs_here() {
        return;
    }
    let Some(containerd) = OwnContainerd::start() else { return };
    run_as_said(&containerd.backend(), "runc").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_run_under_gvisor() {
    if !runs_here() {
        return;
    }
    let backend = ContainerBackend::Direct("runsc".parse::<OciRuntime>().unwrap());
    if let Err(error) = backend.check() {
        eprintln!("SKIPPED: {error}");
        return;
    }
    run_as_said(&backend, "runsc").await;
}
