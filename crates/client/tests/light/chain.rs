//! A real network of one validator in this process, with two public contracts and some transactions.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex, keccak256};
use freehold_crypto::{AccountKey, FailureForm, seal_call};
use freehold_node::{Clock, Network, NetworkConfig, NewNetwork, create_network};
use freehold_primitives::{Account, Allocation, Digest, Genesis, Membership, NetworkKey, Purpose, X25519Key};
use freehold_rpc::{Endpoint, NodeClient};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

use crate::executor;

/// Chain id of the test network.
const CHAIN_ID: u64 = 777;
const WAIT: Duration = Duration::from_secs(60);

/// Keeps the first word of 64 bytes of call data in slot 0 and logs it as topic; with 32 bytes, returns slot 0.
const KEEPER: &[u8] = &hex!("366020146010575f35805f555f5fa1005b5f545f5260205ff3");
/// Returns the hash of the block whose height is the call data.
const HASHES: &[u8] = &hex!("5f35405f5260205ff3");

/// Whether a contract asks to be public.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    Public,
    Confidential,
}

/// Init code.
fn init_code(storage: Storage, runtime: &[u8]) -> Bytes {
    let selector = &keccak256("makePublic()")[..4];
    let ask = [&[0x63][..], selector, &hex!("60e01b5f525f5f60045f5f62f4ee075af150")].concat();
    let before = if storage == Storage::Public { ask } else { Vec::new() };
    let (length, offset) = (u8::try_from(runtime.len()).unwrap(), u8::try_from(before.len() + 9).unwrap());
    [&before[..], &[0x60, length, 0x80, 0x60, offset, 0x5f, 0x39, 0x5f, 0xf3], runtime].concat().into()
}

/// A running network.
pub(crate) struct Chain {
    pub(crate) endpoint: Endpoint,
    pub(crate) network_key: NetworkKey,
    pub(crate) facts: Facts,
    stop: Option<(tokio::sync::oneshot::Sender<()>, JoinHandle<()>)>,
    _folder: tempfile::TempDir,
}

/// What tests know of it.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) owner: Address,
    pub(crate) keeper: Address,
    pub(crate) hashes: Address,
    pub(crate) secret: Address,
    /// The transaction that kept [`KEPT`], and its block.
    pub(crate) kept: B256,
    pub(crate) kept_at: u64,
    pub(crate) kept_in: B256,
    /// A call that reads the word, encrypted to the epoch's key.
    pub(crate) sealed: Bytes,
}

/// What the keeper keeps.
pub(crate) const KEPT: U256 = U256::from_limbs([0x1234_5678, 0, 0, 0x0abc]);

/// Key of the account that owns everything.
pub(crate) fn owner() -> AccountKey {
    AccountKey::from_bytes(&[7; 32]).unwrap()
}

impl Chain {
    /// Starts a network whose keys come from `seed`, and makes the contracts.
    pub(crate) fn start(seed: u64) -> Self {
        Self::run(seed, Membership::default())
    }

    /// The same with a registered executor, which the validator is.
    pub(crate) fn with_executor(seed: u64) -> Self {
        Self::run(seed, Membership { app: Some(executor::app()), ..Membership::default() })
    }

    fn run(seed: u64, membership: Membership) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut balance = [0; 32];
        balance[16..].copy_from_slice(&(10_u128.pow(24)).to_be_bytes());
        let new = NewNetwork {
            purpose: Purpose::Development,
            chain_id: CHAIN_ID,
            validators: 1,
            timestamp_ms: Clock::system().now_ms(),
            trust_roots: vec![executor::root()],
            allocations: vec![Allocation { account: owner().account(), balance }],
            membership,
        };
        let genesis = create_network(folder.path(), &new, &mut StdRng::seed_from_u64(seed)).unwrap();
        let config = NetworkConfig {
            folder: folder.path().to_path_buf(),
            genesis: genesis.clone(),
            rpc: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            clock: Clock::system(),
            signer: genesis.membership.app.map(|_| Arc::new(executor::signer(&genesis))),
        };
        let (started, ready) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let network = Network::start(config).await.unwrap();
                started.send((network.rpc, network.network_key)).unwrap();
                let _stop = stopped.await;
                network.stop().await;
            });
        });
        let (address, network_key) = ready.recv().unwrap();
        let endpoint: Endpoint = format!("http://{address}").parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let facts = runtime.block_on(prepare(&NodeClient::new(endpoint.clone()), &genesis));
        Self { endpoint, network_key, facts, stop: Some((stop, thread)), _folder: folder }
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.stop.take() {
            let _gone = stop.send(());
            let _ended = thread.join();
        }
    }
}

/// A signed transaction of the owner.
pub(crate) fn signed(nonce: u64, to: TxKind, input: Bytes) -> Vec<u8> {
    signed_with(500_000, nonce, to, input)
}

fn signed_with(gas_limit: u64, nonce: u64, to: TxKind, input: Bytes) -> Vec<u8> {
    let transaction = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1,
        to,
        value: U256::ZERO,
        access_list: alloy_eips::eip2930::AccessList::default(),
        input,
    };
    let signed = owner().sign(&Digest(transaction.signature_hash().0));
    let scalar = |bytes: &[u8]| U256::from_be_slice(bytes);
    let signature = Signature::new(scalar(&signed[..32]), scalar(&signed[32..64]), signed[64] == 28);
    transaction.into_signed(signature).encoded_2718()
}

/// Call data that keeps a word.
pub(crate) fn keep(word: U256) -> Bytes {
    [word.to_be_bytes::<32>(), [0; 32]].concat().into()
}

/// Calls a system module, with as much gas as a transaction may have.
pub(crate) async fn send_to(node: &NodeClient, nonce: u64, to: Address, input: Bytes) {
    executed(node, signed_with(16_000_000, nonce, TxKind::Call(to), input)).await;
}

async fn send(node: &NodeClient, nonce: u64, to: TxKind, input: Bytes) -> (B256, Value) {
    executed(node, signed(nonce, to, input)).await
}

async fn executed(node: &NodeClient, raw: Vec<u8>) -> (B256, Value) {
    let hash = node.send_raw_transaction(raw).await.unwrap();
    node.wait_for_receipt(&hash, WAIT).await.unwrap();
    let receipt: Value = node.call("eth_getTransactionReceipt", json!([B256::from(hash.0)])).await.unwrap();
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    (B256::from(hash.0), receipt)
}

fn made(receipt: &Value) -> Address {
    receipt["contractAddress"].as_str().unwrap().parse().unwrap()
}

async fn prepare(node: &NodeClient, genesis: &Genesis) -> Facts {
    let first = if genesis.membership.app.is_some() {
        executor::register(node, genesis).await;
        3
    } else {
        0
    };
    let keeper = made(&send(node, first, TxKind::Create, init_code(Storage::Public, KEEPER)).await.1);
    let hashes = made(&send(node, first + 1, TxKind::Create, init_code(Storage::Public, HASHES)).await.1);
    let secret = made(&send(node, first + 2, TxKind::Create, init_code(Storage::Confidential, KEEPER)).await.1);
    send(node, first + 3, TxKind::Call(keeper), keep(U256::from(1))).await;
    let (kept, receipt) = send(node, first + 4, TxKind::Call(keeper), keep(KEPT)).await;
    send(node, first + 5, TxKind::Call(secret), keep(KEPT)).await;
    let kept_at = u64::from_str_radix(&receipt["blockNumber"].as_str().unwrap()[2..], 16).unwrap();
    let kept_in: B256 = receipt["blockHash"].as_str().unwrap().parse().unwrap();
    // Some blocks more, all proven, so that hashes of older ones can be asked for.
    while node.status().await.unwrap().finalized.height < kept_at + 3 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let owner = freehold_ledger::to_address(&Account(owner().account().0));
    let sealed = sealed(node).await;
    Facts { owner, keeper, hashes, secret, kept, kept_at, kept_in, sealed }
}

/// A call that reads a keeper's word, encrypted to the newest epoch's key; the same bytes whenever it is asked.
async fn sealed(node: &NodeClient) -> Bytes {
    let said = node.call_data_key().await.unwrap();
    let key = X25519Key(said.key.0.try_into().unwrap());
    let mut rng = StdRng::seed_from_u64(5);
    seal_call((&key, said.epoch), &[0; 32], FailureForm::Sealed, &mut rng).0.into()
}
