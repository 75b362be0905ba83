//! The ledger of a simulated validator: real execution over a tree in memory, once and in order.
//!
//! Not here: durability. What a machine keeps over a crash is the engine's archive of final payloads; after a restart they
//! are executed again from the genesis, so that a payload which the archive lost is found out.

use std::{collections::BTreeMap, sync::Arc};

use alloy_consensus::Header;
use alloy_primitives::B256;
use freehold_consensus::{MastersPlan, NetworkKeyPlan, Players};
use freehold_crypto::StateKeys;
use freehold_ledger::{
    ChainContext, LedgerError, MemoryTree, Ordered, Parent, genesis_block, prepare_payload, read_masters, read_players,
    read_succession,
};
use freehold_primitives::{Digest, G1Point, Genesis, Height, Payload, Term};
use zeroize::Zeroizing;

/// What all validators of a network begin with.
pub(crate) struct Ground {
    pub(crate) context: ChainContext,
    keys: StateKeys,
    tree: MemoryTree,
    content: BTreeMap<Digest, Vec<u8>>,
    header: Header,
}

impl Ground {
    /// Executes the genesis.
    ///
    /// # Errors
    /// Any [`LedgerError`].
    pub(crate) fn new(genesis: &Genesis) -> Result<Self, LedgerError> {
        let context = ChainContext::new(genesis.clone())?;
        let mut tree = MemoryTree::default();
        let block = genesis_block(&context, &mut tree)?;
        let keys = StateKeys::development(Zeroizing::new([0x5e; 32]));
        Ok(Self { context, keys, tree, content: block.content.into_iter().collect(), header: block.header })
    }
}

/// A block that was executed just now.
pub(crate) struct Executed {
    pub(crate) height: Height,
    pub(crate) hash: Digest,
    /// Hashes of the transactions of its payload, in the block or left out.
    pub(crate) transactions: Vec<B256>,
}

/// One validator's ledger.
pub(crate) struct Chain {
    ground: Arc<Ground>,
    tree: MemoryTree,
    content: BTreeMap<Digest, Vec<u8>>,
    headers: BTreeMap<Height, Header>,
    hashes: BTreeMap<Height, Digest>,
    /// A final payload whose seed is not known yet: the next one carries it.
    waiting: Option<Payload>,
}

impl Chain {
    /// A ledger that has executed the genesis.
    pub(crate) fn new(ground: Arc<Ground>) -> Self {
        let header = ground.header.clone();
        Self {
            tree: ground.tree.clone(),
            content: ground.content.clone(),
            hashes: BTreeMap::from([(0, Digest(header.hash_slow().0))]),
            headers: BTreeMap::from([(0, header)]),
            waiting: None,
            ground,
        }
    }

    /// Height and hash of the newest block.
    pub(crate) fn tip(&self) -> (Height, Digest) {
        self.hashes.last_key_value().map_or((0, Digest::ZERO), |(height, hash)| (*height, *hash))
    }

    /// Height of the final payload that comes next.
    pub(crate) fn next(&self) -> Height {
        self.tip().0 + 1 + u64::from(self.waiting.is_some())
    }

    /// Hash of an executed block.
    pub(crate) fn hash(&self, height: Height) -> Option<Digest> {
        self.hashes.get(&height).copied()
    }

    /// Who shall hold the keys in the term after `term`, once its first payload is executed, and which keys they make.
    pub(crate) fn players(&self, term: Term) -> Option<Players> {
        let (state, content) = (&self.tree, &self.content);
        let entry = read_players(term, state, content).ok().flatten()?;
        let succession = read_succession(term, state, content).ok().flatten();
        let network_key = match succession {
            Some(entry) if entry.waiting.is_none() => NetworkKeyPlan::Succeeds,
            _ => NetworkKeyPlan::Stays,
        };
        let masters = read_masters(term, state, content).ok().flatten();
        let masters = masters.map_or_else(MastersPlan::default, |entry| MastersPlan {
            reshared: entry.reshared,
            made: entry.round.map(|round| round.generation),
        });
        let players = entry.players.into_iter().map(|player| player.identity).collect();
        Some(Players { players, network_key, masters })
    }

    /// Takes the final payload that comes next, and executes what can be executed.
    ///
    /// # Errors
    /// Any [`LedgerError`].
    pub(crate) fn take(&mut self, payload: Payload, seed: Option<&G1Point>) -> Result<Vec<Executed>, LedgerError> {
        let mut executed = Vec::new();
        if let Some(before) = self.waiting.take() {
            executed.push(self.execute(&before, payload.head.parent_seed.as_ref())?);
        }
        if seed.is_some() {
            executed.push(self.execute(&payload, seed)?);
        } else {
            self.waiting = Some(payload);
        }
        Ok(executed)
    }

    fn execute(&mut self, payload: &Payload, seed: Option<&G1Point>) -> Result<Executed, LedgerError> {
        let ground = &self.ground;
        let header = self.headers.last_key_value().map_or(&ground.header, |(_, header)| header);
        let parent = Parent { header, content: &self.content, hashes: &self.headers, keys: Some(&ground.keys) };
        let ordered = Ordered { payload, seed, admitted: &() };
        let block = prepare_payload(&ground.context, parent, ordered, &self.tree)?.seal(&mut self.tree)?;
        let height = block.header.number;
        let hash = Digest(block.hash.0);
        let left_out = block.skipped.iter().filter_map(|skipped| skipped.hash);
        let transactions = block.transactions.iter().map(|transaction| transaction.hash).chain(left_out).collect();
        self.content.extend(block.content);
        self.headers.insert(height, block.header);
        self.hashes.insert(height, hash);
        Ok(Executed { height, hash, transactions })
    }
}
