//! A validator's ways by the command line: what is shown before it is signed, what is refused, and where it stands.

use std::path::Path;

use serde_json::Value;

use crate::support::{Running, run, said, turn};

/// Runs `freehold validator` with `--json`: its exit status, its objects, and what it said.
fn validator(words: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    let output = run(&[&["validator"], words, &["--json"]].concat());
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    let objects = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code(), objects, said(&output))
}

fn state_of(rpc: &str, folder: &str) -> String {
    let (code, told, said) = validator(&["status", "--rpc", rpc, "--data-dir", folder]);
    assert_eq!(code, Some(0), "{said}");
    let own = told.iter().find(|told| told["event"] == "own").map(|told| told["validator"]["state"].clone());
    let waiting = told[0]["validators"].as_array().unwrap().iter().find(|entry| entry["state"] == "candidate");
    own.or_else(|| waiting.map(|entry| entry["state"].clone())).unwrap().as_str().unwrap_or("never joined").to_owned()
}

#[test]
fn validator_joins_and_leaves_by_the_command_line() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let up = ["up", "--no-app", "--validators", "1", "--rpc", "127.0.0.1:0", "--data-dir", &path("net")];
    let network = Running::start(&up);
    let (rpc, own) = (network.text("rpc"), path("newcomer"));
    let actor = ["--data-dir", &own, "--rpc", &rpc, "--dev-seat", "5"];
    let join = [&["join", "--address", "127.0.0.1:9005"], &actor[..]].concat();

    let (code, told, _) = validator(&[&join[..], &["--dry-run"]].concat());
    assert_eq!((code, told.len()), (Some(0), 1));
    assert_eq!(told[0]["function"], "join(bytes32,address,string,bytes)");
    assert_eq!(told[0]["value_wei"], "1000000000000000000000");
    assert!(Path::new(&own).join("identity.key").exists());
    assert_eq!(state_of(&rpc, &own), "never joined");

    let (code, told, said) = validator(&join);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(told[1]["event"], "done");
    assert_eq!(state_of(&rpc, &own), "candidate");
    let (code, _, said) = validator(&join);
    assert_eq!(code, Some(1));
    assert!(said.contains("the identity is that of a validator which has not left"), "{said}");
    let stranger = ["leave", "--data-dir", &own, "--rpc", &rpc, "--dev-seat", "6"];
    let (code, _, said) = validator(&stranger);
    assert_eq!(code, Some(1));
    assert!(said.contains("neither the validator's account nor its operator"), "{said}");

    assert_eq!(validator(&[&["leave"], &actor[..]].concat()).0, Some(0));
    assert_eq!(state_of(&rpc, &own), "left");
    let (code, _, said) = validator(&[&["withdraw"], &actor[..]].concat());
    assert_eq!(code, Some(1));
    assert!(said.contains("the bond is locked"), "{said}");
    let (code, _, said) = validator(&["unjail", "--data-dir", &own, "--rpc", &rpc]);
    assert_eq!(code, Some(1));
    assert!(said.contains("FREEHOLD_ACCOUNT_KEY"), "{said}");
    network.interrupt();
}
