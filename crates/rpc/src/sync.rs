//! What nodes take from each other to catch up (`spec/sync.md`): pages of blocks, a state's log of operations, content.
//!
//! Nothing here is true because a node said it: `freehold_node` checks each part under the network key.

use freehold_primitives::{Digest, Height};
use serde::{Deserialize, Serialize};

use crate::{
    hexed::{HexBytes, prefixed},
    node_client::{NodeClient, NodeError},
};

/// Most blocks of a page.
pub const SYNC_BLOCKS_MAX: u64 = 256;
/// Bytes of blocks from which a page is full; one block may be longer.
pub const SYNC_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Most payloads, and most headers, that follow the blocks of a page.
pub const SYNC_AHEAD_MAX: u64 = 64;
/// Most operations of an answer.
pub const SYNC_OPERATIONS_MAX: u64 = 4_096;

/// What a page of blocks holds of each block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncPart {
    /// What executing it takes.
    Payloads,
    /// Beside that, what it wrote and the content that it brought.
    Writes,
}

/// One block of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncBlock {
    /// Canonical document of the payload.
    pub payload: HexBytes,
    /// Seed of the payload's round, 48 bytes.
    pub seed: Option<HexBytes>,
    /// Canonical document of the payload's own certificate, where the node has one.
    pub certificate: Option<HexBytes>,
    /// RLP of the header.
    pub header: HexBytes,
    /// Positions in the payload of transactions that are not in the block, ascending.
    pub left_out: Vec<u32>,
    /// EIP-2718 bytes of the receipts.
    pub receipts: Vec<HexBytes>,
    /// New values by tree key, and digests of the content that the block brought, where they are asked for: the document of
    /// `spec/sync.md` §1.
    pub writes: Option<HexBytes>,
    /// That content, in the same order.
    pub content: Vec<SyncPiece>,
}

/// What stands for the blocks of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncCover {
    /// Documents of the payloads above the page's last block, up to the certified one; at least that one.
    pub payloads: Vec<HexBytes>,
    /// Document of the certificate over the last of them.
    pub certificate: HexBytes,
    /// RLP of the headers above the page's last block, up to the one that the certified payload names.
    pub headers: Vec<HexBytes>,
}

/// Answer of `freehold_syncBlocks(from, count, part)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncPage {
    /// Blocks from the height on; none where no certificate covers the first.
    pub blocks: Vec<SyncBlock>,
    /// What stands for them; null exactly where there are none.
    pub cover: Option<SyncCover>,
}

/// Answer of `freehold_syncState()`: the newest state, to be taken by its log of operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncState {
    /// Height of the block behind which it is the state.
    pub height: Height,
    /// State root.
    #[serde(with = "prefixed")]
    pub state_root: Digest,
    /// Operations in the log.
    pub operations: u64,
    /// First operation that is needed.
    pub floor: u64,
    /// Root of the log.
    #[serde(with = "prefixed")]
    pub log_root: Digest,
    /// Proof that the state root holds the log's root (`spec/sync.md` §2).
    pub witness: HexBytes,
}

/// Answer of `freehold_syncContent(from)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncContent {
    /// Pieces in the order of the digests that they are kept under.
    pub pieces: Vec<SyncPiece>,
    /// Where the next page begins; null behind the last.
    pub next: Option<HexBytes>,
}

/// A piece of content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncPiece {
    /// The digest that it is kept under: keccak-256 of code, the content digest of everything else.
    #[serde(with = "prefixed")]
    pub digest: Digest,
    /// The bytes.
    pub bytes: HexBytes,
}

impl NodeClient {
    /// `freehold_syncBlocks`.
    ///
    /// # Errors
    /// As [`Self::call`]; [`NodeError::Malformed`] above the bounds of a page.
    pub async fn sync_blocks(&self, from: Height, count: u64, part: SyncPart) -> Result<SyncPage, NodeError> {
        let page: SyncPage = self.call("freehold_syncBlocks", (from, count, part)).await?;
        let ahead = page.cover.as_ref().map_or(0, |cover| cover.payloads.len().max(cover.headers.len()));
        if page.blocks.len() as u64 > count
            || ahead as u64 > SYNC_AHEAD_MAX
            || page.cover.is_none() != page.blocks.is_empty()
        {
            let reason = "the page is above its bounds, or nothing stands for it".to_owned();
            return Err(NodeError::Malformed { method: "freehold_syncBlocks".to_owned(), reason });
        }
        Ok(page)
    }

    /// `freehold_syncState`.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn sync_state(&self) -> Result<SyncState, NodeError> {
        self.call("freehold_syncState", ()).await
    }

    /// `freehold_syncOperations`: `count` operations from `start` on, proven for a log of `size`; with a count of 0 one
    /// operation and what stands for all below it.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn sync_operations(&self, size: u64, start: u64, count: u64) -> Result<Vec<u8>, NodeError> {
        self.call::<HexBytes>("freehold_syncOperations", (size, start, count)).await.map(|bytes| bytes.0)
    }

    /// `freehold_syncContent`: a page of content from a digest on.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn sync_content(&self, from: &Digest) -> Result<SyncContent, NodeError> {
        self.call("freehold_syncContent", (crate::node_client::prefixed(from),)).await
    }
}
