//! The unmodified PyPI client `oasis-rofl-client` 0.2.0 against the local API, where it is installed (any Python that
//! `FREEHOLD_PYTHON` names, default `python3`), and the same exchanges byte by byte.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crate::support::{FakeHost, Misbehaviour, app_id, raw};

const SCRIPT: &str = include_str!("../clients/rofl.py");

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_works_unmodified() {
    let python = std::env::var("FREEHOLD_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let there = std::process::Command::new(&python).args(["-c", "import oasis_rofl_client"]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "SKIPPED: {python} has no oasis_rofl_client; `pip install oasis-rofl-client==0.2.0` to run this test"
        );
        return;
    }
    let host = FakeHost::new(Misbehaviour::default());
    host.chain.set_call_data_key(1, &[7; 32]);
    let guest = host.guest();
    host.serving().await;
    // Nothing is signed before the owner's limits are known.
    host.knows_settings().await;
    let socket = host.dir.path().join("local.sock");
    let run = move || {
        std::process::Command::new(python).args(["-c", SCRIPT]).arg(socket).arg(app_id().to_string()).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("client ok"));
    guest.abort();
}

fn exchanges(socket: &Path) {
    let (head, body) = raw(socket, "GET", "/rofl/v1/app/id", "");
    assert!(head.starts_with("http/1.1 200") && head.contains("content-type: text/plain"), "{head}");
    assert!(head.contains("content-length: 45") && !head.contains("chunked"), "{head}");
    assert_eq!(body, app_id().to_string());

    let (head, body) = raw(socket, "POST", "/rofl/v1/keys/generate", r#"{"key_id":"demo key","kind":"secp256k1"}"#);
    assert!(head.starts_with("http/1.1 200") && head.contains("content-type: application/json"), "{head}");
    assert!(body.starts_with("{\"key\":\"") && body.len() == 8 + 64 + 2, "{body}");
    for (status, bad) in [
        (400, "{"),
        (400, ""),
        (422, "{}"),
        (422, r#"{"key_id":"x"}"#),
        (422, r#"{"key_id":1,"kind":"raw-256"}"#),
        (422, r#"{"key_id":"x","kind":"raw-386"}"#),
        (422, "[]"),
    ] {
        let (head, _) = raw(socket, "POST", "/rofl/v1/keys/generate", bad);
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{bad}: {head}");
    }

    let (head, body) = raw(socket, "POST", "/rofl/v1/metadata", r#"{"a":"1","b":"2"}"#);
    assert!(head.starts_with("http/1.1 200") && body.is_empty(), "{head}");
    raw(socket, "PUT", "/rofl/v1/metadata", r#"{"b":"3","c":"4"}"#);
    raw(socket, "DELETE", "/rofl/v1/metadata", r#"["a"]"#);
    let (_, body) = raw(socket, "GET", "/rofl/v1/metadata", "");
    assert_eq!(body, r#"{"b":"3","c":"4"}"#);
    let (head, _) = raw(socket, "POST", "/rofl/v1/metadata", r#"{"a":1}"#);
    assert!(head.starts_with("http/1.1 422"), "{head}");
    let (head, body) = raw(socket, "POST", "/rofl/v1/metadata", r#"{"":"x"}"#);
    assert!(head.starts_with("http/1.1 400") && body == "invalid argument", "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_app_says_of_its_instance_stands_on_the_chain() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    let socket = host.dir.path().join("local.sock");
    let say = |method: &'static str, body: &'static str| {
        let socket = socket.clone();
        tokio::task::spawn_blocking(move || raw(&socket, method, "/rofl/v1/metadata", body))
    };
    let stands = async |pairs: &[(&str, &str)]| {
        let wanted = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let end = Instant::now() + Duration::from_secs(60);
        while host.chain.metadata() != wanted {
            assert!(Instant::now() < end, "{:?}", host.chain.metadata());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    say("POST", r#"{"b":"1","a":"1"}"#).await.unwrap();
    stands(&[("a", "1"), ("b", "1")]).await;
    say("PUT", r#"{"c":"2"}"#).await.unwrap();
    say("DELETE", r#"["a","b"]"#).await.unwrap();
    stands(&[("c", "2")]).await;
    guest.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_those_of_appd_byte_for_byte() {
    let host = FakeHost::new(Misbehaviour::default());
    let guest = host.guest();
    host.serving().await;
    let socket = host.dir.path().join("local.sock");
    tokio::task::spawn_blocking(move || exchanges(&socket)).await.unwrap();
    guest.abort();
}
