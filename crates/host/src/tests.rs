//! Tests of measuring, of the sandbox's arguments, and of the relays.
#![allow(clippy::unwrap_used)]

use std::{path::Path, sync::Arc, time::Duration};

use freehold_rpc::{Endpoint, HttpClient, NodeClient, NodeError};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixListener},
};

use crate::{
    AppProgram, GuestProgram, IsolationChoice, measure,
    relay::{ChainRelay, chain_router, relay_api},
    sandbox::{self, Isolation, bubblewrap_arguments},
};

fn programs(dir: &Path) -> (GuestProgram, AppProgram) {
    for (name, text) in [("guest", "one"), ("app", "two"), ("model", "three")] {
        std::fs::write(dir.join(name), text).unwrap();
    }
    let guest = GuestProgram { executable: dir.join("guest"), arguments: vec!["guest".to_owned()] };
    let app = AppProgram {
        executable: dir.join("app"),
        arguments: vec!["serve".to_owned()],
        environment: vec![("FREEHOLD_TEST".to_owned(), "1".to_owned())],
        model: Some(dir.join("model")),
        isolation: IsolationChoice::Auto,
        bundle: None,
    };
    (guest, app)
}

/// A launch of programs that do nothing.
pub(crate) fn launched() -> crate::Launch {
    let dir = tempfile::tempdir().unwrap();
    let (guest, app) = programs(dir.path());
    measure(&guest, &app.clone().into()).unwrap()
}

#[test]
fn every_measured_file_shows_in_its_register() {
    let dir = tempfile::tempdir().unwrap();
    let (guest, app) = programs(dir.path());
    let first = measure(&guest, &app.clone().into()).unwrap().report.measurement();
    assert_eq!(first, measure(&guest, &app.clone().into()).unwrap().report.measurement());
    std::fs::write(dir.path().join("guest"), "other").unwrap();
    let second = measure(&guest, &app.clone().into()).unwrap().report.measurement();
    assert!(second.mrtd != first.mrtd && second.rtmr3 == first.rtmr3);
    for name in ["app", "model"] {
        let before = measure(&guest, &app.clone().into()).unwrap().report.measurement();
        std::fs::write(dir.path().join(name), "other").unwrap();
        let after = measure(&guest, &app.clone().into()).unwrap().report.measurement();
        assert!(before.mrtd == after.mrtd && before.rtmr3 != after.rtmr3, "{name}");
    }
    let before = measure(&guest, &app.clone().into()).unwrap();
    let other = AppProgram { arguments: vec!["serve".to_owned(), "--fast".to_owned()], ..app };
    assert_ne!(
        before.report.measurement().rtmr3,
        measure(&guest, &other.clone().into()).unwrap().report.measurement().rtmr3
    );
    // The event in the log is what extended the register.
    assert_eq!(before.event_log[0].digest, before.app.digest().to_string());
    let gone = GuestProgram { executable: dir.path().join("gone"), ..guest };
    assert!(measure(&gone, &other.into()).unwrap_err().to_string().contains("gone"));
}

#[test]
fn the_sandbox_has_no_network_and_names_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let (_, app) = programs(dir.path());
    let arguments = bubblewrap_arguments(&app, &dir.path().join("sockets"));
    let text: Vec<&str> = arguments.iter().map(|argument| argument.to_str().unwrap()).collect();
    assert_eq!(text[..4], ["--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]);
    assert!(!text.contains(&"--share-net"));
    let at = text.iter().position(|&part| part == "--").unwrap();
    assert_eq!(text[at + 1..], ["/app/program", "serve"]);
    // Nothing of this machine but the system, the program, the model and the sockets is bound.
    let bound: Vec<&str> = text.windows(2).filter(|pair| pair[0].contains("bind")).map(|pair| pair[1]).collect();
    let own = |path: &&&str| Path::new(path).starts_with(dir.path());
    assert_eq!(bound.iter().filter(own).count(), 3);
    assert!(bound.iter().filter(|path| !own(path)).all(|path| {
        // The kernel's files are bound so that they cannot be written.
        path.starts_with("/proc/")
            || ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/etc/ld.so.cache", "/etc/ld.so.conf"]
                .contains(path)
    }));
}

#[tokio::test]
async fn bubblewrap_runs_where_it_is_present() {
    if sandbox::detect(IsolationChoice::Auto).await == Isolation::None {
        eprintln!("SKIPPED: bubblewrap is not present or does not work here; install `bwrap` to run this test");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let sockets = dir.path().join("sockets");
    std::fs::create_dir(&sockets).unwrap();
    let (_, app) = programs(dir.path());
    let script = "cat /app/model > /run/freehold/seen; ls /sys/class/net >> /run/freehold/seen 2>&1; env >> /run/freehold/seen; \
         readlink /var/run/dstack.sock /run/tappd.sock /run/rofl-appd.sock >> /run/freehold/seen";
    let app = AppProgram { executable: "/bin/sh".into(), arguments: vec!["-c".to_owned(), script.to_owned()], ..app };
    let mut child = sandbox::spawn(&app, Isolation::Bubblewrap, &sockets).unwrap();
    assert!(child.wait().await.unwrap().success());
    let seen = std::fs::read_to_string(sockets.join("seen")).unwrap();
    assert!(seen.starts_with("three") && seen.contains("FREEHOLD_LOCAL_API=/run/freehold/local.sock"), "{seen}");
    assert!(!seen.contains("HOME="), "{seen}");
    // Released clients of dstack and ROFL find the socket by themselves.
    assert!(seen.contains("DSTACK_SIMULATOR_ENDPOINT=/run/freehold/local.sock"), "{seen}");
    assert!(seen.ends_with(&"/run/freehold/local.sock\n".repeat(3)), "{seen}");
}

/// Also where the host is root, whose files the kernel's are.
#[tokio::test]
async fn a_sandboxed_program_has_no_rights_and_writes_no_file_of_the_kernel() {
    if sandbox::detect(IsolationChoice::Auto).await == Isolation::None {
        eprintln!("SKIPPED: bubblewrap is not present or does not work here; install `bwrap` to run this test");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let sockets = dir.path().join("sockets");
    std::fs::create_dir(&sockets).unwrap();
    let (_, app) = programs(dir.path());
    // Opening is enough: nothing is written.
    let script = "cd /run/freehold; grep CapEff /proc/self/status > seen; \
         for file in /proc/sys/kernel/core_pattern /proc/sys/vm/drop_caches /proc/sysrq-trigger; do \
         ( : >> $file ) 2> /dev/null && echo $file >> seen; done; exit 0";
    let app = AppProgram { executable: "/bin/sh".into(), arguments: vec!["-c".to_owned(), script.to_owned()], ..app };
    let mut child = sandbox::spawn(&app, Isolation::Bubblewrap, &sockets).unwrap();
    assert!(child.wait().await.unwrap().success());
    assert_eq!(std::fs::read_to_string(sockets.join("seen")).unwrap(), "CapEff:\t0000000000000000\n");
}

#[tokio::test]
async fn isolation_can_be_waived() {
    assert_eq!(sandbox::detect(IsolationChoice::None).await, Isolation::None);
    assert_eq!((Isolation::None.as_str(), Isolation::Bubblewrap.as_str()), ("none", "bubblewrap"));
}

/// A relay before an app that answers what `serve` does with one connection.
async fn relayed(dir: &Path) -> (std::net::SocketAddr, UnixListener) {
    let socket = dir.join("app.sock");
    let app = UnixListener::bind(&socket).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(relay_api(listener, socket));
    (address, app)
}

#[tokio::test]
async fn the_api_relay_keeps_half_closed_connections_streaming() {
    let dir = tempfile::tempdir().unwrap();
    let (address, app) = relayed(dir.path()).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let (mut stream, _) = app.accept().await.unwrap();
    let mut question = String::new();
    stream.read_to_string(&mut question).await.unwrap();
    assert_eq!(question, "question");
    for piece in ["an", "sw", "er"] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        let mut bytes = [0; 2];
        tokio::time::timeout(Duration::from_secs(1), client.read_exact(&mut bytes)).await.unwrap().unwrap();
        assert_eq!(&bytes, piece.as_bytes(), "each piece arrives before the next is sent");
    }
    drop(stream);
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn without_an_app_the_api_answers_503() {
    let dir = tempfile::tempdir().unwrap();
    let (address, app) = relayed(dir.path()).await;
    drop(app);
    std::fs::remove_file(dir.path().join("app.sock")).unwrap();
    let client = HttpClient::new(format!("http://{address}").parse().unwrap());
    let request = http::Request::get("/health").body(freehold_rpc::full_body("")).unwrap();
    let answer = client.send(request).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.headers["retry-after"].to_str().unwrap()), (503, "1"));
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"]["type"], "unavailable");
}

#[tokio::test]
async fn the_chain_relay_has_a_closed_list() {
    let dir = tempfile::tempdir().unwrap();
    let node = axum::Router::new().route(
        "/",
        axum::routing::post(async |axum::Json(ask): axum::Json<Value>| {
            axum::Json(json!({"jsonrpc": "2.0", "id": ask["id"], "result": "0x5af5"}))
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint: Endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move { axum::serve(listener, node).await });
    let path = dir.path().join("chain.sock");
    let relay = Arc::new(ChainRelay { node: HttpClient::new(endpoint) });
    let socket = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move { axum::serve(socket, chain_router(relay)).await });
    let guest = NodeClient::new(Endpoint::unix(path).unwrap());
    assert_eq!(guest.chain_id().await.unwrap(), 23285);
    for method in ["eth_accounts", "debug_traceTransaction", "eth_sign", ""] {
        let error = guest.call::<Value>(method, ()).await.unwrap_err();
        assert!(matches!(error, NodeError::Refused { code: -32601, .. }), "{method}: {error}");
    }
}

/// The bundle of a shell program, and the program that a host makes of it.
fn bundled(dir: &Path, script: &str, additions: &str) -> Result<AppProgram, crate::HostError> {
    std::fs::create_dir_all(dir.join("program")).unwrap();
    std::fs::write(dir.join("program/run.sh"), script).unwrap();
    let manifest = format!(
        "name: a\nversion: 0.1.0\ntee: tdx\nkind: raw\nresources: {{memory: 64, cpus: 1}}\nfreehold:\n{additions}  \
         process: {{files: program, command: [sh, run.sh], environment: {{WORD: said}}, limits: {{open_files: 17}}}}\n"
    );
    std::fs::write(dir.join("rofl.yaml"), manifest).unwrap();
    let bundle = freehold_bundle::build_bundle(dir, &dir.join("bundle"))?;
    crate::bundle::bundled_program(&bundle, dir, IsolationChoice::Required, Some(&dir.join("models")))
}

#[tokio::test]
async fn a_bundled_program_begins_with_what_brings_its_settings() {
    use std::os::unix::fs::PermissionsExt as _;
    if sandbox::detect(IsolationChoice::Auto).await == Isolation::None {
        eprintln!("SKIPPED: bubblewrap is not present or does not work here; install `bwrap` to run this test");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut app = bundled(dir.path(), "echo $WORD $TOKEN; ulimit -n", "").unwrap();
    // It stands for the guest's file, which asks the guest; the limits are the program's, not its own.
    let launcher = dir.path().join("launcher");
    let script = "#!/bin/sh\n[ \"$1 $2\" = \"launch --\" ] && shift 2 && TOKEN=brought exec \"$@\"\n";
    std::fs::write(&launcher, script).unwrap();
    std::fs::set_permissions(&launcher, std::fs::Permissions::from_mode(0o755)).unwrap();
    app.bundle.as_mut().unwrap().launcher = Some(launcher);
    let sockets = dir.path().join("sockets");
    std::fs::create_dir(&sockets).unwrap();
    for isolation in [Isolation::Bubblewrap, Isolation::None] {
        let output = sandbox::spawn(&app, isolation, &sockets).unwrap().wait_with_output().await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, "said brought\n17\n", "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test]
async fn a_bundled_program_sees_its_files_its_words_and_its_limits_alone() {
    if sandbox::detect(IsolationChoice::Auto).await == Isolation::None {
        eprintln!("SKIPPED: bubblewrap is not present or does not work here; install `bwrap` to run this test");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // The last but one counts the network's devices: the loopback alone.
    let script = "pwd; echo $WORD; ulimit -n; echo x > /app/new || echo refused; ls /home /root; ls /sys/class/net; \
                  grep -c : /proc/net/dev; env | grep -c HOME=/tmp";
    let app = bundled(dir.path(), script, "").unwrap();
    let sockets = dir.path().join("sockets");
    std::fs::create_dir(&sockets).unwrap();
    let child = sandbox::spawn(&app, Isolation::Bubblewrap, &sockets).unwrap();
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines, ["/app", "said", "17", "refused", "1", "1"], "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_bundled_program_reads_the_models_that_its_manifest_names() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("models")).unwrap();
    for name in ["m.gguf", "secret"] {
        std::fs::write(dir.path().join("models").join(name), "weights").unwrap();
    }
    let digest = freehold_crypto::sha256(b"weights");
    let additions = format!("  models: [{{name: m.gguf, sha256: {digest}}}]\n");
    let script = "cat $FREEHOLD_MODELS/m.gguf; cmp $FREEHOLD_MODEL $FREEHOLD_MODELS/m.gguf && echo; ls $FREEHOLD_MODELS; \
                  echo x 2>/dev/null > $FREEHOLD_MODEL || echo refused";
    let app = bundled(dir.path(), script, &additions).unwrap();
    assert_eq!(measure(&programs(dir.path()).0, &app.clone().into()).unwrap().app.model, Some(digest));
    if sandbox::detect(IsolationChoice::Auto).await == Isolation::None {
        eprintln!("SKIPPED: bubblewrap is not present or does not work here; install `bwrap` to run this test");
        return;
    }
    let sockets = dir.path().join("sockets");
    std::fs::create_dir(&sockets).unwrap();
    let output = sandbox::spawn(&app, Isolation::Bubblewrap, &sockets).unwrap().wait_with_output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    // The other file of the folder is not for it.
    assert_eq!(said, "weights\nm.gguf\nrefused\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_a_host_cannot_give_is_refused_and_not_run_otherwise() {
    let models = format!("  models: [{{name: m, sha256: {}}}]\n", "ab".repeat(32));
    for (additions, what) in [(models.as_str(), "another file than"), ("  gpu: {count: 1}\n", "GPUs")] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("models")).unwrap();
        std::fs::write(dir.path().join("models/m"), "what somebody else trained").unwrap();
        let error = bundled(dir.path(), "true", additions).unwrap_err();
        assert!(matches!(error, crate::HostError::CannotRun { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn a_bundles_measurement_is_known_before_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let (guest, _) = programs(dir.path());
    let app = bundled(dir.path(), "true", "").unwrap();
    let bundle = freehold_bundle::open_bundle(&dir.path().join("bundle")).unwrap();
    let foreseen = crate::measure_bundle(&guest.executable, &bundle).unwrap();
    let measured = measure(&guest, &app.clone().into()).unwrap();
    assert_eq!(foreseen.report.measurement(), measured.report.measurement());
    assert_eq!(measured.app.executable, bundle.digest());
    // One changed byte is another measurement.
    let changed = bundled(dir.path(), "true\n", "").unwrap();
    assert_ne!(
        measure(&guest, &changed.clone().into()).unwrap().report.measurement().rtmr3,
        measured.report.measurement().rtmr3
    );
}
