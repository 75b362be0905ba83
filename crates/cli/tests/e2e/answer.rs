//! A private answer, whole: `up` with the default model, `ask`, `verify` elsewhere, stock clients, and kills.

use std::{path::Path, process::Command};

use serde_json::Value;

use crate::support::{BINARY, Running, beside, passes, python_clients, run, said, turn, until};

/// Whether the default model is here or can be fetched; says so loudly when not.
pub(crate) fn model_is_here() -> bool {
    let pulled = run(&["model", "pull", "SmolLM2-135M-Instruct"]);
    if !pulled.status.success() {
        eprintln!("SKIPPED: the default model is not here: {}", said(&pulled));
    }
    pulled.status.success()
}

pub(crate) fn verdict(arguments: &[&str]) -> (i32, Value) {
    let output = run(&[&["verify", "--json"], arguments].concat());
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

#[test]
fn an_app_on_emulated_sev_snp_answers_with_a_proof() {
    let _turn = turn();
    if !model_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("net");
    let data = data.to_str().unwrap();
    let any = ["--rpc", "127.0.0.1:0", "--api", "127.0.0.1:0"];
    let up = [&["up", "--data-dir", data, "--validators", "1", "--threads", "1", "--tee", "snp"], &any[..]].concat();
    let network = Running::start(&up);
    let proof = folder.path().join("proof.json");
    let asked = ask(data, &proof, &["Say hello.", "--max-tokens", "4"]);
    assert!(asked.status.success(), "{}", said(&asked));
    let key = network.text("network_key");
    network.interrupt();
    let (code, found) = verdict(&[proof.to_str().unwrap(), "--network-key", &key]);
    assert_eq!((code, found["verdict"].as_str()), (0, Some("valid")), "{found}");
    assert_eq!(found["trust_domain"], "emulated");
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

    // A newer header of the proof's instance, checked under the network key.
    let header = folder.path().join("header.json");
    let (header, proven) = (header.to_str().unwrap(), proof.to_str().unwrap());
    let (rpc, foreign) = (network.text("rpc"), key.replace('a', "b"));
    let saved = run(&["header", "--save", header, "--proof", proven, "--rpc", &rpc, "--network-key", &key]);
    assert!(saved.status.success(), "{}", said(&saved));
    let refused = run(&["header", "--save", header, "--proof", proven, "--rpc", &rpc, "--network-key", &foreign]);
    assert!(said(&refused).contains("check --network-key"), "{}", said(&refused));
    let elsewhere = folder.path().join("now.json");
    let now = run(&["header", "--save", elsewhere.to_str().unwrap(), "--data-dir", data]);
    assert!(now.status.success(), "{}", said(&now));
    let found = status(&network, &key);
    assert_eq!(found["instance"]["verified"], true, "{found}");

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
    let of = |header: &[&str]| verdict(&[&[proof.to_str().unwrap(), "--network-key", &key], header].concat()).1;
    let (old, new) = (of(&[]), of(&["--header", header]));
    assert!(new["as_of"]["height"].as_u64() > old["as_of"]["height"].as_u64(), "{old} {new}");
    assert_eq!((new["valid_now"].as_str(), new["verdict"].as_str()), (Some("yes"), Some("valid")));
    let foreign = run(&["verify", again.to_str().unwrap(), "--network-key", &key, "--header", header]);
    assert_eq!(foreign.status.code(), Some(2), "{}", said(&foreign));
    refuses(&proof, &key);
}

/// Status of a network that only its addresses and its key name.
fn status(network: &Running, key: &str) -> Value {
    let (rpc, api) = (network.text("rpc"), network.text("api"));
    let output = run(&["status", "--rpc", &rpc, "--api", &api, "--network-key", key, "--json"]);
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_rebuild_updates_the_policy_and_shows_it() {
    let _turn = turn();
    if !model_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("net");
    let data = data.to_str().unwrap();
    let up = [
        ["up", "--data-dir", data, "--rpc", "127.0.0.1:0", "--api", "127.0.0.1:0"].as_slice(),
        &["--validators", "1", "--threads", "1"],
    ]
    .concat();
    let first = Running::start(&up);
    assert!(first.told.iter().any(|told| told["text"].as_str().is_some_and(|text| text.contains("trusted dealer"))));
    assert!(!first.told.iter().any(|told| told["event"] == "policy"));
    let app = first.text("app_id");
    first.interrupt();

    // Another build: the same program with a byte behind it.
    let other = folder.path().join("freehold");
    std::fs::copy(BINARY, &other).unwrap();
    let mut file = std::fs::File::options().append(true).open(&other).unwrap();
    std::io::Write::write_all(&mut file, b"\n").unwrap();
    drop(file);
    let second = Running::try_start_of(&other, &up).unwrap();
    assert_eq!(second.text("app_id"), app);
    let policy = second.told.iter().find(|told| told["event"] == "policy").expect("the new policy is shown");
    assert_eq!(policy["version"], 1, "{policy}");
    assert_eq!(policy["new"]["mrtd"].as_str().unwrap().len(), 96);
    assert_ne!(policy["new"]["mrtd"], policy["old"][0]["mrtd"]);
    assert!(second.told.iter().any(|told| told["text"].as_str().is_some_and(|text| text.contains("trusted dealer"))));
    second.interrupt();
}

#[test]
fn a_wrong_model_file_is_refused_at_once() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("net");
    let model = folder.path().join("wrong.gguf");
    let up = ["up", "--validators", "1", "--data-dir", data.to_str().unwrap(), "--rpc", "127.0.0.1:0"];
    for bytes in [Vec::new(), b"GGUF".to_vec(), vec![0x5a; 10_000]] {
        std::fs::write(&model, bytes).unwrap();
        let refused = run(&[&up[..], &["--api", "127.0.0.1:0", "--model", model.to_str().unwrap()]].concat());
        assert_eq!(refused.status.code(), Some(1));
        assert!(said(&refused).contains("wrong.gguf cannot be used"), "{}", said(&refused));
        assert_eq!(said(&refused).trim_end().lines().count(), 1, "{}", said(&refused));
    }
}

pub(crate) fn ask(data: &str, proof: &Path, more: &[&str]) -> std::process::Output {
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
