//! Another network key on a running network, by the command line: asked for, made, named, in force; and whoever holds the
//! old key only, a light client or a follower, comes to the new one by the records, and by no forged one.

use std::{
    path::Path,
    process::Output,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Running, relay, run, said, signal, turn};

/// The first user of the well-known test mnemonic, who governs.
const RICH: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
/// Payloads of a term of four validators: the fewest there may be.
const TERM: &str = "32";
const WAIT: Duration = Duration::from_secs(240);

fn key_in_force(node: &Running) -> String {
    node.call("freehold_networkKey", json!([])).unwrap().as_str().unwrap().trim_start_matches("0x").to_owned()
}

/// Waits until a node is under another key than this one, which is the new one.
fn succeeded(node: &Running, old: &str) -> String {
    let begun = Instant::now();
    loop {
        let key = key_in_force(node);
        if key != old {
            return key;
        }
        assert!(begun.elapsed() < WAIT, "no other network key within {} s", WAIT.as_secs());
        thread::sleep(Duration::from_millis(200));
    }
}

/// A balance by the light client from this key: proven, or what it said.
fn light(rpc: &str, key: &str) -> Result<(), String> {
    let answer = run(&["light", "--network-key", key, "--node", rpc, "--json", "balance", RICH]);
    if !answer.status.success() {
        return Err(said(&answer));
    }
    let told: Value = serde_json::from_slice(&answer.stdout).unwrap();
    assert_eq!(told["proven"], json!(true), "{told}");
    Ok(())
}

/// A network of four in which another key was made; `before` follows since before it was asked for.
struct Changed {
    network: Running,
    before: Running,
    folder: tempfile::TempDir,
    rpc: String,
    old: String,
    new: String,
}

impl Changed {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("net");
        let up = ["up", "--no-app", "--validators", "4", "--term-blocks", TERM, "--rpc", "127.0.0.1:0", "--data-dir"];
        let network = Running::start(&[&up[..], &[data.to_str().unwrap()]].concat());
        let (rpc, old) = (network.text("rpc"), network.text("network_key"));
        network.reach(5);
        assert_eq!(key_in_force(&network), old);
        let before = follow(&rpc, &old, &folder.path().join("before")).unwrap();
        let ask = |user: &str| run(&["validator", "succeed-key", "--rpc", &rpc, "--dev-user", user, "--json"]);
        let refused = ask("1");
        assert!(!refused.status.success() && said(&refused).contains("governor"), "{}", said(&refused));
        let asked = ask("0");
        assert!(asked.status.success(), "{}", said(&asked));
        let again = ask("0");
        assert!(said(&again).contains("another network key is asked for already"), "{}", said(&again));
        let new = succeeded(&network, &old);
        network.reach(network.height() + 4);
        Self { network, before, folder, rpc, old, new }
    }

    /// The light client walks from the old key, by true records only, and begins with the new key alone.
    fn light_clients(&self) {
        let Self { rpc, old, new, .. } = self;
        light(rpc, old).unwrap();
        light(rpc, new).unwrap();
        let records = self.folder.path().join("records.json");
        let records = records.to_str().unwrap();
        let walk = run(&["validator", "succession", "--rpc", rpc, "--network-key", old, "--save", records, "--json"]);
        assert!(walk.status.success(), "{}", said(&walk));
        let lines = String::from_utf8(walk.stdout).unwrap();
        let told = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["network_key"].clone());
        assert_eq!(told.collect::<Vec<_>>(), [json!(old), json!(new)]);
        // Withheld; a byte of the key that is named; a byte of the certificate.
        let forge: [fn(&mut Value); 3] =
            [|said| said["result"] = json!([]), |said| change_byte(said, 2 * (152 + 8)), |said| change_byte(said, 3)];
        for change in forge {
            let liar = relay(rpc, "freehold_successions", change);
            assert!(light(&liar, old).is_err(), "a forged record was believed");
            let answer =
                run(&["light", "--network-key", old, "--node", &liar, "--succession", records, "balance", RICH]);
            assert!(answer.status.success(), "{}", said(&answer));
        }
    }

    /// A follower is under the new key, at the newest block, and leads light clients over the record.
    fn check(&self, name: &str, node: &Running) {
        node.reach(self.network.height());
        assert_eq!(succeeded(node, &self.old), self.new, "{name}");
        light(&node.text("rpc"), &self.old).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// A follower that trusts this key.
fn follow(rpc: &str, key: &str, folder: &Path) -> Result<Running, Output> {
    let folder = folder.to_str().unwrap();
    Running::try_start(&["node", "--follow", rpc, "--network-key", key, "--data-dir", folder, "--rpc", "127.0.0.1:0"])
}

/// Changes a digit of the first record, counted from its end.
fn change_byte(said: &mut Value, from_end: usize) {
    let mut record = said["result"][0].as_str().unwrap().as_bytes().to_vec();
    let at = record.len() - from_end;
    record[at] = if record[at] == b'0' { b'1' } else { b'0' };
    said["result"][0] = json!(String::from_utf8(record).unwrap());
}

#[test]
fn old_key_leads_to_the_new_one_for_light_clients_and_followers() {
    let _turn = turn();
    let changed = Changed::make();
    changed.light_clients();
    changed.check("before", &changed.before);
    let Changed { before, folder, rpc, old, new, network } = &changed;
    signal(before.pid(), "INT");
    // One that takes the state after the change; then from the new key, in a fresh folder and in one of the old key.
    for (name, key) in [("late", old), ("fresh", new), ("late", new)] {
        let node = follow(rpc, key, &folder.path().join(name));
        let node = node.unwrap_or_else(|output| panic!("{name}: {}", said(&output)));
        changed.check(name, &node);
        node.interrupt();
    }
    let other = follow(rpc, &"a5".repeat(96), &folder.path().join("late"));
    let refused = other.err().expect("a key that is none of the chain's is refused");
    assert!(said(&refused).contains("another network"), "{}", said(&refused));
    assert_eq!(key_in_force(network), *new);
}
