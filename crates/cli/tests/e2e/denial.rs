//! One transaction of the governor denies a generation for the whole chain: keys, questions and proofs know at once.

use std::path::Path;

use freehold_crypto::{AccountKey, keccak256, slots};
use freehold_primitives::{Digest, TrustDomain, entries::generation};
use freehold_rpc::{CallTransaction, FeeQuote};
use serde_json::{Value, json};

use crate::{
    answer::{ask, model_is_here, verdict},
    support::{Running, quantity, run, said, turn, until},
};

/// The first account of the well-known test mnemonic, which is the first of a development genesis.
const GOVERNOR: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const GENERATION: u8 = 5;

/// Call data of `deny(bytes21,uint8,bytes,uint8)` for the chain itself, of a subject shorter than a word.
fn deny(subject: &[u8]) -> Vec<u8> {
    let word = |number: u8| {
        let mut word = [0; 32];
        word[31] = number;
        word
    };
    let mut padded = [0; 32];
    padded[..subject.len()].copy_from_slice(subject);
    let selector = keccak256(&[b"deny(bytes21,uint8,bytes,uint8)"]).0;
    let length = u8::try_from(subject.len()).unwrap();
    let words = [word(0), word(GENERATION), word(128), word(2), word(length), padded];
    [&selector[..4], words.as_flattened()].concat()
}

/// Sends a call to `Apps` from the governor and gives its receipt.
pub(crate) fn send(network: &Running, data: Vec<u8>) -> Value {
    let key = AccountKey::from_bytes(&hex::decode(GOVERNOR).unwrap().try_into().unwrap()).unwrap();
    let from = format!("0x{}", key.account());
    let nonce = quantity(&network.call("eth_getTransactionCount", json!([from, "latest"])).unwrap());
    let transaction = CallTransaction {
        chain_id: quantity(&network.call("eth_chainId", json!([])).unwrap()),
        nonce,
        to: slots::APPS,
        value_wei: 0,
        gas_limit: 200_000,
        fees: FeeQuote { max_fee_per_gas: 10_000_000_000, max_priority_fee_per_gas: 0 },
        data,
    };
    let (raw, hash) = transaction.sign(&key);
    network.call("eth_sendRawTransaction", json!([format!("0x{}", hex::encode(raw))])).unwrap();
    let receipt = || network.call("eth_getTransactionReceipt", json!([format!("0x{hash}")])).unwrap();
    until("the call is executed", || !receipt().is_null());
    receipt()
}

fn taint(data: &str, subject: &str) -> Value {
    let output = run(&["taint", "generation", subject, "--data-dir", data, "--json"]);
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_denied_generation_answers_nobody() {
    let _turn = turn();
    if !model_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("net");
    let data = data.to_str().unwrap();
    let up = ["up", "--data-dir", data, "--rpc", "127.0.0.1:0", "--api", "127.0.0.1:0", "--threads", "1"];
    let network = Running::start(&up);
    let key = network.text("network_key");
    let proof = folder.path().join("proof.json");
    let asked = ask(data, &proof, &["Say hello.", "--max-tokens", "4"]);
    assert!(asked.status.success(), "{}", said(&asked));

    let subject = generation(TrustDomain::Emulated, TrustDomain::Intel, &freehold_emulator::FMSPC);
    let named = hex::encode(subject);
    let before = taint(data, &named);
    let instance = &before["instances"][0];
    assert_eq!((&instance["live"], &before["denials"], &instance["tier"]), (&json!(true), &json!([]), &json!(1)));
    assert_eq!(before["apps"], json!([network.text("app_id")]));
    assert!(before["receipts"].as_u64().unwrap() > 0 && instance["last_anchor"].is_u64());
    let id: Digest = instance["instance_id"].as_str().unwrap().trim_start_matches("0x").parse().unwrap();
    let grant = format!("0x{}", slots::grant_id(&id, "root", 0));
    assert!(network.call("freehold_keyShares", json!([grant])).is_ok());

    let receipt = send(&network, deny(&subject));
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    let height = quantity(&receipt["blockNumber"]);

    let refused = network.call("freehold_keyShares", json!([grant])).unwrap_err();
    assert!(refused["message"].as_str().unwrap().contains("the chain denies"), "{refused}");
    let asked = ask(data, &folder.path().join("second.json"), &["Say hello.", "--max-tokens", "4"]);
    assert!(!asked.status.success(), "whether the guest has ended already or not: {}", said(&asked));
    let after = taint(data, &named);
    assert_eq!((&after["instances"][0]["live"], &after["denials"][0]["since"]), (&json!(false), &json!(height)));
    let words = run(&["taint", "generation", &named, "--data-dir", data]);
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(words.contains(&format!("The chain denied it at block {height} (extracted key); this stands.")), "{words}");
    let unknown = run(&["taint", "colour", &named, "--data-dir", data]);
    assert!(!unknown.status.success() && said(&unknown).contains("no such kind"), "{}", said(&unknown));

    // The proof of before stays valid, and says since when it is tainted.
    let header = folder.path().join("header.json");
    let saved = run(&["header", "--save", path(&header), "--proof", path(&proof), "--data-dir", data]);
    assert!(saved.status.success(), "{}", said(&saved));
    let (code, said) = verdict(&[path(&proof), "--header", path(&header), "--network-key", &key]);
    assert_eq!((code, &said["valid_then"], &said["valid_now"]), (0, &json!(true), &json!("no")), "{said}");
    let tainted = &said["tainted"][0];
    assert_eq!((&tainted["since_height"], &tainted["by"]), (&json!(height), &json!("chain")));
    assert_eq!(tainted["subject"], format!("generation:{named}"));
    network.interrupt();
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
