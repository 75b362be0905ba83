//! Four validators that keep as few payloads as they may: the engine's archive stays small, one that was away for longer takes
//! the state in place of what it had, one whose disk was lost takes it from its peers alone, and both sign again.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use alloy_primitives::keccak256;
use freehold_crypto::{genesis_hash, slots};
use freehold_node::{
    Clock, Member, MemberConfig, MemberError, NewNetwork, create_network, read_identity, validator_folder,
};
use freehold_primitives::{Account, Allocation, Genesis, Membership, NetworkKey, PayloadHead, Purpose};
use freehold_rpc::NodeClient;
use freehold_verify::{ChainTrust, NetworkKeys};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::Instant};

use super::{free_address, take_all, wiped};
use crate::follower::net::{Choice, User, WAIT, key};

/// Payloads of a term: the fewest that four validators may have.
const TERM: u64 = 32;
/// Payloads of a section of the engine's archive, by which it forgets.
const SECTION: u64 = 256;

/// Parts of the engine's storage that last: key shares, signed rounds, how far payloads were delivered, which terms have a
/// cache, three each of the archives of payloads and certificates, and what holds the folder. The running term has a journal
/// beside.
const PARTS_MAX: usize = 11 + 1;
/// Terms with a cache: the engine keeps 64 views behind the newest final one, and counts a term before the running one as one
/// view. So terms of 64 payloads and more leave no cache behind their next one, and shorter ones a bounded number.
const CACHES_MAX: usize = 64 - TERM as usize + 2;
/// Parts of a cache: five archives of three.
const CACHE_PARTS_MAX: usize = 5 * 3;

struct Four {
    folder: tempfile::TempDir,
    genesis: Genesis,
    addresses: Vec<SocketAddr>,
    running: Vec<Option<(Member, mpsc::UnboundedReceiver<MemberError>)>>,
}

impl Four {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let new = NewNetwork {
            chain_id: 4_244,
            validators: 4,
            purpose: Purpose::Development,
            timestamp_ms: Clock::system().now_ms(),
            trust_roots: Vec::new(),
            allocations: vec![Allocation { account: key().account(), balance: [1; 32] }],
            membership: Membership { term_blocks: TERM, ..Membership::default() },
        };
        let genesis = create_network(folder.path(), &new, &mut StdRng::seed_from_u64(9)).unwrap();
        let addresses = (0..4).map(|_| free_address()).collect();
        let mut four = Self { folder, genesis, addresses, running: (0..4).map(|_| None).collect() };
        let starts = futures::future::join_all((0..4).map(|index| four.member(index))).await;
        four.running = starts.into_iter().map(Some).collect();
        four
    }

    fn path(&self, index: u32) -> std::path::PathBuf {
        validator_folder(self.folder.path(), index)
    }

    fn config(&self, index: u32) -> MemberConfig {
        MemberConfig {
            folder: self.path(index),
            genesis: self.genesis.clone(),
            name: format!("validator {index}"),
            listen: self.addresses[index as usize],
            peers: self.genesis.validators.iter().copied().zip(self.addresses.iter().copied()).collect(),
            rpc: Some(free_address()),
            keep_blocks: None,
            keep_payloads: Some(1),
            sources: Vec::new(),
            clock: Clock::system(),
            signer: None,
        }
    }

    async fn member(&self, index: u32) -> (Member, mpsc::UnboundedReceiver<MemberError>) {
        let (failed, ended) = mpsc::unbounded_channel();
        (Member::start(self.config(index), failed).await.unwrap(), ended)
    }

    async fn stop(&mut self, index: u32) {
        self.running[index as usize].take().unwrap().0.stop().await;
    }

    async fn restart(&mut self, index: u32) {
        self.running[index as usize] = Some(self.member(index).await);
    }

    fn client(&self, index: u32) -> NodeClient {
        let rpc = self.running[index as usize].as_ref().unwrap().0.rpc.unwrap();
        NodeClient::new(format!("http://{rpc}").parse().unwrap())
    }

    /// What a node's records name, each held to the key before it. The certificates of two nodes may be of two views: a term's
    /// last payload is proposed again until the term is over.
    async fn succeeded(&self, client: &NodeClient) -> Vec<(PayloadHead, NetworkKey)> {
        let records = client.successions().await.unwrap();
        let first = freehold_consensus::network_key(&self.genesis).unwrap();
        let (chain_id, genesis_hash) = (self.genesis.chain_id, genesis_hash(&self.genesis));
        let trust = ChainTrust { network_key: first, chain_id, genesis_hash };
        NetworkKeys::walk(&trust, &records).unwrap();
        records.into_iter().map(|record| (record.payload_head, record.network_key)).collect()
    }

    /// Loses the disk of a validator that is stopped, but for what its operator keeps.
    fn lose(&self, index: u32) {
        let safe = self.folder.path().join("safe");
        wiped(&self.path(index), &safe);
        fs::remove_dir_all(self.path(index)).unwrap();
        fs::rename(safe, self.path(index)).unwrap();
    }

    fn user(&self) -> User {
        User { chain_id: self.genesis.chain_id, client: self.client(0) }
    }
}

/// Sections of the archive's payloads on disk, and bytes of the whole archive.
fn archive(folder: &Path) -> (Vec<u64>, u64) {
    let engine = folder.join("consensus");
    let section = |name: String| u64::from_str_radix(&name, 16).unwrap();
    let names = fs::read_dir(engine.join("validator-blocks-values")).unwrap();
    let sections = names.map(|entry| section(entry.unwrap().file_name().into_string().unwrap())).collect();
    let mut bytes = 0;
    for kind in ["blocks-keys", "blocks-values", "finals-keys", "finals-values"] {
        for entry in fs::read_dir(engine.join(format!("validator-{kind}"))).unwrap() {
            bytes += entry.unwrap().metadata().unwrap().len();
        }
    }
    (sections, bytes)
}

/// Makes blocks until one is at a height.
async fn grow(user: &User, contract: Account, to: u64) -> u64 {
    let mut height = user.client.block_number().await.unwrap();
    while height < to {
        height = user.keep(contract, height).await;
    }
    height
}

async fn grow_by(user: &User, contract: Account, blocks: u64) -> u64 {
    let height = user.client.block_number().await.unwrap();
    grow(user, contract, height + blocks).await
}

async fn network_key(client: &NodeClient) -> Value {
    client.call("freehold_networkKey", json!([])).await.unwrap()
}

/// Waits until a node that may start anew meanwhile has the blocks of another.
async fn caught_up(four: &mut Four, index: u32, with: &NodeClient) {
    let end = Instant::now() + 2 * WAIT;
    let client = four.client(index);
    loop {
        if let Some((_, ended)) = &mut four.running[index as usize] {
            assert!(ended.try_recv().is_err(), "it ended");
        }
        let there = with.block_number().await.unwrap();
        if client.block_number().await.is_ok_and(|here| here + 1 >= there) {
            return;
        }
        assert!(Instant::now() < end, "it is still behind {there}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What such a validator begins with stands in its folder only where it executed no blocks before.
fn took_the_state(folder: &Path) {
    assert!(folder.join("floor.bin").exists(), "it executed all blocks");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_away_and_one_that_lost_all_take_the_state_where_payloads_are_forgotten() {
    let mut four = Four::start().await;
    let user = four.user();
    let contract = user.deploy(Choice::Public).await;
    let left = grow(&user, contract, SECTION - 20).await;
    four.stop(3).await;
    let (first, full) = archive(&four.path(0));
    assert_eq!(first, [0], "sections are of {SECTION} payloads");

    // Everybody keeps two terms: the first section goes.
    let mut height = grow(&user, contract, left.max(SECTION + 3 * TERM)).await;
    while archive(&four.path(0)).0.contains(&0) {
        assert!(height < 2 * SECTION, "the first section is still there at {height}");
        height = grow(&user, contract, height + 8).await;
    }
    let (sections, bytes) = archive(&four.path(0));
    assert_eq!(sections, [SECTION], "at {height}");
    assert!(bytes < full, "{bytes} bytes of archive, {full} before");
    let parts = fs::read_dir(four.path(0).join("consensus")).unwrap();
    let names = parts.map(|part| part.unwrap().file_name().into_string().unwrap());
    let (caches, parts): (Vec<_>, Vec<_>) = names.partition(|name| name.contains("-cache-cache-"));
    assert!(height > 8 * TERM && parts.len() <= PARTS_MAX, "terms that are over leave something behind: {parts:?}");
    assert!(caches.len() <= CACHES_MAX * CACHE_PARTS_MAX, "{} parts of caches", caches.len());
    println!("{} parts, {} of caches, {bytes} bytes of archive", parts.len(), caches.len());

    // Nobody has the payload that follows on its own: it takes the state, and keeps what it had.
    let identity = read_identity(&four.path(3)).unwrap().public();
    four.restart(3).await;
    caught_up(&mut four, 3, &user.client).await;
    took_the_state(&four.path(3));
    assert!(four.path(3).join("damaged/blocks.redb").exists());
    assert_eq!(user.at(&four.client(3)).read(contract).await, user.read(contract).await);

    // It signs after a resharing: without another one the rest need it.
    grow_by(&user, contract, 3 * TERM).await;
    assert!(!four.path(3).join("damaged/consensus").exists(), "shares in the storage that was replaced are erased");
    four.stop(2).await;
    grow_by(&user, contract, 4).await;

    // A disk is lost; its peers' links are enough.
    four.lose(2);
    four.restart(2).await;
    caught_up(&mut four, 2, &user.client).await;
    took_the_state(&four.path(2));
    grow_by(&user, contract, 3 * TERM).await;
    four.stop(3).await;
    grow_by(&user, contract, 4).await;
    assert_eq!(read_identity(&four.path(3)).unwrap().public(), identity);
    for index in [0, 1, 2] {
        four.stop(index).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn disks_lost_while_a_network_key_waits_and_after_it_is_in_force_come_back_under_it() {
    let mut four = Four::start().await;
    let user = four.user();
    let contract = user.deploy(Choice::Public).await;
    user.send(Some(slots::VALIDATORS), keccak256("succeedNetworkKey()")[..4].to_vec()).await;
    assert!(user.client.block_number().await.unwrap() < TERM);
    let old = network_key(&user.client).await;

    // Asked for in term 0, made in term 1, it waits in term 2. Above two terms the state is taken; certificates come later.
    grow(&user, contract, 2 * TERM + 8).await;
    four.stop(3).await;
    four.lose(3);
    assert!(take_all(four.config(3)).await.unwrap());
    four.restart(3).await;
    caught_up(&mut four, 3, &user.client).await;
    took_the_state(&four.path(3));
    assert_eq!(network_key(&user.client).await, old);
    assert!(user.client.block_number().await.unwrap() < 3 * TERM, "it came back in the term in which the key waits");
    grow(&user, contract, 3 * TERM + 2).await;
    let new = network_key(&user.client).await;
    assert_ne!(new, old, "the key waited in term 2");
    caught_up(&mut four, 3, &user.client).await;
    assert_eq!(network_key(&four.client(3)).await, new);

    // It gets a share of the new key: without another one the rest need it.
    grow_by(&user, contract, 3 * TERM).await;
    four.stop(2).await;
    grow_by(&user, contract, 4).await;

    // Another disk is lost, and the records lead it to the key that is in force.
    four.lose(2);
    assert!(take_all(four.config(2)).await.unwrap());
    four.restart(2).await;
    caught_up(&mut four, 2, &user.client).await;
    took_the_state(&four.path(2));
    assert_eq!(network_key(&four.client(2)).await, new);
    assert_eq!(four.succeeded(&four.client(2)).await, four.succeeded(&user.client).await);
    grow_by(&user, contract, 3 * TERM).await;
    four.stop(3).await;
    grow_by(&user, contract, 4).await;
    for index in [0, 1, 2] {
        four.stop(index).await;
    }
}
