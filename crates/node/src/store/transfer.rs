//! The state tree on its way from one node to another (`spec/sync.md` §2): its log of operations from a floor on, each
//! part proven under the log's root, and the log's root under the state root.
//!
//! Invariant: what [`receive`] leaves behind is the tree of the target's root, or an error; what is on disk before that is
//! a prefix of the same log, from which the next try goes on. Not here: where parts come from, and whether a target's
//! root stands in a certified header.

use std::{num::NonZeroU64, path::Path, sync::Arc, thread};

use commonware_codec::{Copying, Decode as _, DecodeExt as _};
use commonware_cryptography::{Sha256, sha256::Digest as Key};
use commonware_runtime::{Runner as _, Supervisor as _, tokio as runtime};
use commonware_storage::{
    mmr::{self, Location},
    qmdb::{
        current::proof::OpsRootWitness,
        sync::{self, Request, Response, Source, Target, engine},
        verify_proof, verify_proof_and_pinned_nodes,
    },
};
use commonware_utils::{NZU64, NZUsize, range::NonEmptyRange};
use freehold_primitives::{Digest, Height};
use thiserror::Error;
use tokio::sync::oneshot;

use super::{
    engine::{Db, applied, config, init_cache},
    tree::TreeError,
};

/// Most operations in one answer: about 600 KB.
pub(crate) const OPERATIONS_MAX: u64 = 4_096;
/// Requests at a time.
const REQUESTS_MAX: usize = 4;
/// Operations hashed at once while the tree is rebuilt.
const APPLY_MAX: NonZeroU64 = NZU64!(8_192);

type Op = <Db as sync::Database>::Op;
type EngineResponse = Response<mmr::Family, Op, Key>;

/// A state that another node offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TransferTarget {
    /// Height of the block behind which it is the state.
    pub(crate) height: Height,
    /// State root.
    pub(crate) root: Digest,
    /// Operations in the log.
    pub(crate) operations: u64,
    /// First operation that is needed.
    pub(crate) floor: u64,
    /// Root of the log.
    pub(crate) log_root: Digest,
    /// The engine's proof that the state root holds the log's root.
    pub(crate) witness: Vec<u8>,
}

impl TransferTarget {
    /// Whether it is in order, and its state root holds the log's root.
    pub(crate) fn is_sound(&self) -> bool {
        let witness = OpsRootWitness::<mmr::Family, Key>::decode(Copying(&self.witness));
        self.floor < self.operations
            && Location::new(self.operations).is_valid()
            && witness.is_ok_and(|witness| witness.verify::<Sha256>(&Key(self.log_root.0), &Key(self.root.0)))
    }
}

/// Operations that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OperationsRequest {
    /// Size of the log under whose root they are proven.
    pub(crate) size: u64,
    /// First operation.
    pub(crate) start: u64,
    /// How many, [`OPERATIONS_MAX`] at most; 0 asks for one with what stands for all below it.
    pub(crate) count: u64,
}

impl OperationsRequest {
    /// The engine's form; `None` where it is out of bounds.
    pub(super) fn engine(&self) -> Option<Request<mmr::Family>> {
        let (size, start) = (Location::new(self.size), Location::new(self.start));
        if self.count > OPERATIONS_MAX || start >= size || !size.is_valid() {
            return None;
        }
        Some(NonZeroU64::new(self.count).map_or(Request::Boundary { size, start }, |max_ops| Request::Operations {
            size,
            start,
            max_ops,
        }))
    }
}

/// Whether an answer is right.
pub(crate) type AnswerCheck = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// Where operations come from: it asks one node after another.
pub(crate) trait OperationSource: Send + Sync + 'static {
    /// Why there are none.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Asks a node; `check` says whether an answer is right, and a node whose answer is not is not asked again.
    fn operations(
        &self,
        request: OperationsRequest,
        check: AnswerCheck,
    ) -> impl Future<Output = Result<Vec<u8>, Self::Error>> + Send;
}

/// Why a state did not arrive.
#[derive(Debug, Error)]
pub(crate) enum TransferError<E: std::error::Error + 'static> {
    /// No node had the operations.
    #[error(transparent)]
    Source(E),
    /// What arrived could not be kept.
    #[error(transparent)]
    Tree(TreeError),
    /// The state that was rebuilt is not the target's: the disk or this program is at fault, since every part was proven.
    #[error("the state that was put together has another root than its parts")]
    Other,
}

/// What has arrived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Received {
    /// Operations that came over the network.
    pub(crate) operations: u64,
    /// Bytes of the answers.
    pub(crate) bytes: u64,
}

/// Brings the tree of `target` into `directory`, on a thread of its own. A target must be [sound](TransferTarget::is_sound).
///
/// # Errors
/// Any [`TransferError`].
pub(crate) async fn receive<S: OperationSource>(
    directory: &Path,
    target: TransferTarget,
    source: S,
) -> Result<Received, TransferError<S::Error>> {
    let (done, wait) = oneshot::channel();
    let settings = runtime::Config::new()
        .with_worker_threads(2)
        .with_max_blocking_threads(4)
        .with_storage_directory(directory.to_path_buf());
    let config = config(init_cache(directory));
    thread::Builder::new()
        .name("freehold-sync".into())
        .spawn(move || {
            let result = runtime::Runner::new(settings)
                .start(|context| async move { run(context, config, &target, source).await });
            let _gone = done.send(result);
        })
        .map_err(|error| TransferError::Tree(TreeError::Thread(error)))?;
    wait.await.map_err(|_| TransferError::Tree(TreeError::Closed))?
}

async fn run<S: OperationSource>(
    context: runtime::Context,
    db_config: <Db as sync::Database>::Config,
    target: &TransferTarget,
    source: S,
) -> Result<Received, TransferError<S::Error>> {
    let range = NonEmptyRange::new(Location::new(target.floor)..Location::new(target.operations));
    let root = Key(target.log_root.0);
    let counted = Arc::new(std::sync::Mutex::new(Received::default()));
    let remote = Remote { source, root, counted: Arc::clone(&counted) };
    let synced = sync::sync(engine::Config::<Db, _> {
        context: context.child("state"),
        source: remote,
        target: Target::new(root, range.map_err(|_| TransferError::Other)?),
        max_outstanding_requests: NZUsize!(REQUESTS_MAX),
        fetch_batch_size: NonZeroU64::new(OPERATIONS_MAX).unwrap_or(NonZeroU64::MIN),
        apply_batch_size: APPLY_MAX,
        db_config,
        update_rx: None,
        finish_rx: None,
        reached_target_tx: None,
    });
    let db = match synced.await {
        Ok(db) => db,
        Err(sync::Error::Source(error)) => return Err(TransferError::Source(error)),
        Err(sync::Error::Database(error)) => return Err(TransferError::Tree(error.into())),
        Err(sync::Error::Engine(_)) => return Err(TransferError::Other),
    };
    let height = applied(&db).await.map_err(|error| TransferError::Tree(error.into()))?;
    if Digest(db.root().0) != target.root || height != Some(target.height) {
        return Err(TransferError::Other);
    }
    db.sync().await.map_err(|error| TransferError::Tree(error.into()))?;
    let counted = *counted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(counted)
}

/// A source of ours behind the engine's interface.
struct Remote<S> {
    source: S,
    root: Key,
    counted: Arc<std::sync::Mutex<Received>>,
}

impl<S: OperationSource> Source for Remote<S> {
    type Family = mmr::Family;
    type Digest = Key;
    type Op = Op;
    type Error = S::Error;

    async fn serve(&self, request: Request<mmr::Family>) -> sync::source::Result<Self> {
        let root = self.root;
        let check = Arc::new(move |bytes: &[u8]| read(&request, &root, bytes).is_some());
        let ours = OperationsRequest {
            size: *request.size(),
            start: *request.start(),
            count: if matches!(request, Request::Boundary { .. }) { 0 } else { request.max_ops().get() },
        };
        let bytes = self.source.operations(ours, check).await?;
        let mut counted = self.counted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        counted.operations += ours.count.max(1);
        counted.bytes += bytes.len() as u64;
        drop(counted);
        let response = read(&request, &root, &bytes).expect("the source gives what passed the check");
        Ok((response, None))
    }
}

/// An answer, where it is one to the request and proven under the root.
fn read(request: &Request<mmr::Family>, root: &Key, bytes: &[u8]) -> Option<EngineResponse> {
    let operations_max = usize::try_from(request.max_ops().get()).ok()?;
    let response = EngineResponse::decode_cfg(Copying(bytes), &(operations_max, ())).ok()?;
    if response.proof().leaves != request.size() {
        return None;
    }
    let proven = match (request, &response) {
        (Request::Operations { start, .. }, Response::Operations { proof, operations }) => {
            !operations.is_empty() && verify_proof::<Sha256, _, _>(proof, *start, operations, root)
        }
        (Request::Boundary { start, .. }, Response::Boundary { proof, op, pinned_nodes }) => {
            let operations = std::slice::from_ref(op);
            verify_proof_and_pinned_nodes::<Sha256, _, _>(proof, *start, operations, pinned_nodes, root)
        }
        _ => false,
    };
    proven.then_some(response)
}
