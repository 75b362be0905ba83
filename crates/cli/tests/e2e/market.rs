//! The market by the command line: what is shown before it is signed, what is refused, and what is listed.

use serde_json::Value;

use crate::support::{Running, run, said, turn};

/// Runs a command with `--json`: its exit status, its objects, and what it said.
fn told(words: &[&str]) -> (Option<i32>, Vec<Value>, String) {
    let output = run(&[words, &["--json"]].concat());
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    let objects = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code(), objects, said(&output))
}

#[test]
fn a_machine_is_offered_rented_and_given_back_by_the_command_line() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net");
    let up = ["up", "--no-app", "--validators", "1", "--rpc", "127.0.0.1:0", "--data-dir", path.to_str().unwrap()];
    let network = Running::start(&up);
    let rpc = network.text("rpc");
    let (provider, renter) = (["--rpc", &rpc, "--dev-user", "1"], ["--rpc", &rpc, "--dev-user", "2"]);
    let offer = ["--price", "1000", "--bond", "5000", "--evidence-kind", "1", "--trust-domain", "1"];
    let shape = ["--cpus", "2", "--memory-mib", "4096", "--seconds-min", "60"];
    let add = [&["host", "offer", "add"], &offer[..], &shape, &provider].concat();
    let (code, dry, said) = told(&[&add[..], &["--dry-run"]].concat());
    assert_eq!((code, dry.len(), dry[0]["event"].as_str()), (Some(0), 1, Some("signing")), "{said}");
    assert_eq!(told(&add).0, Some(0));
    let app = "rofl1qrev5wq76npkmcv5wxkdxxcu4dhmu704yyl30h43";
    let rent = [&["market", "rent", "1", "--app", app, "--seconds", "600"], &renter[..]].concat();
    let (code, _, said) = told(&rent);
    assert_eq!(code, Some(1));
    assert!(said.contains("0 wei are free of the bond, and 5000 are needed"), "{said}");
    assert_eq!(told(&[&["host", "bond", "--add", "5000"], &provider[..]].concat()).0, Some(0));
    let (code, objects, said) = told(&rent);
    assert_eq!((code, objects[0]["value_wei"].as_str()), (Some(0), Some("600000")), "{said}");
    let more = [&["market", "top-up", "1", "--seconds", "60"], &renter[..]].concat();
    assert_eq!(told(&more).1[0]["value_wei"], "60000");
    let (_, listed, _) = told(&["market", "list", "--rpc", &rpc]);
    assert_eq!((listed[0]["event"].as_str(), listed[0]["rented"].as_u64()), (Some("offer"), Some(1)));
    let (starts, ends) = (listed[1]["starts_at"].as_u64().unwrap(), listed[1]["ends_at"].as_u64().unwrap());
    assert_eq!(ends - starts, 660);
    let (code, _, said) = told(&[&["market", "cancel", "1"], &provider[..]].concat());
    assert_eq!(code, Some(1));
    assert!(said.contains("another account's"), "{said}");
    assert_eq!(told(&[&["market", "cancel", "1"], &renter[..]].concat()).0, Some(0));
    assert_eq!(told(&[&["market", "withdraw"], &renter[..]].concat()).0, Some(0));
    assert_eq!(told(&[&["host", "offer", "rm", "1"], &provider[..]].concat()).0, Some(0));
    assert_eq!(told(&["market", "list", "--rpc", &rpc]).1, Vec::<Value>::new());
    network.interrupt();
}
