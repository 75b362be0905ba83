//! A validator without blocks, or left behind, takes the network's state: from sources that lie, withhold or are damaged, over
//! interruptions, from hostile peers, and in a network that forgets.
#![allow(clippy::unwrap_used)]

mod hostile;
mod left_behind;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use freehold_node::{BlockStore, Clock, MemberConfig, MemberError, StoreIdentity, SyncError, take_validator_state};
use freehold_primitives::{
    Canonical as _, Certificate, Digest, Executed, G1Point, Genesis, Membership, NetworkKey, PayloadHead,
    SuccessionRecord,
};
use freehold_rpc::{Endpoint, NodeClient};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::follower::{
    liar::{Twist, flip, liar},
    net::{Choice, Net, User, reach},
};

/// Payloads of a term of a network of one.
const TERM: u64 = 8;
/// How far a state may be below the newest block (`spec/sync.md` §6).
const LAG_MAX: u64 = 64;

/// A network that is past the terms of which a newcomer would take all blocks.
async fn grown() -> (Net, User) {
    let net = Net::start_with(Membership { term_blocks: TERM, ..Membership::default() }).await;
    let user = net.user();
    let contract = user.deploy(Choice::Public).await;
    let mut newest = 0;
    while newest <= 3 * TERM {
        newest = user.keep(contract, newest + 1).await;
    }
    reach(&user.client, newest + 2).await;
    (net, user)
}

/// What is left of a validator whose disk was lost.
pub(crate) fn wiped(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in ["identity.key", "genesis.bin", "state.development-key"] {
        if from.join(file).exists() {
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
    }
}

pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Settings of a validator that knows these sources and no peers.
fn newcomer(genesis: &Genesis, folder: &Path, sources: Vec<Endpoint>) -> MemberConfig {
    MemberConfig {
        folder: folder.to_path_buf(),
        genesis: genesis.clone(),
        name: "newcomer".to_owned(),
        listen: free_address(),
        peers: Vec::new(),
        rpc: None,
        keep_blocks: None,
        keep_payloads: None,
        sources,
        clock: Clock::system(),
        signer: None,
    }
}

/// Takes the state; whether it was not stopped before.
async fn take(config: MemberConfig, mut stopped: oneshot::Receiver<()>) -> Result<bool, MemberError> {
    tokio::task::spawn_blocking(move || take_validator_state(&config, &mut stopped)).await.unwrap()
}

async fn take_all(config: MemberConfig) -> Result<bool, MemberError> {
    let (_stop, stopped) = oneshot::channel();
    take(config, stopped).await
}

fn code(error: &MemberError) -> Option<u16> {
    match error {
        MemberError::Sync(error @ SyncError::Lied { .. }) => Some(error.code()),
        _ => None,
    }
}

/// The folder has the network's state at some height, and what consensus begins with.
async fn is_whole(genesis: &Genesis, user: &User, folder: &Path) {
    assert!(folder.join("floor.bin").exists() && !folder.join("incoming").exists());
    let identity = StoreIdentity { chain_id: genesis.chain_id, genesis_hash: freehold_crypto::genesis_hash(genesis) };
    let mark = BlockStore::open(&folder.join("blocks.redb"), &identity).unwrap().executed().unwrap();
    assert!(mark.height > 2 * TERM);
    let block = json!([format!("{:#x}", mark.height), false]);
    let header: Value = user.client.call("eth_getBlockByNumber", block).await.unwrap();
    assert_eq!(header["stateRoot"], format!("0x{}", mark.state_root));
}

fn is_empty(folder: &Path) -> bool {
    ["blocks.redb", "state", "floor.bin"].iter().all(|part| !folder.join(part).exists())
}

/// A record of the right form.
fn forged() -> SuccessionRecord {
    let zero = Digest::ZERO;
    let payload_head = PayloadHead {
        chain_id: 4_243,
        height: TERM - 1,
        term: 0,
        view: TERM - 1,
        parent: zero,
        timestamp_ms: 0,
        proposer: 0,
        executed: Executed { height: 0, block_hash: zero },
        parent_seed: None,
        body: zero,
    };
    let (signature, seed) = (G1Point::ZERO, G1Point::ZERO);
    let certificate = Certificate { term: 0, view: TERM - 1, parent_view: 0, payload: zero, signature, seed };
    SuccessionRecord { payload_head, network_key: NetworkKey([7; 96]), certificate }
}

/// Lies that stop a validator's sync, with the code of each.
const LIES: [(&str, u16, Twist); 10] = [
    ("a succession that nobody signed", 13, |method, answer| {
        if method == "freehold_successions" {
            *answer = json!([format!("0x{}", alloy_primitives::hex::encode(forged().to_canonical()))]);
        }
    }),
    ("a header that nobody signed", 3, |method, answer| {
        if method == "freehold_getFinality" && !answer.is_null() {
            flip(&mut answer["headers"][0], -40);
        }
    }),
    ("another state root", 11, |method, answer| {
        if method == "freehold_syncState" {
            flip(&mut answer["state_root"], 3);
        }
    }),
    ("another log", 11, |method, answer| {
        if method == "freehold_syncState" {
            flip(&mut answer["log_root"], 3);
        }
    }),
    ("changed operations", 12, |method, answer| {
        if method == "freehold_syncOperations" {
            flip(answer, -50);
        }
    }),
    ("an answer without end", 1, |method, answer| {
        if method == "freehold_syncOperations" {
            *answer = json!("0".repeat(41 * 1024 * 1024));
        }
    }),
    ("changed content", 10, |method, answer| {
        if method == "freehold_syncContent" {
            flip(&mut answer["pieces"][0]["bytes"], 0);
        }
    }),
    ("changed headers", 4, |method, answer| {
        if method == "freehold_getHeaders" {
            flip(&mut answer[0], 40);
        }
    }),
    ("another payload to begin with", 6, |method, answer| {
        if method == "freehold_syncBlocks" {
            flip(&mut answer["blocks"][0]["payload"], 60);
        }
    }),
    ("a certificate that the network did not make", 8, |method, answer| {
        if method == "freehold_syncBlocks" && !answer["blocks"][0]["certificate"].is_null() {
            flip(&mut answer["blocks"][0]["certificate"], 120);
        }
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn lies_to_a_validator_are_caught_and_an_honest_source_makes_good() {
    let (net, user) = grown().await;
    let lost = net.folder.path().join("validator-0");
    for (what, expected, twist) in LIES {
        let (endpoint, handle) = liar(&net.endpoint(), twist).await;
        let folder = tempfile::tempdir().unwrap();
        wiped(&lost, folder.path());
        let refused = take_all(newcomer(&net.genesis, folder.path(), vec![endpoint.clone()])).await;
        let error = refused.err().unwrap_or_else(|| panic!("{what} is taken for true"));
        assert_eq!(code(&error), Some(expected), "{what}: {error}");
        assert!(is_empty(folder.path()), "{what} is kept");
        // The same folder, with an honest source behind the liar.
        let both = newcomer(&net.genesis, folder.path(), vec![endpoint, net.endpoint()]);
        let taken = take_all(both).await.unwrap_or_else(|error| panic!("{what} stops an honest source: {error}"));
        assert!(taken, "{what}");
        is_whole(&net.genesis, &user, folder.path()).await;
        drop(handle);
    }
    net.network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_source_withholds_from_a_validator_comes_from_another() {
    let (net, user) = grown().await;
    let lost = net.folder.path().join("validator-0");
    let withheld: [(&str, Twist); 2] = [
        ("content", |method, answer| match method {
            "freehold_syncContent" => *answer = json!({ "pieces": [], "next": null }),
            "freehold_getContent" => *answer = Value::Null,
            _ => {}
        }),
        ("the payload to begin with", |method, answer| {
            if method == "freehold_syncBlocks" {
                *answer = json!({ "blocks": [], "cover": null });
            }
        }),
    ];
    // One that is behind, or says so, does not make the chain short.
    let (endpoint, handle) = liar(&net.endpoint(), |method, answer| {
        if method == "eth_getBlockByNumber" && !answer.is_null() {
            answer["number"] = json!("0x1");
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    wiped(&lost, folder.path());
    assert!(take_all(newcomer(&net.genesis, folder.path(), vec![endpoint, net.endpoint()])).await.unwrap());
    is_whole(&net.genesis, &user, folder.path()).await;
    drop(handle);
    for (what, twist) in withheld {
        let (endpoint, handle) = liar(&net.endpoint(), twist).await;
        let folder = tempfile::tempdir().unwrap();
        wiped(&lost, folder.path());
        let refused = take_all(newcomer(&net.genesis, folder.path(), vec![endpoint.clone()])).await;
        let error = refused.err().unwrap_or_else(|| panic!("{what} is not missed"));
        assert!(matches!(error, MemberError::Sync(SyncError::NotKept { .. })), "{what}: {error}");
        assert!(is_empty(folder.path()), "a state without {what} is kept");
        assert!(take_all(newcomer(&net.genesis, folder.path(), vec![endpoint, net.endpoint()])).await.unwrap());
        is_whole(&net.genesis, &user, folder.path()).await;
        drop(handle);
    }
    net.network.stop().await;
}

/// The first state that a stale source told.
static FIRST_STATE: OnceLock<Value> = OnceLock::new();

fn stale(method: &str, answer: &mut Value) {
    if method == "freehold_syncState" {
        *answer = FIRST_STATE.get_or_init(|| answer.clone()).clone();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_state_is_not_taken_by_a_validator() {
    let (net, user) = grown().await;
    let lost = net.folder.path().join("validator-0");
    let (endpoint, _handle) = liar(&net.endpoint(), stale).await;
    let told = NodeClient::new(endpoint.clone()).sync_state().await.unwrap().height;
    // It is true, and still certified, but the payloads that follow on it need not be there any more.
    let contract = user.deploy(Choice::Public).await;
    while user.keep(contract, 1).await <= told + LAG_MAX + TERM {}
    let folder = tempfile::tempdir().unwrap();
    wiped(&lost, folder.path());
    let refused = take_all(newcomer(&net.genesis, folder.path(), vec![endpoint.clone()])).await;
    let error = refused.expect_err("an old state is taken");
    assert!(matches!(error, MemberError::Sync(SyncError::NotKept { .. })), "{error}");
    assert!(is_empty(folder.path()), "an old state is kept");
    assert!(take_all(newcomer(&net.genesis, folder.path(), vec![endpoint, net.endpoint()])).await.unwrap());
    is_whole(&net.genesis, &user, folder.path()).await;
    net.network.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_stops_a_validators_sync_which_then_goes_on() {
    let (net, user) = grown().await;
    let folder = tempfile::tempdir().unwrap();
    wiped(&net.folder.path().join("validator-0"), folder.path());
    let config = newcomer(&net.genesis, folder.path(), vec![net.endpoint()]);
    let last = folder.path().join("incoming/floor.part");
    fs::create_dir_all(last.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/full", &last).unwrap();
    let error = take_all(config.clone()).await.expect_err("nothing was written");
    let full = |source: &std::io::Error| source.kind() == std::io::ErrorKind::StorageFull;
    assert!(matches!(&error, MemberError::Sync(SyncError::File { source, .. }) if full(source)), "{error}");
    assert!(is_empty(folder.path()), "{error}");
    fs::remove_file(&last).unwrap();
    assert!(take_all(config).await.unwrap());
    is_whole(&net.genesis, &user, folder.path()).await;
    net.network.stop().await;
}

/// The method at which the sync is stopped, and how.
static STOP: Mutex<Option<(&str, oneshot::Sender<()>)>> = Mutex::new(None);

fn stop_at(method: &str, _: &mut Value) {
    let mut armed = STOP.lock().unwrap_or_else(PoisonError::into_inner);
    if armed.as_ref().is_some_and(|(at, _)| *at == method) {
        let _over = armed.take().unwrap().1.send(());
        // The answer comes when nobody waits for it any more.
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validators_sync_that_is_cut_off_goes_on() {
    let (net, user) = grown().await;
    let lost = net.folder.path().join("validator-0");
    let (endpoint, _handle) = liar(&net.endpoint(), stop_at).await;
    let steps = [
        "freehold_syncState",
        "freehold_syncOperations",
        "freehold_syncContent",
        "freehold_getHeaders",
        "freehold_syncBlocks",
    ];
    // Cut off at each step in turn, in one folder.
    let folder = tempfile::tempdir().unwrap();
    wiped(&lost, folder.path());
    for step in steps {
        let (stop, stopped) = oneshot::channel();
        *STOP.lock().unwrap() = Some((step, stop));
        let taken = take(newcomer(&net.genesis, folder.path(), vec![endpoint.clone()]), stopped).await.unwrap();
        assert!(!taken, "it ended before {step}");
        assert!(is_empty(folder.path()), "after {step} something half is in place");
    }
    // All but what consensus begins with is there, under a header of then; a half written floor does not count.
    fs::write(folder.path().join("incoming/floor.part"), [0; 7]).unwrap();
    assert!(take_all(newcomer(&net.genesis, folder.path(), vec![net.endpoint()])).await.unwrap());
    is_whole(&net.genesis, &user, folder.path()).await;

    // What an earlier run left is damaged: it is taken from the beginning.
    let folder = tempfile::tempdir().unwrap();
    wiped(&lost, folder.path());
    let (stop, stopped) = oneshot::channel();
    *STOP.lock().unwrap() = Some(("freehold_syncBlocks", stop));
    assert!(!take(newcomer(&net.genesis, folder.path(), vec![endpoint]), stopped).await.unwrap());
    let path = folder.path().join("incoming/blocks.redb");
    let mut bytes = fs::read(&path).unwrap();
    bytes.iter_mut().take(4_096).for_each(|byte| *byte = !*byte);
    fs::write(&path, bytes).unwrap();
    assert!(take_all(newcomer(&net.genesis, folder.path(), vec![net.endpoint()])).await.unwrap());
    is_whole(&net.genesis, &user, folder.path()).await;
    net.network.stop().await;
}
