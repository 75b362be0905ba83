//! Tests of measuring, of what is refused, and of the relays.
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
};

pub(crate) fn programs(dir: &Path) -> (GuestProgram, AppProgram) {
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

/// The same in a VM with a TEE, which is expected to show this.
pub(crate) fn on_hardware(tee: crate::HardwareTee, shown: freehold_primitives::Measurement) -> crate::Launch {
    crate::Launch { shown: crate::Shown::Hardware(tee, Box::new(shown)), ..launched() }
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
    let first = measure(&guest, &app.clone().into()).unwrap().emulated().unwrap().report.measurement();
    assert_eq!(first, measure(&guest, &app.clone().into()).unwrap().emulated().unwrap().report.measurement());
    std::fs::write(dir.path().join("guest"), "other").unwrap();
    let second = measure(&guest, &app.clone().into()).unwrap().emulated().unwrap().report.measurement();
    assert!(second.mrtd != first.mrtd && second.rtmr3 == first.rtmr3);
    for name in ["app", "model"] {
        let before = measure(&guest, &app.clone().into()).unwrap().emulated().unwrap().report.measurement();
        std::fs::write(dir.path().join(name), "other").unwrap();
        let after = measure(&guest, &app.clone().into()).unwrap().emulated().unwrap().report.measurement();
        assert!(before.mrtd == after.mrtd && before.rtmr3 != after.rtmr3, "{name}");
    }
    let before = measure(&guest, &app.clone().into()).unwrap();
    let other = AppProgram { arguments: vec!["serve".to_owned(), "--fast".to_owned()], ..app };
    assert_ne!(
        before.emulated().unwrap().report.measurement().rtmr3,
        measure(&guest, &other.clone().into()).unwrap().emulated().unwrap().report.measurement().rtmr3
    );
    // The event in the log is what extended the register.
    assert_eq!(before.event_log[0].digest, before.app.digest().to_string());
    let gone = GuestProgram { executable: dir.path().join("gone"), ..guest };
    assert!(measure(&gone, &other.into()).unwrap_err().to_string().contains("gone"));
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
pub(crate) fn bundled(dir: &Path, script: &str, additions: &str) -> Result<AppProgram, crate::HostError> {
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
    assert_eq!(foreseen.emulated().unwrap().report.measurement(), measured.emulated().unwrap().report.measurement());
    assert_eq!(measured.app.executable, bundle.digest());
    // One changed byte is another measurement.
    let changed = bundled(dir.path(), "true\n", "").unwrap();
    assert_ne!(
        measure(&guest, &changed.clone().into()).unwrap().emulated().unwrap().report.measurement().rtmr3,
        measured.emulated().unwrap().report.measurement().rtmr3
    );
}
