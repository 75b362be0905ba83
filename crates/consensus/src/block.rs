//! A payload as the engine sees it: a block with a digest, a height and a parent.
//!
//! Invariant: a [`Block`] holds canonical bytes only, its body is within bounds and is the one its head names, so
//! whoever holds a block need not look at these again. What a voter checks beyond that is in `check`.

use std::sync::Arc;

use bytes::{BufMut, Bytes};
use commonware_codec::{Buf, EncodeSize, Error as WireError, RangeCfg, Read, Write};
use commonware_consensus::{Block as EngineBlock, BoundedBlock, Heightable, types::Height as EngineHeight};
use commonware_cryptography::{Digested, Digestible, sha256};
use freehold_crypto::{body_digest, genesis_hash, payload_digest};
use freehold_primitives::{
    Canonical, Digest, Ed25519Signature, Executed, Genesis, PAYLOAD_BYTES_MAX, Payload, PayloadBody, PayloadHead,
};
use thiserror::Error;

/// Largest head, in bytes: four integers, parent, time, proposer, executed, seed, body digest.
pub(crate) const HEAD_BYTES_MAX: usize = 4 * 8 + 32 + 8 + 4 + 40 + 49 + 32;
/// Largest payload document: version byte, head, length of the body, body.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 1 + HEAD_BYTES_MAX + 4 + PAYLOAD_BYTES_MAX + Ed25519Signature::SIZE;
/// Widest length prefix of a byte string in the engine's codec.
const PREFIX_BYTES_MAX: usize = 10;

/// Why a payload cannot be a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BlockError {
    /// Not the canonical bytes of a payload.
    #[error("not the canonical bytes of a payload")]
    Codec(#[from] freehold_primitives::CodecError),
    /// The body is above its bound.
    #[error("a body of {length} bytes is above the bound of {PAYLOAD_BYTES_MAX}")]
    BodyTooLong {
        /// Bytes of the body.
        length: usize,
    },
    /// The head names another body.
    #[error("the head names another body")]
    BodyDigest,
}

/// A payload with its canonical bytes and digest.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    payload: Arc<Payload>,
    bytes: Bytes,
    digest: Digest,
}

impl Block {
    /// Wraps a payload made here.
    pub(crate) fn new(payload: Payload) -> Result<Self, BlockError> {
        let bytes = Bytes::from(payload.to_canonical());
        Self::checked(payload, bytes)
    }

    /// Reads a payload document.
    pub(crate) fn from_bytes(bytes: Bytes) -> Result<Self, BlockError> {
        let payload = Payload::from_canonical(&bytes)?;
        Self::checked(payload, bytes)
    }

    fn checked(payload: Payload, bytes: Bytes) -> Result<Self, BlockError> {
        let length = payload.body.0.len();
        if length > PAYLOAD_BYTES_MAX {
            return Err(BlockError::BodyTooLong { length });
        }
        if body_digest(&payload.body.0) != payload.head.body {
            return Err(BlockError::BodyDigest);
        }
        let digest = payload_digest(&payload.head);
        Ok(Self { payload: Arc::new(payload), bytes, digest })
    }

    /// The payload.
    pub(crate) const fn payload(&self) -> &Arc<Payload> {
        &self.payload
    }

    /// The head.
    pub(crate) fn head(&self) -> &PayloadHead {
        &self.payload.head
    }

    /// Digest of the head, the payload's name.
    pub(crate) const fn id(&self) -> Digest {
        self.digest
    }

    /// The block paired with its digest, as the engine wants it.
    pub(crate) fn sealed(self) -> Digested<Self> {
        let digest = engine_digest(&self.digest);
        Digested::precomputed(self, digest)
    }
}

impl Write for Block {
    fn write(&self, buf: &mut impl BufMut) {
        self.bytes.write(buf);
    }
}

impl EncodeSize for Block {
    fn encode_size(&self) -> usize {
        self.bytes.encode_size()
    }
}

impl Read for Block {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, WireError> {
        let bytes = Bytes::read_cfg(buf, &RangeCfg::from(0..=DOCUMENT_BYTES_MAX))?;
        Self::from_bytes(bytes).map_err(|error| WireError::Wrapped("payload", Box::new(error)))
    }
}

impl Digestible for Block {
    type Digest = sha256::Digest;

    fn digest(&self) -> sha256::Digest {
        engine_digest(&self.digest)
    }
}

impl Heightable for Block {
    fn height(&self) -> EngineHeight {
        EngineHeight::new(self.payload.head.height)
    }
}

impl EngineBlock for Block {
    fn parent(&self) -> sha256::Digest {
        engine_digest(&self.payload.head.parent)
    }
}

impl BoundedBlock for Block {
    fn max_encode_size((): &()) -> usize {
        PREFIX_BYTES_MAX + DOCUMENT_BYTES_MAX
    }
}

/// The canonical bytes of what a peer sends as a payload, where it is one: for fuzz targets, not for use.
pub fn payload_input(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(Block::from_bytes(Bytes::copy_from_slice(bytes)).ok()?.payload.to_canonical())
}

/// Our digest in the engine's type.
pub(crate) const fn engine_digest(digest: &Digest) -> sha256::Digest {
    sha256::Digest(digest.0)
}

/// The engine's digest in our type.
pub(crate) const fn our_digest(digest: &sha256::Digest) -> Digest {
    Digest(digest.0)
}

/// The payload at height 0: empty body, view 0, its parent the genesis hash, so that its digest names the genesis.
///
/// `executed` is height 0 with a zero hash: the hash of block 0 is the ledger's to compute, and the first payload
/// carries it.
pub fn genesis_payload(genesis: &Genesis) -> Payload {
    let body = PayloadBody::default().to_canonical();
    Payload {
        head: PayloadHead {
            chain_id: genesis.chain_id,
            height: 0,
            term: 0,
            view: 0,
            parent: genesis_hash(genesis),
            timestamp_ms: genesis.timestamp_ms,
            proposer: 0,
            executed: Executed { height: 0, block_hash: Digest::ZERO },
            parent_seed: None,
            body: body_digest(&body),
        },
        body: freehold_primitives::Blob(body),
        signature: Ed25519Signature::ZERO,
    }
}

/// The genesis payload as a block.
pub(crate) fn genesis_block(genesis: &Genesis) -> Block {
    Block::new(genesis_payload(genesis)).expect("the genesis payload has an empty body that its head names")
}

#[cfg(test)]
mod tests;
