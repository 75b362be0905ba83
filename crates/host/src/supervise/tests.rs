//! Tests of supervision with shell scripts for programs.
#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use freehold_bundle::{Ingress, Limits, Restart};
use freehold_crypto::AccountKey;
use freehold_primitives::Digest;
use freehold_rpc::NodeClient;
use tokio::{
    net::UnixListener,
    sync::{mpsc, watch},
    time::{Instant, timeout},
};

use super::Supervisor;
use crate::{
    AppFiles, AppFolder, AppProgram, BundledProgram, GuestProgram, HostEvent, IsolationChoice, Reach,
    control::Control,
    payer::Payer,
    sandbox::{Confiner, Isolation},
};

struct Running {
    events: mpsc::UnboundedReceiver<HostEvent>,
    stopping: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

/// Supervises a guest and an app that are shell scripts; the guest's arguments end in `--config FILE`.
fn supervise(dir: &Path, guest: &str, app: &str) -> Running {
    supervise_with(dir, (guest, app), None)
}

fn supervise_with(dir: &Path, (guest, app): (&str, &str), bundle: Option<BundledProgram>) -> Running {
    let shell = |script: &str| vec!["-c".to_owned(), script.to_owned()];
    let (sender, events) = mpsc::unbounded_channel();
    let (stopping, stop) = watch::channel(false);
    let node = NodeClient::new("http://127.0.0.1:1".parse().unwrap());
    let control = Control {
        hardware: None,
        instance: Mutex::new(None),
        instance_file: dir.join("instance"),
        provider: Payer::new(node.clone(), AccountKey::from_bytes(&[1; 32]).unwrap(), 1),
        node,
        allowance_wei: 0,
        events: sender.clone(),
        route: None,
    };
    let supervisor = Supervisor {
        guest: GuestProgram { executable: "/bin/sh".into(), arguments: shell(guest) },
        guest_config: dir.join("guest.json"),
        app: AppProgram {
            executable: "/bin/sh".into(),
            arguments: shell(app),
            environment: Vec::new(),
            model: None,
            isolation: IsolationChoice::None,
            bundle,
        }
        .into(),
        isolation: Isolation::None,
        confiner: Confiner::of(Path::new("/bin/false")),
        dir: dir.to_owned(),
        app_dir: dir.to_owned(),
        control: Arc::new(control),
        events: sender,
        stopping: stop,
        ready: watch::channel(false).0,
    };
    Running { events, stopping, task: tokio::spawn(supervisor.run()) }
}

async fn next(events: &mut mpsc::UnboundedReceiver<HostEvent>) -> HostEvent {
    timeout(Duration::from_secs(10), events.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn killed_processes_are_started_again_and_a_stop_ends_them() {
    let dir = tempfile::tempdir().unwrap();
    // The guest's socket, which the app waits for.
    let _local = UnixListener::bind(dir.path().join("local.sock")).unwrap();
    let mut running = supervise(dir.path(), "exec sleep 1000", "exec sleep 1000");
    let HostEvent::GuestStarted { pid: guest } = next(&mut running.events).await else { panic!() };
    let HostEvent::AppStarted { pid: app, .. } = next(&mut running.events).await else { panic!() };
    let kill = |pid: u32| {
        let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    };
    // A killed app alone is started again.
    kill(app);
    assert!(matches!(next(&mut running.events).await, HostEvent::AppExited { code: None, .. }));
    assert!(matches!(next(&mut running.events).await, HostEvent::AppStarted { .. }));
    // A killed guest takes its app with it, and both come again.
    kill(guest);
    assert!(matches!(next(&mut running.events).await, HostEvent::GuestExited { code: None, .. }));
    assert!(matches!(next(&mut running.events).await, HostEvent::GuestStarted { .. }));
    assert!(matches!(next(&mut running.events).await, HostEvent::AppStarted { .. }));
    let begun = Instant::now();
    running.stopping.send_replace(true);
    timeout(Duration::from_secs(10), running.task).await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "both end when asked");
}

#[tokio::test]
async fn programs_that_ignore_sigterm_are_killed_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let _local = UnixListener::bind(dir.path().join("local.sock")).unwrap();
    let stubborn = "trap '' TERM; while true; do sleep 1; done";
    let mut running = supervise(dir.path(), stubborn, stubborn);
    next(&mut running.events).await;
    next(&mut running.events).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    running.stopping.send_replace(true);
    timeout(Duration::from_millis(9_500), running.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn quick_failures_wait_longer_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = supervise(dir.path(), "exit 3", "true");
    let mut pauses = Vec::new();
    while pauses.len() < 3 {
        if let HostEvent::GuestExited { code, restart_in } = next(&mut running.events).await {
            assert_eq!(code, Some(3));
            pauses.push(restart_in.as_millis());
        }
    }
    assert_eq!(pauses, [500, 1000, 2000]);
    // A stop does not wait for the pause.
    let begun = Instant::now();
    running.stopping.send_replace(true);
    timeout(Duration::from_secs(5), running.task).await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn an_app_that_keeps_too_much_is_ended_and_starts_again_when_it_keeps_less() {
    const MIB: u64 = 1024 * 1024;
    let dir = tempfile::tempdir().unwrap();
    let storage = dir.path().join("storage");
    std::fs::create_dir(&storage).unwrap();
    let _local = UnixListener::bind(dir.path().join("local.sock")).unwrap();
    let bundle = BundledProgram {
        digest: Digest([1; 32]),
        files: dir.path().to_owned(),
        model: None,
        models: Vec::new(),
        limits: Limits::default(),
        restart: Restart::Always,
        reach: Reach::Nobody,
        ingress: Ingress::default(),
        scopes: Vec::new(),
        storage: AppFiles::Folder(AppFolder { path: storage.clone(), bytes_max: 2 * MIB }),
        launcher: None,
    };
    // Within its size it runs on, above it by a little too, and then no more.
    let grows = "for at in 1 2 3 4 5 6 7 8; do head -c 1048576 /dev/urandom > $FREEHOLD_STORAGE/$at; sleep 2; done";
    let mut running = supervise_with(dir.path(), ("exec sleep 1000", grows), Some(bundle));
    assert!(matches!(next(&mut running.events).await, HostEvent::GuestStarted { .. }));
    assert!(matches!(next(&mut running.events).await, HostEvent::AppStarted { .. }));
    let event = timeout(Duration::from_secs(30), running.events.recv()).await.unwrap().unwrap();
    let HostEvent::StorageExceeded { used_bytes, bytes_max } = event else { panic!("{event:?}") };
    assert_eq!(bytes_max, 2 * MIB);
    assert!((3 * MIB..6 * MIB).contains(&used_bytes), "{used_bytes}");
    // It stays ended, and nothing more is written.
    let kept = std::fs::read_dir(&storage).unwrap().count();
    assert!(timeout(Duration::from_secs(4), running.events.recv()).await.is_err());
    assert_eq!(std::fs::read_dir(&storage).unwrap().count(), kept);
    std::fs::remove_dir_all(&storage).unwrap();
    std::fs::create_dir(&storage).unwrap();
    assert!(matches!(next(&mut running.events).await, HostEvent::AppStarted { .. }));
    running.stopping.send_replace(true);
    timeout(Duration::from_secs(10), running.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = supervise(dir.path(), "", "");
    running.task.abort();
    running.events.close();
    let program = GuestProgram { executable: dir.path().join("gone"), arguments: Vec::new() };
    let error = super::spawn_guest(&program, &dir.path().join("guest.json")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}
