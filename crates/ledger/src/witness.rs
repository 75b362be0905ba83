//! What a call reads, noted and played again: so that someone who holds only a verified header makes the same call.
//!
//! [`Recorder`] stands between a call and a node's stores and notes what is read. [`Witness`] answers the same reads from
//! values that its maker has proven. Invariant: a witness never answers for what it does not hold; it says so, by
//! [`Witness::missing`], and then the call's outcome counts for nothing. Not here: proofs; `verify` checks them.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};

use alloy_consensus::Header;
use alloy_primitives::U256;
use freehold_crypto::{content_digest, keccak256, slots};
use freehold_primitives::{Digest, Height};
use thiserror::Error;

use crate::{
    context::HISTORY_CONTRACT,
    error::StateError,
    state::{BlockHashes, Content, StateTree, Write, to_account},
};

/// Heights whose hashes the history contract keeps (EIP-2935).
const HISTORY_BLOCKS: u64 = 8_191;

/// Why a witness or a recorder does not do what a store does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
enum WitnessError {
    /// Not in the witness.
    #[error("the witness does not hold what the call reads")]
    Missing,
    /// A call changes nothing.
    #[error("the state behind a call can only be read")]
    ReadOnly,
}

impl WitnessError {
    fn store(self) -> StateError {
        StateError::Store(Box::new(self))
    }
}

/// What a call read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadSet {
    /// Keys of the tree.
    pub keys: BTreeSet<Digest>,
    /// Code and documents, by digest.
    pub content: BTreeMap<Digest, Vec<u8>>,
    /// Headers of earlier blocks, by height. The tree keys that prove them are among [`ReadSet::keys`].
    pub headers: BTreeMap<Height, Header>,
}

/// Key in the tree under which the history contract keeps the hash of the block at a height, once its child is executed.
pub fn history_key(height: Height) -> Digest {
    let slot = U256::from(height % HISTORY_BLOCKS).to_be_bytes();
    slots::storage_key(&to_account(&HISTORY_CONTRACT), &slot)
}

/// Notes what is read of a node's stores.
pub struct Recorder<'a> {
    state: &'a dyn StateTree,
    content: &'a dyn Content,
    hashes: &'a dyn BlockHashes,
    read: RefCell<ReadSet>,
}

impl<'a> Recorder<'a> {
    /// Stands before these stores.
    pub fn new(state: &'a dyn StateTree, content: &'a dyn Content, hashes: &'a dyn BlockHashes) -> Self {
        Self { state, content, hashes, read: RefCell::default() }
    }

    /// What was read.
    pub fn finish(self) -> ReadSet {
        self.read.into_inner()
    }
}

impl StateTree for Recorder<'_> {
    fn get(&self, key: &Digest) -> Result<Option<Vec<u8>>, StateError> {
        self.read.borrow_mut().keys.insert(*key);
        self.state.get(key)
    }

    fn apply(&mut self, _: Height, _: &[Write]) -> Result<Digest, StateError> {
        Err(WitnessError::ReadOnly.store())
    }

    fn prove(&self, _: &Digest) -> Result<Vec<u8>, StateError> {
        Err(WitnessError::ReadOnly.store())
    }

    fn leaves(&self, _: &Digest, _: usize) -> Result<Vec<(Digest, Vec<u8>)>, StateError> {
        Err(WitnessError::ReadOnly.store())
    }

    fn root(&self) -> Digest {
        self.state.root()
    }

    fn height(&self) -> Option<Height> {
        self.state.height()
    }
}

impl Content for Recorder<'_> {
    fn get(&self, digest: &Digest) -> Option<Vec<u8>> {
        let bytes = self.content.get(digest)?;
        self.read.borrow_mut().content.insert(*digest, bytes.clone());
        Some(bytes)
    }
}

impl BlockHashes for Recorder<'_> {
    fn header(&self, height: Height) -> Option<Header> {
        let header = self.hashes.header(height)?;
        let mut read = self.read.borrow_mut();
        read.keys.insert(history_key(height));
        read.headers.insert(height, header.clone());
        Some(header)
    }
}

/// Values under one header, each proven by whoever made the witness.
#[derive(Debug, Clone)]
pub struct Witness {
    header: Header,
    values: BTreeMap<Digest, Option<Vec<u8>>>,
    content: BTreeMap<Digest, Vec<u8>>,
    headers: BTreeMap<Height, Header>,
    missing: Cell<bool>,
}

impl Witness {
    /// A witness of the state behind `header`. `values` must be proven under its state root. Content is kept under its own
    /// digests, and a header of an earlier block only where a value says that it is that block's; both need no trust.
    pub fn new(
        header: Header,
        values: BTreeMap<Digest, Option<Vec<u8>>>,
        content: Vec<Vec<u8>>,
        headers: Vec<Header>,
    ) -> Self {
        let mut kept = BTreeMap::new();
        for bytes in content {
            kept.insert(keccak256(&[&bytes]), bytes.clone());
            kept.insert(content_digest(&bytes), bytes);
        }
        let newest = header.number;
        let is_known = |earlier: &Header| {
            let in_window = earlier.number < newest && newest - earlier.number <= HISTORY_BLOCKS;
            let said = values.get(&history_key(earlier.number)).and_then(Option::as_deref);
            in_window && said == Some(earlier.hash_slow().as_slice())
        };
        let headers = headers.into_iter().filter(is_known).map(|earlier| (earlier.number, earlier)).collect();
        Self { header, values, content: kept, headers, missing: Cell::new(false) }
    }

    /// The header behind which the state is.
    pub const fn newest(&self) -> &Header {
        &self.header
    }

    /// Whether anything was asked for that the witness does not hold.
    pub const fn missing(&self) -> bool {
        self.missing.get()
    }

    fn held<T>(&self, found: Option<T>) -> Option<T> {
        if found.is_none() {
            self.missing.set(true);
        }
        found
    }
}

impl StateTree for Witness {
    fn get(&self, key: &Digest) -> Result<Option<Vec<u8>>, StateError> {
        self.held(self.values.get(key).cloned()).ok_or_else(|| WitnessError::Missing.store())
    }

    fn apply(&mut self, _: Height, _: &[Write]) -> Result<Digest, StateError> {
        Err(WitnessError::ReadOnly.store())
    }

    fn prove(&self, _: &Digest) -> Result<Vec<u8>, StateError> {
        Err(WitnessError::ReadOnly.store())
    }

    fn leaves(&self, _: &Digest, _: usize) -> Result<Vec<(Digest, Vec<u8>)>, StateError> {
        Err(WitnessError::ReadOnly.store())
    }

    fn root(&self) -> Digest {
        Digest(self.header.state_root.0)
    }

    fn height(&self) -> Option<Height> {
        Some(self.header.number)
    }
}

impl Content for Witness {
    fn get(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.held(self.content.get(digest).cloned())
    }
}

impl BlockHashes for Witness {
    fn header(&self, height: Height) -> Option<Header> {
        match height.cmp(&self.header.number) {
            core::cmp::Ordering::Equal => Some(self.header.clone()),
            // There is no such block yet.
            core::cmp::Ordering::Greater => None,
            core::cmp::Ordering::Less => self.held(self.headers.get(&height).cloned()),
        }
    }
}
