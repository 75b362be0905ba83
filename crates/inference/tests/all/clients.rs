//! Stock clients, unmodified: PyPI `openai` and `tinfoil-ehbp`, npm `ehbp`, through a relay as the host has.
//!
//! `FREEHOLD_PYTHON` names an interpreter with both packages (default `python3`), `FREEHOLD_NODE_MODULES` a folder with
//! the npm package. Without them these tests say loudly that they skip. The tiny model answers, or the default one where
//! `FREEHOLD_MODELS` has it.

use std::{net::SocketAddr, path::PathBuf, process::Stdio};

use freehold_inference::{DEFAULT_MODEL, find_model, is_present, model_path};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, UnixStream},
    process::Command,
};

use crate::support::Scene;

async fn scene() -> Scene {
    let model = find_model(DEFAULT_MODEL).unwrap();
    match std::env::var_os("FREEHOLD_MODELS").map(PathBuf::from) {
        Some(folder) if is_present(model, &folder) => {
            Scene::start(tempfile::tempdir().unwrap(), &model_path(model, &folder), DEFAULT_MODEL).await
        }
        _ => Scene::tiny().await,
    }
}

/// Carries bytes between a TCP port and the app's socket, as the host does.
async fn relay(scene: &Scene) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = scene.folder.path().join("app.sock");
    tokio::spawn(async move {
        loop {
            let (mut outer, _) = listener.accept().await.unwrap();
            let socket = socket.clone();
            tokio::spawn(async move {
                let mut inner = UnixStream::connect(socket).await.unwrap();
                drop(copy_bidirectional(&mut outer, &mut inner).await);
            });
        }
    });
    address
}

async fn succeeds(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().await;
    status.is_ok_and(|status| status.success())
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_python_clients_get_answers() {
    let python = std::env::var("FREEHOLD_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if !succeeds(Command::new(&python).args(["-c", "import openai, ehbp"])).await {
        eprintln!("SKIPPED: `{python}` lacks the packages openai and tinfoil-ehbp (see FREEHOLD_PYTHON)");
        return;
    }
    let scene = scene().await;
    let address = relay(&scene).await;
    let mut client = Command::new(python);
    client.arg(script("python_client.py")).arg(format!("http://{address}")).arg(&scene.model);
    assert!(client.status().await.unwrap().success());
    for receipt in scene.guest.receipts() {
        freehold_crypto::verify_receipt(&receipt, &scene.guest.receipts_key.public()).unwrap();
    }
    assert_eq!(scene.guest.receipts().len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_npm_client_gets_answers() {
    let modules = std::env::var("FREEHOLD_NODE_MODULES").unwrap_or_default();
    if !PathBuf::from(&modules).join("ehbp").is_dir() {
        eprintln!("SKIPPED: the npm package ehbp is not in FREEHOLD_NODE_MODULES");
        return;
    }
    let scene = scene().await;
    let address = relay(&scene).await;
    // A module is looked for beside the script.
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
    std::fs::copy(script("node_client.mjs"), folder.path().join("client.mjs")).unwrap();
    let mut client = Command::new("node");
    client.arg(folder.path().join("client.mjs")).arg(format!("http://{address}")).arg(&scene.model);
    assert!(client.status().await.unwrap().success());
}
