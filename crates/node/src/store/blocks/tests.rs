//! The block store with a state tree beside it: rows come back, crashes recover, bounds hold, and what a block costs.
#![allow(clippy::unwrap_used)]

mod crash;
mod follow;
mod successions;

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use alloy_consensus::{Eip658Value, Header, Receipt, ReceiptEnvelope};
use alloy_primitives::{Address, B256, Bloom, Bytes, Log, LogData, U256};
use freehold_crypto::payload_digest;
use freehold_ledger::StateTree as _;
use freehold_primitives::{
    Account, Blob, Canonical as _, Certificate, Digest, Ed25519Signature, Executed, G1Point, Height, Payload,
    PayloadBody, PayloadHead,
};

use super::{pack, *};
use crate::store::{OldState, OldStateError, QmdbTree};

const IDENTITY: StoreIdentity = StoreIdentity { chain_id: 23_293, genesis_hash: Digest([7; 32]) };

/// A small chain: it makes payloads and "executes" them by rules of its own, so that repeats give the same blocks.
pub(super) struct Node {
    pub(super) blocks: BlockStore,
    pub(super) tree: QmdbTree,
    /// Time spent in storing payloads, applying writes, and storing blocks.
    spent: [Duration; 3],
}

impl Node {
    /// Opens the stores and does again what recovery names.
    pub(super) fn open(folder: &Path) -> Self {
        let blocks = BlockStore::open(&folder.join("blocks.redb"), &IDENTITY).unwrap();
        let recovery = blocks.recover().unwrap();
        let tree = QmdbTree::open(&folder.join("state"), recovery.tree_operations).unwrap();
        let applied = tree.reader().applied();
        assert!(applied.map(|height| height + 1) <= recovery.executed.map(|mark| mark.height + 1));
        let mut node = Self { blocks, tree, spent: [Duration::ZERO; 3] };
        for height in recovery.redo(applied) {
            node.execute(height);
        }
        node
    }

    pub(super) fn head(&self) -> PayloadHead {
        let height = self.blocks.executed().unwrap().height;
        self.blocks.payload(height).unwrap().map_or_else(|| head(0, Digest::ZERO, 0), |row| row.payload.head)
    }

    /// Orders a payload of `transactions` and executes it.
    pub(super) fn next(&mut self, transactions: u32, durable: Durable) {
        let parent = self.head();
        let row = payload(&parent, transactions);
        let start = Instant::now();
        self.blocks.store_payload(&row, durable).unwrap();
        self.spent[0] = start.elapsed();
        self.execute(row.payload.head.height);
    }

    pub(super) fn execute(&mut self, height: Height) {
        let row = self.blocks.payload(height).unwrap();
        let raw = row.as_ref().map_or_else(Vec::new, |row| rows::body(&row.payload).unwrap());
        // Every seventh transaction cannot pay and is left out.
        let transactions: Vec<_> = (0..).zip(raw).filter(|(at, _)| at % 7 != 6).map(transaction).collect();
        let writes = writes(height, transactions.len() as u32);
        let start = Instant::now();
        let root = self.tree.apply(height, &writes).unwrap();
        self.spent[1] = start.elapsed();
        let parent = height.checked_sub(1).map(|parent| self.blocks.block_hash(parent).unwrap().unwrap());
        let digest = row.map(|row| payload_digest(&row.payload.head));
        let header = header(height, parent, digest, root, &transactions);
        let set = self.tree.reader().write_set(height).unwrap();
        let content = if height == 0 { vec![(Digest([9; 32]), vec![1, 2, 3])] } else { Vec::new() };
        let hash = Digest(header.hash_slow().0);
        let row = BlockRow { header: &header, hash, transactions: &transactions, content: &content, writes: &set };
        let start = Instant::now();
        self.blocks.store_block(&row).unwrap();
        self.spent[2] = start.elapsed();
        self.tree.persist();
    }
}

fn head(height: Height, parent: Digest, executed: Height) -> PayloadHead {
    PayloadHead {
        chain_id: IDENTITY.chain_id,
        height,
        term: 0,
        view: height,
        parent,
        timestamp_ms: 1_795_000_000_000 + height * 1_000,
        proposer: 0,
        executed: Executed { height: executed, block_hash: Digest([3; 32]) },
        parent_seed: None,
        body: Digest::ZERO,
    }
}

fn certificate(payload: Digest) -> Certificate {
    let noise = |byte: usize| G1Point(std::array::from_fn(|at| payload.0[(at + byte) % 32] ^ at as u8));
    Certificate { term: 0, view: 1, parent_view: 0, payload, signature: noise(0), seed: noise(5) }
}

fn payload(parent: &PayloadHead, transactions: u32) -> PayloadRow {
    let height = parent.height + 1;
    let mut head = head(height, payload_digest(parent), height.saturating_sub(2));
    head.executed.block_hash = payload_digest(&head);
    head.parent_seed = Some(certificate(head.parent).seed);
    let raw = |at: u32| Blob([[2; 4].as_slice(), &height.to_be_bytes(), &at.to_be_bytes(), &[5; 96]].concat());
    let body = Blob(
        PayloadBody { transactions: (0..transactions).map(raw).collect(), ..PayloadBody::default() }.to_canonical(),
    );
    head.body = freehold_crypto::payload_digest(parent);
    let digest = payload_digest(&head);
    let certificate = (height % 4 != 3).then(|| certificate(digest));
    PayloadRow {
        payload: Payload { head, body, signature: Ed25519Signature::ZERO },
        seed: Some(G1Point([4; 48])),
        certificate,
    }
}

fn transaction((at, raw): (u32, Vec<u8>)) -> TransactionRow {
    let topic = B256::from(alloy_primitives::keccak256([at as u8 % 3]));
    let log =
        Log { address: Address::repeat_byte(at as u8 % 5), data: LogData::new_unchecked(vec![topic], Bytes::new()) };
    let receipt = Receipt { status: Eip658Value::Eip658(true), cumulative_gas_used: 21_000, logs: vec![log] };
    TransactionRow {
        hash: Digest(alloy_primitives::keccak256(&raw).0),
        raw,
        sender: Account([6; 20]),
        receipt: ReceiptEnvelope::Eip1559(receipt.with_bloom()),
        gas_used: 21_000,
        gas_price: 1_000_000_007,
        contract: (at % 2 == 0).then_some(Account([8; 20])),
    }
}

fn slot(index: u64) -> Digest {
    Digest(alloy_primitives::keccak256(index.to_be_bytes()).0)
}

/// Rings of 8,191 slots as EIP-2935 and 4788 write them, and one account for each transaction.
fn writes(height: Height, transactions: u32) -> Vec<(Digest, Option<Vec<u8>>)> {
    let ring = height % 8_191;
    let value = |byte: u8| Some([[byte; 24].as_slice(), &height.to_be_bytes()].concat());
    let mut writes = vec![(slot(ring), value(1)), (slot(10_000 + ring), value(2)), (slot(20_000 + ring), value(3))];
    for at in 0..u64::from(transactions) {
        let account = 100_000 + (height * 31 + at) % 5_000;
        let value = if (height + at).is_multiple_of(13) { None } else { value(4) };
        writes.push((slot(account), value));
    }
    writes
}

fn header(
    height: Height,
    parent: Option<Digest>,
    payload: Option<Digest>,
    root: Digest,
    transactions: &[TransactionRow],
) -> Header {
    let blooms = transactions.iter().map(|row| *row.receipt.logs_bloom());
    let hashes: Vec<u8> = transactions.iter().flat_map(|row| row.hash.0).collect();
    Header {
        number: height,
        // Not Ethereum's root, but empty exactly where that is.
        transactions_root: if hashes.is_empty() {
            alloy_consensus::EMPTY_ROOT_HASH
        } else {
            alloy_primitives::keccak256(hashes)
        },
        parent_hash: B256::from(parent.unwrap_or_default().0),
        parent_beacon_block_root: payload.map(|digest| B256::from(digest.0)),
        state_root: B256::from(root.0),
        logs_bloom: blooms.fold(Bloom::ZERO, |all, bloom| all | bloom),
        gas_limit: 60_000_000,
        timestamp: 1_795_000_000 + height,
        mix_hash: alloy_primitives::keccak256(height.to_be_bytes()),
        base_fee_per_gas: Some(1_000_000_000),
        withdrawals_root: Some(alloy_consensus::EMPTY_ROOT_HASH),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        requests_hash: Some(alloy_eips::eip7685::EMPTY_REQUESTS_HASH),
        difficulty: U256::ZERO,
        ..Header::default()
    }
}

#[test]
fn blocks_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    for count in [0, 3, 20, 0, 7, 1] {
        node.next(count, Durable::Now);
    }
    drop(node);
    let node = Node::open(folder.path());
    let blocks = &node.blocks;
    assert_eq!(blocks.executed().unwrap().height, 6);
    for (height, count) in (1..).zip([0_u32, 3, 20, 0, 7, 1]) {
        let row = blocks.payload(height).unwrap().unwrap();
        let digest = payload_digest(&row.payload.head);
        assert_eq!(row.certificate.is_some(), height % 4 != 3);
        assert_eq!(blocks.payload_height(&digest).unwrap(), Some(height));
        let (hash, header) = blocks.block(height).unwrap().unwrap();
        assert_eq!(hash.0, header.hash_slow().0);
        assert_eq!(blocks.block_height(&hash).unwrap(), Some(height));
        let expected: Vec<_> =
            (0..).zip(rows::body(&row.payload).unwrap()).filter(|(at, _)| at % 7 != 6).map(transaction).collect();
        assert_eq!(expected.len() as u32, count - count / 7);
        assert_eq!(blocks.transactions(height).unwrap().unwrap(), expected);
        for (index, row) in (0..).zip(&expected) {
            let place = blocks.transaction_place(&row.hash).unwrap();
            assert_eq!(place, Some(TransactionPlace { height, index }));
        }
    }
    assert_eq!(blocks.transactions(7).unwrap(), None);
    assert_eq!(blocks.content(&Digest([9; 32])).unwrap(), Some(vec![1, 2, 3]));
    assert_eq!(blocks.content(&Digest([1; 32])).unwrap(), None);
}

#[test]
fn pruned_bodies_are_refused_by_name_and_headers_stay() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    node.next(3, Durable::WithBlock);
    let old = node.blocks.transactions(1).unwrap().unwrap()[0].hash;
    let payload = payload_digest(&node.blocks.payload(1).unwrap().unwrap().payload.head);
    node.blocks.0.bodies.store(40, std::sync::atomic::Ordering::Relaxed);
    for count in [0, 5].into_iter().cycle().take(127) {
        node.next(count, Durable::WithBlock);
    }
    // At 128, a multiple of the stride, heights below 88 went.
    assert_eq!(node.blocks.oldest_body().unwrap(), Some(88));
    let refused = |error| matches!(error, BlockStoreError::Pruned { oldest: 88, .. });
    assert!(refused(node.blocks.transactions(1).unwrap_err()));
    assert_eq!(node.blocks.transactions(2).unwrap(), Some(Vec::new()), "it never had any");
    let everything = LogQuery { from: 0, to: 200, ..LogQuery::default() };
    assert!(refused(node.blocks.logs(&everything).unwrap_err()));
    assert_eq!(node.blocks.logs(&LogQuery { from: 88, ..everything }).unwrap().len(), 20 * 5);
    assert_eq!(
        (node.blocks.transaction_place(&old).unwrap(), node.blocks.payload_height(&payload).unwrap()),
        (None, None)
    );
    let (hash, header) = node.blocks.block(1).unwrap().unwrap();
    assert_eq!(node.blocks.block_height(&hash).unwrap(), Some(header.number));
    assert_eq!(node.blocks.finality(3).unwrap(), None);
    drop(node);
    // And it opens again.
    Node::open(folder.path()).next(1, Durable::Now);
}

#[test]
fn finality_finds_the_first_certified_payload_that_covers_a_block() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    for _ in 0..9 {
        node.next(1, Durable::WithBlock);
    }
    // Payload 7 names block 5 but has no certificate of its own; payload 8 names block 6.
    let finality = node.blocks.finality(5).unwrap().unwrap();
    assert_eq!((finality.head.height, finality.head.executed.height, finality.headers.len()), (8, 6, 2));
    assert_eq!(finality.certificate.payload, payload_digest(&finality.head));
    assert_eq!(node.blocks.finalized().unwrap(), Some(7));
    assert_eq!(node.blocks.finality(8).unwrap(), None);
    let late = certificate(payload_digest(&node.blocks.payload(7).unwrap().unwrap().payload.head));
    assert_eq!(node.blocks.store_certificate(&late).unwrap(), Some(7));
    assert_eq!(node.blocks.finality(5).unwrap().unwrap().head.height, 7);
    assert_eq!(node.blocks.store_certificate(&certificate(Digest([1; 32]))).unwrap(), None);
}

#[test]
fn a_seed_that_comes_later_is_added() {
    let folder = tempfile::tempdir().unwrap();
    let node = Node::open(folder.path());
    let known = payload(&node.head(), 2);
    let unknown = PayloadRow { seed: None, certificate: None, ..known.clone() };
    node.blocks.store_payload(&unknown, Durable::Now).unwrap();
    assert_eq!(node.blocks.payload(1).unwrap(), Some(unknown.clone()));
    node.blocks.store_payload(&known, Durable::Now).unwrap();
    node.blocks.store_payload(&unknown, Durable::Now).unwrap();
    assert_eq!(node.blocks.payload(1).unwrap(), Some(known));
}

#[test]
fn logs_by_address_and_topic() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    for count in [4, 0, 9, 2] {
        node.next(count, Durable::WithBlock);
    }
    let topic = Digest(alloy_primitives::keccak256([1]).0);
    let mut query = LogQuery { from: 0, to: 100, ..LogQuery::default() };
    assert_eq!(node.blocks.logs(&query).unwrap().len(), 4 + 8 + 2);
    query.topics[0] = vec![topic];
    let found = node.blocks.logs(&query).unwrap();
    assert_eq!(
        found.iter().map(|log| (log.height, log.tx_index)).collect::<Vec<_>>(),
        [(1, 1), (3, 1), (3, 4), (3, 6), (4, 1)]
    );
    query.addresses = vec![Account([1; 20])];
    assert_eq!(node.blocks.logs(&query).unwrap().len(), 3);
    query.topics[1] = vec![topic];
    assert!(node.blocks.logs(&query).unwrap().is_empty());
    query.from = 200;
    assert!(node.blocks.logs(&query).unwrap().is_empty());
}

#[test]
fn refusals_name_their_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blocks.redb");
    let mut node = Node::open(folder.path());
    node.next(2, Durable::Now);
    assert!(matches!(BlockStore::open(&path, &IDENTITY), Err(BlockStoreError::InUse { .. })));
    let parent = node.head();
    let far = payload(&PayloadHead { height: 5, ..parent.clone() }, 0);
    assert!(matches!(
        node.blocks.store_payload(&far, Durable::Now),
        Err(BlockStoreError::Gap { expected: 2, found: 6 })
    ));
    let first = node.blocks.payload(1).unwrap().unwrap();
    node.blocks.store_payload(&first, Durable::Now).unwrap();
    let mut other = first;
    other.payload.head.timestamp_ms += 1;
    assert!(matches!(
        node.blocks.store_payload(&other, Durable::Now),
        Err(BlockStoreError::OtherPayload { height: 1 })
    ));

    let (hash, header) = node.blocks.block(1).unwrap().unwrap();
    let set = node.tree.reader().write_set(1).unwrap();
    let row = BlockRow { header: &header, hash, transactions: &[], content: &[], writes: &set };
    node.blocks.store_block(&row).unwrap();
    let diverged = node.blocks.store_block(&BlockRow { hash: Digest([1; 32]), ..row });
    assert!(matches!(diverged, Err(BlockStoreError::Diverged { height: 1, .. })));

    let second = payload(&parent, 1);
    node.blocks.store_payload(&second, Durable::Now).unwrap();
    let root = node.tree.apply(2, &writes(2, 0)).unwrap();
    let header = super::tests::header(2, None, None, root, &[]);
    let set = node.tree.reader().write_set(2).unwrap();
    let stranger = [transaction((0, vec![2, 2, 2]))];
    let row = BlockRow { header: &header, hash, transactions: &stranger, content: &[], writes: &set };
    assert!(matches!(node.blocks.store_block(&row), Err(BlockStoreError::NotInPayload { height: 2 })));
    drop(node);
    let stranger = StoreIdentity { chain_id: 1, ..IDENTITY };
    assert!(matches!(BlockStore::open(&path, &stranger), Err(BlockStoreError::Identity { .. })));
}

#[test]
fn a_damaged_file_is_one_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blocks.redb");
    drop(Node::open(folder.path()));
    let whole = std::fs::read(&path).unwrap();
    for damaged in [&b"not a store at all"[..], &whole[..1_000], &[0; 100_000]] {
        std::fs::write(&path, damaged).unwrap();
        let error = BlockStore::open(&path, &IDENTITY).map(|_| ()).unwrap_err();
        println!("{error}");
        assert!(matches!(error, BlockStoreError::Damaged { .. }), "{error:?}");
    }
}

#[test]
fn old_heights_read_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    let mut models = Vec::new();
    let mut model = BTreeMap::new();
    for height in 0..140 {
        if height > 0 {
            node.next(60, Durable::WithBlock);
        }
        let transactions = if height > 0 { 60 - 60 / 7 } else { 0 };
        for (key, value) in writes(height, transactions) {
            model.insert(key, value);
        }
        models.push(model.clone());
    }
    let check = |node: &Node| {
        for (height, model) in (0..).zip(&models).step_by(3) {
            let old = OldState::new(node.tree.reader(), node.blocks.clone(), height).unwrap();
            for index in (0..40).chain(10_000..10_140).chain((100_000..105_000).step_by(7)) {
                assert_eq!(old.get(&slot(index)).unwrap(), model.get(&slot(index)).cloned().flatten());
            }
        }
    };
    check(&node);
    // The tree runs ahead of the block store for a moment; readers of the newest block do not see it.
    let newest = OldState::new(node.tree.reader(), node.blocks.clone(), 139).unwrap();
    let before = newest.get(&slot(100_001)).unwrap();
    node.tree.apply(140, &[(slot(100_001), Some(vec![77]))]).unwrap();
    assert_eq!(newest.get(&slot(100_001)).unwrap(), before);
    assert_eq!(node.tree.get(&slot(100_001)).unwrap(), Some(vec![77]));
    drop((node, newest));
    let node = Node::open(folder.path());
    assert_eq!(node.tree.get(&slot(100_001)).unwrap(), before);
    check(&node);
    let later = OldState::new(node.tree.reader(), node.blocks.clone(), 140);
    assert!(matches!(later.map(|_| ()), Err(OldStateError::NotKept(140))));
}

#[test]
fn readers_on_another_runtime_see_whole_blocks_while_the_chain_moves() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    let (reader, blocks) = (node.tree.reader(), node.blocks.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let read = move || {
        let mut heights = std::collections::BTreeSet::new();
        loop {
            let height = blocks.executed().unwrap().height;
            let state = OldState::new(reader.clone(), blocks.clone(), height).unwrap();
            let expected = [[1; 24].as_slice(), &height.to_be_bytes()].concat();
            assert_eq!(state.get(&slot(height)).unwrap(), Some(expected));
            assert_eq!(state.get(&slot(height + 1)).unwrap(), None, "block {height} shows its child");
            let proofs = reader.prove_many(&[slot(height), slot(9_000)]).unwrap();
            for (key, proof) in [slot(height), slot(9_000)].iter().zip(&proofs.proofs) {
                freehold_crypto::verify_state(&proofs.root, key, proof).unwrap();
            }
            heights.insert(height);
            if height >= 300 {
                return heights.len();
            }
        }
    };
    let readers: Vec<_> = (0..2).map(|_| runtime.spawn_blocking(read.clone())).collect();
    for _ in 0..300 {
        node.next(3, Durable::WithBlock);
    }
    for reader in readers {
        println!("a reader saw {} of 301 heights", runtime.block_on(reader).unwrap());
    }
}

#[test]
fn an_old_or_lost_state_folder_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (state, copy) = (folder.path().join("state"), folder.path().join("copy"));
    let mut node = Node::open(folder.path());
    for height in 0..90 {
        node.next(height % 5, Durable::WithBlock);
        if height == 40 {
            drop(node);
            copy_folder(&state, &copy);
            node = Node::open(folder.path());
        }
    }
    let mark = node.blocks.executed().unwrap();
    drop(node);
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::rename(&copy, &state).unwrap();
    let node = Node::open(folder.path());
    assert_eq!((node.blocks.executed(), node.tree.root()), (Some(mark), mark.state_root));
    drop(node);
    std::fs::remove_dir_all(&state).unwrap();
    assert_eq!(Node::open(folder.path()).tree.root(), mark.state_root);
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn packing_is_reversible_and_bounded() {
    let samples: [&[u8]; 5] = [&[], &[0], &[0; 700], &alloy_consensus::EMPTY_ROOT_HASH.0, &[1, 0, 2, 0, 0, 3]];
    for sample in samples {
        let packed = pack::pack(sample);
        assert_eq!(pack::unpack(&packed, sample.len()).as_deref(), Some(sample));
        assert!(sample.is_empty() || pack::unpack(&packed, sample.len() - 1).is_none());
    }
    for damaged in [&[0][..], &[0, 0], &[0, 243], &[5, 0]] {
        assert_eq!(pack::unpack(damaged, 1_000), None);
    }
}

#[test]
fn what_a_block_costs() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::open(folder.path());
    let file = folder.path().join("blocks.redb");
    for (name, count, transactions, durable) in [
        ("empty block, one commit", 200, 0, Durable::WithBlock),
        ("empty block, payload durable first", 200, 0, Durable::Now),
        ("block of 10", 200, 10, Durable::WithBlock),
        ("block of 300", 50, 300, Durable::WithBlock),
    ] {
        let mut times: [Vec<Duration>; 4] = Default::default();
        for _ in 0..count {
            node.next(transactions, durable);
            let all = node.spent.iter().sum();
            for (times, spent) in times.iter_mut().zip(node.spent.into_iter().chain([all])) {
                times.push(spent);
            }
        }
        let at = |place: usize| {
            times.clone().map(|mut times| {
                times.sort();
                format!("{:.2}", times[place].as_secs_f64() * 1e3)
            })
        };
        println!("{name}: ms for payload, tree, block, all: p50 {:?}, p99 {:?}", at(count / 2), at(count * 99 / 100));
    }
    let used = || node_bytes(&file);
    let mut empty_blocks = |count: u64| {
        for _ in 0..count {
            node.next(0, Durable::WithBlock);
        }
        node.blocks.0.used_bytes()
    };
    // The old values of the busy blocks leave the window first.
    let before = empty_blocks(2_000);
    let grown = (empty_blocks(4_000) - before) / 4_000;
    println!("an empty block takes {grown} B of blocks.redb for good; the file has {} KiB", used() / 1024);
    let height = node.blocks.executed().unwrap().height;
    let stored = [PAYLOADS, CERTIFICATES, BLOCKS].map(|table| node.blocks.0.stored_bytes(table, height));
    println!("its records: payload, certificate, block = {stored:?} B, and 80 B of index");
    assert!(grown < 4_096);
}

fn node_bytes(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

impl Inner {
    fn stored_bytes(&self, table: TableDefinition<'_, u64, &'static [u8]>, height: Height) -> usize {
        use redb::ReadableDatabase as _;
        let txn = self.db.begin_read().unwrap();
        let table = txn.open_table(table).unwrap();
        table.get(height).unwrap().map_or(0, |value| value.value().len())
    }

    fn used_bytes(&self) -> u64 {
        let txn = self.db.begin_write().unwrap();
        let stats = txn.stats().unwrap();
        stats.allocated_pages() * stats.page_size() as u64
    }
}
