//! `node --follow`: a full node from the network key alone, by state sync, through `kill -9`, and past a source that lies.

use serde_json::{Value, json};

use crate::support::{Running, relay, run, said, turn};

#[test]
fn follower_needs_only_an_address_and_the_network_key() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let up = path("up");
    let network = Running::start(&["up", "--no-app", "--data-dir", &up, "--rpc", "127.0.0.1:0"]);
    network.reach(5);
    let (rpc, key) = (network.text("rpc"), network.text("network_key"));

    // A lying source alone is refused, with its lie.
    let offer = |said: &mut Value| said["result"]["state_root"] = json!(format!("0x{}", "ab".repeat(32)));
    let (wrong, mine) = (relay(&rpc, "freehold_syncState", offer), path("mine"));
    let follow = |sources: &str| {
        Running::try_start(&[
            "node",
            "--follow",
            sources,
            "--network-key",
            &key,
            "--data-dir",
            &mine,
            "--rpc",
            "127.0.0.1:0",
        ])
    };
    let refused = follow(&wrong).err().expect("a lying source is refused");
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("lied and no other source is left"), "{}", said(&refused));

    // Beside an honest one it does no harm.
    let follower = follow(&format!("{wrong},{rpc}")).unwrap();
    assert!(follower.ready["synced"]["height"].as_u64().unwrap() > 0, "{}", follower.ready);
    follower.reach(network.height());
    let height = follower.height();
    assert_eq!(follower.block_hash(height), network.block_hash(height));

    // Killed it goes on from its own stores.
    follower.kill();
    network.reach(height + 3);
    let follower = follow(&rpc).unwrap();
    assert!(follower.ready["synced"].is_null(), "{}", follower.ready);
    follower.reach(height + 3);
    assert_eq!(follower.block_hash(height + 3), network.block_hash(height + 3));

    // The light client takes its word, since it comes with proofs.
    let rich = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    let asked = follower.text("rpc");
    let answer = run(&["light", "--network-key", &key, "--node", &asked, "--json", "balance", rich]);
    assert!(answer.status.success(), "{}", said(&answer));
    let told: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!((&told["proven"], &told["value"]), (&json!(true), &json!("10000000000000000000000")));
    follower.interrupt();

    // Another network's key is refused in its folder.
    let other = "a5".repeat(96);
    let refused = Running::try_start(&["node", "--follow", &rpc, "--network-key", &other, "--data-dir", &mine]);
    assert_eq!(refused.err().unwrap().status.code(), Some(1));
    let usage = run(&["node", "--follow", &rpc, "--data-dir", &mine]);
    assert_eq!(usage.status.code(), Some(2), "--network-key is missing: {}", said(&usage));
    network.interrupt();
}
