//! What an operator sees and does: status and metrics of one node, a version of the protocol that is not known, unit files.

use std::{fs, path::Path, process::Command};

use freehold_crypto::keccak256;
use serde_json::{Value, json};

use crate::{
    denial::send,
    processes::Net,
    support::{BINARY, Running, get, run, said, turn, until},
};

/// A chain whose data directory nobody has, so that no network key is pinned.
const NOWHERE: [&str; 2] = ["--chain-id", "4294967291"];

/// `status` against one node, as an object, with its exit status.
fn status(node: &Running, more: &[&str]) -> (i32, Value) {
    let rpc = node.text("rpc");
    let output = run(&[&["status", "--json", "--rpc", &rpc], &NOWHERE[..], more].concat());
    let found = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
    (output.status.code().unwrap(), found)
}

fn codes(found: &Value) -> Vec<String> {
    let warnings = found["health"]["warnings"].as_array().unwrap();
    // A machine that runs tests may be short of space.
    let codes = warnings.iter().map(|warning| warning["code"].as_str().unwrap().to_owned());
    codes.filter(|code| code != "disk-low").collect()
}

#[test]
fn status_of_one_node_says_how_it_stands_and_who_is_away() {
    let _turn = turn();
    let net = Net::new();
    let mut nodes: Vec<Running> = (0..4).map(|index| net.start(index)).collect();
    nodes.iter().for_each(|node| node.reach(4));
    until("all are connected and vote", || codes(&status(&nodes[0], &[]).1).is_empty());
    let (_, found) = status(&nodes[0], &[]);
    assert_eq!(found["network_key_matches"], Value::Null, "no key is pinned: {found}");
    let health = &found["health"];
    assert_eq!((&health["role"], &health["term"]["quorum"]), (&json!("validator"), &json!(3)), "{health}");
    assert_eq!(health["validators"].as_array().unwrap().len(), 4, "{health}");
    assert_eq!(health["validators"].as_array().unwrap().iter().filter(|one| one["own"] == json!(true)).count(), 1);
    assert!(
        health["progress"]["executed"].as_u64().unwrap() >= 4 && health["machine"]["memory_bytes"].as_u64() > Some(0)
    );
    assert_eq!((&health["protocol"]["current"], &health["key_service"]["serves"]), (&json!(1), &json!(true)));
    assert!(health["finality"]["count"].as_u64().unwrap() > 0, "{health}");
    // With the key that the user trusts, and with another.
    let key = nodes[0].text("network_key");
    assert_eq!(status(&nodes[0], &["--network-key", &key]).1["network_key_matches"], json!(true));
    let other = "a".repeat(192);
    let (code, found) = status(&nodes[0], &["--network-key", &other]);
    assert_eq!((code, &found["network_key_matches"]), (1, &json!(false)));
    // In words.
    let words = run(&["status", "--rpc", &nodes[0].text("rpc"), NOWHERE[0], NOWHERE[1]]);
    let text = String::from_utf8(words.stdout).unwrap();
    for line in [
        "network   ",
        "node      validator ",
        "blocks    ",
        "finality  ",
        "term      ",
        "peers     4 ",
        "machine   ",
        "protocol  version 1",
    ] {
        assert!(text.contains(line), "no `{line}` in:\n{text}");
    }
    metrics_have_everything(&nodes[0]);

    nodes.pop().unwrap().kill();
    until("the one that was killed is missed", || codes(&status(&nodes[0], &[]).1) == ["validator-away"]);
    assert_eq!(status(&nodes[0], &[]).0, 3, "warnings have an exit status");
    nodes.pop().unwrap().kill();
    until("the quorum is missed", || codes(&status(&nodes[0], &[]).1)[0] == "quorum-lost");
    assert_eq!(get(&nodes[0].text("rpc"), "/ready").0, 503);
    assert_eq!(get(&nodes[0].text("rpc"), "/health").0, 200);
}

fn metrics_have_everything(node: &Running) {
    let (code, text) = get(&node.text("rpc"), "/metrics");
    assert_eq!(code, 200);
    for name in [
        "node_executed_height",
        "node_final_height",
        "node_ordered_height",
        "node_executed_lag",
        "node_block_age_seconds",
        "node_pool_transactions",
        "node_pool_bytes",
        "node_state_store_bytes",
        "node_consensus_store_bytes",
        "node_disk_free_bytes",
        "node_memory_bytes",
        "node_peers_connected",
        "node_protocol_version",
        "node_finality_seconds_count",
        "node_block_seconds_count",
        "node_execution_seconds_count",
        "node_key_shares_released_total",
    ] {
        assert!(text.lines().any(|line| line.starts_with(&format!("{name} "))), "no {name} in:\n{text}");
    }
    assert_eq!(text.lines().filter(|line| line.starts_with("node_peer_connected{") && line.ends_with(" 1")).count(), 3);
}

/// Call data of `scheduleProtocol(uint32,uint64,string)` with a release of at most 32 bytes.
fn schedule(version: u8, from_height: u64, release: &str) -> Vec<u8> {
    let word = |number: u64| {
        let mut word = [0; 32];
        word[24..].copy_from_slice(&number.to_be_bytes());
        word
    };
    let mut padded = [0; 32];
    padded[..release.len()].copy_from_slice(release.as_bytes());
    let selector = keccak256(&[b"scheduleProtocol(uint32,uint64,string)"]).0;
    let words = [word(version.into()), word(from_height), word(96), word(release.len() as u64), padded];
    [&selector[..4], words.as_flattened()].concat()
}

#[test]
fn a_version_that_is_not_known_is_warned_of_and_stops_the_node_before_its_height() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let up =
        ["up", "--no-app", "--validators", "1", "--data-dir", folder.path().to_str().unwrap(), "--rpc", "127.0.0.1:0"];
    let network = Running::start(&up);
    network.reach(2);
    let from = network.height() + 20;
    let receipt = send(&network, schedule(2, from, "freehold-9.9.9"));
    assert_eq!(receipt["status"], json!("0x1"), "{receipt}");
    let (code, found) = status(&network, &[]);
    assert_eq!((code, codes(&found)), (3, vec!["protocol-unknown".to_owned()]), "{found}");
    assert_eq!(found["node"]["protocol"], found["health"]["protocol"]);
    assert_eq!(found["node"]["protocol"]["release"], json!("freehold-9.9.9"));
    // It goes on until the height, and ends there with a sentence; again it is the same, and nothing was lost.
    network.reach(from - 1);
    let hash = network.block_hash(from - 1);
    until("the node has ended", || {
        std::net::TcpStream::connect(network.text("rpc").trim_start_matches("http://")).is_err()
    });
    drop(network);
    for _ in 0..2 {
        let ended = Command::new("timeout").args(["60", BINARY]).args(up).output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{}", said(&ended));
        assert!(said(&ended).contains("install release freehold-9.9.9"), "{}", said(&ended));
    }
    assert!(hash.starts_with("0x"));
}

fn said_on_help() -> String {
    String::from_utf8(run(&["node", "--help"]).stdout).unwrap()
}

#[test]
fn shells_complete_commands_and_flags() {
    let script = |shell| String::from_utf8(run(&["completions", shell]).stdout).unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(script(shell).contains("deploy"), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("freehold.bash");
    fs::write(&path, script("bash")).unwrap();
    let complete = "source \"$1\"; COMP_WORDS=(freehold app de); COMP_CWORD=2; _freehold freehold de app; echo \"${COMPREPLY[*]}\"";
    match Command::new("bash").args(["-c", complete, "bash"]).arg(&path).output() {
        Ok(output) => assert_eq!(output.stdout, b"deploy\n", "{}", said(&output)),
        Err(error) => eprintln!("SKIPPED: bash is not here ({error}): its script is not run"),
    }
}

#[test]
fn example_units_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/systemd");
    let mut checked = 0;
    for entry in fs::read_dir(units).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let command = text.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/freehold ")).unwrap();
        let command = command.replace("${NODES}", "http://127.0.0.1:1").replace("${NETWORK_KEY}", &"a".repeat(192));
        let mut words: Vec<&str> = command.split(' ').collect();
        words.push("--help");
        if command.contains("--follow ") && !said_on_help().contains("--follow") {
            eprintln!("SKIPPED: this build has no followers: the command of {} is not read", path.display());
        } else {
            assert!(run(&words).status.success(), "{}: {command}", path.display());
        }
        for line in ["NoNewPrivileges=yes", "ProtectSystem=strict", "UMask=0077", "Restart=on-failure"] {
            assert!(text.lines().any(|found| found == line), "{}: no {line}", path.display());
        }
        let copy = folder.path().join(path.file_name().unwrap());
        fs::write(&copy, text.replace("/usr/bin/freehold", BINARY)).unwrap();
        match Command::new("systemd-analyze").arg("verify").arg(&copy).output() {
            Ok(output) => assert!(output.status.success() && output.stderr.is_empty(), "{output:?}"),
            Err(error) => {
                eprintln!("SKIPPED: systemd-analyze is not here ({error}): {} is not verified", path.display())
            }
        }
        checked += 1;
    }
    assert_eq!(checked, 4);
}
