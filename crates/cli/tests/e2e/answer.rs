//! A private answer, whole: `up` with the default model, `ask`, `verify` elsewhere, stock clients, and kills.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::support::{Running, beside, passes, python_clients, run, said, turn, until};

/// Whether the default model is here or can be fetched; says so loudly when not.
fn model_is_here() -> bool {
    let pulled = run(&["model", "pull", "SmolLM2-135M-Instruct"]);
    if !pulled.status.success() {
        eprintln!("SKIPPED: the default model is not here: {}", said(&pulled));
    }
    pulled.status.success()
}

fn verdict(arguments: &[&str]) -> (i32, Value) {
    let output = run(&[&["verify", "--json"], arguments].concat());
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

#[test]
fn an_answer_is_proven_and_no_changed_copy_is() {
    let _turn = turn();
    if !model_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("net");
    let data = data.to_str().unwrap();
    let up = ["up", "--data-dir", data, "--rpc", "127.0.0.1:0", "--api", "127.0.0.1:0", "--threads", "1"];
    let network = Running::start(&up);
    assert!(network.text("app_id").starts_with("rofl1"));
    let key = network.text("network_key");

    let proof = folder.path().join("proof.json");
    let asked = ask(data, &proof, &["Say hello.", "--max-tokens", "8"]);
    assert!(asked.status.success(), "{}", said(&asked));
    let hidden = folder.path().join("hidden.json");
    let asked = ask(data, &hidden, &["My secret is walnut.", "--max-tokens", "4", "--redact"]);
    assert!(asked.status.success(), "{}", said(&asked));
    assert!(!std::fs::read_to_string(&hidden).unwrap().contains("walnut"));

    if let Some(python) = python_clients() {
        passes(Command::new(python).arg(beside("openai_ehbp.py")).arg(network.text("api")));
    }

    // A killed guest is replaced by a successor, which answers.
    let guest =
        Command::new("pgrep").args(["-P", &network.pid().to_string(), "-f", "guest --config"]).output().unwrap();
    let guest: u32 = String::from_utf8_lossy(&guest.stdout).lines().next().unwrap().trim().parse().unwrap();
    crate::support::signal(guest, "KILL");
    let again = folder.path().join("again.json");
    until("the successor answers", || ask(data, &again, &["Still there?", "--max-tokens", "4"]).status.success());
    network.interrupt();

    // From here on there is no node: the file and the key are enough.
    for file in [&proof, &hidden, &again] {
        let (code, found) = verdict(&[file.to_str().unwrap(), "--network-key", &key]);
        assert_eq!((code, found["verdict"].as_str()), (0, Some("valid")), "{found}");
        assert_eq!(found["trust_domain"], "emulated");
        assert_eq!(found["anchored"], true);
    }
    refuses(&proof, &key);
}

fn ask(data: &str, proof: &Path, more: &[&str]) -> std::process::Output {
    run(&[&["ask", "--data-dir", data, "--save-proof", proof.to_str().unwrap()], more].concat())
}

fn refuses(proof: &Path, key: &str) {
    let path = proof.to_str().unwrap();
    assert_eq!(verdict(&[path, "--network-key", key, "--require-hardware"]).0, 1);
    assert_eq!(verdict(&[path, "--network-key", &key.replace('a', "b")]).0, 1);
    assert_eq!(run(&["verify", path, "--data-dir", "/nonexistent"]).status.code(), Some(2));
    let text = std::fs::read_to_string(proof).unwrap();
    let changed = proof.with_extension("changed");
    for copy in
        [text.replacen("hello", "adieu", 1), text[..text.len() / 2].to_owned(), format!("{text} "), String::new()]
    {
        std::fs::write(&changed, copy).unwrap();
        assert_eq!(verdict(&[changed.to_str().unwrap(), "--network-key", key]).0, 1);
    }
}
