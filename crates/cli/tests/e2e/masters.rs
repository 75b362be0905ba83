//! Another master of the derivation key on a running network, by the command line: an app goes on with its key of the
//! generation before as long as that is kept, and gets one under the new master, which its guest verifies.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use alloy_sol_types::SolCall as _;
use freehold_crypto::slots::KEYS;
use freehold_primitives::AppId;
use serde_json::{Value, json};

use crate::{
    executor::{governor, send},
    support::{BINARY, Running, run, said, sandbox_works, turn},
};

#[allow(clippy::too_many_arguments, reason = "generated from Solidity by alloy")]
mod abi {
    alloy_sol_types::sol!("../../contracts/interfaces/IKeys.sol");
}

/// Payloads of a term of four validators: the fewest there may be.
const TERM: &str = "32";
/// How long the master before serves on, in seconds: time for a guest, which looks every 15 s, and a busy machine.
const KEEP_S: u64 = 90;
const WAIT: Duration = Duration::from_secs(300);

/// A running app's local API.
struct Local(String);

impl Local {
    fn of(app: &Running) -> Self {
        Self(app.text("local_api").strip_prefix("unix:").unwrap().to_owned())
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut stream = UnixStream::connect(&self.0).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: local\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    /// The app's key under a generation, the newest where none is named; `None` where it is not served.
    fn key(&self, generation: Option<u32>) -> Option<(String, u64)> {
        let body = json!({"key_id": "disk", "kind": "raw-256", "generation": generation});
        let (status, answer) = self.ask("POST", "/freehold/v1/keys/generate", &body.to_string());
        if status != 200 {
            assert_eq!(status, 404, "{answer}");
            return None;
        }
        Some((answer["key"].as_str().unwrap().to_owned(), answer["generation"].as_u64().unwrap()))
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < WAIT, "not within {} s: {what}", WAIT.as_secs());
        thread::sleep(Duration::from_millis(500));
    }
}

/// What `validator status` says of masters.
fn masters(rpc: &str) -> Vec<Value> {
    let status = run(&["validator", "status", "--rpc", rpc, "--json"]);
    assert!(status.status.success(), "{}", said(&status));
    let lines = String::from_utf8(status.stdout).unwrap();
    let told = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    told.filter(|line| line["event"].as_str().unwrap().starts_with("master")).collect()
}

fn succeed(rpc: &str, user: &str) -> std::process::Output {
    let keep = KEEP_S.to_string();
    run(&["validator", "succeed-master", "--rpc", rpc, "--dev-user", user, "--keep", &keep, "--json"])
}

#[test]
fn an_app_keeps_its_key_for_a_while_and_gets_one_under_the_new_master() {
    if !sandbox_works() {
        return;
    }
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let (data, folder) = (dir.path().join("net"), dir.path().join("app"));
    let (data, folder) = (data.to_str().unwrap(), folder.to_str().unwrap());
    let up = ["up", "--no-app", "--validators", "4", "--term-blocks", TERM, "--rpc", "127.0.0.1:0", "--data-dir", data];
    let network = Running::start(&up);
    let rpc = network.text("rpc");
    let made = Command::new(BINARY).args(["app", "init", "app"]).current_dir(dir.path()).output().unwrap();
    assert!(made.status.success(), "{}", said(&made));
    let app = Running::start(&["app", "run", folder, "--data-dir", data, "--api", "127.0.0.1:0", "--once"]);
    let local = Local::of(&app);
    let (old, generation) = local.key(None).unwrap();
    assert_eq!(generation, 0);
    // Only the governor asks; then the status says it.
    assert_eq!(masters(&rpc), Vec::<Value>::new());
    let refused = succeed(&rpc, "1");
    assert!(!refused.status.success() && said(&refused).contains("governor"), "{}", said(&refused));
    let asked = succeed(&rpc, "0");
    assert!(asked.status.success(), "{}", said(&asked));
    assert_eq!(masters(&rpc)[0]["event"], "master_asked");
    until("another master begins", || {
        masters(&rpc).iter().any(|master| master["generation"] == json!(1) && master["event"] == "master")
    });
    let begun = Instant::now();
    let standing = masters(&rpc);
    assert_eq!((&standing[0]["generation"], &standing[1]["ends_at"]), (&json!(0), &Value::Null));
    assert_ne!(standing[0]["public_key"], standing[1]["public_key"]);
    // The context moves at its next use, or by anybody's hand.
    let id: AppId = app.text("app_id").parse().unwrap();
    let rotate = abi::IKeys::rotateCall { app: (*id.as_bytes()).into(), context: "root".to_owned() };
    send(&network, &governor(), Some(KEYS), rotate.abi_encode());
    until("the guest has the next generation", || local.key(Some(1)).is_some());
    let (new, _) = local.key(Some(1)).unwrap();
    assert_ne!(new, old);
    assert_eq!(local.key(None), Some((new.clone(), 1)));
    // What is under the key before can be read, and no longer than was said.
    assert_eq!(local.key(Some(0)), Some((old, 0)), "{:?} after it began", begun.elapsed());
    until("the generation before ends", || local.key(Some(0)).is_none());
    assert!(begun.elapsed() > Duration::from_secs(KEEP_S / 2), "it ended early");
    // Another instance of the app has the new key, and no other.
    app.interrupt();
    let again =
        Running::start(&["app", "run", folder, "--data-dir", data, "--api", "127.0.0.1:0", "--once", "--keep-policy"]);
    let local = Local::of(&again);
    assert_eq!((local.key(None), local.key(Some(0))), (Some((new, 1)), None));
    again.interrupt();
    network.interrupt();
}
