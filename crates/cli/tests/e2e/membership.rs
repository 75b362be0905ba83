//! The network of the mission, by the words of docs/operations.md and docs/validators.md: four machines found it without a
//! dealer, keys are reshared every term, a fifth joins and one leaves under load without a failed request, and disks are
//! wiped in turn and come back, also where nobody keeps the first payloads any more. An app keeps its key through it all, and a
//! light client checks with the network key alone.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use freehold_crypto::AccountKey;
use freehold_primitives::Account;
use freehold_rpc::{CallTransaction, FeeQuote};
use serde_json::{Value, json};

use crate::support::{BINARY, Running, app_answer, free_address, post, quantity, run, said, sandbox_works, turn};

/// The second account of the well-known test mnemonic.
const SENDER: &str = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d";
/// Who is given one wei by each transfer.
const RECEIVER: Account = Account([9; 20]);
const TERM_BLOCKS: &str = "40";
/// A term has 40 payloads, ten a second at most; a busy machine takes its time.
const WAIT: Duration = Duration::from_secs(240);

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < WAIT, "not within {} s: {what}", WAIT.as_secs());
        thread::sleep(Duration::from_millis(200));
    }
}

/// Transfers through one node, one after another; every one must be executed.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    thread: thread::JoinHandle<()>,
}

impl Load {
    fn start(rpc: String) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&done));
        let thread = thread::spawn(move || {
            let call = |method: &str, params: Value| {
                let answer = post(&rpc, &json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }));
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                answer["result"].clone()
            };
            let key = AccountKey::from_bytes(&hex::decode(SENDER).unwrap().try_into().unwrap()).unwrap();
            let chain_id = quantity(&call("eth_chainId", json!([])));
            let from = format!("0x{}", key.account());
            for nonce in quantity(&call("eth_getTransactionCount", json!([from, "latest"]))).. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let transaction = CallTransaction {
                    chain_id,
                    nonce,
                    to: RECEIVER,
                    value_wei: 1,
                    gas_limit: 30_000,
                    fees: FeeQuote { max_fee_per_gas: 10_000_000_000, max_priority_fee_per_gas: 1_000_000_000 },
                    data: Vec::new(),
                };
                let (raw, hash) = transaction.sign(&key);
                call("eth_sendRawTransaction", json!([format!("0x{}", hex::encode(raw))]));
                wait_for("a transfer is executed", || {
                    let receipt = call("eth_getTransactionReceipt", json!([format!("0x{hash}")]));
                    receipt["status"] == json!("0x1")
                });
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { stop, done, thread }
    }

    /// How many transfers were executed; a failed one fails here.
    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.done.load(Ordering::Relaxed)
    }
}

/// Machines of one network below one folder.
struct Machines(tempfile::TempDir);

impl Machines {
    fn folder(&self, machine: usize) -> String {
        self.0.path().join(format!("machine-{machine}")).to_str().unwrap().to_owned()
    }

    /// Four machines found a network whose terms are short.
    fn found() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        let network = this.0.path().join("network.toml").to_str().unwrap().to_owned();
        let mut combine =
            ["genesis", "combine", "--term-blocks", TERM_BLOCKS, "--out", &network].map(str::to_owned).to_vec();
        for machine in 0..4 {
            let folder = this.folder(machine);
            let made = run(&["genesis", "contribute", "--data-dir", &folder, "--address", &free_address()]);
            assert!(made.status.success(), "{made:?}");
            combine.push(format!("{folder}/contribution.toml"));
        }
        let made = run(&combine.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(made.status.success(), "{made:?}");
        let join = |machine: usize| {
            Command::new(BINARY)
                .args(["genesis", "join", "--data-dir", &this.folder(machine), "--network", &network])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        };
        for child in (0..4).map(join).collect::<Vec<_>>() {
            let ended = child.wait_with_output().unwrap();
            assert!(ended.status.success(), "{ended:?}");
        }
        this
    }

    fn start(&self, machine: usize) -> Running {
        let folder = self.folder(machine);
        Running::start(&["node", "--data-dir", &folder, "--rpc", "127.0.0.1:0", "--keep-payloads", "1"])
    }

    /// Whether a machine's consensus engine still has the payloads that the chain began with.
    fn keeps_the_first_payloads(&self, machine: usize) -> bool {
        let partition = Path::new(&self.folder(machine)).join("consensus/validator-blocks-values");
        assert!(partition.is_dir(), "the engine's archive lies elsewhere");
        partition.join("0".repeat(16)).exists()
    }

    /// What is left of a machine whose disk was lost: its identity, and what the operator has in a safe.
    fn wipe(&self, machine: usize) {
        let folder = self.folder(machine);
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let kept = ["identity.key", "genesis.bin", "network.toml", "peers.toml"];
            if kept.iter().any(|name| entry.file_name().to_str() == Some(name)) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                fs::remove_dir_all(entry.path()).unwrap();
            } else {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }
}

/// An app from an empty folder, which answers with a fingerprint of the key that the network gives it.
struct App {
    folder: String,
    data: String,
}

impl App {
    /// `None` where programs cannot be sandboxed.
    fn made(below: &Path) -> Option<Self> {
        if !sandbox_works() {
            return None;
        }
        let text = |name: &str| below.join(name).to_str().unwrap().to_owned();
        let this = Self { folder: text("keeper"), data: text("keeper-data") };
        let made = Command::new(BINARY).args(["app", "init", "keeper"]).current_dir(below).output().unwrap();
        assert!(made.status.success(), "{}", said(&made));
        Some(this)
    }

    fn run(&self, rpc: &str, network_key: &str) -> Running {
        let network = ["app", "run", &self.folder, "--rpc", rpc, "--network-key", network_key];
        Running::start(&[&network[..], &["--data-dir", &self.data, "--api", "127.0.0.1:0", "--once"]].concat())
    }
}

/// The term, and the validators with a seat or waiting for one.
fn validators(rpc: &str) -> (u64, Vec<Value>) {
    let output = run(&["validator", "status", "--rpc", rpc, "--json"]);
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let told: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    (told["term"].as_u64().unwrap(), told["validators"].as_array().unwrap().clone())
}

fn is_seated(rpc: &str, identity: &str) -> bool {
    let (_, all) = validators(rpc);
    all.iter().any(|entry| entry["identity"] == json!(identity) && entry["state"] == json!("active"))
}

fn wait_for_terms(rpc: &str, count: u64) {
    let (from, _) = validators(rpc);
    wait_for("terms pass", || validators(rpc).0 >= from + count);
}

#[test]
fn members_come_and_go_and_disks_are_lost_while_clients_go_on() {
    let _turn = turn();
    let machines = Machines::found();
    let mut nodes: Vec<Option<Running>> = (0..4).map(|machine| Some(machines.start(machine))).collect();
    let first = nodes[0].as_ref().unwrap();
    let (rpc, key) = (first.text("rpc"), first.text("network_key"));
    first.reach(3);
    let load = Load::start(rpc.clone());
    let app = App::made(machines.0.path());
    let first_instance = app.as_ref().map(|app| app.run(&rpc, &key));
    let fingerprint = first_instance.as_ref().map(app_answer);

    // Keys are reshared, and the first shares are gone from every disk.
    let shares = |machine: usize| Path::new(&machines.folder(machine)).join("consensus.share").exists();
    wait_for("the first shares are erased", || (0..4).all(|machine| !shares(machine)));

    // A fifth joins, one leaves: the seat passes at a term's end.
    let identity = |node: &Option<Running>| node.as_ref().unwrap().text("identity");
    let mut sorted: Vec<String> = nodes.iter().map(identity).collect();
    sorted.sort();
    let seat_of = |identity: &str| sorted.iter().position(|other| other == identity).unwrap().to_string();
    let (newcomer, address) = (machines.folder(4), free_address());
    let join = ["validator", "join", "--data-dir", &newcomer, "--address", &address, "--rpc", &rpc, "--dev-seat", "7"];
    let joined = run(&[&join[..], &["--network-key", &key]].concat());
    assert!(joined.status.success(), "{}", said(&joined));
    nodes.push(Some(machines.start(4)));
    let fifth = identity(&nodes[4]);
    let third = identity(&nodes[3]);
    let leave =
        ["validator", "leave", "--data-dir", &machines.folder(3), "--rpc", &rpc, "--dev-seat", &seat_of(&third)];
    let left = run(&leave);
    assert!(left.status.success(), "{}", said(&left));
    wait_for("the fifth has the seat of the one that left", || is_seated(&rpc, &fifth) && !is_seated(&rpc, &third));
    // One term more: now it holds shares, and the other is not needed.
    wait_for_terms(&rpc, 2);
    nodes[3].take().unwrap().interrupt();

    // Disks are lost in turn, one a term. Each comes back by itself, and signs again: without the next, the others need it.
    for wiped in [1, 2, 4] {
        if wiped == 4 {
            let kept =
                || nodes.iter().enumerate().any(|(at, node)| node.is_some() && machines.keeps_the_first_payloads(at));
            wait_for("nobody keeps the first payloads", || !kept());
        }
        nodes[wiped].take().unwrap().kill();
        machines.wipe(wiped);
        nodes[wiped] = Some(machines.start(wiped));
        wait_for_terms(&rpc, 3);
        let height = nodes[0].as_ref().unwrap().height();
        wait_for("the wiped machine has caught up", || nodes[wiped].as_ref().unwrap().height() >= height);
        // It took the state, not the blocks.
        let floor = Path::new(&machines.folder(wiped)).join("floor.bin");
        assert!(floor.exists(), "{wiped} has executed all blocks");
    }
    let without = nodes[1].take().unwrap();
    without.kill();
    let height = nodes[0].as_ref().unwrap().height();
    wait_for("three of four go on, two of them without the disks they began with", || {
        nodes[4].as_ref().unwrap().height() > height + 20
    });
    let transfers = load.stop();
    assert!(transfers > 100, "the load was none");

    // The app's key is the one of the first term: the instance of then has it, and so has one that starts now.
    if let (Some(app), Some(instance)) = (app, first_instance) {
        assert_eq!(Some(app_answer(&instance)), fingerprint);
        instance.interrupt();
        let another = app.run(&rpc, &key);
        assert_eq!(Some(app_answer(&another)), fingerprint);
        another.interrupt();
    }

    // Who has the network key and nothing else checks what the chain says, whoever is asked.
    for node in [0, 2, 4].map(|machine| nodes[machine].as_ref().unwrap().text("rpc")) {
        let receiver = format!("0x{}", hex::encode(RECEIVER.0));
        let asked = run(&["light", "--network-key", &key, "--node", &node, "--json", "balance", &receiver]);
        assert!(asked.status.success(), "{}", said(&asked));
        let told: Value = serde_json::from_slice(&asked.stdout).unwrap();
        assert_eq!((&told["proven"], &told["value"]), (&json!(true), &json!(transfers.to_string())));
    }
    let hash = nodes[0].as_ref().unwrap().block_hash(height);
    assert!([2, 4].iter().all(|machine| nodes[*machine].as_ref().unwrap().block_hash(height) == hash));
    assert!(nodes.iter().flatten().all(|node| node.text("network_key") == key));
}
