//! What a light client asks for (`spec/rpc.md`): whole blocks in the bytes of their roots, runs of headers, and all that a
//! call reads with proofs. Whoever asks checks it; the answers are data.

use std::{thread, time::Duration};

use alloy_consensus::Header;
use alloy_eips::Encodable2718 as _;
use alloy_primitives::B256;
use alloy_rlp::Encodable as _;
use alloy_rpc_types_eth::TransactionRequest;
use freehold_ledger::{CallRequest, Overrides, Parent, ReadSet, Recorder};
use freehold_primitives::{Digest, Height};
use freehold_rpc::{
    CALL_KEYS_MAX, CallProof, CallPurpose, HEADER_RANGE_MAX, HexBytes, LeafProof, QuantityU64, RawBlock,
};
use jsonrpsee::{
    RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};

use super::{
    error::{internal, limit, refused, unread},
    params::{one, pair, triple},
    request::call_request,
    server::{Rpc, method},
};

/// Tries of a call whose proofs must be of the height at which it ran.
const TRIES: u32 = 5;
/// How long a block is waited for whose tree stands already.
const BLOCK_WAIT: Duration = Duration::from_millis(20);
/// Most bytes of code, documents and headers in one answer.
const CONTENT_BYTES_MAX: usize = 8 * 1024 * 1024;

type Answer<T> = Result<T, ErrorObjectOwned>;

/// Adds the methods of this file.
pub(super) fn add(module: &mut RpcModule<Rpc>) -> Result<(), RegisterMethodError> {
    method(module, "freehold_getBlock", block)?;
    method(module, "freehold_getHeaders", headers)?;
    method(module, "freehold_proveCall", prove_call)?;
    Ok(())
}

fn rlp(header: &Header) -> HexBytes {
    let mut bytes = Vec::with_capacity(header.length());
    header.encode(&mut bytes);
    HexBytes(bytes)
}

fn block(rpc: &Rpc, params: Params<'_>) -> Answer<Option<RawBlock>> {
    let height: QuantityU64 = one(&params)?;
    let store = &rpc.chain().store;
    let Some(header) = store.header(height.0).map_err(internal)? else { return Ok(None) };
    let rows = store.transactions(height.0).map_err(unread)?.unwrap_or_default();
    let (transactions, receipts) =
        rows.into_iter().map(|row| (HexBytes(row.raw), HexBytes(row.receipt.encoded_2718()))).unzip();
    Ok(Some(RawBlock { header: rlp(&header), transactions, receipts }))
}

/// Headers from a height on, as many as are asked for and there are.
fn headers(rpc: &Rpc, params: Params<'_>) -> Answer<Vec<HexBytes>> {
    let (from, count) = pair::<QuantityU64, QuantityU64>(&params)?;
    if count.0 > HEADER_RANGE_MAX {
        return Err(limit(format!("at most {HEADER_RANGE_MAX} headers a request")));
    }
    let mut found = Vec::new();
    for height in from.0..from.0.saturating_add(count.0) {
        let Some(header) = rpc.chain().store.header(height).map_err(internal)? else { break };
        found.push(rlp(&header));
    }
    Ok(found)
}

/// Makes a call and answers with what it read, whatever came out: whoever asks makes it again over the proofs. No state
/// keys are used, so that it ends where confidential storage begins, on every node.
fn prove_call(rpc: &Rpc, params: Params<'_>) -> Answer<CallProof> {
    let (request, purpose, entropy) = triple::<TransactionRequest, CallPurpose, B256>(&params)?;
    let request = CallRequest { entropy, ..call_request(request, Overrides::default())? };
    for _ in 0..TRIES {
        let height = rpc.newest();
        let mut read = read_set(rpc, height, &request, purpose)?;
        if read.keys.len() > CALL_KEYS_MAX {
            return Err(limit(format!("the call reads {} keys, and {CALL_KEYS_MAX} can be proven", read.keys.len())));
        }
        let keys: Vec<Digest> = read.keys.iter().copied().collect();
        let found = rpc.chain().tree.prove_many(&keys).map_err(internal)?;
        let proven = found.height.ok_or_else(|| internal("the tree is empty"))?;
        if rpc.newest() < proven {
            // The tree is written before the block: in a moment it stands.
            thread::sleep(BLOCK_WAIT);
            continue;
        }
        if proven != height {
            // The chain moved on. As a rule the call reads the same keys in the newer state, of which the proofs are.
            read = read_set(rpc, proven, &request, purpose)?;
        }
        if read.keys.iter().all(|key| keys.binary_search(key).is_ok()) {
            return call_proof((proven, found.root), keys.iter().zip(found.proofs), read);
        }
    }
    Err(refused("the chain moved on each time the call was made: try again"))
}

fn read_set(rpc: &Rpc, height: Height, request: &CallRequest, purpose: CallPurpose) -> Answer<ReadSet> {
    let chain = rpc.chain();
    let header = chain.store.header(height).map_err(internal)?.ok_or_else(|| internal("the header is missing"))?;
    let state = chain.state(height).map_err(internal)?;
    let recorder = Recorder::new(&state, &chain.store, &chain.store);
    let parent = Parent { header: &header, content: &recorder, hashes: &recorder, keys: None };
    // Its outcome is of no interest: the reads up to a failure let whoever asks fail alike.
    if let Ok(request) = request.clone().within_means(&recorder) {
        match purpose {
            CallPurpose::Call => drop(freehold_ledger::call(chain.context(), parent, &recorder, &request)),
            CallPurpose::Estimate => drop(freehold_ledger::estimate_gas(chain.context(), parent, &recorder, &request)),
        }
    }
    Ok(recorder.finish())
}

/// The answer for a call that read this at a height, with proofs of no fewer keys.
fn call_proof<'a>(
    (height, root): (Height, Digest),
    proofs: impl Iterator<Item = (&'a Digest, Vec<u8>)>,
    read: ReadSet,
) -> Answer<CallProof> {
    let leaf = |(key, proof): (&Digest, Vec<u8>)| -> Answer<LeafProof> {
        let value = freehold_crypto::verify_state(&root, key, &proof).map_err(internal)?;
        Ok(LeafProof { key: *key, value: value.map(HexBytes), proof: HexBytes(proof) })
    };
    let leaves = proofs.filter(|(key, _)| read.keys.contains(key)).map(leaf).collect::<Answer<_>>()?;
    let content: Vec<HexBytes> = read.content.into_values().map(HexBytes).collect();
    let headers: Vec<HexBytes> = read.headers.values().map(rlp).collect();
    if content.iter().chain(&headers).map(|bytes| bytes.0.len()).sum::<usize>() > CONTENT_BYTES_MAX {
        return Err(limit(format!("the call reads more than {CONTENT_BYTES_MAX} bytes of code and documents")));
    }
    Ok(CallProof { height, state_root: root, leaves, content, headers })
}
