//! Canaries in confidential storage of a real network: they are in no file, no log line and no answer, while the public
//! canaries beside them are found where they must be.
#![allow(clippy::unwrap_used)]

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex, keccak256};
use freehold_crypto::{AccountKey, slots};
use freehold_node::{Clock, Network, NetworkConfig, NewNetwork, create_network};
use freehold_primitives::{Account, Allocation, Digest, Genesis, Membership, Purpose};
use freehold_rpc::{NodeClient, NodeError};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

const WAIT: Duration = Duration::from_secs(60);
/// What the contract adds to a word before it keeps it, so that call data never holds a canary.
const MASK: [u8; 32] = hex!("5a17c3b94d2e8861f07d3a96e41bcf58237ad09e615c84f32b6790e5d8a14c3f");

/// Keeps `word ^ MASK` in a slot; with one word of call data alone, answers what is in that slot.
fn runtime() -> Vec<u8> {
    [&hex!("36602014603057")[..], &hex!("5f357f"), &MASK, &hex!("186020355500"), &hex!("5b5f35545f5260205ff3")].concat()
}

/// Sends the one word of its call data on to a contract, and answers with what that says.
fn forwarder(to: Account) -> Vec<u8> {
    [&hex!("5f355f5260205f60205f5f73")[..], &to.0, &hex!("5af15060205ff3")].concat()
}

/// Init code of the contract that keeps words.
fn init_code(public: Choice) -> Bytes {
    init_code_of(public, &runtime())
}

/// Init code; a public contract asks `Visibility` first.
fn init_code_of(public: Choice, runtime: &[u8]) -> Bytes {
    let selector = &keccak256("makePublic()")[..4];
    let ask = [&[0x63][..], selector, &hex!("60e01b5f525f5f60045f5f62f4ee075af150")].concat();
    let before = if public == Choice::Public { ask } else { Vec::new() };
    let (length, offset) = (u8::try_from(runtime.len()).unwrap(), u8::try_from(before.len() + 9).unwrap());
    [&before[..], &[0x60, length, 0x80, 0x60, offset, 0x5f, 0x39, 0x5f, 0xf3], runtime].concat().into()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Public,
    Confidential,
}

/// Everything that is logged.
#[derive(Clone, Default)]
struct Logs(Arc<Mutex<Vec<u8>>>);

impl Write for Logs {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logs {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

struct User {
    key: AccountKey,
    chain_id: u64,
    client: NodeClient,
}

impl User {
    /// Sends a transaction and waits for it; the contract that it made, if any.
    async fn send(&self, to: Option<Account>, data: impl Into<Bytes>) -> Option<Account> {
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce: self.client.nonce(&self.key.account()).await.unwrap(),
            gas_limit: 5_000_000,
            max_fee_per_gas: self.client.fees().await.unwrap().max_fee_per_gas,
            max_priority_fee_per_gas: 1,
            to: to.map_or(TxKind::Create, |to| TxKind::Call(Address::from(to.0))),
            input: data.into(),
            ..TxEip1559::default()
        };
        let signed = self.key.sign(&Digest(transaction.signature_hash().0));
        let signature = Signature::from_bytes_and_parity(&signed[..64], signed[64] == 28);
        let raw = transaction.into_signed(signature).encoded_2718();
        let hash = self.client.send_raw_transaction(raw).await.unwrap();
        let receipt: Value = loop {
            let found: Value = self.client.call("eth_getTransactionReceipt", (format!("0x{hash}"),)).await.unwrap();
            if !found.is_null() {
                break found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        receipt["contractAddress"].as_str().map(|text| text.parse().unwrap())
    }

    /// Lets the contract keep a canary.
    async fn keep(&self, contract: Account, slot: u64, canary: B256) {
        let word = canary ^ B256::from(MASK);
        self.send(Some(contract), [word.0, B256::from(U256::from(slot)).0].concat()).await;
    }

    async fn read(&self, contract: Account, slot: u64) -> B256 {
        B256::from_slice(&self.client.eth_call(&contract, B256::from(U256::from(slot)).to_vec()).await.unwrap())
    }

    async fn refusal(&self, method: &str, params: Value) -> (i64, String, Option<Value>) {
        match self.client.call::<Value>(method, params).await {
            Err(NodeError::Refused { code, message, data, .. }) => (code, message, data.map(|data| json!(data))),
            other => panic!("{method} is refused, not {other:?}"),
        }
    }
}

/// Values that are easy to recognise: a random word, text as Solidity keeps a short string, an integer.
fn canaries(seed: u64) -> Vec<B256> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut byte = || rng.random_range(1..=255_u8);
    let word = B256::from(core::array::from_fn(|_| byte()));
    let mut text = B256::ZERO;
    let letters: Vec<u8> = (0..20).map(|_| b'a' + byte() % 26).collect();
    text[..20].copy_from_slice(&letters);
    text[31] = 40;
    let mut integer = B256::ZERO;
    integer[16..].fill_with(byte);
    vec![word, text, integer]
}

/// The part of a canary that says something, in every form in which it might lie about.
fn forms(canary: &B256) -> Vec<Vec<u8>> {
    let parts: Vec<&[u8]> = canary.0.split(|byte| *byte == 0).filter(|part| part.len() >= 12).collect();
    let part = parts[0].to_vec();
    let reversed: Vec<u8> = part.iter().rev().copied().collect();
    let list: Vec<String> = part.iter().map(u8::to_string).collect();
    let texts = [hex::encode(&part), hex::encode_upper(&part), hex::encode(&reversed), list.join(", ")];
    let mut forms: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
    forms.extend([part, reversed, U256::from_be_bytes(canary.0).to_string().into_bytes()]);
    forms
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn holds(bytes: &[u8], canary: &B256) -> bool {
    let forms = forms(canary);
    let mut starts = vec![false; 1 << 16];
    let start = |bytes: &[u8]| usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    for form in &forms {
        starts[start(form)] = true;
    }
    let mut places = bytes.windows(2).enumerate().filter(|(_, pair)| starts[start(pair)]);
    places.any(|(at, _)| forms.iter().any(|form| bytes[at..].starts_with(form)))
}

async fn start(folder: &Path, genesis: &Genesis) -> Network {
    let rpc = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config =
        NetworkConfig { folder: folder.into(), genesis: genesis.clone(), rpc, clock: Clock::system(), signer: None };
    Network::start(config).await.unwrap()
}

fn user(network: &Network, genesis: &Genesis) -> User {
    let client = NodeClient::new(format!("http://{}", network.rpc).parse().unwrap());
    User { key: AccountKey::from_bytes(&[1; 32]).unwrap(), chain_id: genesis.chain_id, client }
}

fn new_network(folder: &Path, validators: u32) -> Genesis {
    new_network_for(folder, validators, Purpose::Development)
}

fn new_network_for(folder: &Path, validators: u32, purpose: Purpose) -> Genesis {
    let account = AccountKey::from_bytes(&[1; 32]).unwrap().account();
    let balance = U256::from(10).pow(U256::from(24)).to_be_bytes();
    let network = NewNetwork {
        chain_id: 4_242,
        validators,
        purpose,
        timestamp_ms: Clock::system().now_ms(),
        trust_roots: Vec::new(),
        allocations: vec![Allocation { account, balance }],
        membership: Membership::default(),
    };
    create_network(folder, &network, &mut StdRng::seed_from_u64(7)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn confidential_plaintext_is_nowhere() {
    let logs = Logs::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(logs.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let genesis = new_network(folder.path(), 4);
    let network = start(folder.path(), &genesis).await;
    let user = user(&network, &genesis);
    let (secrets, known) = (canaries(1), canaries(2));
    let confidential = user.send(None, init_code(Choice::Confidential)).await.unwrap();
    let public = user.send(None, init_code(Choice::Public)).await.unwrap();
    for (contract, canaries) in [(confidential, &secrets), (public, &known)] {
        for (slot, canary) in (0..).zip(canaries) {
            user.keep(contract, slot, *canary).await;
            assert_eq!(user.read(contract, slot).await, *canary);
            // Written over, so that it also stands among what a block replaced.
            user.keep(contract, slot, B256::repeat_byte(1)).await;
            user.keep(contract, slot, *canary).await;
        }
    }
    answers_show_nothing(&user, confidential, public, &known).await;
    let router = user.send(None, init_code_of(Choice::Public, &forwarder(confidential))).await.unwrap();
    for slot in 0..secrets.len() as u64 {
        user.send(Some(router), B256::from(U256::from(slot)).to_vec()).await;
    }
    for (question, answer) in every_answer(&user, confidential, router).await {
        for secret in &secrets {
            assert!(!holds(answer.as_bytes(), secret), "{question} tells a confidential canary: {answer}");
        }
    }
    rotate(&user).await;
    assert_eq!(user.read(confidential, 0).await, secrets[0]);
    network.stop().await;

    let contents: Vec<(PathBuf, Vec<u8>)> =
        files(folder.path()).into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    for secret in &secrets {
        for (path, bytes) in &contents {
            assert!(!holds(bytes, secret), "{} holds a confidential canary", path.display());
        }
        assert!(!holds(&logs.0.lock().unwrap(), secret), "a log line holds a confidential canary");
    }
    assert!(!logs.0.lock().unwrap().is_empty(), "logs were taken");
    // The search finds what is there: every public canary, in the tree and in the block store of every validator.
    for canary in &known {
        for place in ["state", "blocks.redb"] {
            let found =
                contents.iter().filter(|(path, bytes)| path.to_string_lossy().contains(place) && holds(bytes, canary));
            assert!(found.count() >= 4, "a public canary is found in {place} of every validator");
        }
    }
}

async fn answers_show_nothing(user: &User, confidential: Account, public: Account, known: &[B256]) {
    let (secret, open) = (format!("0x{confidential}"), format!("0x{public}"));
    let at = |contract: &str| json!([contract, "0x0", "latest"]);
    assert_eq!(user.client.call::<B256>("eth_getStorageAt", at(&secret)).await.unwrap(), B256::ZERO);
    assert_eq!(user.client.call::<B256>("eth_getStorageAt", at(&open)).await.unwrap(), known[0]);
    let (code, message, data) = user.refusal("freehold_getProof", json!([secret, ["0x0"], "latest"])).await;
    assert_eq!((code, data), (-32_000, Some(json!({ "reason": "confidential" }))), "{message}");
    let account: Value = user.client.call("freehold_getProof", json!([secret, [], "latest"])).await.unwrap();
    assert!(account["account"]["value"].is_string(), "the account itself is proven");
    let proof = user.client.proof(&public, &[[0; 32]]).await.unwrap();
    assert_eq!(proof.proofs[0].value.as_ref().unwrap().0, known[0].to_vec());
    // No state override reads what is confidential: the code of the contract cannot be replaced in a call.
    let getter = json!({ &secret: { "code": "0x5f545f5260205ff3" } });
    for method in ["eth_call", "eth_estimateGas", "eth_createAccessList"] {
        let (code, _, data) = user.refusal(method, json!([{ "to": secret, "data": "0x" }, "latest", getter])).await;
        assert_eq!((code, data), (-32_000, Some(json!({ "reason": "confidential" }))), "{method}");
    }
    let list: Value = user.client.call("eth_createAccessList", json!([{ "to": secret, "data": "0x" }])).await.unwrap();
    assert_eq!(list["accessList"], json!([]));
    let status = user.client.status().await.unwrap().state_keys;
    assert_eq!((status.origin.as_str(), status.generation, status.previous), ("development", 0, None));
}

/// Everything that can be asked about what happened and what could happen, with what is answered.
async fn every_answer(user: &User, confidential: Account, router: Account) -> Vec<(String, String)> {
    let (secret, router) = (format!("0x{confidential}"), format!("0x{router}"));
    let tracers = [
        json!({ "enableMemory": true, "enableReturnData": true }),
        json!({ "tracer": "callTracer", "tracerConfig": { "withLog": true } }),
        json!({ "tracer": "flatCallTracer" }),
        json!({ "tracer": "prestateTracer" }),
        json!({ "tracer": "prestateTracer", "tracerConfig": { "diffMode": true } }),
        json!({ "tracer": "4byteTracer" }),
    ];
    let types = json!(["trace", "vmTrace", "stateDiff"]);
    let mut asked: Vec<(&str, Value)> = Vec::new();
    for height in 1..=user.client.block_number().await.unwrap() {
        let tag = format!("{height:#x}");
        let block: Value = user.client.call("eth_getBlockByNumber", json!([tag, false])).await.unwrap();
        let transactions = block["transactions"].as_array().unwrap();
        if transactions.is_empty() {
            continue;
        }
        asked.extend(tracers.iter().map(|tracer| ("debug_traceBlockByNumber", json!([tag, tracer]))));
        asked.push(("debug_traceBlockByHash", json!([block["hash"]])));
        for method in ["trace_block", "eth_getBlockReceipts", "debug_getRawReceipts"] {
            asked.push((method, json!([tag])));
        }
        asked.push(("trace_replayBlockTransactions", json!([tag, types])));
        for hash in transactions {
            asked.extend(tracers.iter().map(|tracer| ("debug_traceTransaction", json!([hash, tracer]))));
            asked.push(("trace_transaction", json!([hash])));
            asked.push(("trace_get", json!([hash, ["0x0"]])));
            asked.push(("trace_replayTransaction", json!([hash, types])));
        }
    }
    let word = B256::ZERO;
    for to in [&secret, &router] {
        let call = json!({ "to": to, "data": word });
        let rich = json!({ "0x0000000000000000000000000000000000000000": { "balance": "0xffffffffffff" } });
        let asker = json!({ &router: { "code": format!("0x{}", hex::encode(forwarder(confidential))) } });
        for state in [&rich, &asker] {
            for method in ["eth_call", "eth_estimateGas", "eth_createAccessList"] {
                asked.push((method, json!([call, "latest", state])));
            }
            let options = |tracer: &Value| {
                let mut options = tracer.clone();
                options["stateOverrides"] = state.clone();
                options
            };
            asked.extend(tracers.iter().map(|tracer| ("debug_traceCall", json!([call, "latest", options(tracer)]))));
            let blocks = json!([{ "stateOverrides": state, "calls": [call] }]);
            asked.push(("eth_simulateV1", json!([{ "blockStateCalls": blocks, "traceTransfers": true }, "latest"])));
        }
        asked.push(("eth_call", json!([call, "latest", {}, { "time": "0xffffffff" }])));
        asked.push(("eth_createAccessList", json!([call])));
        asked.extend(tracers.iter().map(|tracer| ("debug_traceCall", json!([call, "latest", tracer]))));
        asked.push(("trace_call", json!([call, types, "latest"])));
        asked.push(("eth_simulateV1", json!([{ "blockStateCalls": [{ "calls": [call, call] }] }, "latest"])));
    }
    let mut answers = Vec::new();
    for (method, params) in asked {
        let question = format!("{method} {params}");
        let answer = match user.client.call::<Value>(method, params).await {
            Ok(answer) => answer.to_string(),
            Err(refused @ NodeError::Refused { .. }) => format!("{refused:?}"),
            Err(other) => panic!("{question}: {other}"),
        };
        answers.push((question, answer));
    }
    assert!(answers.len() > 100, "much is asked");
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_genesis_for_it_opens_traces_and_every_answer_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let genesis = new_network_for(folder.path(), 1, Purpose::DevelopmentTraces);
    let network = start(folder.path(), &genesis).await;
    let user = user(&network, &genesis);
    let canary = canaries(3)[0];
    let confidential = user.send(None, init_code(Choice::Confidential)).await.unwrap();
    user.keep(confidential, 0, canary).await;
    let router = user.send(None, init_code_of(Choice::Public, &forwarder(confidential))).await.unwrap();
    user.send(Some(router), B256::ZERO.to_vec()).await;
    let answers = every_answer(&user, confidential, router).await;
    for method in ["debug_traceTransaction", "debug_traceBlockByNumber", "trace_transaction", "debug_traceCall"] {
        let told =
            |(question, answer): &(String, String)| question.starts_with(method) && holds(answer.as_bytes(), &canary);
        assert!(answers.iter().any(told), "{method}: the search finds what is told");
    }
    // Overrides and simulations stay as closed as anywhere.
    for (question, answer) in &answers {
        if question.starts_with("eth_") || question.contains("Overrides") {
            assert!(!holds(answer.as_bytes(), &canary), "{question}: {answer}");
        }
    }
    assert!(user.client.status().await.unwrap().dev_traces);
    assert!(head_of_an_answer(&network).await.contains("freehold-traces: confidential"));
    network.stop().await;
}

/// The head of an HTTP answer.
async fn head_of_an_answer(network: &Network) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#;
    let mut stream = tokio::net::TcpStream::connect(network.rpc).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        network.rpc,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).split("\r\n\r\n").next().unwrap().to_lowercase()
}

async fn rotate(user: &User) {
    user.send(Some(slots::KEYS), keccak256("rotateStateKey()")[..4].to_vec()).await;
    let end = tokio::time::Instant::now() + WAIT;
    loop {
        let keys = user.client.status().await.unwrap().state_keys;
        if keys.generation == 1 && keys.previous.is_none() {
            assert_eq!(keys.re_encrypted_percent, 100);
            return;
        }
        assert!(tokio::time::Instant::now() < end, "re-encryption ends: {keys:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_and_a_missing_key_stop_a_validator_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let genesis = new_network(folder.path(), 1);
    let network = start(folder.path(), &genesis).await;
    user(&network, &genesis).send(None, init_code(Choice::Confidential)).await;
    network.stop().await;
    let key = folder.path().join("validator-0/state.development-key");
    let right = std::fs::read(&key).unwrap();
    std::fs::write(&key, [9; 32]).unwrap();
    ended_with(folder.path(), &genesis, "state root key of generation 0 is not the one").await;
    std::fs::remove_file(&key).unwrap();
    ended_with(folder.path(), &genesis, "holds no state keys").await;
    std::fs::write(&key, right).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let network = start(folder.path(), &genesis).await;
    let height = user(&network, &genesis).client.block_number().await.unwrap();
    while user(&network, &genesis).client.block_number().await.unwrap() <= height {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    network.stop().await;
}

/// Starts a network and asserts what ends it. A validator that ended lets go of its stores a moment after it said why.
async fn ended_with(folder: &Path, genesis: &Genesis, text: &str) {
    let mut message = end_of(folder, genesis).await;
    for _ in 0..100 {
        if !message.contains("is in use") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        message = end_of(folder, genesis).await;
    }
    assert!(message.contains(text), "{message}");
}

async fn end_of(folder: &Path, genesis: &Genesis) -> String {
    let rpc = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config =
        NetworkConfig { folder: folder.into(), genesis: genesis.clone(), rpc, clock: Clock::system(), signer: None };
    match Network::start(config).await {
        Err(error) => error.to_string(),
        Ok(mut network) => {
            let ended = tokio::time::timeout(WAIT, network.ended()).await.unwrap().unwrap().to_string();
            network.stop().await;
            ended
        }
    }
}
