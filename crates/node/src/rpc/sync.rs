//! What other nodes take to catch up (`spec/sync.md`): bounded pages of blocks, the state's log, content.

use alloy_eips::Encodable2718 as _;
use freehold_primitives::{Canonical as _, Digest, Height};
use freehold_rpc::{
    HexBytes, QuantityU64, SYNC_AHEAD_MAX, SYNC_BLOCKS_MAX, SYNC_OPERATIONS_MAX, SYNC_PAGE_BYTES, SyncBlock,
    SyncContent, SyncCover, SyncPage, SyncPart, SyncPiece, SyncState,
};
use jsonrpsee::{
    RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use tokio::{runtime::Handle, sync::SemaphorePermit};

use super::{
    error::{internal, invalid_params, limit, not_found, pruned, unread},
    params::{one, triple},
    server::{Rpc, method},
};
use crate::{
    executor::seed_of,
    store::{BlockStore, OperationsRequest, SyncRow, TreeError},
};

type Answer<T> = Result<T, ErrorObjectOwned>;

/// Adds the methods of this file.
pub(super) fn add(module: &mut RpcModule<Rpc>) -> Result<(), RegisterMethodError> {
    method(module, "freehold_syncBlocks", blocks)?;
    method(module, "freehold_syncState", state)?;
    method(module, "freehold_syncOperations", operations)?;
    method(module, "freehold_syncContent", content)
}

/// Waits for its turn: what others take must not hold up this node.
fn turn(rpc: &Rpc) -> Answer<SemaphorePermit<'_>> {
    Handle::current().block_on(rpc.transfers.acquire()).map_err(internal)
}

fn blocks(rpc: &Rpc, params: Params<'_>) -> Answer<SyncPage> {
    let (from, count, part) = triple::<QuantityU64, QuantityU64, SyncPart>(&params)?;
    if count.0 == 0 || count.0 > SYNC_BLOCKS_MAX {
        return Err(limit(format!("between 1 and {SYNC_BLOCKS_MAX} blocks a request")));
    }
    let _turn = turn(rpc)?;
    let store = &rpc.chain().store;
    let newest = store.finalized().map_err(internal)?.unwrap_or(0);
    let (mut blocks, mut bytes) = (Vec::new(), 0);
    for height in from.0.max(1)..=newest.min(from.0.saturating_add(count.0 - 1)) {
        let row = store.sync_row(height).map_err(unread)?.ok_or_else(|| not_found(format!("no block {height}")))?;
        let block = block(store, row, part)?;
        bytes += length(&block);
        if bytes > SYNC_PAGE_BYTES && !blocks.is_empty() {
            break;
        }
        blocks.push(block);
    }
    let last = from.0.max(1) + blocks.len() as u64;
    let cover = if blocks.is_empty() { None } else { cover(store, last - 1)? };
    if cover.is_none() {
        blocks.clear();
    }
    Ok(SyncPage { blocks, cover })
}

fn block(store: &BlockStore, row: SyncRow, part: SyncPart) -> Answer<SyncBlock> {
    let height = row.header.number;
    let seed = seed_of(store, &row.payload).map_err(internal)?;
    let (mut writes, mut content) = (None, Vec::new());
    if part == SyncPart::Writes {
        let stored = store.writes(height).map_err(internal)?;
        let stored = stored.ok_or_else(|| pruned(format!("the writes of block {height} are not kept here")))?;
        for digest in &stored.content {
            let bytes = store.content(digest).map_err(internal)?.ok_or_else(|| internal("content is missing"))?;
            content.push(SyncPiece { digest: *digest, bytes: HexBytes(bytes) });
        }
        writes = Some(HexBytes(stored.to_canonical()));
    }
    Ok(SyncBlock {
        payload: HexBytes(row.payload.payload.to_canonical()),
        seed: seed.map(|seed| HexBytes(seed.as_bytes().to_vec())),
        certificate: row.payload.certificate.map(|certificate| HexBytes(certificate.to_canonical())),
        header: HexBytes(alloy_rlp::encode(&row.header)),
        left_out: row.left_out,
        receipts: row.receipts.iter().map(|row| HexBytes(row.receipt.encoded_2718())).collect(),
        writes,
        content,
    })
}

fn length(block: &SyncBlock) -> usize {
    let pieces = block.content.iter().map(|piece| &piece.bytes);
    let parts = block.receipts.iter().chain(&block.writes).chain(pieces);
    block.payload.0.len() + parts.map(|bytes| bytes.0.len()).sum::<usize>() + 1_024
}

/// What stands for blocks up to `last`; `None` while no certificate does, or one too far above.
fn cover(store: &BlockStore, last: Height) -> Answer<Option<SyncCover>> {
    let Some((payloads, certificate)) = store.cover(last, SYNC_AHEAD_MAX).map_err(internal)? else { return Ok(None) };
    let named = payloads.last().map_or(last, |payload| payload.head.executed.height);
    let mut headers = Vec::new();
    for height in last + 1..=named {
        let Some(header) = store.header(height).map_err(internal)? else { return Ok(None) };
        headers.push(HexBytes(alloy_rlp::encode(&header)));
    }
    let payloads = payloads.iter().map(|payload| HexBytes(payload.to_canonical())).collect();
    Ok(Some(SyncCover { payloads, certificate: HexBytes(certificate.to_canonical()), headers }))
}

fn state(rpc: &Rpc, _: Params<'_>) -> Answer<SyncState> {
    let _turn = turn(rpc)?;
    let target = rpc.chain().tree.transfer_target().map_err(unserved)?;
    Ok(SyncState {
        height: target.height,
        state_root: target.root,
        operations: target.operations,
        floor: target.floor,
        log_root: target.log_root,
        witness: HexBytes(target.witness),
    })
}

fn operations(rpc: &Rpc, params: Params<'_>) -> Answer<HexBytes> {
    let (size, start, count) = triple::<QuantityU64, QuantityU64, QuantityU64>(&params)?;
    if count.0 > SYNC_OPERATIONS_MAX || start.0 >= size.0 {
        return Err(invalid_params(format!("at most {SYNC_OPERATIONS_MAX} operations, and below the log's size")));
    }
    let _turn = turn(rpc)?;
    let request = OperationsRequest { size: size.0, start: start.0, count: count.0 };
    rpc.chain().tree.serve_operations(request).map(HexBytes).map_err(unserved)
}

fn content(rpc: &Rpc, params: Params<'_>) -> Answer<SyncContent> {
    let from: Digest = one(&params)?;
    let _turn = turn(rpc)?;
    let page = rpc.chain().store.content_page(&from, SYNC_PAGE_BYTES).map_err(internal)?;
    let piece = |(digest, bytes)| SyncPiece { digest, bytes: HexBytes(bytes) };
    Ok(SyncContent {
        pieces: page.pieces.into_iter().map(piece).collect(),
        next: page.next.map(|digest| HexBytes(digest.0.to_vec())),
    })
}

fn unserved(error: TreeError) -> ErrorObjectOwned {
    match error {
        TreeError::NotServed => pruned(error),
        other => internal(other),
    }
}
