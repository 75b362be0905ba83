//! Records of the block store and their bytes: canonical fields (`spec/encoding.md`), packed.
//!
//! A block's transactions stand in its payload; the block's own record names only those of them that were left out.

use alloy_consensus::{Header, ReceiptEnvelope};
use alloy_eips::eip2718::{Decodable2718 as _, Encodable2718 as _};
use alloy_rlp::{Decodable as _, Encodable as _};
use freehold_primitives::{
    Account, Blob, Body, Canonical, Certificate, CodecError, Digest, G1Point, Height, Payload, Reader,
};

use super::pack::{pack, unpack};

/// Largest unpacked record: a payload of 2 MiB, or the receipts of a block whose logs fill its gas (about 7 MB).
const RECORD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A finalised payload with what executing it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadRow {
    /// The payload.
    pub payload: Payload,
    /// Seed of the round in which it was notarised.
    pub seed: Option<G1Point>,
    /// Its own certificate, where one was seen.
    pub certificate: Option<Certificate>,
}

/// An executed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionRow {
    /// Its hash.
    pub hash: Digest,
    /// EIP-2718 bytes, as in the payload.
    pub raw: Vec<u8>,
    /// Who signed it.
    pub sender: Account,
    /// Ethereum receipt; its logs are numbered from 0 in each transaction.
    pub receipt: ReceiptEnvelope,
    /// Gas used by this transaction alone.
    pub gas_used: u64,
    /// Effective gas price, in wei.
    pub gas_price: u128,
    /// Contract that it created.
    pub contract: Option<Account>,
}

/// An executed block, to be stored.
#[derive(Debug, Clone, Copy)]
pub struct BlockRow<'a> {
    /// Ethereum header.
    pub header: &'a Header,
    /// Its hash.
    pub hash: Digest,
    /// Executed transactions, in order: those of the payload without the ones left out.
    pub transactions: &'a [TransactionRow],
    /// Content that the block brought, by digest: code by keccak-256, everything else by content digest.
    pub content: &'a [(Digest, Vec<u8>)],
    /// What it changed in the state tree.
    pub writes: &'a crate::store::WriteSet,
}

/// The newest executed block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExecutedMark {
    /// Height.
    pub height: Height,
    /// Ethereum block hash.
    pub block_hash: Digest,
    /// State root.
    pub state_root: Digest,
    /// Operations in the state tree's log behind the block.
    pub tree_operations: u64,
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionPlace {
    /// Height of the block.
    pub height: Height,
    /// Position in the block, from 0.
    pub index: u32,
}

/// Record of a payload.
pub(super) struct PayloadRecord {
    pub(super) payload: Payload,
    pub(super) seed: Option<G1Point>,
}

impl Canonical for PayloadRecord {
    fn write(&self, out: &mut Vec<u8>) {
        self.payload.write(out);
        self.seed.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { payload: Canonical::read(reader)?, seed: Canonical::read(reader)? })
    }
}

/// Record of a block.
pub(super) struct BlockRecord {
    pub(super) hash: Digest,
    pub(super) tree_operations: u64,
    /// Positions in the payload of transactions that were left out, ascending.
    pub(super) left_out: Vec<u32>,
    /// RLP of the header.
    pub(super) header: Blob,
}

impl Canonical for BlockRecord {
    fn write(&self, out: &mut Vec<u8>) {
        self.hash.write(out);
        self.tree_operations.write(out);
        self.left_out.write(out);
        self.header.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self {
            hash: Canonical::read(reader)?,
            tree_operations: Canonical::read(reader)?,
            left_out: Canonical::read(reader)?,
            header: Canonical::read(reader)?,
        })
    }
}

impl BlockRecord {
    pub(super) fn new(block: &BlockRow<'_>, left_out: Vec<u32>) -> Self {
        let mut header = Vec::with_capacity(block.header.length());
        block.header.encode(&mut header);
        Self { hash: block.hash, tree_operations: block.writes.operations, left_out, header: Blob(header) }
    }

    /// The record of a block of which only the header is known.
    pub(super) fn bare(hash: Digest, tree_operations: u64, header: &Header) -> Self {
        Self { hash, tree_operations, left_out: Vec::new(), header: Blob(alloy_rlp::encode(header)) }
    }

    pub(super) fn header(&self) -> Option<Header> {
        Header::decode(&mut self.header.0.as_slice()).ok()
    }
}

/// What a receipt record holds of one transaction, beside the raw bytes in the payload.
pub(super) struct ReceiptRecord(pub(super) TransactionRow);

impl Canonical for ReceiptRecord {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.hash.write(out);
        self.0.sender.write(out);
        Blob(self.0.receipt.encoded_2718()).write(out);
        self.0.gas_used.write(out);
        self.0.gas_price.write(out);
        self.0.contract.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        let (hash, sender) = (Canonical::read(reader)?, Canonical::read(reader)?);
        let receipt = Blob::read(reader)?.0;
        let receipt = ReceiptEnvelope::decode_2718_exact(&receipt).map_err(|_| CodecError::Trailing)?;
        Ok(Self(TransactionRow {
            hash,
            raw: Vec::new(),
            sender,
            receipt,
            gas_used: Canonical::read(reader)?,
            gas_price: Canonical::read(reader)?,
            contract: Canonical::read(reader)?,
        }))
    }
}

/// A certificate with the height that its payload says was executed, first so that a scan reads 8 bytes.
pub(super) struct CertificateRecord {
    pub(super) executed: Height,
    pub(super) certificate: Certificate,
}

impl Canonical for CertificateRecord {
    fn write(&self, out: &mut Vec<u8>) {
        self.executed.write(out);
        self.certificate.write(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CodecError> {
        Ok(Self { executed: Canonical::read(reader)?, certificate: Canonical::read(reader)? })
    }
}

/// A record's bytes.
pub(super) fn encode(record: &impl Canonical) -> Vec<u8> {
    pack(&record.to_canonical())
}

/// A record from its bytes; `None` when they are damaged.
pub(super) fn decode<T: Canonical>(bytes: &[u8]) -> Option<T> {
    T::from_canonical(&unpack(bytes, RECORD_BYTES_MAX)?).ok()
}

/// The transactions of a payload.
pub(super) fn body(payload: &Payload) -> Option<Vec<Vec<u8>>> {
    let body = Body::read(&payload.body.0).ok()?.ordinary();
    Some(body.transactions.into_iter().map(|raw| raw.0).collect())
}

/// Positions in `payload` of the transactions that `executed` leaves out; `None` when `executed` is no subsequence.
pub(super) fn left_out(payload: &[Vec<u8>], executed: &[TransactionRow]) -> Option<Vec<u32>> {
    let mut executed = executed.iter().peekable();
    let mut left_out = Vec::new();
    for (at, raw) in payload.iter().enumerate() {
        if executed.next_if(|row| row.raw == *raw).is_none() {
            left_out.push(u32::try_from(at).ok()?);
        }
    }
    executed.next().is_none().then_some(left_out)
}
