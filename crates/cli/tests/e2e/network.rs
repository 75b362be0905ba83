//! `up --no-app`: Ethereum's clients, resuming, and what a user may do wrong.

use std::process::Command;

use serde_json::json;

use crate::support::{
    Running, beside, get, node_clients, passes, post, post_bytes, python_clients, run, said, turn, turn_alone, until,
};

fn up(folder: &str) -> Running {
    Running::start(&["up", "--no-app", "--data-dir", folder, "--rpc", "127.0.0.1:0"])
}

#[test]
fn stock_ethereum_clients_transfer_deploy_call_and_read_logs() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let network = up(folder.path().to_str().unwrap());
    let (rpc, counter) = (network.text("rpc"), beside("counter.json"));
    if let Some(clients) = node_clients() {
        for script in ["viem.mjs", "ethers.mjs", "tools.mjs"] {
            // Node looks for packages from where the script stands.
            let copy = clients.join(script);
            std::fs::copy(beside(script), &copy).unwrap();
            passes(Command::new("node").arg(copy).arg(&rpc).arg(&counter));
        }
        let bytecode: serde_json::Value = serde_json::from_slice(&std::fs::read(&counter).unwrap()).unwrap();
        let cast = clients.join("node_modules/@foundry-rs/cast-linux-amd64/bin/cast");
        if cast.exists() {
            let code = bytecode["bytecode"].as_str().unwrap();
            passes(Command::new("sh").arg(beside("cast.sh")).arg(cast).arg(&rpc).arg(code));
        } else {
            eprintln!("SKIPPED: cast is not packaged for this machine");
        }
    }
    if let Some(python) = python_clients() {
        passes(Command::new(python).arg(beside("web3_py.py")).arg(&rpc).arg(&counter));
    }
    network.interrupt();
}

#[test]
fn floods_get_clear_errors_and_the_node_goes_on() {
    let _turn = turn_alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let network = Running::start(&["up", "--no-app", "--validators", "1", "--data-dir", path, "--rpc", "127.0.0.1:0"]);
    let Some(clients) = node_clients() else { return };
    let copy = clients.join("floods.mjs");
    std::fs::copy(beside("floods.mjs"), &copy).unwrap();
    passes(Command::new("node").arg(copy).arg(network.text("rpc")));
    network.interrupt();
}

#[test]
fn traces_of_confidential_contracts_are_chosen_at_the_beginning() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let arguments = ["up", "--no-app", "--validators", "1", "--data-dir", path, "--rpc", "127.0.0.1:0"];
    let network = Running::start(&arguments);
    assert_eq!(network.call("freehold_status", json!([])).unwrap()["dev_traces"], false);
    network.interrupt();
    let refused = run(&[&arguments[..], &["--dev-traces"]].concat());
    assert!(!refused.status.success());
    assert!(said(&refused).contains("which its genesis decides"), "{}", said(&refused));
    let other = tempfile::tempdir().unwrap();
    let path = other.path().to_str().unwrap();
    let open = ["up", "--no-app", "--validators", "1", "--data-dir", path, "--rpc", "127.0.0.1:0", "--dev-traces"];
    let network = Running::start(&open);
    assert_eq!(network.call("freehold_status", json!([])).unwrap()["dev_traces"], true);
    network.interrupt();
}

#[test]
fn up_stops_on_sigint_and_resumes() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let network = up(path);
    network.reach(2);
    let (hash, key, height) = (network.block_hash(2), network.text("network_key"), network.height());
    let second = run(&["up", "--no-app", "--data-dir", path]);
    assert!(!second.status.success());
    assert!(said(&second).contains(&format!("process {}", network.pid())), "{}", said(&second));
    network.interrupt();

    let network = up(path);
    assert_eq!(network.text("network_key"), key);
    assert_eq!(network.block_hash(2), hash);
    network.reach(height + 1);
    network.kill();

    let network = up(path);
    assert_eq!(network.block_hash(2), hash);
    network.reach(height + 2);
}

#[test]
fn a_single_validator_is_enough() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let network = Running::start(&["up", "--no-app", "--validators", "1", "--data-dir", path, "--rpc", "127.0.0.1:0"]);
    network.reach(2);
    let finality = network.call("freehold_getFinality", json!([1])).unwrap();
    assert_eq!(finality["height"], 1);
    let key = network.call("freehold_networkKey", json!([])).unwrap();
    assert_eq!(key.as_str().unwrap().trim_start_matches("0x"), network.text("network_key"));
}

#[test]
fn operators_get_health_readiness_and_metrics() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let network = Running::start(&["up", "--no-app", "--validators", "1", "--data-dir", path, "--rpc", "127.0.0.1:0"]);
    network.reach(2);
    let rpc = network.text("rpc");
    assert_eq!(get(&rpc, "/health"), (200, "alive\n".to_owned()));
    assert_eq!(get(&rpc, "/ready"), (200, "ready\n".to_owned()));
    let (status, metrics) = get(&rpc, "/metrics");
    assert_eq!(status, 200);
    let gauge = |name: &str| -> u64 {
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {metrics}")).split(' ').next_back().unwrap().parse().unwrap()
    };
    assert!(gauge("node_executed_height") >= 2);
    assert!(gauge("node_final_height") >= 1);
    assert!(gauge("node_block_age_seconds") <= 10);
    assert!(gauge("node_block_store_bytes") > 0);
    assert!(metrics.contains("validator_archive"), "the engine's metrics are there too");
    assert_ne!(get(&rpc, "/else").0, 200);
    network.interrupt();
}

#[test]
fn wrong_settings_get_one_clear_sentence() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let two = run(&["up", "--no-app", "--validators", "2", "--data-dir", path]);
    assert!(said(&two).contains("--validators must be 1, or 4 and more"), "{}", said(&two));

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = run(&["up", "--no-app", "--validators", "1", "--data-dir", path, "--rpc", &address]);
    assert!(!refused.status.success());
    assert!(said(&refused).contains("choose another address with --rpc"), "{}", said(&refused));

    let other = run(&["up", "--no-app", "--validators", "1", "--data-dir", path, "--chain-id", "7"]);
    assert!(said(&other).contains("holds the chain 23293, not 7"), "{}", said(&other));

    let blocks = folder.path().join("validator-0/blocks.redb");
    std::fs::write(&blocks, vec![0x5a; 8_192]).unwrap();
    let damaged = run(&["up", "--no-app", "--validators", "1", "--data-dir", path, "--rpc", "127.0.0.1:0"]);
    assert!(!damaged.status.success());
    assert!(said(&damaged).contains("blocks.redb"), "{}", said(&damaged));
}

#[test]
fn hostile_requests_get_standard_errors_and_the_network_goes_on() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let network = Running::start(&["up", "--no-app", "--validators", "1", "--data-dir", path, "--rpc", "127.0.0.1:0"]);
    let rpc = network.text("rpc");
    assert_eq!(network.call("eth_noSuchMethod", json!([])).unwrap_err()["code"], -32_601);
    assert_eq!(network.call("eth_getBalance", json!(["0x12"])).unwrap_err()["code"], -32_602);
    let malformed: serde_json::Value = serde_json::from_str(&post_bytes(&rpc, b"{\"jsonrpc\":").1).unwrap();
    assert_eq!(malformed["error"]["code"], -32_700);
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []},
        {"jsonrpc": "2.0", "id": 2, "method": "net_version", "params": []},
    ]);
    assert_eq!(post(&rpc, &batch).as_array().unwrap().len(), 2);
    assert_ne!(post_bytes(&rpc, &vec![b' '; 3 << 20]).0, 200);
    for raw in ["0x", "0x02", "0x03c0", "0xc0", "0xf86c", &format!("0x02{}", "ff".repeat(200_000))] {
        let error = network.call("eth_sendRawTransaction", json!([raw])).unwrap_err();
        assert!(error["code"].as_i64().unwrap() <= -32_000, "{error}");
    }
    let height = network.height();
    until("the network goes on", || network.height() > height + 1);
}
