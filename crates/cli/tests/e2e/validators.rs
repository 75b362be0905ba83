//! A validator's ways by the command line: what is shown before it is signed, what is refused, and where it stands.

use std::{fs, path::Path};

use freehold_crypto::{Ed25519Secret, genesis_hash, payload_digest, proposal_message, share_message, slots::KEYS};
use freehold_primitives::{Blob, Canonical as _, Digest, Ed25519Signature, Genesis, Payload, PayloadHead, ShareReport};
use serde_json::{Value, json};

use crate::support::{BINARY, Running, run, said, sandbox_works, turn};

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

/// A proof as a node keeps it.
fn proof(path: &Path, one: (&PayloadHead, &[u8]), other: (&PayloadHead, &[u8])) {
    let hexed = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
    let proof = json!({
        "head1": hexed(&one.0.to_canonical()), "signature1": hexed(one.1),
        "head2": hexed(&other.0.to_canonical()), "signature2": hexed(other.1),
    });
    fs::write(path, proof.to_string()).unwrap();
}

fn wei(network: &Running, account: &str) -> u128 {
    let balance = network.call("eth_getBalance", json!([account, "latest"])).unwrap();
    u128::from_str_radix(balance.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

#[test]
fn a_double_proposal_is_reported_and_costs_the_bond() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let net = path("net");
    let network = Running::start(&["up", "--no-app", "--validators", "4", "--rpc", "127.0.0.1:0", "--data-dir", &net]);
    network.reach(8);
    let rpc = network.text("rpc");
    // A payload that the chain holds, with its proposer's true signature; and another of the same view, which whoever has
    // the proposer's folder signs with its key.
    let page = network.call("freehold_syncBlocks", json!([5, 1, "payloads"])).unwrap();
    let document = hex::decode(page["blocks"][0]["payload"].as_str().unwrap().trim_start_matches("0x")).unwrap();
    let Payload { head: one, signature, .. } = Payload::from_canonical(&document).unwrap();
    let other = PayloadHead { body: Digest([9; 32]), ..one.clone() };
    let offender = format!("{net}/validator-{}", one.proposer);
    let seed: [u8; 32] = fs::read(format!("{offender}/identity.key")).unwrap().try_into().unwrap();
    let secret = Ed25519Secret::from_seed(&seed);
    let second = secret.sign(&proposal_message(&payload_digest(&other)));
    let genuine = folder.path().join("double-proposal.json");
    proof(&genuine, (&one, signature.as_bytes()), (&other, &second));

    let reporter = format!("{net}/validator-{}", (one.proposer + 1) % 4);
    let report = |file: &Path, words: &[&str]| {
        let base =
            ["report", "--proof", file.to_str().unwrap(), "--data-dir", &reporter, "--rpc", &rpc, "--dev-seat", "9"];
        validator(&[&base[..], words].concat())
    };
    let standing = || {
        let (code, told, said) = validator(&["status", "--rpc", &rpc]);
        assert_eq!(code, Some(0), "{said}");
        let all = told[0]["validators"].as_array().unwrap().clone();
        all.into_iter().find(|entry| entry["identity"] == json!(secret.public().to_string())).unwrap()
    };
    assert_eq!((&standing()["state"], &standing()["bond_wei"]), (&json!("active"), &json!("1000000000000000000000")));

    // What proves nothing is refused, and costs nobody anything.
    let forged = folder.path().join("forged.json");
    proof(&forged, (&one, signature.as_bytes()), (&other, signature.as_bytes()));
    let (code, _, said) = report(&forged, &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("the head is not signed by its proposer"), "{said}");
    proof(&forged, (&one, signature.as_bytes()), (&one, signature.as_bytes()));
    let (code, _, said) = report(&forged, &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("these are not two heads of one proposer in one view"), "{said}");
    let (code, told, said) = report(&genuine, &["--dry-run"]);
    assert_eq!((code, told.len()), (Some(0), 1), "{said}");
    assert_eq!(standing()["state"], "active");

    let zero = "0x0000000000000000000000000000000000000000";
    let (code, told, said) = report(&genuine, &[]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        (&told[0]["function"], &told[1]["event"]),
        (&json!("reportDoubleProposal(bytes,bytes,bytes,bytes)"), &json!("done"),)
    );
    let account = told[0]["from"].as_str().unwrap();
    let after = standing();
    assert_eq!((&after["state"], &after["bond_wei"]), (&json!("jailed"), &json!("0")));
    assert!(after["jailed_until"].as_u64().unwrap() > one.term, "{after}");
    // An eighth of the bond to the reporter, whose fees are far below a coin; the rest burnt where everyone sees it.
    let coin = 10_u128.pow(18);
    assert!(wei(&network, account) > (10_000 + 124) * coin, "{}", wei(&network, account));
    assert!(wei(&network, zero) >= 875 * coin);
    let (code, _, said) = report(&genuine, &[]);
    assert_eq!(code, Some(1));
    assert!(said.contains("proposals of this term were punished already"), "{said}");
    let seat = one.proposer.to_string();
    let (code, _, said) = validator(&["unjail", "--data-dir", &offender, "--rpc", &rpc, "--dev-seat", &seat]);
    assert_eq!(code, Some(1));
    assert!(said.contains("the terms in jail are not over"), "{said}");
    // The network goes on, the one in jail with its seat until a candidate takes it.
    network.reach(network.height() + 5);
    network.interrupt();
}

#[test]
fn a_wrong_share_is_reported_and_costs_the_bond() {
    if !sandbox_works() {
        return;
    }
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let net = path("net");
    let network = Running::start(&["up", "--no-app", "--validators", "4", "--rpc", "127.0.0.1:0", "--data-dir", &net]);
    let rpc = network.text("rpc");
    let made = std::process::Command::new(BINARY).args(["app", "init", &path("app")]).output().unwrap();
    assert!(made.status.success(), "{}", said(&made));
    let app = Running::start(&["app", "run", &path("app"), "--data-dir", &net, "--api", "127.0.0.1:0", "--once"]);
    // A grant of the app's key, as everybody sees it; and a share of it that whoever has a validator's folder signs.
    let granted = network.call("eth_getLogs", json!([{"fromBlock": "0x0", "address": KEYS}])).unwrap();
    let grant: Digest = granted[0]["topics"][1].as_str().unwrap().trim_start_matches("0x").parse().unwrap();
    let document = network.call("freehold_genesis", json!([])).unwrap();
    let document = hex::decode(document.as_str().unwrap().trim_start_matches("0x")).unwrap();
    let genesis = genesis_hash(&Genesis::from_canonical(&document).unwrap());
    let offender = 1_u32;
    let key = fs::read(format!("{net}/validator-{offender}/identity.key")).unwrap();
    let secret = Ed25519Secret::from_seed(&key.try_into().unwrap());
    let share = vec![7; 196];
    let signature = Ed25519Signature(secret.sign(&share_message(&genesis, (0, 0), &grant, &share)));
    let signed =
        ShareReport { term: 0, master: 0, member: offender, grant, state: None, share: Blob(share), signature };
    let report = |report: &ShareReport| {
        let file = folder.path().join("wrong-share-0-1.json");
        fs::write(&file, json!({"report": format!("0x{}", hex::encode(report.to_canonical()))}).to_string()).unwrap();
        let (file, reporter) = (file.to_str().unwrap().to_owned(), format!("{net}/validator-2"));
        validator(&["report", "--proof", &file, "--data-dir", &reporter, "--rpc", &rpc, "--dev-seat", "9"])
    };
    let (code, _, said) = report(&ShareReport { signature: Ed25519Signature::ZERO, ..signed.clone() });
    assert_eq!(code, Some(1), "{said}");
    let (code, told, said) = report(&signed);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(told[0]["function"], "reportWrongShare(bytes)");
    let (_, told, _) = validator(&["status", "--rpc", &rpc]);
    let all = told[0]["validators"].as_array().unwrap().clone();
    let liar = all.iter().find(|entry| entry["identity"] == json!(secret.public().to_string())).unwrap();
    assert_eq!((&liar["state"], &liar["bond_wei"]), (&json!("jailed"), &json!("0")));
    app.interrupt();
    network.interrupt();
}
