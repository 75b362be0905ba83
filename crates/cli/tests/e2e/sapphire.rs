//! Sapphire's unmodified clients: encrypted transactions and calls, signed queries, and what they must not show.

use std::process::Command;

use serde_json::json;

use crate::support::{Running, beside, passes, sapphire_node_clients, sapphire_python_client, turn};

fn up(folder: &str) -> Running {
    Running::start(&["up", "--no-app", "--data-dir", folder, "--rpc", "127.0.0.1:0"])
}

#[test]
fn sapphires_clients_deploy_write_and_read_encrypted() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let network = up(folder.path().to_str().unwrap());
    network.reach(2);
    let (rpc, vault) = (network.text("rpc"), beside("vault.json"));
    if let Some(clients) = sapphire_node_clients() {
        let copy = clients.join("sapphire.mjs");
        std::fs::copy(beside("sapphire.mjs"), &copy).unwrap();
        passes(Command::new("node").arg(copy).arg(&rpc).arg(&vault));
    }
    if let Some(python) = sapphire_python_client() {
        passes(Command::new(python).arg(beside("sapphire.py")).arg(&rpc).arg(&vault));
    }
    network.interrupt();
}

#[test]
fn refused_call_data_gets_sapphires_words_and_a_code() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let network = up(folder.path().to_str().unwrap());
    network.reach(2);
    let key = network.call("oasis_callDataPublicKey", json!([])).unwrap();
    let checksum = key["checksum"].as_str().unwrap();
    assert_eq!((key["key"].as_str().unwrap().len(), checksum.len()), (66, 66));
    let to = "0x00000000000000000000000000000000000000aa";
    let envelope = |epoch: u64| {
        let head = format!("0xa264626f6479a462706b5820{}6464617461541111", "22".repeat(32));
        let epoch = format!("{}6565706f63681a{epoch:08x}", "11".repeat(18));
        format!("{head}{epoch}656e6f6e63654f{}66666f726d617401", "33".repeat(15))
    };
    let now = key["epoch"].as_u64().unwrap();
    let cases = [
        (now, "core: invalid call format: Tag verification failed", 5),
        (now + 1_000, "core: invalid call format: epoch in the future", 3),
        (now - 1_000, "core: invalid call format: epoch too far in the past", 4),
    ];
    for (epoch, message, code) in cases {
        for method in ["eth_call", "eth_estimateGas"] {
            let error = network.call(method, json!([{ "to": to, "data": envelope(epoch) }])).unwrap_err();
            assert_eq!((&error["code"], &error["message"]), (&json!(-32_000), &json!(message)), "{method}");
            assert_eq!(error["data"]["refusal"], code, "{method}");
        }
    }
}
