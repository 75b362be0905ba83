//! What the store's thread and its readers share: height, root, the newest write sets, and a cache of values.
//!
//! Invariant: height, root, write sets and cache change together under one lock, and only on the store's thread, so a
//! value read with its height is the value at that height.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use freehold_primitives::{Digest, Height};

/// Newest write sets kept in memory: readers of old heights need those that the block store does not hold yet.
pub(super) const RECENT_MAX: usize = 32;
/// Values per generation of the cache; it holds two generations, about 20 MB in all.
const CACHE_GENERATION_MAX: usize = 65_536;

/// One key's change in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Tree key.
    pub key: Digest,
    /// Value before the block.
    pub old: Option<Vec<u8>>,
    /// Value behind it.
    pub new: Option<Vec<u8>>,
}

/// A block's changes to the tree: sorted by key, without writes that change nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteSet {
    /// The block's height.
    pub height: Height,
    /// State root behind the block.
    pub root: Digest,
    /// Operations in the tree's log behind the block: where [`super::QmdbTree::open`] can return to.
    pub operations: u64,
    /// The changes.
    pub changes: Vec<Change>,
}

impl WriteSet {
    /// The change of `key`, if the block changed it.
    pub fn change(&self, key: &Digest) -> Option<&Change> {
        self.changes.binary_search_by(|change| change.key.cmp(key)).ok().map(|at| &self.changes[at])
    }
}

/// State behind the lock.
pub(super) struct State {
    pub(super) applied: Option<Height>,
    pub(super) root: Digest,
    pub(super) recent: VecDeque<Arc<WriteSet>>,
    cache: Cache,
}

/// The lock.
pub(super) struct Shared(Mutex<State>);

impl Shared {
    pub(super) fn new(applied: Option<Height>, root: Digest) -> Self {
        Self(Mutex::new(State { applied, root, recent: VecDeque::new(), cache: Cache::default() }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is complete before anything can panic, so a poisoned state is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The value of `key`, if it is in the cache.
    pub(super) fn cached(&mut self, key: &Digest) -> Option<Option<Vec<u8>>> {
        self.cache.get(key)
    }

    /// Keeps a value that was read at `height`, unless the tree has moved on since.
    pub(super) fn remember(&mut self, key: Digest, value: Option<Vec<u8>>, height: Option<Height>) {
        if self.applied == height {
            self.cache.insert(key, value);
        }
    }

    /// Takes in an applied block.
    pub(super) fn advance(&mut self, writes: Arc<WriteSet>) {
        self.applied = Some(writes.height);
        self.root = writes.root;
        for change in &writes.changes {
            self.cache.insert(change.key, change.new.clone());
        }
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(writes);
    }
}

/// A cache of two generations: when the young one is full it becomes the old one, whose predecessor is dropped.
#[derive(Default)]
struct Cache {
    young: HashMap<Digest, Option<Vec<u8>>>,
    old: HashMap<Digest, Option<Vec<u8>>>,
}

impl Cache {
    fn get(&mut self, key: &Digest) -> Option<Option<Vec<u8>>> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let value = self.old.remove(key)?;
        self.insert(*key, value.clone());
        Some(value)
    }

    fn insert(&mut self, key: Digest, value: Option<Vec<u8>>) {
        if self.young.len() >= CACHE_GENERATION_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }
}
