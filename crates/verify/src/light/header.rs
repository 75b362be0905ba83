//! One Ethereum header, decoded strictly: the RLP that was read is the only RLP of the value.
//!
//! Not here: Ethereum's own rules between headers (gas, base fee). Validators execute; a certificate stands for them.

use alloy_consensus::Header;
use alloy_rlp::{Decodable, Encodable};
use freehold_crypto::keccak256;
use freehold_primitives::{BlockMoment, Digest, Height, UnixSeconds};
use thiserror::Error;

/// Largest header, in bytes of RLP: a header of this chain has about 640.
pub const HEADER_BYTES_MAX: usize = 1024;

/// Why bytes are no header of this chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Above [`HEADER_BYTES_MAX`].
    #[error("a header of {0} bytes is above the bound of {HEADER_BYTES_MAX}")]
    TooLong(usize),
    /// Not RLP of a header, or not the one RLP of it.
    #[error("the bytes are not the canonical RLP of a header")]
    Rlp,
    /// The header names no payload.
    #[error("the header has no parent beacon block root, which names its payload")]
    NoPayload,
}

/// A header that a certificate covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedHeader {
    moment: BlockMoment,
    parent_hash: Digest,
    state_root: Digest,
    transactions_root: Digest,
    receipts_root: Digest,
    payload: Digest,
}

impl VerifiedHeader {
    /// Height, hash and time (whole seconds since the Unix epoch).
    pub const fn moment(&self) -> BlockMoment {
        self.moment
    }
    /// Height of the block.
    pub const fn height(&self) -> Height {
        self.moment.height
    }
    /// Its hash, keccak-256 of the RLP.
    pub const fn block_hash(&self) -> Digest {
        self.moment.block_hash
    }
    /// Its time, seconds since the Unix epoch.
    pub const fn time_unix_s(&self) -> UnixSeconds {
        self.moment.time_unix_s
    }
    /// Hash of the block before.
    pub const fn parent_hash(&self) -> Digest {
        self.parent_hash
    }
    /// Root of the state after the block.
    pub const fn state_root(&self) -> Digest {
        self.state_root
    }
    /// Root of the block's transactions.
    pub const fn transactions_root(&self) -> Digest {
        self.transactions_root
    }
    /// Root of the block's receipts.
    pub const fn receipts_root(&self) -> Digest {
        self.receipts_root
    }
    /// Digest of the payload whose execution gave the block.
    pub const fn payload(&self) -> Digest {
        self.payload
    }
}

/// Decodes a header and hashes it. The result is not yet covered by anything: only callers that check the chain and the
/// certificate hand it out.
pub(crate) fn decode_header(rlp: &[u8]) -> Result<VerifiedHeader, HeaderError> {
    if rlp.len() > HEADER_BYTES_MAX {
        return Err(HeaderError::TooLong(rlp.len()));
    }
    let mut rest = rlp;
    let header = Header::decode(&mut rest).map_err(|_| HeaderError::Rlp)?;
    let mut again = Vec::with_capacity(rlp.len());
    header.encode(&mut again);
    if !rest.is_empty() || again != rlp {
        return Err(HeaderError::Rlp);
    }
    let payload = header.parent_beacon_block_root.ok_or(HeaderError::NoPayload)?;
    Ok(VerifiedHeader {
        moment: BlockMoment { height: header.number, block_hash: keccak256(&[rlp]), time_unix_s: header.timestamp },
        parent_hash: Digest(header.parent_hash.0),
        state_root: Digest(header.state_root.0),
        transactions_root: Digest(header.transactions_root.0),
        receipts_root: Digest(header.receipts_root.0),
        payload: Digest(payload.0),
    })
}
