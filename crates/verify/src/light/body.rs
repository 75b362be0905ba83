//! The whole of one block under a verified header: its transactions and receipts, by their roots.
//!
//! Invariant: a [`VerifiedBlock`] holds every transaction and every receipt of its block, in order: a withheld one changes
//! a root. Not here: proofs of one transaction out of many; whoever wants one reads the block.

use alloy_consensus::{
    EthereumTxEnvelope, Header, ReceiptEnvelope, TxEip4844, proofs::ordered_trie_root_encoded,
    transaction::SignerRecoverable as _,
};
use alloy_eips::Decodable2718 as _;
use alloy_primitives::{Address, B256};
use alloy_rlp::Decodable as _;
use freehold_primitives::Digest;
use thiserror::Error;

use super::header::{HEADER_BYTES_MAX, HeaderError, VerifiedHeader, decode_header};

/// Most transactions of a block: 2 MiB of payload hold fewer.
pub const BLOCK_TRANSACTIONS_MAX: usize = 32 * 1024;
/// Most bytes of a block's transactions and receipts together.
pub const BLOCK_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A transaction as it stands in a block.
pub type Envelope = EthereumTxEnvelope<TxEip4844>;

/// A block as a node sends it: nothing of it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockBytes {
    /// RLP of the header.
    pub header: Vec<u8>,
    /// EIP-2718 bytes of the transactions, in order.
    pub transactions: Vec<Vec<u8>>,
    /// EIP-2718 bytes of the receipts, in order.
    pub receipts: Vec<Vec<u8>>,
}

/// Why bytes are not the block of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The header is malformed.
    #[error("the block's header is malformed: {0}")]
    Header(#[from] HeaderError),
    /// The header is another one.
    #[error("the block's header is not the verified one")]
    OtherHeader,
    /// More than a block holds.
    #[error("the block is above the bounds: {transactions} transactions, {bytes} bytes")]
    TooLarge {
        /// Transactions or receipts.
        transactions: usize,
        /// Bytes of both.
        bytes: usize,
    },
    /// Transactions are missing, changed, or in another order.
    #[error("the transactions are not those of the header's root")]
    TransactionsRoot,
    /// Receipts are missing, changed, or in another order.
    #[error("the receipts are not those of the header's root")]
    ReceiptsRoot,
    /// The roots hold, and the content has a form that no block of this chain has.
    #[error("transaction {index} of the block or its receipt cannot be read")]
    Form {
        /// Its place in the block.
        index: usize,
    },
}

/// A transaction of a verified block, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedTransaction {
    /// The transaction.
    pub envelope: Envelope,
    /// Who sent it, recovered from the signature.
    pub sender: Address,
    /// The receipt.
    pub receipt: ReceiptEnvelope,
    /// Gas that it alone used.
    pub gas_used: u64,
    /// The contract that it made.
    pub created: Option<Address>,
}

/// A whole block; made only by [`verify_block`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedBlock {
    verified: VerifiedHeader,
    header: Header,
    transactions: Vec<VerifiedTransaction>,
}

impl VerifiedBlock {
    /// What is verified of the header.
    pub const fn verified(&self) -> &VerifiedHeader {
        &self.verified
    }

    /// The header, every field.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// All transactions, in order.
    pub fn transactions(&self) -> &[VerifiedTransaction] {
        &self.transactions
    }
}

/// The header behind a verified one, every field of it.
///
/// # Errors
/// [`BlockError::Header`], [`BlockError::OtherHeader`].
pub fn open_header(verified: &VerifiedHeader, rlp: &[u8]) -> Result<Header, BlockError> {
    if decode_header(rlp)? != *verified {
        return Err(BlockError::OtherHeader);
    }
    Ok(Header::decode(&mut &*rlp).map_err(|_| HeaderError::Rlp)?)
}

/// Checks that `bytes` are the whole block of a verified header.
///
/// # Errors
/// Every [`BlockError`].
pub fn verify_block(verified: &VerifiedHeader, bytes: &BlockBytes) -> Result<VerifiedBlock, BlockError> {
    let header = open_header(verified, &bytes.header)?;
    let count = bytes.transactions.len().max(bytes.receipts.len());
    let parts = bytes.transactions.iter().chain(&bytes.receipts);
    let size = parts.fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    if count > BLOCK_TRANSACTIONS_MAX || size > BLOCK_BYTES_MAX {
        return Err(BlockError::TooLarge { transactions: count, bytes: size });
    }
    if root(&bytes.transactions) != verified.transactions_root() {
        return Err(BlockError::TransactionsRoot);
    }
    if root(&bytes.receipts) != verified.receipts_root() || bytes.receipts.len() != bytes.transactions.len() {
        return Err(BlockError::ReceiptsRoot);
    }
    let mut gas_before = 0;
    let mut transactions = Vec::with_capacity(count);
    for (index, (transaction, receipt)) in bytes.transactions.iter().zip(&bytes.receipts).enumerate() {
        let read = read(transaction, receipt, gas_before).ok_or(BlockError::Form { index })?;
        gas_before = read.receipt.cumulative_gas_used();
        transactions.push(read);
    }
    Ok(VerifiedBlock { verified: *verified, header, transactions })
}

fn root(parts: &[Vec<u8>]) -> Digest {
    let root: B256 = ordered_trie_root_encoded(parts);
    Digest(root.0)
}

fn read(transaction: &[u8], receipt: &[u8], gas_before: u64) -> Option<VerifiedTransaction> {
    let envelope = Envelope::decode_2718_exact(transaction).ok()?;
    let receipt = ReceiptEnvelope::decode_2718_exact(receipt).ok()?;
    let gas_used = receipt.cumulative_gas_used().checked_sub(gas_before)?;
    let sender = envelope.recover_signer().ok()?;
    let created = created(&envelope, &sender).filter(|_| receipt.status());
    Some(VerifiedTransaction { envelope, sender, receipt, gas_used, created })
}

/// Where a deployment puts its contract; `None` for a call.
fn created(envelope: &Envelope, sender: &Address) -> Option<Address> {
    use alloy_consensus::Transaction as _;
    envelope.kind().is_create().then(|| sender.create(envelope.nonce()))
}

/// Checks a run of headers that leads by parent hashes up to a verified one: `rlps` are the blocks below `child`, oldest
/// first, without a gap. Returns them in that order, each with all its fields.
///
/// # Errors
/// [`BlockError::Header`], [`BlockError::OtherHeader`] where one is not the parent of the next.
pub fn verify_ancestors<B: AsRef<[u8]>>(
    child: &VerifiedHeader,
    rlps: &[B],
) -> Result<Vec<(VerifiedHeader, Header)>, BlockError> {
    let mut child = *child;
    let mut found = Vec::with_capacity(rlps.len());
    for rlp in rlps.iter().rev() {
        let rlp = rlp.as_ref();
        let verified = decode_header(rlp)?;
        let follows = verified.height().checked_add(1) == Some(child.height());
        if !follows || verified.block_hash() != child.parent_hash() {
            return Err(BlockError::OtherHeader);
        }
        found.push((verified, Header::decode(&mut &*rlp).map_err(|_| HeaderError::Rlp)?));
        child = verified;
    }
    found.reverse();
    Ok(found)
}

const _: () = assert!(HEADER_BYTES_MAX < BLOCK_BYTES_MAX, "a header fits into a block");

#[cfg(test)]
mod tests;
