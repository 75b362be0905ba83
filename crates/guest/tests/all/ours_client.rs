//! Our own clients in Python and JavaScript, made of the document, against a guest: what they get has the shapes that the document
//! says. They need `python3` 3.11 and `node`.

use std::{path::Path, process::Command};

use crate::support::{FakeHost, Misbehaviour};

/// Whether a program is here and new enough; where not, says so loudly.
fn is_there(command: &mut Command, what: &str) -> bool {
    let is_there = command.output().is_ok_and(|output| output.status.success());
    if !is_there {
        eprintln!("SKIPPED: the client is not tried: {what} is missing");
    }
    is_there
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_the_document_makes_work_against_a_guest() {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients");
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    let python = std::env::var("FREEHOLD_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut commands = Vec::new();
    let host = FakeHost::new(Misbehaviour::default());
    let socket = host.dir.path().join("local.sock");
    if is_there(Command::new(&python).args(["-c", "from typing import NotRequired"]), "Python 3.11") {
        let mut command = Command::new(&python);
        command.arg(scripts.join("ours.py")).arg(&socket).arg(clients.join("python"));
        commands.push(command);
    }
    if is_there(Command::new("node").arg("--version"), "node") {
        let mut command = Command::new("node");
        command.arg(scripts.join("ours.mjs")).arg(&socket).arg(clients.join("typescript/index.js"));
        commands.push(command);
    }
    let guest = host.guest();
    host.serving().await;
    host.knows_settings().await;
    // Logs that the scripts ask for by address.
    let log = alloy_primitives::Log::new_unchecked([0xc0; 20].into(), Vec::new(), vec![1].into());
    host.chain.emit(vec![log]);
    for mut command in commands {
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("client ok"), "{said}");
    }
    guest.abort();
}
