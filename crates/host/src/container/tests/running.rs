//! Containers that run.

use std::{
    fs,
    io::Write as _,
    net::TcpListener as StdListener,
    os::unix::net::UnixListener as StdUnixListener,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use freehold_containers::ContainerBackend;
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt as _,
    net::UnixStream,
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};

use super::{super::ContainerApp, app, program};
use crate::{HostError, HostEvent, IsolationChoice, bundle::model_files};

const MANIFEST: &str = "resources: {memory: 128, cpus: 2, storage: {kind: disk-persistent, size: 16}}\n";

/// The model file `m.bin`, for manifests that name it.
const MODEL: &str = "weights of the model";

/// Longest trial of a container.
const TRIAL_WAIT: Duration = Duration::from_secs(10);

/// Whether containers can run here, tried once; where not, says so loudly.
pub(super) fn runs_here() -> bool {
    static FAULT: OnceLock<Option<String>> = OnceLock::new();
    // A runtime of its own, on a thread of its own: tests have theirs.
    let fault = FAULT.get_or_init(|| {
        let tried = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(trial())
        });
        tried.join().unwrap().err().map(|error| error.to_string())
    });
    if let Some(fault) = fault {
        eprintln!(
            "SKIPPED: containers do not run here (they need root and `runc`, Debian: `apt-get install runc`): {fault}"
        );
    }
    fault.is_none()
}

async fn trial() -> Result<(), HostError> {
    let dir = tempfile::tempdir().unwrap();
    let compose = "services: {a: {image: 'IMAGE', command: [exit, '0']}}\n";
    let bundle = app(dir.path(), program(), "resources: {memory: 64, cpus: 1}\n", compose);
    let app =
        ContainerApp::new(&bundle, dir.path(), Vec::new(), IsolationChoice::Required, &ContainerBackend::default())?;
    app.try_out(TRIAL_WAIT).await
}

/// A host's surroundings of an app of containers.
pub(super) struct Ground {
    dir: TempDir,
    pub(super) app: ContainerApp,
    events: mpsc::UnboundedSender<HostEvent>,
    heard: mpsc::UnboundedReceiver<HostEvent>,
    pub(super) stop: watch::Sender<bool>,
    stopping: watch::Receiver<bool>,
    _local: Vec<StdUnixListener>,
}

impl Ground {
    fn new(compose: &str) -> Self {
        Self::with(MANIFEST, |_| compose.to_owned())
    }

    fn with(manifest: &str, compose: impl Fn(&Path) -> String) -> Self {
        Self::on(&ContainerBackend::default(), manifest, compose)
    }

    pub(super) fn on(backend: &ContainerBackend, manifest: &str, compose: impl Fn(&Path) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let bundle = app(dir.path(), program(), manifest, &compose(dir.path()));
        fs::write(dir.path().join("m.bin"), MODEL).unwrap();
        let models = model_files(&bundle, Some(dir.path())).unwrap();
        let app = ContainerApp::new(&bundle, dir.path(), models, IsolationChoice::Required, backend).unwrap();
        fs::create_dir(dir.path().join("sockets")).unwrap();
        // The sockets that a guest would have made.
        let folder = dir.path().join("sockets");
        let local = app.containers.sockets(&folder).map(|path| StdUnixListener::bind(path).unwrap()).collect();
        let (events, heard) = mpsc::unbounded_channel();
        let (stop, stopping) = watch::channel(false);
        Self { dir, app, events, heard, stop, stopping, _local: local }
    }

    fn sockets(&self) -> PathBuf {
        self.dir.path().join("sockets")
    }

    /// Runs until every service has ended, and gives the exit code and what was told.
    async fn run(&mut self) -> (Option<i32>, Vec<HostEvent>) {
        let sockets = self.sockets();
        let run = super::super::run(&self.app, &sockets, &self.events, &self.stopping);
        let code = timeout(Duration::from_secs(60), run).await.unwrap().unwrap();
        // Lines are passed on by tasks of their own.
        sleep(Duration::from_millis(200)).await;
        let mut told = Vec::new();
        while let Ok(event) = self.heard.try_recv() {
            told.push(event);
        }
        (code, told)
    }

    /// Begins to run in the background.
    pub(super) fn begin(&self) -> tokio::task::JoinHandle<Result<Option<i32>, HostError>> {
        let (app, sockets) = (self.app.clone(), self.sockets());
        let (events, stopping) = (self.events.clone(), self.stopping.clone());
        tokio::spawn(async move {
            let ended = super::super::run(&app, &sockets, &events, &stopping).await;
            // Who waits for what it tells would not hear that it ended.
            if let Err(error) = &ended {
                eprintln!("the containers do not run: {error}");
            }
            ended
        })
    }

    pub(super) async fn hear(&mut self, wanted: impl Fn(&HostEvent) -> bool) -> HostEvent {
        let find = async {
            loop {
                let event = self.heard.recv().await.unwrap();
                if wanted(&event) {
                    return event;
                }
            }
        };
        timeout(Duration::from_secs(30), find).await.unwrap()
    }

    /// What the app's API says to whoever connects.
    async fn ask(&self) -> Option<String> {
        let mut stream = UnixStream::connect(self.sockets().join("app.sock")).await.ok()?;
        let mut said = String::new();
        timeout(Duration::from_secs(5), stream.read_to_string(&mut said)).await.ok()?.ok()?;
        Some(said).filter(|said| !said.is_empty())
    }

    pub(super) async fn answer(&self) -> String {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            match self.ask().await {
                Some(said) => return said,
                None => assert!(Instant::now() < end, "no answer"),
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Nothing of the app's containers is left on the machine.
    pub(super) fn check_gone(&self) {
        assert!(self.app.containers.running().is_empty());
        let run = self.app.containers.run_folder().to_owned();
        assert!(!run.exists(), "{}", run.display());
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let name = run.file_name().unwrap().to_str().unwrap();
        assert!(!mounts.contains(name), "{mounts}");
        for tree in ["", "memory", "pids"] {
            assert!(!Path::new("/sys/fs/cgroup").join(tree).join(name).exists(), "{tree}");
        }
    }
}

/// Lines that a service said.
pub(super) fn lines<'a>(told: &'a [HostEvent], wanted: &str) -> Vec<&'a str> {
    let said = told.iter().filter_map(|event| match event {
        HostEvent::AppLog { service, line, .. } if service.as_deref() == Some(wanted) => Some(line.as_str()),
        _ => None,
    });
    said.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_sees_what_its_compose_file_says_and_nothing_else() {
    if !runs_here() {
        return;
    }
    let compose = "services:\n  one:\n    image: IMAGE\n    command: [look, a, 'b c']\n    user: web\n    working_dir: /etc\n    \
                   environment: {WORD: said}\n    read_only: true\n    tmpfs: /tmp\n    \
                   volumes: ['/run/rofl-appd.sock:/run/rofl-appd.sock']\n  \
                   two:\n    image: IMAGE\n    command: [look]\n    tmpfs: [/tmp]\n";
    let mut ground = Ground::new(compose);
    let (code, told) = ground.run().await;
    assert_eq!(code, Some(0), "{told:?}");
    let one = [
        "args [\"a\", \"b c\"]",
        "cwd /etc",
        "WORD=said",
        "FROM_IMAGE=said",
        "HOME=/var/www",
        "FREEHOLD_LOCAL_API=/run/rofl-appd.sock",
        "Uid: 33",
        "Gid: 34",
        "CapEff: 0000000000000000",
        "NoNewPrivs: 1",
        "Seccomp: 2",
        "/run/rofl-appd.sock true",
        "/run/freehold true",
        "root read-only",
        "tmp writable",
    ];
    assert_eq!(lines(&told, "one"), one, "{told:?}");
    let two = lines(&told, "two");
    for expect in ["FREEHOLD_LOCAL_API=", "Uid: 0", "/run/rofl-appd.sock false", "/run/freehold false", "root writable"]
    {
        assert!(two.contains(&expect), "{two:?}");
    }
    // CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID, NET_BIND_SERVICE.
    assert!(two.contains(&"CapEff: 00000000000004eb"), "{two:?}");
    ground.check_gone();
}

#[tokio::test(flavor = "multi_thread")]
async fn services_wait_for_health_and_jobs_and_find_one_another_by_name() {
    if !runs_here() {
        return;
    }
    let compose = "services:\n  front:\n    image: IMAGE\n    command: [check, 'store:6379']\n    depends_on:\n      \
                   store: {condition: service_healthy}\n      job: {condition: service_completed_successfully}\n  \
                   job:\n    image: IMAGE\n    command: [say, migrated]\n  \
                   store:\n    image: IMAGE\n    command: [store, '6379']\n    ports: ['6379:6379']\n    \
                   volumes: ['data:/data']\n    restart: always\n    \
                   healthcheck: {test: [CMD, /bin/program, check, '127.0.0.1:6379'], interval: 1s}\nvolumes: {data: }\n";
    let mut ground = Ground::new(compose);
    let running = ground.begin();
    let begun = Instant::now();
    ground
        .hear(|event| matches!(event, HostEvent::ServiceHealth { service, is_healthy: true } if service == "store"))
        .await;
    ground.hear(|event| matches!(event, HostEvent::ServiceStarted { service, .. } if service == "front")).await;
    let ended =
        ground.hear(|event| matches!(event, HostEvent::ServiceExited { service, .. } if service == "front")).await;
    assert!(matches!(ended, HostEvent::ServiceExited { code: Some(0), restart_in: None, .. }), "{ended:?}");
    eprintln!("a healthy dependency and its dependent: {:?}", begun.elapsed());
    assert_eq!(ground.answer().await, "1");
    // A killed container comes again, with its volume.
    let state = ground.dir.path().join("containers/state");
    let killed = Command::new("runc").arg("--root").arg(&state).args(["kill", "store", "KILL"]).status().unwrap();
    assert!(killed.success());
    ground.hear(|event| matches!(event, HostEvent::ServiceStarted { service, .. } if service == "store")).await;
    assert_eq!(ground.answer().await, "2");
    ground.stop.send_replace(true);
    let begun = Instant::now();
    timeout(Duration::from_secs(20), running).await.unwrap().unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    ground.check_gone();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_and_a_limit_of_restarts_end_what_waits_for_them() {
    if !runs_here() {
        return;
    }
    let compose = "services:\n  front:\n    image: IMAGE\n    command: [say, never]\n    \
                   depends_on: {job: {condition: service_completed_successfully}}\n  \
                   job:\n    image: IMAGE\n    command: [exit, '3']\n    restart: 'on-failure:1'\n";
    let mut ground = Ground::new(compose);
    let (code, told) = ground.run().await;
    let exits = told.iter().filter(|event| matches!(event, HostEvent::ServiceExited { code: Some(3), .. })).count();
    assert_eq!((code, exits), (Some(3), 2), "{told:?}");
    assert!(!told.iter().any(|event| matches!(event, HostEvent::ServiceStarted { service, .. } if service == "front")));
    assert!(told.iter().any(|event| matches!(event, HostEvent::Trouble { message } if message.contains("job"))));
    ground.check_gone();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_kills_what_does_not_end_and_a_crash_leaves_nothing_for_long() {
    if !runs_here() {
        return;
    }
    let compose = "services:\n  one: {image: IMAGE, command: [stubborn], stop_grace_period: 300ms}\n";
    let mut ground = Ground::new(compose);
    let running = ground.begin();
    ground.hear(|event| matches!(event, HostEvent::ServiceStarted { .. })).await;
    sleep(Duration::from_millis(500)).await;
    // The host dies: its tasks are gone, its containers and mounts are not.
    running.abort();
    let _ = running.await;
    sleep(Duration::from_millis(300)).await;
    assert!(!ground.app.containers.running().is_empty(), "the crash leaves containers");
    // Its successor ends them before it starts its own.
    let running = ground.begin();
    ground.hear(|event| matches!(event, HostEvent::ServiceStarted { .. })).await;
    sleep(Duration::from_millis(500)).await;
    let containers = ground.app.containers.running();
    assert_eq!(containers.len(), 2, "the holder and one service: {containers:?}");
    let begun = Instant::now();
    ground.stop.send_replace(true);
    timeout(Duration::from_secs(20), running).await.unwrap().unwrap().unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300) && begun.elapsed() < Duration::from_secs(8));
    ground.check_gone();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_container_is_stopped_at_each_attempt() {
    if !runs_here() {
        return;
    }
    // What it must not reach: a file that everybody on the machine may read, a port and a socket of the machine.
    let secret = tempfile::Builder::new().prefix("fh-secret-").tempdir_in("/var/tmp").unwrap();
    let file = secret.path().join("secret");
    fs::write(&file, "of the machine").unwrap();
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let socket = StdUnixListener::bind(secret.path().join("socket")).unwrap();
    std::thread::spawn(move || socket.incoming().for_each(|stream| drop(stream.unwrap().write_all(b"of the machine"))));
    let compose = format!(
        "services:\n  probe:\n    image: IMAGE\n    command: [probe]\n    pids_limit: 64\n    tmpfs: /tmp\n    \
         environment:\n      SECRET: {}\n      LISTENER: '{}'\n      HOST_SOCKET: {}\n    \
         volumes: ['/run/rofl-appd.sock:/run/rofl-appd.sock', 'data:/data']\n  \
         hog: {{image: IMAGE, command: [hog], mem_limit: 32m}}\nvolumes: {{data: }}\n",
        file.display(),
        listener.local_addr().unwrap(),
        secret.path().join("socket").display(),
    );
    let mut ground = Ground::with(MANIFEST, |_| compose.clone());
    let (_, told) = ground.run().await;
    let said = lines(&told, "probe");
    assert!(said.contains(&"done"), "{said:?}");
    let escaped: Vec<_> = said.iter().filter(|line| line.starts_with("ESCAPED")).collect();
    assert!(escaped.is_empty(), "{escaped:?}");
    assert!(said.iter().filter(|line| line.starts_with("stopped")).count() > 55, "{said:?}");
    assert!(lines(&told, "hog").is_empty(), "memory is bounded");
    let exit = told.iter().find(|event| matches!(event, HostEvent::ServiceExited { service, .. } if service == "hog"));
    assert!(matches!(exit, Some(HostEvent::ServiceExited { code: Some(137) | None, .. })), "{exit:?}");
    // The socket that it put a link to one of the machine's in place of was not followed.
    assert_eq!(ground.ask().await, None);
    assert_eq!(fs::read_to_string(&file).unwrap(), "of the machine");
    ground.check_gone();
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_reach_what_their_list_names_and_through_the_gate_alone() {
    if !runs_here() {
        return;
    }
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let other = StdListener::bind("127.0.0.1:0").unwrap();
    let (at, other_at) = (listener.local_addr().unwrap(), other.local_addr().unwrap());
    for listener in [listener, other] {
        std::thread::spawn(move || {
            listener.incoming().for_each(|stream| drop(stream.unwrap().write_all(b"of the machine")));
        });
    }
    let compose = format!(
        "services:\n  one:\n    image: IMAGE\n    command: [through, '{at}', '{other_at}', 'localhost:{}']\n",
        at.port()
    );
    let manifest = format!("{MANIFEST}freehold: {{egress: ['{at}', 'localhost:{}']}}\n", at.port());
    let mut ground = Ground::with(&manifest, |_| compose.clone());
    let (code, told) = ground.run().await;
    assert_eq!(code, Some(0));
    assert_eq!(lines(&told, "one"), ["stopped 200 of the machine", "stopped 403 not_listed", "stopped 403 not_public"]);
    ground.check_gone();
}

#[tokio::test]
async fn a_link_in_place_of_an_apps_socket_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let _machine = StdUnixListener::bind(dir.path().join("machine.sock")).unwrap();
    assert!(freehold_rpc::connect_plain(&dir.path().join("machine.sock")).await.is_ok());
    std::os::unix::fs::symlink(dir.path().join("machine.sock"), dir.path().join("app.sock")).unwrap();
    assert!(freehold_rpc::connect_plain(&dir.path().join("app.sock")).await.is_err());
    fs::write(dir.path().join("file"), "").unwrap();
    assert!(freehold_rpc::connect_plain(&dir.path().join("file")).await.is_err());
}

#[tokio::test]
async fn a_trial_tells_what_a_container_came_to() {
    if !runs_here() {
        return;
    }
    for (command, limit, told) in [("[exit, '3']", 10, "ended with Some(3)"), ("[stubborn]", 1, "did not end within")] {
        let dir = tempfile::tempdir().unwrap();
        let compose = format!("services: {{a: {{image: 'IMAGE', command: {command}, restart: 'no'}}}}\n");
        let bundle = app(dir.path(), program(), "resources: {memory: 64, cpus: 1}\n", &compose);
        let backend = ContainerBackend::default();
        let app = ContainerApp::new(&bundle, dir.path(), Vec::new(), IsolationChoice::Required, &backend).unwrap();
        let error = app.try_out(Duration::from_secs(limit)).await.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert!(app.containers.running().is_empty());
    }
}
