//! The state tree as the rest of the node sees it: synchronous, on top of the store's thread.
//!
//! [`QmdbTree`] is the one writer and implements the ledger's `StateTree`; [`TreeReader`] is its copy for everyone who
//! only reads. Calls block until the store has answered: from async code, make them on a blocking thread. Dropping the
//! tree closes the store.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use commonware_storage::{mmr, qmdb};
use freehold_crypto::STATE_VALUE_BYTES_MAX;
use freehold_ledger::{StateError, StateTree, Write};
use freehold_primitives::{Digest, Height};
use thiserror::Error;

use super::{
    engine::{self, Command, Start},
    shared::{Shared, WriteSet},
    transfer::{OperationsRequest, TransferTarget},
};

/// Commands that may wait in the store's queue.
const COMMANDS_MAX: usize = 1_024;
/// Keys in one call of [`TreeReader::prove_many`].
pub const PROOF_KEYS_MAX: usize = 1_024;

/// Why the state tree could not be opened, read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The block at this height is applied already.
    #[error("block {height} is applied to the state tree already, which is at {at}")]
    Applied {
        /// Height of the tree.
        at: Height,
        /// Height that was given.
        height: Height,
    },
    /// Not the next block.
    #[error("block {found} cannot be applied: the next one is {expected}")]
    Gap {
        /// Next height.
        expected: Height,
        /// Height that was given.
        found: Height,
    },
    /// One block writes a key twice.
    #[error("a block writes tree key {key} twice")]
    Twice {
        /// The key.
        key: Digest,
    },
    /// A value is too long.
    #[error("a value of {length} bytes is above the bound of {STATE_VALUE_BYTES_MAX}")]
    Value {
        /// Its length.
        length: usize,
    },
    /// The writes give another root than the block's.
    #[error("the writes of block {height} do not give the state root of its header")]
    OtherRoot {
        /// The block.
        height: Height,
    },
    /// Operations that this store does not have, or no longer.
    #[error("the log of the state tree does not hold these operations, or no longer: ask for the newest state again")]
    NotServed,
    /// Too many keys in one call.
    #[error("{0} keys in one call are above the bound of {PROOF_KEYS_MAX}")]
    Keys(usize),
    /// The store has closed, on request or after a failure that it reported then.
    #[error("the state store has closed: start the node again; it resumes from its last durable block")]
    Closed,
    /// The store's thread could not be started.
    #[error("the thread of the state store could not be started: {0}")]
    Thread(#[source] io::Error),
    /// The directory could not be made.
    #[error("the state store's directory {path} could not be made: {source}")]
    Directory {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The engine failed: the disk is full or damaged, or the files are.
    #[error(
        "the state store failed: {0}. Check the disk. If its files are damaged, move the folder `state` of this validator \
         away and start again: the state is made anew from the stored payloads"
    )]
    Engine(#[from] Box<qmdb::Error<mmr::Family>>),
}

impl From<qmdb::Error<mmr::Family>> for TreeError {
    fn from(error: qmdb::Error<mmr::Family>) -> Self {
        Self::Engine(Box::new(error))
    }
}

impl From<TreeError> for StateError {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::Applied { at, height } => Self::Height { at, found: height },
            TreeError::Gap { expected, found } => Self::Height { at: expected.saturating_sub(1), found },
            TreeError::Twice { .. } => Self::Unsorted,
            TreeError::Value { length } => Self::ValueTooLong(length),
            other => Self::Store(Box::new(other)),
        }
    }
}

/// Proofs for several keys, all at one height.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proofs {
    /// Height of the newest applied block; `None` before block 0.
    pub height: Option<Height>,
    /// State root behind it.
    pub root: Digest,
    /// One proof for each key, in the order of the keys (`spec/state-proof.md`).
    pub proofs: Vec<Vec<u8>>,
}

/// Reads the newest state. Copies are cheap.
#[derive(Clone)]
pub struct TreeReader {
    commands: SyncSender<Command>,
    shared: Arc<Shared>,
}

impl TreeReader {
    /// Height of the newest applied block; `None` before block 0.
    pub fn applied(&self) -> Option<Height> {
        self.shared.lock().applied
    }

    /// The newest state root.
    pub fn root(&self) -> Digest {
        self.shared.lock().root
    }

    /// The value of `key`, and the height at which it has it.
    ///
    /// # Errors
    /// [`TreeError::Closed`], [`TreeError::Engine`].
    pub fn get_with_height(&self, key: &Digest) -> Result<(Option<Height>, Option<Vec<u8>>), TreeError> {
        {
            let mut state = self.shared.lock();
            if let Some(value) = state.cached(key) {
                return Ok((state.applied, value));
            }
        }
        let (height, value) = self.ask(|reply| Command::Get(*key, reply))?;
        self.shared.lock().remember(*key, value.clone(), height);
        Ok((height, value))
    }

    /// Proofs for `keys` under one root.
    ///
    /// # Errors
    /// [`TreeError::Keys`], [`TreeError::Closed`], [`TreeError::Engine`].
    pub fn prove_many(&self, keys: &[Digest]) -> Result<Proofs, TreeError> {
        if keys.len() > PROOF_KEYS_MAX {
            return Err(TreeError::Keys(keys.len()));
        }
        self.ask(|reply| Command::Prove(keys.to_vec(), reply))
    }

    /// The first `limit` keys behind `after` that have values, in order, with their values.
    ///
    /// # Errors
    /// [`TreeError::Closed`], [`TreeError::Engine`].
    pub fn leaves(&self, after: &Digest, limit: usize) -> Result<Vec<(Digest, Vec<u8>)>, TreeError> {
        self.ask(|reply| Command::Leaves(*after, limit, reply))
    }

    /// What another node needs to take the newest state.
    ///
    /// # Errors
    /// [`TreeError::NotServed`] before block 0; [`TreeError::Closed`], [`TreeError::Engine`].
    pub(crate) fn transfer_target(&self) -> Result<TransferTarget, TreeError> {
        self.ask(Command::Target)
    }

    /// Operations of the log with their proof, in the engine's encoding.
    ///
    /// # Errors
    /// [`TreeError::NotServed`], [`TreeError::Closed`].
    pub(crate) fn serve_operations(&self, request: OperationsRequest) -> Result<Vec<u8>, TreeError> {
        self.ask(|reply| Command::Serve(request, reply))
    }

    /// Write set of a block; only the newest 32 applied since the store opened are kept.
    pub fn write_set(&self, height: Height) -> Option<Arc<WriteSet>> {
        let state = self.shared.lock();
        let first = state.recent.front()?.height;
        state.recent.get(usize::try_from(height.checked_sub(first)?).ok()?).cloned()
    }

    /// The first of the heights `from..=to` in memory that changed `key`: the oldest height in memory (at least 1), and
    /// the value before that change.
    pub(super) fn first_change(&self, key: &Digest, from: Height, to: Height) -> (Height, Option<Option<Vec<u8>>>) {
        let state = self.shared.lock();
        let oldest = state.recent.front().map_or(to + 1, |set| set.height.max(1));
        let sets = state.recent.iter().filter(|set| (from..=to).contains(&set.height));
        let old = sets.filter_map(|set| set.change(key)).map(|change| change.old.clone()).next();
        (oldest, old)
    }

    fn ask<T>(&self, command: impl FnOnce(SyncSender<Result<T, TreeError>>) -> Command) -> Result<T, TreeError> {
        let (reply, answer) = sync_channel(1);
        self.commands.send(command(reply)).map_err(|_| TreeError::Closed)?;
        answer.recv().map_err(|_| TreeError::Closed)?
    }
}

/// The state tree and its one writer.
pub struct QmdbTree {
    reader: TreeReader,
    thread: Option<JoinHandle<()>>,
}

impl QmdbTree {
    /// Opens the tree in `directory`, at its newest durable state of at most `operations_max` log operations: the number
    /// that the block store recorded with its newest block ([`super::Recovery::tree_operations`]), so that the tree is
    /// never ahead of it.
    ///
    /// # Errors
    /// [`TreeError::Directory`], [`TreeError::Thread`], [`TreeError::Engine`]; [`TreeError::Closed`] when the engine
    /// gave up while opening.
    pub fn open(directory: &Path, operations_max: u64) -> Result<Self, TreeError> {
        std::fs::create_dir_all(directory)
            .map_err(|source| TreeError::Directory { path: directory.to_path_buf(), source })?;
        let (commands, queue) = sync_channel(COMMANDS_MAX);
        let (opened, opening) = sync_channel(1);
        let start = Start { directory: directory.to_path_buf(), operations_max, commands: queue, opened };
        let thread = thread::Builder::new()
            .name("freehold-state".into())
            .spawn(move || engine::run(start))
            .map_err(TreeError::Thread)?;
        let shared = opening.recv().map_err(|_| TreeError::Closed)??;
        Ok(Self { reader: TreeReader { commands, shared }, thread: Some(thread) })
    }

    /// A reader of the newest state.
    pub fn reader(&self) -> TreeReader {
        self.reader.clone()
    }

    /// Applies the writes of block `height` and says what they changed. The tree is not durable then: see
    /// [`Self::persist`].
    ///
    /// # Errors
    /// [`TreeError::Applied`], [`TreeError::Gap`], [`TreeError::Twice`], [`TreeError::Value`]: nothing has changed;
    /// [`TreeError::Closed`], [`TreeError::Engine`]: the store is closed from now on.
    pub fn apply_writes(&mut self, height: Height, writes: &[Write]) -> Result<Arc<WriteSet>, TreeError> {
        self.reader.ask(|reply| Command::Apply(height, writes.to_vec(), None, reply))
    }

    /// As [`Self::apply_writes`], where the root behind the block is known: nothing changes if the writes do not give it.
    ///
    /// # Errors
    /// As [`Self::apply_writes`], and [`TreeError::OtherRoot`].
    pub(crate) fn apply_certified(
        &mut self,
        height: Height,
        writes: Vec<Write>,
        root: Digest,
    ) -> Result<Arc<WriteSet>, TreeError> {
        self.reader.ask(|reply| Command::Apply(height, writes, Some(root), reply))
    }

    /// Tells the store that the block store holds, durably, every block up to the tree's height. The store makes the
    /// tree durable behind the caller's back, every 16 blocks, and compacts it every 512.
    pub fn persist(&self) {
        // A store that has closed says so to the next caller that needs an answer.
        self.reader.commands.send(Command::Persist).ok();
    }

    /// Makes the tree durable and compacts it, now. As with [`Self::persist`], only when the block store holds every
    /// block up to the tree's height.
    ///
    /// # Errors
    /// [`TreeError::Closed`], [`TreeError::Engine`].
    pub fn flush(&self) -> Result<(), TreeError> {
        self.reader.ask(Command::Flush)
    }
}

impl StateTree for QmdbTree {
    fn get(&self, key: &Digest) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.reader.get_with_height(key)?.1)
    }

    fn apply(&mut self, height: Height, writes: &[Write]) -> Result<Digest, StateError> {
        Ok(self.apply_writes(height, writes)?.root)
    }

    fn prove(&self, key: &Digest) -> Result<Vec<u8>, StateError> {
        let mut proofs = self.reader.prove_many(std::slice::from_ref(key))?;
        Ok(proofs.proofs.pop().expect("one proof for one key"))
    }

    fn leaves(&self, after: &Digest, limit: usize) -> Result<Vec<(Digest, Vec<u8>)>, StateError> {
        Ok(self.reader.leaves(after, limit)?)
    }

    fn root(&self) -> Digest {
        self.reader.root()
    }

    fn height(&self) -> Option<Height> {
        self.reader.applied()
    }
}

impl Drop for QmdbTree {
    fn drop(&mut self) {
        self.reader.commands.send(Command::Close).ok();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the state store panicked");
        }
    }
}
