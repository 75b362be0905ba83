//! An executor over the stores of a validator, which can stop at any point and go on from its disk.

use alloy_consensus::Header;
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256};
use freehold_crypto::{StateKeys, slots};
use freehold_ledger::{
    CallRequest, ChainContext, ExecutedBlock, MemoryTree, Outcome, Parent, StateTree as _, call, execute_payload,
    genesis_block, read_account, read_entry, to_account,
};
use freehold_node::{BlockRow, BlockStore, Durable, PayloadRow, QmdbTree, StoreIdentity, TransactionRow};
use freehold_primitives::{
    Digest, G1Point, Genesis, Payload,
    entries::{EntryKind, StateKeyStatus},
};

use super::{
    common::{address, key, state_keys},
    precompiles::{ADDRESSES, SUBCALL, subcall_of_the_key},
    traffic::SENDERS,
};

/// When an executor stops and starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Never,
    /// Behind the block.
    Clean,
    /// Behind the block, all made durable and compacted.
    Flushed,
    /// The tree has applied the block, the block store knows nothing of it.
    BeforeBlock,
}

struct Stores {
    tree: QmdbTree,
    blocks: BlockStore,
}

pub(crate) struct Keeper {
    folder: tempfile::TempDir,
    context: ChainContext,
    keys: StateKeys,
    stores: Option<Stores>,
    tip: Header,
}

impl Keeper {
    pub(crate) fn new(genesis: Genesis) -> Self {
        let mut keeper = Self {
            folder: tempfile::tempdir().unwrap(),
            context: ChainContext::new(genesis).unwrap(),
            keys: state_keys(),
            stores: None,
            tip: Header::default(),
        };
        keeper.open();
        keeper
    }

    pub(crate) const fn context(&self) -> &ChainContext {
        &self.context
    }

    pub(crate) const fn tip(&self) -> &Header {
        &self.tip
    }

    fn stores(&self) -> &Stores {
        self.stores.as_ref().unwrap()
    }

    pub(crate) fn tree(&self) -> &QmdbTree {
        &self.stores().tree
    }

    pub(crate) fn root(&self) -> Digest {
        self.tree().root()
    }

    pub(crate) fn parent(&self) -> Parent<'_> {
        let blocks = &self.stores().blocks;
        Parent { header: &self.tip, content: blocks, hashes: blocks, keys: Some(&self.keys) }
    }

    /// Opens the stores and executes again what the block store lacks, as a validator does.
    fn open(&mut self) {
        let identity = StoreIdentity { chain_id: self.context.chain_id(), genesis_hash: self.context.genesis_hash() };
        let blocks = BlockStore::open(&self.folder.path().join("blocks.redb"), &identity).unwrap();
        let recovery = blocks.recover().unwrap();
        let tree = QmdbTree::open(&self.folder.path().join("state"), recovery.tree_operations).unwrap();
        let redo = recovery.redo(tree.reader().applied());
        // What was in memory is gone: modules and keys are made anew.
        self.context = ChainContext::new(self.context.genesis().clone()).unwrap();
        self.stores = Some(Stores { tree, blocks });
        for height in redo {
            let block = if height == 0 {
                genesis_block(&self.context, &mut self.stores.as_mut().unwrap().tree).unwrap()
            } else {
                let row = self.stores().blocks.payload(height).unwrap().unwrap();
                self.tip = self.stores().blocks.header(height - 1).unwrap().unwrap();
                self.applied(&row.payload, &row.seed.unwrap())
            };
            self.store(&block);
        }
        let newest = self.stores().blocks.executed().unwrap().height;
        self.tip = self.stores().blocks.header(newest).unwrap().unwrap();
    }

    fn applied(&mut self, payload: &Payload, seed: &G1Point) -> ExecutedBlock {
        let Stores { tree, blocks } = self.stores.as_mut().unwrap();
        let parent = Parent { header: &self.tip, content: &*blocks, hashes: &*blocks, keys: Some(&self.keys) };
        execute_payload(&self.context, parent, payload, Some(seed), tree).unwrap()
    }

    fn store(&mut self, block: &ExecutedBlock) {
        let Stores { tree, blocks } = self.stores();
        let pairs = block.transactions.iter().zip(&block.receipts);
        let rows: Vec<TransactionRow> = pairs
            .map(|(transaction, receipt)| TransactionRow {
                hash: Digest(transaction.hash.0),
                raw: transaction.envelope.encoded_2718(),
                sender: to_account(&transaction.sender),
                receipt: receipt.envelope.clone(),
                gas_used: receipt.gas_used,
                gas_price: receipt.effective_gas_price,
                contract: receipt.contract_address.as_ref().map(to_account),
            })
            .collect();
        let row = BlockRow {
            header: &block.header,
            hash: Digest(block.hash.0),
            transactions: &rows,
            content: &block.content,
            writes: &tree.reader().write_set(block.header.number).unwrap(),
        };
        blocks.store_block(&row).unwrap();
        tree.persist();
        self.tip = block.header.clone();
    }

    pub(crate) fn execute(&mut self, payload: &Payload, seed: &G1Point) -> ExecutedBlock {
        self.execute_and(payload, seed, Stop::Never)
    }

    pub(crate) fn execute_and(&mut self, payload: &Payload, seed: &G1Point, stop: Stop) -> ExecutedBlock {
        let row = PayloadRow { payload: payload.clone(), seed: Some(*seed), certificate: None };
        self.stores().blocks.store_payload(&row, Durable::WithBlock).unwrap();
        let block = self.applied(payload, seed);
        match stop {
            Stop::Never => self.store(&block),
            Stop::Clean => {
                self.store(&block);
                self.restart();
            }
            Stop::Flushed => {
                self.store(&block);
                self.tree().flush().unwrap();
                self.restart();
            }
            Stop::BeforeBlock => {
                self.restart();
                if self.tip.number < payload.head.height {
                    // The payload was not durable: consensus delivers it again.
                    return self.execute(payload, seed);
                }
            }
        }
        block
    }

    fn restart(&mut self) {
        self.stores = None;
        self.open();
    }

    /// Nonces of the senders.
    pub(crate) fn nonces(&self) -> Vec<u64> {
        SENDERS.map(|seed| read_account(self.tree(), &address(&key(seed))).unwrap().nonce).collect()
    }

    /// Newest generation of the state root key.
    pub(crate) fn generation(&self) -> u32 {
        let (id, blocks) = (slots::STATE_KEY_STATUS_ID, &self.stores().blocks);
        let status: Option<StateKeyStatus> = read_entry(EntryKind::StateKeyStatus, &id, self.tree(), blocks).unwrap();
        status.unwrap().newest
    }

    /// Block hash and state root of a chain made anew from the stored payloads.
    pub(crate) fn replayed(&self) -> (B256, Digest) {
        let mut fresh = Self::new(self.context.genesis().clone());
        for height in 1..=self.tip.number {
            let row = self.stores().blocks.payload(height).unwrap().unwrap();
            fresh.execute(&row.payload, &row.seed.unwrap());
        }
        (fresh.tip().hash_slow(), fresh.root())
    }

    /// Calls of every precompile over the newest state.
    pub(crate) fn probe(&self) -> Vec<Outcome> {
        let ask = |to: Address, data: Vec<u8>| {
            let request = CallRequest { to: Some(to), data: data.into(), ..CallRequest::default() };
            call(&self.context, self.parent(), self.tree(), &request).unwrap()
        };
        let all = ADDRESSES.iter().map(|to| ask(*to, vec![0x11; 96]));
        all.chain([ask(SUBCALL, subcall_of_the_key())]).collect()
    }
}

/// The genesis block as a plain map has it: its writes are those of the stores, its root is not.
pub(crate) fn genesis_of(context: &ChainContext, tree: &mut MemoryTree) -> ExecutedBlock {
    genesis_block(context, tree).unwrap()
}
