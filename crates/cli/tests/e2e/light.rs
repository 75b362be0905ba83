//! `light`: unmodified clients against the local proxy, and single answers on the command line.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Running, beside, free_address, node_clients, passes, run, said, turn};

#[test]
fn stock_ethereum_clients_read_call_and_send_through_the_light_client() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let network = Running::start(&["up", "--no-app", "--data-dir", path, "--rpc", "127.0.0.1:0"]);
    network.reach(2);
    let (rpc, key) = (network.text("rpc"), network.text("network_key"));
    // One of the nodes is away.
    let away = format!("http://{}", free_address());
    let checkpoint = folder.path().join("checkpoint.json");
    let shared = ["light", "--network-key", &key, "--node", &away, "--node", &rpc];
    let serving = ["--listen", "127.0.0.1:0", "--checkpoint", checkpoint.to_str().unwrap()];
    let light = Running::start(&[&shared[..], &serving].concat());
    assert_eq!(light.call("eth_chainId", json!([])).unwrap(), json!("0x5afd"));
    if let Some(clients) = node_clients() {
        let copy = clients.join("light.mjs");
        std::fs::copy(beside("light.mjs"), &copy).unwrap();
        passes(Command::new("node").arg(copy).arg(light.text("rpc")).arg(beside("counter.json")));
    }
    assert!(checkpoint.exists());
    // A dealer made this network's keys: no quorum could give them to executors.
    let refused = network.call("freehold_stateKeyShares", json!([format!("0x{}", "09".repeat(32)), 0])).unwrap_err();
    assert_eq!(refused["data"]["code"], json!(18), "{refused}");
    light.interrupt();

    let rich = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    let answer = run(&[&shared[..], &["--json", "balance", rich]].concat());
    assert!(answer.status.success(), "{}", said(&answer));
    let told: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!((&told["proven"], &told["value"]), (&json!(true), &json!("10000000000000000000000")));
    let other = run(&["light", "--network-key", &"a5".repeat(96), "--node", &rpc, "header"]);
    assert!(!other.status.success());
    assert!(said(&other).contains("under this network key"), "{}", said(&other));
    network.interrupt();
}
