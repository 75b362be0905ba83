//! A network of one validator, contracts on it, and someone who uses them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex, keccak256};
use freehold_crypto::AccountKey;
use freehold_node::{
    Clock, Follower, FollowerConfig, FollowerError, KeepStates, Network, NetworkConfig, NewNetwork, SyncFrom,
    create_network,
};
use freehold_primitives::{Account, Allocation, Digest, Genesis, Membership, Purpose};
use freehold_rpc::{Endpoint, NodeClient};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::Value;
use tokio::sync::mpsc;

/// Longest wait for anything.
pub(crate) const WAIT: Duration = Duration::from_secs(90);

/// Keeps the first word of its call data in slot 0 and logs it; without call data, answers with the slot.
const RUNTIME: [u8; 25] = hex!("36600c575f545f5260205ff35b5f35805f555f5260205fa000");

/// Whether a contract's storage is public.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    Public,
    Confidential,
}

/// A running network and its folder.
pub(crate) struct Net {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) genesis: Genesis,
    pub(crate) network: Network,
}

impl Net {
    pub(crate) async fn start() -> Self {
        Self::start_with(Membership::default()).await
    }

    pub(crate) async fn start_with(membership: Membership) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let balance = U256::from(10).pow(U256::from(24)).to_be_bytes();
        let network = NewNetwork {
            chain_id: 4_243,
            validators: 1,
            purpose: Purpose::Development,
            timestamp_ms: Clock::system().now_ms(),
            trust_roots: Vec::new(),
            allocations: vec![Allocation { account: key().account(), balance }],
            membership,
        };
        let genesis = create_network(folder.path(), &network, &mut StdRng::seed_from_u64(7)).unwrap();
        let rpc = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = NetworkConfig {
            folder: folder.path().into(),
            genesis: genesis.clone(),
            rpc,
            clock: Clock::system(),
            signer: None,
        };
        let network = Network::start(config).await.unwrap();
        Self { folder, genesis, network }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        format!("http://{}", self.network.rpc).parse().unwrap()
    }

    pub(crate) fn user(&self) -> User {
        User { chain_id: self.genesis.chain_id, client: NodeClient::new(self.endpoint()) }
    }

    /// Settings of a follower of these sources.
    pub(crate) fn follower(&self, folder: &Path, sources: Vec<Endpoint>) -> FollowerConfig {
        FollowerConfig {
            folder: folder.to_path_buf(),
            network_key: self.network.network_key,
            sources,
            rpc: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            from: SyncFrom::State,
            keep_states: KeepStates::Window,
            keep_blocks: None,
            clock: Clock::system(),
            executor: None,
        }
    }
}

pub(crate) fn key() -> AccountKey {
    AccountKey::from_bytes(&[1; 32]).unwrap()
}

/// A follower, its client, and how it tells of its end.
pub(crate) struct Followed {
    pub(crate) follower: Follower,
    pub(crate) client: NodeClient,
    pub(crate) ended: mpsc::UnboundedReceiver<FollowerError>,
}

pub(crate) async fn follow(config: FollowerConfig) -> Result<Followed, FollowerError> {
    let (failed, ended) = mpsc::unbounded_channel();
    let follower = Follower::start(config, failed).await?;
    let rpc = follower.rpc.unwrap();
    Ok(Followed { client: NodeClient::new(format!("http://{rpc}").parse().unwrap()), follower, ended })
}

/// Waits until a node has executed a height.
pub(crate) async fn reach(node: &NodeClient, height: u64) {
    let wait = async {
        while node.block_number().await.unwrap() < height {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(WAIT, wait).await.unwrap_or_else(|_| panic!("{} is below {height}", node.endpoint()));
}

/// Someone with coins.
pub(crate) struct User {
    pub(crate) chain_id: u64,
    pub(crate) client: NodeClient,
}

impl User {
    pub(crate) fn account(&self) -> Account {
        key().account()
    }

    /// The same one, at another node.
    pub(crate) fn at(&self, node: &NodeClient) -> Self {
        Self { chain_id: self.chain_id, client: node.clone() }
    }

    /// Sends a transaction and waits for it; its receipt.
    pub(crate) async fn send(&self, to: Option<Account>, data: impl Into<Bytes>) -> Value {
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce: self.client.nonce(&self.account()).await.unwrap(),
            gas_limit: 1_000_000,
            max_fee_per_gas: self.client.fees().await.unwrap().max_fee_per_gas,
            max_priority_fee_per_gas: 1,
            to: to.map_or(TxKind::Create, |to| TxKind::Call(Address::from(to.0))),
            input: data.into(),
            ..TxEip1559::default()
        };
        let signed = key().sign(&Digest(transaction.signature_hash().0));
        let signature = Signature::from_bytes_and_parity(&signed[..64], signed[64] == 28);
        let raw = transaction.into_signed(signature).encoded_2718();
        let hash = self.client.send_raw_transaction(raw).await.unwrap();
        let wait = async {
            loop {
                let found: Value = self.client.call("eth_getTransactionReceipt", (format!("0x{hash}"),)).await.unwrap();
                if !found.is_null() {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let receipt = tokio::time::timeout(WAIT, wait).await.unwrap();
        assert_eq!(receipt["status"], "0x1", "{receipt}");
        receipt
    }

    /// Makes the contract that keeps a word.
    pub(crate) async fn deploy(&self, choice: Choice) -> Account {
        let selector = &keccak256("makePublic()")[..4];
        let ask = [&[0x63][..], selector, &hex!("60e01b5f525f5f60045f5f62f4ee075af150")].concat();
        let before = if choice == Choice::Public { ask } else { Vec::new() };
        let offset = u8::try_from(before.len() + 9).unwrap();
        let copy = [0x60, 25, 0x80, 0x60, offset, 0x5f, 0x39, 0x5f, 0xf3];
        let receipt = self.send(None, [&before[..], &copy, &RUNTIME].concat()).await;
        receipt["contractAddress"].as_str().unwrap().parse().unwrap()
    }

    /// Lets a contract keep a word; the block in which it did.
    pub(crate) async fn keep(&self, contract: Account, word: u64) -> u64 {
        let receipt = self.send(Some(contract), B256::from(U256::from(word)).to_vec()).await;
        u64::from_str_radix(receipt["blockNumber"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    }

    /// The word that a contract keeps.
    pub(crate) async fn read(&self, contract: Account) -> u64 {
        let word = self.client.eth_call(&contract, Vec::new()).await.unwrap();
        U256::from_be_slice(&word).to()
    }
}
