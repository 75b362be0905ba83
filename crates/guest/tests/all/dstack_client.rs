//! dstack's guest API: the unmodified clients PyPI `dstack-sdk` 0.5.4 and npm `@phala/dstack-sdk` 0.5.8 where they are
//! installed (`FREEHOLD_PYTHON`, default `python3`; `FREEHOLD_NODE_MODULES`, a folder with `node_modules`), and bad input.

use std::{
    path::Path,
    process::{Command, Output},
};

use freehold_emulator::AppImage;
use freehold_guest::run;
use freehold_primitives::{Canonical as _, Digest};
use freehold_rpc::EventLogEntry;

use crate::support::{FakeHost, Misbehaviour, raw};

/// The log of what the emulated TD of these tests was launched with.
fn event_log() -> Vec<EventLogEntry> {
    let image = AppImage { executable: Digest([2; 32]), arguments: vec!["serve".to_owned()], model: None };
    vec![EventLogEntry {
        imr: 3,
        event_type: 0x0800_0001,
        digest: image.digest().to_string(),
        event: "freehold-app".to_owned(),
        event_payload: hex::encode(image.to_canonical()),
    }]
}

fn works(mut command: Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn beside(name: &str) -> String {
    format!("{}/tests/clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Runs a client against a guest that serves.
async fn passes(client: impl FnOnce(&Path) -> Output + Send + 'static) {
    let host = FakeHost::new(Misbehaviour::default());
    let mut config = host.config();
    config.event_log = event_log();
    let guest = tokio::spawn(run(config, std::future::pending()));
    host.serving().await;
    let socket = host.dir.path().join("local.sock");
    let output = tokio::task::spawn_blocking(move || client(&socket)).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_works_unmodified() {
    let python = std::env::var("FREEHOLD_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut there = Command::new(&python);
    there.args(["-c", "import dstack_sdk, cryptography, eth_keys"]);
    if !works(there) {
        eprintln!("SKIPPED: {python} has no dstack_sdk; `pip install dstack-sdk==0.5.4` to run this test");
        return;
    }
    passes(move |socket| Command::new(python).arg(beside("dstack.py")).arg(socket).output().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_client_works_unmodified() {
    let Ok(modules) = std::env::var("FREEHOLD_NODE_MODULES") else {
        eprintln!(
            "SKIPPED: FREEHOLD_NODE_MODULES names no folder with @phala/dstack-sdk@0.5.8 and @noble/curves@1 installed"
        );
        return;
    };
    passes(move |socket| Command::new("node").arg(beside("dstack.mjs")).arg(modules).arg(socket).output().unwrap())
        .await;
}

fn bad_input(socket: &Path) {
    let check = |path: &str, body: &str, status: u16, said: &str| {
        let (head, answer) = raw(socket, "POST", path, body);
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{path} {body:.80}: {head} {answer:.200}");
        assert!(head.contains("content-type: application/json"), "{path}: {head}");
        assert!(answer.starts_with("{\"error\":") && answer.contains(said), "{path} {body:.80}: {answer:.200}");
    };
    let long = "a".repeat(1025);
    for path in
        ["/GetKey", "/GetQuote", "/Attest", "/EmitEvent", "/GetTlsKey", "/Sign", "/Verify", "/prpc/Tappd.TdxQuote"]
    {
        for body in ["{", "[1]", "7", "\"x\""] {
            check(path, body, 400, "malformed");
        }
    }
    check("/GetKey", &format!(r#"{{"path":"{long}"}}"#), 400, "at most 1024 bytes");
    check("/GetKey", r#"{"algorithm":"rsa"}"#, 400, "not supported");
    check("/GetKey", r#"{"path":1}"#, 400, "malformed");
    check("/GetQuote", r#"{"report_data":"xy"}"#, 400, "hex");
    check("/GetQuote", &format!(r#"{{"report_data":"{}"}}"#, "00".repeat(65)), 400, "at most 64 bytes");
    check("/GetQuote", &format!(r#"{{"report_data":"{}"}}"#, "11".repeat(32)), 400, "statement of a keyset");
    check("/Attest", &format!(r#"{{"report_data":"{}"}}"#, "11".repeat(20)), 400, "statement of a keyset");
    check("/prpc/Tappd.TdxQuote", r#"{"report_data":"00","hash_algorithm":"md5"}"#, 400, "not supported");
    check("/EmitEvent", r#"{"event":"","payload":""}"#, 400, "1 to 128 bytes");
    check("/EmitEvent", &format!(r#"{{"event":"e","payload":"{}"}}"#, "00".repeat(1025)), 400, "1024 bytes");
    check("/GetTlsKey", r#"{"not_after":1}"#, 400, "ten years");
    check("/GetTlsKey", &format!(r#"{{"subject":"{long}"}}"#), 400, "subject");
    check("/GetTlsKey", &format!(r#"{{"alt_names":{:?}}}"#, vec!["a"; 65]), 400, "names");
    check("/Sign", r#"{"algorithm":"secp256k1_prehashed","data":"00"}"#, 400, "32 bytes");
    check("/Verify", r#"{"algorithm":"ed25519"}"#, 400, "public key");
    check("/prpc/Tappd.Nothing", "{}", 404, "no such method");
    let (head, _) = raw(socket, "POST", "/GetKey", &"x".repeat(9 * 1024 * 1024));
    assert!(head.starts_with("http/1.1 413"), "{head}");
    // It serves on.
    let (head, _) = raw(socket, "POST", "/GetKey", "");
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let (head, body) = raw(socket, "GET", "/Info", "");
    assert!(head.starts_with("http/1.1 200") && body.contains("tcb_info"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_in_dstacks_form_and_nothing_is_given_before_it_serves() {
    let silent = FakeHost::new(Misbehaviour { foreign_certificates: true, ..Misbehaviour::default() });
    let waiting = silent.guest();
    silent.wait(std::time::Duration::from_secs(20), |health| !health.ready).await;
    let socket = silent.dir.path().join("local.sock");
    tokio::task::spawn_blocking(move || {
        for path in ["/GetKey", "/GetQuote", "/GetTlsKey", "/Sign", "/Info", "/EmitEvent", "/prpc/Tappd.DeriveKey"] {
            let (head, body) = raw(&socket, "POST", path, "{}");
            assert!(head.starts_with("http/1.1 503") && body.contains("does not serve"), "{path}: {head} {body}");
        }
    })
    .await
    .unwrap();
    waiting.abort();
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    let socket = host.dir.path().join("local.sock");
    tokio::task::spawn_blocking(move || bad_input(&socket)).await.unwrap();
    guest.abort();
}
