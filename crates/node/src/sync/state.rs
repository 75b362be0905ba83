//! State sync (`spec/sync.md` §2–§4): a newcomer takes the state behind a certified header instead of all blocks.
//!
//! Order: the state's log of operations, content, the newest headers, who holds the keys in the state's term and how the
//! network key came to be, and for a validator what consensus begins with; all into `incoming` beside the stores, from where
//! `staging` brings them into place at the end. Invariant: a crash anywhere leaves a folder from which the next call goes on;
//! stores in place are whole. What a source says is checked before it is kept; that all code of accounts is there is
//! checked at the end, and documents that a source withheld are asked for again when they are missed.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc, time::Instant};

use alloy_consensus::Header;
use freehold_crypto::keccak256;
use freehold_ledger::{ACCOUNT_VALUE_BYTES, StateTree as _, read_account_value};
use freehold_primitives::{Digest, Height, NetworkKey};
use freehold_rpc::{Endpoint, HEADER_RANGE_MAX, SyncContent, SyncState, VerifiedClient};
use freehold_verify::{VerifiedHeader, verify_ancestors};
use tracing::{info, warn};

use super::{
    chain::SourceChain,
    error::{Lie, SyncError},
    floor::{TermEntries, take_floor, term_entries},
    page::piece,
    sources::{Fault, Sources},
    staging::{Staging, failed},
};
use crate::store::{
    BlockStore, OPERATIONS_MAX, QmdbTree, Received, StoreIdentity, TransferError, TransferTarget, receive,
};

/// Headers that a synced store begins with: those that execution may ask for (EIP-2935).
const HEADERS: u64 = 8_191;
/// States that are begun with before giving up: sources drop the parts of an old one while it is on its way.
const TARGETS_MAX: u32 = 64;
/// Content beyond what the state's operations can have brought: a source that goes on lies.
const PIECES_SPARE: u64 = 4_096;
/// Leaves looked at in one step.
const LEAVES: usize = 4_096;

/// What a state sync brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncedState {
    /// Height of the block behind which the state is.
    pub height: Height,
    /// Operations of the state's log that came over the network in this run.
    pub operations: u64,
    /// Bytes that came in this run: operations with proofs, and content.
    pub bytes: u64,
    /// Entries of the state.
    pub entries: u64,
    /// Pieces of content.
    pub content: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// What stands in the folder before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Onto {
    /// No stores.
    Empty,
    /// Stores that serve no longer: they stay until the new are whole, and are then moved to `damaged`.
    Stores,
}

/// Who goes on with the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Successor {
    /// A follower.
    Follower,
    /// A validator: it also takes what consensus begins with, and no state below this height, since its peers no longer have
    /// the payloads that follow on an older one.
    Validator(Height),
}

impl Successor {
    /// The least height of a state.
    const fn least(self) -> Height {
        match self {
            Self::Follower => 0,
            Self::Validator(least) => least,
        }
    }
}

/// Brings the newest certified state of the network into an empty folder, from which a node then starts: `genesis.bin`,
/// `state` and `blocks.redb`. Begun again after a crash, it goes on.
///
/// # Errors
/// Any [`SyncError`]; [`SyncError::Exists`] where the folder has stores already.
pub async fn sync_state(
    sources: &[Endpoint],
    network_key: &NetworkKey,
    folder: &Path,
) -> Result<SyncedState, SyncError> {
    let sources = Arc::new(Sources::new(sources)?);
    let chain = SourceChain::open(&sources, network_key, folder).await?;
    sync_into(&sources, &chain, folder, (Onto::Empty, Successor::Follower)).await
}

/// As [`sync_state`], from sources that are open, for whoever goes on with it.
pub(crate) async fn sync_into(
    sources: &Arc<Sources>,
    chain: &SourceChain,
    folder: &Path,
    (onto, successor): (Onto, Successor),
) -> Result<SyncedState, SyncError> {
    let staging = Staging::new(folder);
    staging.resume()?;
    if onto == Onto::Empty && folder.join("blocks.redb").exists() {
        return Err(SyncError::Exists(folder.to_path_buf()));
    }
    let goes_on = staging.incoming.exists();
    match bring(sources, chain, &staging, successor).await {
        Err(error) if goes_on && is_spoilt(&error) && staging.has_room() => {
            warn!(%error, "what an earlier run left does not serve; the state is taken from the beginning");
            staging.clear()?;
            bring(sources, chain, &staging, successor).await
        }
        done => done,
    }
}

/// Whether what an earlier run left is damaged or too old, and not just held or refused by the system.
const fn is_spoilt(error: &SyncError) -> bool {
    match error {
        SyncError::Blocks(error) => error.is_damage(),
        SyncError::Disk | SyncError::Tree(_) => true,
        _ => false,
    }
}

/// Brings what is not in `incoming` yet, and all of it into place.
async fn bring(
    sources: &Arc<Sources>,
    chain: &SourceChain,
    staging: &Staging,
    successor: Successor,
) -> Result<SyncedState, SyncError> {
    let began = Instant::now();
    fs::create_dir_all(&staging.incoming).map_err(|source| failed(&staging.incoming, source))?;
    let identity =
        StoreIdentity { chain_id: chain.genesis.chain_id, genesis_hash: freehold_crypto::genesis_hash(&chain.genesis) };
    let store = BlockStore::open(&staging.blocks(), &identity)?;
    let run = Run { sources, chain, staging, store, least: successor.least() };
    let (height, entries, received) = match run.store.executed() {
        Some(mark) if mark.height < run.least => return Err(SyncError::Disk),
        Some(mark) => (mark.height, run.look(mark.tree_operations, &mark.state_root)?.0, Received::default()),
        None => run.fetch().await?,
    };
    let keys = run.keys(height).await?;
    // Blocks before the state do not come: what they said of network keys does.
    run.store.store_successions(&keys.successions)?;
    if matches!(successor, Successor::Validator(_)) && !staging.floor().exists() {
        take_floor(sources, chain, keys, (height, &staging.floor())).await?;
    }
    let content = run.store.content_count()?;
    drop(run);
    staging.finish()?;
    let Received { operations, bytes } = received;
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    info!(height, entries, operations, bytes, content, took_ms, "the state is synced");
    Ok(SyncedState { height, operations, bytes, entries, content, took_ms })
}

struct Run<'a> {
    sources: &'a Arc<Sources>,
    chain: &'a SourceChain,
    staging: &'a Staging,
    store: BlockStore,
    least: Height,
}

impl Run<'_> {
    /// Fetches everything and seeds the store.
    async fn fetch(&self) -> Result<(Height, u64, Received), SyncError> {
        let mut received = Received::default();
        let mut known = self.saved().await;
        for _ in 0..TARGETS_MAX {
            let (offered, header) = match known.take() {
                Some(known) => known,
                None => self.offered().await?,
            };
            let target = target(&offered);
            info!(height = target.height, operations = target.operations, "taking the state");
            match receive(&self.staging.tree(), target, Arc::clone(self.sources)).await {
                Ok(more) => {
                    received.operations += more.operations;
                    received.bytes += more.bytes;
                    received.bytes += self.content(offered.operations).await?;
                    let entries = self.code(&offered).await?;
                    let headers = self.headers(&header).await?;
                    self.store.seed(&headers, offered.operations)?;
                    return Ok((offered.height, entries, received));
                }
                // The sources have moved on; what is here stays good for a newer state.
                Err(TransferError::Source(SyncError::NotKept { .. } | SyncError::Away { .. })) => {}
                Err(TransferError::Source(error)) => return Err(error),
                Err(TransferError::Tree(error)) => return Err(error.into()),
                Err(TransferError::Other) => return Err(SyncError::Disk),
            }
        }
        Err(SyncError::Outrun(TARGETS_MAX))
    }

    /// The state that a run before this one had begun with, where it is certified.
    async fn saved(&self) -> Option<(SyncState, VerifiedHeader)> {
        let bytes = fs::read(self.staging.target()).ok()?;
        let offered: SyncState = serde_json::from_slice(&bytes).ok().filter(|offered| target(offered).is_sound())?;
        if offered.height < self.least {
            return None;
        }
        let header = self.chain.header(self.sources, offered.height).await.ok()?;
        (header.state_root() == offered.state_root).then_some((offered, header))
    }

    /// A source's newest state, under a certified header, noted down. Content of another state does not count.
    async fn offered(&self) -> Result<(SyncState, VerifiedHeader), SyncError> {
        let (trust, least) = (self.chain.trust, self.least);
        let asked = self.sources.ask("its newest state", |node| async move {
            let offered = node.sync_state().await?;
            if !target(&offered).is_sound() {
                return Err(Lie::State(offered.height).into());
            }
            if offered.height < least {
                return Err(Fault::Missing(format!("its state is of height {}", offered.height)));
            }
            let headers = VerifiedClient::new(node, trust).wait_for_headers(offered.height).await;
            let header = *headers.map_err(super::chain::unverified)?.first();
            if header.state_root() == offered.state_root {
                Ok((offered, header))
            } else {
                Err(Lie::State(offered.height).into())
            }
        });
        let (offered, header) = asked.await?;
        self.store.clear_content()?;
        let path = self.staging.target();
        let bytes = serde_json::to_vec(&offered).map_err(|error| failed(&path, error.into()))?;
        fs::write(&path, bytes).map_err(|source| failed(&path, source))?;
        Ok((offered, header))
    }

    /// All content, from where an interrupted run stopped; gives the bytes that came.
    async fn content(&self, operations: u64) -> Result<u64, SyncError> {
        let mut from = self.store.last_content()?.map_or(Some(Digest::ZERO), |last| successor(&last));
        let (mut bytes, mut pieces) = (0, self.store.content_count()?);
        while let Some(begin) = from {
            let asked = self.sources.ask("its content", |node| async move {
                let (page, next) = page(&begin, node.sync_content(&begin).await?)?;
                let endless = pieces + page.len() as u64 > operations.saturating_add(PIECES_SPARE);
                if endless { Err(Lie::Content.into()) } else { Ok((page, next)) }
            });
            let (page, next) = asked.await?;
            pieces += page.len() as u64;
            bytes += page.iter().map(|(_, piece)| piece.len() as u64).sum::<u64>();
            self.store.store_content(&page)?;
            from = next;
        }
        Ok(bytes)
    }

    /// Looks whether the code of every account is here, and asks for what a source withheld. Gives the state's entries.
    async fn code(&self, offered: &SyncState) -> Result<u64, SyncError> {
        let (entries, missing) = self.look(offered.operations, &offered.state_root)?;
        for hash in missing {
            let code = self.sources.ask("the code of an account", |node| async move {
                let code = node.content(&hash).await?.ok_or_else(|| Fault::Missing("no such content".to_owned()))?;
                if keccak256(&[&code]) == hash { Ok(code) } else { Err(Lie::Content.into()) }
            });
            self.store.store_content(&[(hash, code.await?)])?;
        }
        Ok(entries)
    }

    /// Walks through the state: how many entries it has, and whose code is not here.
    fn look(&self, operations: u64, root: &Digest) -> Result<(u64, Vec<Digest>), SyncError> {
        let tree = QmdbTree::open(&self.staging.tree(), operations)?;
        if tree.root() != *root {
            return Err(SyncError::Disk);
        }
        let (reader, empty) = (tree.reader(), keccak256(&[]));
        let (mut after, mut entries, mut missing) = (Digest::ZERO, 0, BTreeSet::new());
        loop {
            let leaves = reader.leaves(&after, LEAVES)?;
            let Some((last, _)) = leaves.last() else { break };
            after = *last;
            entries += leaves.len() as u64;
            for hash in leaves.iter().filter_map(|(_, value)| code_hash(value)) {
                if hash != empty && !missing.contains(&hash) && self.store.content(&hash)?.is_none() {
                    missing.insert(hash);
                }
            }
        }
        Ok((entries, missing.into_iter().collect()))
    }

    /// Who holds the keys in the term of the state.
    async fn keys(&self, height: Height) -> Result<TermEntries, SyncError> {
        let operations = self.store.executed().map_or(0, |mark| mark.tree_operations);
        let tree = QmdbTree::open(&self.staging.tree(), operations)?;
        term_entries(self.sources, self.chain, (&self.store, &tree), height).await
    }

    /// The headers up to a certified one, oldest first, by parent hashes.
    async fn headers(&self, newest: &VerifiedHeader) -> Result<Vec<(Digest, Header)>, SyncError> {
        let trust = self.chain.trust;
        let height = newest.height();
        let asked = self.sources.ask("a header", |node| async move {
            match VerifiedClient::new(node, trust).header(height).await {
                Ok(Some((_, header))) => Ok(header),
                Ok(None) => Err(Fault::Missing("none yet".to_owned())),
                Err(error) => Err(super::chain::unverified(error)),
            }
        });
        let mut runs = vec![vec![(newest.block_hash(), asked.await?)]];
        let (mut child, oldest) = (*newest, height.saturating_sub(HEADERS));
        while child.height() > oldest {
            let from = oldest.max(child.height().saturating_sub(HEADER_RANGE_MAX));
            let count = child.height() - from;
            let asked = self.sources.ask("its headers", |node| async move {
                let rlps = node.raw_headers(from, count).await?;
                if rlps.is_empty() {
                    return Err(Fault::Missing(format!("no headers from {from} on")));
                }
                let rlps: Vec<Vec<u8>> = rlps.into_iter().map(|rlp| rlp.0).collect();
                let run = verify_ancestors(&child, &rlps).map_err(Lie::Block)?;
                if run.len() as u64 == count { Ok(run) } else { Err(Lie::Gap(from).into()) }
            });
            let run = match asked.await {
                Ok(run) => run,
                // Nobody has older ones: all that there are will do.
                Err(SyncError::NotKept { .. }) => break,
                Err(error) => return Err(error),
            };
            child = run.first().ok_or(SyncError::NotFinal(from))?.0;
            runs.push(run.into_iter().map(|(verified, header)| (verified.block_hash(), header)).collect());
        }
        Ok(runs.into_iter().rev().flatten().collect())
    }
}

/// A page of content, checked: digests ascend from `from`, and each is its piece's own.
type Page = (Vec<(Digest, Vec<u8>)>, Option<Digest>);

fn page(from: &Digest, page: SyncContent) -> Result<Page, Fault> {
    let pieces = page.pieces.into_iter().map(piece).collect::<Result<Vec<_>, Lie>>()?;
    let ascends =
        pieces.windows(2).all(|pair| pair[0].0 < pair[1].0) && pieces.first().is_none_or(|piece| piece.0 >= *from);
    let next = match page.next {
        None => None,
        Some(next) => Some(next.0.try_into().map(Digest).map_err(|_| Lie::Content)?),
    };
    let goes_on = next.is_none_or(|next| pieces.last().is_some_and(|last| last.0 < next));
    if ascends && goes_on { Ok((pieces, next)) } else { Err(Lie::Content.into()) }
}

/// The digest behind another; `None` behind the last.
fn successor(digest: &Digest) -> Option<Digest> {
    let mut next = *digest;
    for byte in next.0.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return Some(next);
        }
    }
    None
}

/// Digest of the code of an account's leaf; `None` for other leaves.
pub(crate) fn code_hash(value: &[u8]) -> Option<Digest> {
    if value.len() != ACCOUNT_VALUE_BYTES {
        return None;
    }
    read_account_value(value).map(|account| Digest(account.code_hash.0))
}

fn target(offered: &SyncState) -> TransferTarget {
    TransferTarget {
        height: offered.height,
        root: offered.state_root,
        operations: offered.operations,
        floor: offered.floor,
        log_root: offered.log_root,
        witness: offered.witness.0.clone(),
    }
}

const _: () = assert!(OPERATIONS_MAX == freehold_rpc::SYNC_OPERATIONS_MAX, "both sides have one bound");
