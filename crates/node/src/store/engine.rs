//! The store's thread: the asynchronous engine behind a queue of commands.
//!
//! The engine (QMDB current/ordered, SHA-256, Merkle mountain range, bitmap chunks of 32 bytes) runs on a runtime of its
//! own with one worker. Commands are served one by one in order. Invariant: a command that fails half way leaves the
//! engine closed, and every later command says so; nothing reads a half-applied block.

use std::{
    num::NonZeroUsize,
    ops::Bound,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender},
    },
};

use commonware_codec::Encode as _;
use commonware_cryptography::{Sha256, sha256::Digest as Key};
use commonware_parallel::Sequential;
use commonware_runtime::{Runner as _, Supervisor as _, buffer::paged::CacheRef, tokio as runtime};
use commonware_storage::{
    journal::contiguous::fixed::Config as JournalConfig,
    merkle::full::Config as MerkleConfig,
    mmr::{self, Location},
    qmdb::{
        self,
        current::{FixedConfig, ordered::fixed},
        floor::Proportional,
        sync::Source as _,
    },
    translator::EightCap,
};
use commonware_utils::{NZU16, NZU64, NZUsize};
use freehold_ledger::Write;
use freehold_primitives::{Canonical as _, Digest, Height};
use futures::{StreamExt as _, TryStreamExt as _};

use super::{
    bytes_below,
    leaf::Leaf,
    proof,
    shared::{Change, Shared, WriteSet},
    transfer::{OperationsRequest, TransferTarget},
    tree::{Proofs, TreeError},
};

/// Bytes of a bitmap chunk: grafting height 8.
pub(super) const CHUNK_BYTES: usize = 32;
/// How far the engine compacts with each block: two moves for a delete, one for an update and for the commit before, so
/// that the log holds at most three operations per key behind its floor. All validators must agree: it decides the root.
const FLOOR: Proportional = Proportional;
/// Blocks whose durability may be outstanding after [`Command::Persist`]: what a crash may cost in repeated execution.
const UNSYNCED_BLOCKS_MAX: u64 = 16;
/// Blocks between two full syncs, at which the log's dead part is dropped and reopening becomes cheap.
const PRUNE_INTERVAL_BLOCKS: u64 = 512;
/// Operations in a file of the log (2.7 MB), and nodes in a file of the tree.
const ITEMS_PER_BLOB: std::num::NonZeroU64 = NZU64!(16_384);
/// Write and replay buffers.
const BUFFER_BYTES: NonZeroUsize = NZUsize!(256 * 1024);
/// Page cache: 4 KiB pages, 16 MiB in all.
const PAGE_BYTES: std::num::NonZeroU16 = NZU16!(4_096);
const PAGES_MAX: NonZeroUsize = NZUsize!(4_096);
/// Entries of the cache for rebuilding the key index on opening, at least and at most; one takes 41 bytes. Where the older
/// place of a key is not in it, opening reads the log for it, which took a minute for a million keys.
const INIT_CACHE_MIN: usize = 65_536;
const INIT_CACHE_MAX: usize = 8 * 1024 * 1024;
/// What an operation takes on disk, at least.
const OPERATION_BYTES: u64 = 128;

pub(super) type Db = fixed::Db<mmr::Family, runtime::Context, Key, Leaf, Sha256, EightCap, CHUNK_BYTES, Sequential>;
pub(super) type EngineError = qmdb::Error<mmr::Family>;

/// Where a reply goes. A caller that has gone is no concern of the engine.
type Reply<T> = SyncSender<Result<T, TreeError>>;

/// A value with the height at which it was read.
pub(super) type ReadAt = (Option<Height>, Option<Vec<u8>>);

/// Keys with their values.
pub(super) type Leaves = Vec<(Digest, Vec<u8>)>;

/// What the store's thread can be told.
pub(super) enum Command {
    /// The value of a key.
    Get(Digest, Reply<ReadAt>),
    /// Proofs for keys, all under one root.
    Prove(Vec<Digest>, Reply<Proofs>),
    /// The first leaves behind a key, in order.
    Leaves(Digest, usize, Reply<Leaves>),
    /// Apply the writes of the block at a height, only where they give this root, if there is one.
    Apply(Height, Vec<Write>, Option<Digest>, Reply<Arc<WriteSet>>),
    /// What another node needs to take the newest state.
    Target(Reply<TransferTarget>),
    /// Operations of the log, with their proof.
    Serve(OperationsRequest, Reply<Vec<u8>>),
    /// The block store holds everything up to the tree's height: make the tree durable when it is due.
    Persist,
    /// Make the tree durable now.
    Flush(Reply<()>),
    /// End.
    Close,
}

/// What the thread needs to start.
pub(super) struct Start {
    pub(super) directory: PathBuf,
    /// Newest state to open: operations in the log.
    pub(super) operations_max: u64,
    pub(super) commands: Receiver<Command>,
    pub(super) opened: Reply<Arc<Shared>>,
}

/// Runs the store until it is told to close or everyone has gone.
pub(super) fn run(start: Start) {
    let config = runtime::Config::new()
        .with_worker_threads(1)
        .with_max_blocking_threads(4)
        .with_storage_directory(start.directory.clone());
    runtime::Runner::new(config).start(|context| async move {
        match Engine::open(context, &start).await {
            Ok(mut engine) => {
                // The opener waits for this reply; if it has gone, the queue is empty and closed, and the loop ends.
                start.opened.send(Ok(engine.shared.clone())).ok();
                engine.serve(&start.commands).await;
            }
            Err(error) => {
                start.opened.send(Err(error)).ok();
            }
        }
    });
}

struct Engine {
    /// `None` once an operation has failed half way.
    db: Option<Db>,
    shared: Arc<Shared>,
    /// Height of the last commit to disk, and of the last full sync.
    committed: Option<Height>,
    synced: Option<Height>,
}

impl Engine {
    async fn open(context: runtime::Context, start: &Start) -> Result<Self, TreeError> {
        let config = config(init_cache(&start.directory));
        let db = Db::init(context.child("state"), config, Some(Location::new(start.operations_max))).await?;
        let applied = applied(&db).await?;
        let shared = Arc::new(Shared::new(applied, digest(&db.root())));
        Ok(Self { db: Some(db), shared, committed: applied, synced: applied })
    }

    async fn serve(&mut self, commands: &Receiver<Command>) {
        // The thread is the engine's alone, so waiting here holds up nobody.
        while let Ok(command) = commands.recv() {
            match command {
                Command::Get(key, reply) => {
                    reply.send(self.get(&key).await).ok();
                }
                Command::Prove(keys, reply) => {
                    reply.send(self.prove(&keys).await).ok();
                }
                Command::Leaves(after, limit, reply) => {
                    reply.send(self.leaves(&after, limit).await).ok();
                }
                Command::Apply(height, writes, root, reply) => {
                    reply.send(self.apply(height, writes, root).await).ok();
                }
                Command::Target(reply) => {
                    reply.send(self.target().await).ok();
                }
                Command::Serve(request, reply) => {
                    reply.send(self.serve_operations(&request).await).ok();
                }
                Command::Persist => {
                    if let Err(error) = self.persist().await {
                        tracing::error!(%error, "the state tree could not be made durable");
                    }
                }
                Command::Flush(reply) => {
                    reply.send(self.sync().await).ok();
                }
                Command::Close => break,
            }
        }
        if self.db.is_some()
            && let Err(error) = self.commit().await
        {
            tracing::error!(%error, "the state tree could not be made durable when it closed");
        }
    }

    fn db(&self) -> Result<&Db, TreeError> {
        self.db.as_ref().ok_or(TreeError::Closed)
    }

    async fn get(&self, key: &Digest) -> Result<ReadAt, TreeError> {
        let value = self.db()?.get(&Key(key.0)).await?;
        Ok((self.shared.lock().applied, value.map(|leaf| leaf.value().to_vec())))
    }

    async fn prove(&self, keys: &[Digest]) -> Result<Proofs, TreeError> {
        let db = self.db()?;
        let mut proofs = Vec::with_capacity(keys.len());
        for key in keys {
            let engine_key = Key(key.0);
            let proof = match db.get(&engine_key).await? {
                Some(leaf) => proof::present(db.key_value_proof(engine_key).await?, &leaf),
                None => proof::absent(db.exclusion_proof(&engine_key).await?),
            };
            proofs.push(proof.to_canonical());
        }
        let state = self.shared.lock();
        Ok(Proofs { height: state.applied, root: state.root, proofs })
    }

    async fn leaves(&self, after: &Digest, limit: usize) -> Result<Leaves, TreeError> {
        let behind = (Bound::Excluded(Key(after.0)), Bound::Unbounded);
        let leaves = self.db()?.stream_range(behind).take(limit);
        let leaves = leaves.map_ok(|(key, leaf)| (digest(&key), leaf.value().to_vec()));
        Ok(leaves.try_collect().await?)
    }

    async fn target(&self) -> Result<TransferTarget, TreeError> {
        let db = self.db()?;
        let height = self.shared.lock().applied.ok_or(TreeError::NotServed)?;
        Ok(TransferTarget {
            height,
            root: digest(&db.root()),
            operations: db.bounds().end.as_u64(),
            floor: db.sync_boundary().as_u64(),
            log_root: digest(&db.ops_root()),
            witness: db.ops_root_witness().await?.encode().to_vec(),
        })
    }

    async fn serve_operations(&self, request: &OperationsRequest) -> Result<Vec<u8>, TreeError> {
        let db = self.db()?;
        let bounds = db.bounds();
        let request = request.engine().ok_or(TreeError::NotServed)?;
        if request.start() < bounds.start || request.size() > bounds.end {
            return Err(TreeError::NotServed);
        }
        // What fails now is the request: a size that was never a block's, or a part that is no longer kept.
        let (response, _) = db.serve(request).await.map_err(|_| TreeError::NotServed)?;
        Ok(response.encode().to_vec())
    }

    async fn apply(
        &mut self,
        height: Height,
        writes: Vec<Write>,
        root: Option<Digest>,
    ) -> Result<Arc<WriteSet>, TreeError> {
        let applied = self.shared.lock().applied;
        let expected = applied.map_or(0, |applied| applied + 1);
        if let Some(at) = applied.filter(|at| height <= *at) {
            return Err(TreeError::Applied { at, height });
        }
        if height > expected {
            return Err(TreeError::Gap { expected, found: height });
        }
        let changes = self.changes(writes).await?;
        let db = self.db.take().ok_or(TreeError::Closed)?;
        let mut batch = db.new_batch();
        for change in &changes {
            let leaf = change.new.as_deref().map(leaf).transpose()?;
            batch = batch.write(Key(change.key.0), leaf);
        }
        let metadata = leaf(&height.to_be_bytes())?;
        let batch = match batch.merkleize(&db, Some(metadata), &mut FLOOR.clone()).await {
            Ok(batch) if root.is_none_or(|root| root == digest(&batch.root())) => batch,
            Ok(_) => {
                self.db = Some(db);
                return Err(TreeError::OtherRoot { height });
            }
            Err(error) => return Err(error.into()),
        };
        let db = db.apply_batch(batch).await?;
        let writes =
            Arc::new(WriteSet { height, root: digest(&db.root()), operations: db.bounds().end.as_u64(), changes });
        self.db = Some(db);
        self.shared.lock().advance(writes.clone());
        Ok(writes)
    }

    /// Sorts writes, finds the values before them, and drops those that change nothing.
    async fn changes(&self, mut writes: Vec<Write>) -> Result<Vec<Change>, TreeError> {
        writes.sort_by_key(|(key, _)| *key);
        if let Some(twice) = writes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(TreeError::Twice { key: twice[0].0 });
        }
        for value in writes.iter().filter_map(|(_, value)| value.as_deref()) {
            leaf(value)?;
        }
        let keys: Vec<Key> = writes.iter().map(|(key, _)| Key(key.0)).collect();
        let old = self.db()?.get_many(&keys.iter().collect::<Vec<_>>()).await?;
        let changes = writes.into_iter().zip(old).map(|((key, new), old)| {
            let old = old.map(|leaf| leaf.value().to_vec());
            Change { key, old, new }
        });
        Ok(changes.filter(|change| change.old != change.new).collect())
    }

    async fn persist(&mut self) -> Result<(), TreeError> {
        let applied = self.shared.lock().applied;
        if outstanding(applied, self.synced) >= PRUNE_INTERVAL_BLOCKS {
            self.sync().await
        } else if outstanding(applied, self.committed) >= UNSYNCED_BLOCKS_MAX {
            self.commit().await
        } else {
            Ok(())
        }
    }

    async fn commit(&mut self) -> Result<(), TreeError> {
        let db = self.db.take().ok_or(TreeError::Closed)?;
        self.db = Some(db.commit().await?);
        self.committed = self.shared.lock().applied;
        Ok(())
    }

    /// Makes everything durable and drops the log below the floor of the state that the block store holds.
    async fn sync(&mut self) -> Result<(), TreeError> {
        let db = self.db.take().ok_or(TreeError::Closed)?.sync().await?;
        let boundary = db.sync_boundary();
        self.db = Some(db.prune(boundary).await?);
        let applied = self.shared.lock().applied;
        (self.committed, self.synced) = (applied, applied);
        Ok(())
    }
}

/// Blocks applied since `mark`.
fn outstanding(applied: Option<Height>, mark: Option<Height>) -> u64 {
    applied.map_or(0, |height| height + 1) - mark.map_or(0, |height| height + 1)
}

pub(super) async fn applied(db: &Db) -> Result<Option<Height>, EngineError> {
    Ok(db.get_metadata().await?.and_then(|metadata| proof::height(&metadata)))
}

fn leaf(value: &[u8]) -> Result<Leaf, TreeError> {
    Leaf::new(value).ok_or(TreeError::Value { length: value.len() })
}

fn digest(key: &Key) -> Digest {
    Digest(key.0)
}

/// Room for every operation of the log.
pub(super) fn init_cache(directory: &Path) -> NonZeroUsize {
    let operations = usize::try_from(bytes_below(directory) / OPERATION_BYTES).unwrap_or(usize::MAX);
    NonZeroUsize::new(operations.clamp(INIT_CACHE_MIN, INIT_CACHE_MAX)).unwrap_or(NonZeroUsize::MIN)
}

/// The engine's settings.
pub(super) fn config(init_cache: NonZeroUsize) -> FixedConfig<EightCap, Sequential> {
    let page_cache = CacheRef::new(PAGE_BYTES, PAGES_MAX);
    FixedConfig {
        merkle_config: MerkleConfig {
            journal_partition: "nodes".into(),
            metadata_partition: "nodes-pruned".into(),
            items_per_blob: ITEMS_PER_BLOB,
            write_buffer: BUFFER_BYTES,
            replay_buffer: BUFFER_BYTES,
            strategy: Sequential,
            page_cache: page_cache.clone(),
        },
        journal_config: JournalConfig {
            partition: "operations".into(),
            items_per_blob: ITEMS_PER_BLOB,
            page_cache,
            write_buffer: BUFFER_BYTES,
            replay_buffer: BUFFER_BYTES,
        },
        grafted_metadata_partition: "activity".into(),
        translator: EightCap,
        init_cache: Some(init_cache),
        init_buffer: BUFFER_BYTES,
        init_concurrency: (),
    }
}
