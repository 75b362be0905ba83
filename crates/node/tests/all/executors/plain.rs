//! An executor over a plain map, to which transactions come beforehand in another order, and which prepares a block more
//! often than once before it applies it.

use std::collections::{BTreeMap, HashMap};

use alloy_consensus::Header;
use alloy_primitives::B256;
use freehold_crypto::StateKeys;
use freehold_ledger::{
    Admitted, ChainContext, ExecutedBlock, MemoryTree, Ordered, Parent, Recovered, StateTree as _, admit,
    prepare_payload,
};
use freehold_primitives::{Canonical as _, Digest, G1Point, Genesis, Height, Payload, PayloadBody};
use rand::{RngExt as _, rngs::StdRng, seq::SliceRandom as _};

use super::{common::state_keys, keeper::genesis_of};

/// A pool's transactions by hash.
#[derive(Default)]
struct Pool(HashMap<B256, Recovered>);

impl Admitted for Pool {
    fn get(&self, hash: &B256) -> Option<Recovered> {
        self.0.get(hash).cloned()
    }
}

pub(crate) struct Plain {
    context: ChainContext,
    keys: StateKeys,
    state: MemoryTree,
    content: BTreeMap<Digest, Vec<u8>>,
    headers: BTreeMap<Height, Header>,
}

impl Plain {
    /// `header` is the genesis block's: a map has no root that anyone else would have.
    pub(crate) fn new(genesis: Genesis, header: Header) -> Self {
        let context = ChainContext::new(genesis).unwrap();
        let mut state = MemoryTree::default();
        let content = genesis_of(&context, &mut state).content.into_iter().collect();
        Self { context, keys: state_keys(), state, content, headers: BTreeMap::from([(0, header)]) }
    }

    pub(crate) fn execute(
        &mut self,
        payload: &Payload,
        seed: &G1Point,
        rng: &mut StdRng,
        root: Digest,
    ) -> ExecutedBlock {
        let mut transactions = PayloadBody::from_canonical(&payload.body.0).unwrap().transactions;
        transactions.shuffle(rng);
        transactions.truncate(rng.random_range(0..=transactions.len()));
        let known = transactions.iter().filter_map(|raw| admit(&self.context, &raw.0).ok());
        let pool = Pool(known.map(|recovered| (recovered.hash(), recovered)).collect());
        let header = self.headers.last_key_value().unwrap().1;
        let parent = Parent { header, content: &self.content, hashes: &self.headers, keys: Some(&self.keys) };
        let ordered = Ordered { payload, seed: Some(seed), admitted: &pool };
        let prepared = prepare_payload(&self.context, parent, ordered, &self.state).unwrap();
        if rng.random_bool(0.2) {
            let again = prepare_payload(&self.context, parent, Ordered { admitted: &(), ..ordered }, &self.state);
            assert_eq!(again.unwrap(), prepared);
        }
        self.state.apply(prepared.height(), prepared.writes()).unwrap();
        let block = prepared.seal_with(root);
        self.content.extend(block.content.iter().cloned());
        self.headers.insert(block.header.number, block.header.clone());
        block
    }
}
