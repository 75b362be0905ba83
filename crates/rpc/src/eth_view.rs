//! Blocks, transactions, receipts and logs as Ethereum's JSON-RPC shows them (execution-apis).
//!
//! Built on `alloy-rpc-types-eth`, which keeps the field names; what is here is the way from a block to them. A node fills
//! a view from its store, a light client from a verified block, so that both say the same in the same bytes.

use alloy_consensus::{
    BlockHeader as _, Header, ReceiptEnvelope, Sealed, Transaction as _,
    transaction::{Recovered, TransactionInfo},
};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, U256};
use alloy_rlp::Encodable as _;
use alloy_rpc_types_eth::{Block, BlockTransactions, Header as RpcHeader, Log, Transaction, TransactionReceipt};
use freehold_verify::{Envelope, VerifiedBlock};

/// Suggested priority fee, in wei: order is by tip, and blocks are rarely full.
pub const TIP_SUGGESTED_WEI: u128 = 1_000_000;

/// A block of Ethereum's JSON.
pub type EthBlock = Block<Transaction<Envelope>>;
/// A transaction of Ethereum's JSON.
pub type EthTransaction = Transaction<Envelope>;

/// A block with everything a view needs.
#[derive(Debug, Clone)]
pub struct BlockView {
    /// Its header.
    pub header: Header,
    /// Hash of the header.
    pub hash: B256,
    /// All its transactions, in order.
    pub transactions: Vec<TransactionView>,
}

/// A transaction of a block and what became of it.
#[derive(Debug, Clone)]
pub struct TransactionView {
    /// The transaction.
    pub transaction: Envelope,
    /// Who sent it.
    pub sender: Address,
    /// Its receipt.
    pub receipt: ReceiptEnvelope,
    /// Gas that it alone used.
    pub gas_used: u64,
    /// The contract that it made.
    pub contract_address: Option<Address>,
}

/// How a block shows its transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// By hash.
    Hashes,
    /// Whole.
    Full,
}

impl From<&VerifiedBlock> for BlockView {
    fn from(block: &VerifiedBlock) -> Self {
        let view = |tx: &freehold_verify::VerifiedTransaction| TransactionView {
            transaction: tx.envelope.clone(),
            sender: tx.sender,
            receipt: tx.receipt.clone(),
            gas_used: tx.gas_used,
            contract_address: tx.created,
        };
        Self {
            header: block.header().clone(),
            hash: B256::from(block.verified().block_hash().0),
            transactions: block.transactions().iter().map(view).collect(),
        }
    }
}

impl BlockView {
    /// The block.
    pub fn block(&self, detail: Detail) -> EthBlock {
        let header = Sealed::new_unchecked(self.header.clone(), self.hash);
        let bytes = self.header.length()
            + self.transactions.iter().map(|view| view.transaction.encode_2718_len()).sum::<usize>();
        let header = RpcHeader::from_consensus(header, None, Some(U256::from(bytes)));
        let transactions = match detail {
            Detail::Hashes => {
                BlockTransactions::Hashes(self.transactions.iter().map(|view| *view.transaction.tx_hash()).collect())
            }
            Detail::Full => {
                BlockTransactions::Full((0..self.transactions.len()).filter_map(|i| self.transaction(i)).collect())
            }
        };
        Block::new(header, transactions).with_withdrawals(Some(alloy_eips::eip4895::Withdrawals::default()))
    }

    /// The transaction at an index.
    pub fn transaction(&self, index: usize) -> Option<EthTransaction> {
        let view = self.transactions.get(index)?;
        let info = TransactionInfo {
            hash: Some(*view.transaction.tx_hash()),
            index: Some(index as u64),
            block_hash: Some(self.hash),
            block_number: Some(self.header.number),
            base_fee: self.header.base_fee_per_gas(),
            block_timestamp: Some(self.header.timestamp),
        };
        let recovered = Recovered::new_unchecked(view.transaction.clone(), view.sender);
        Some(Transaction::from_transaction(recovered, info))
    }

    /// The receipt at an index.
    pub fn receipt(&self, index: usize) -> Option<TransactionReceipt> {
        let view = self.transactions.get(index)?;
        let first_log = self.first_log(index);
        let place = Place { block: self, index, hash: *view.transaction.tx_hash() };
        let inner = map_logs(view.receipt.clone(), |position, log| place.log(first_log + position, log));
        Some(TransactionReceipt {
            inner,
            transaction_hash: place.hash,
            transaction_index: Some(index as u64),
            block_hash: Some(self.hash),
            block_number: Some(self.header.number),
            gas_used: view.gas_used,
            effective_gas_price: view.transaction.effective_gas_price(self.header.base_fee_per_gas()),
            blob_gas_used: None,
            blob_gas_price: None,
            from: view.sender,
            to: view.transaction.to(),
            contract_address: view.contract_address,
        })
    }

    /// All logs of the block, in order.
    pub fn logs(&self) -> impl Iterator<Item = Log> + '_ {
        let mut first_log = 0;
        self.transactions.iter().enumerate().flat_map(move |(index, view)| {
            let place = Place { block: self, index, hash: *view.transaction.tx_hash() };
            let first = first_log;
            first_log += view.receipt.logs().len() as u64;
            let logs = view.receipt.logs().iter().cloned();
            (first..).zip(logs).map(move |(position, log)| place.log(position, log)).collect::<Vec<_>>()
        })
    }

    /// Tips of the block at percentiles of its gas, as `eth_feeHistory` tells them.
    pub fn tips(&self, percentiles: &[f64]) -> Vec<u128> {
        let base_fee = self.header.base_fee_per_gas().unwrap_or_default();
        let tip = |view: &TransactionView| view.transaction.effective_tip_per_gas(base_fee).unwrap_or_default();
        let mut paid: Vec<(u128, u64)> = self.transactions.iter().map(|view| (tip(view), view.gas_used)).collect();
        paid.sort_unstable();
        let at = |percentile: &f64| {
            let threshold = (self.header.gas_used as f64 * percentile / 100.0) as u64;
            let mut gas = 0;
            let reached = paid.iter().find(|(_, used)| {
                gas += used;
                gas >= threshold
            });
            reached.or(paid.last()).map_or(0, |(tip, _)| *tip)
        };
        percentiles.iter().map(at).collect()
    }

    fn first_log(&self, index: usize) -> u64 {
        self.transactions[..index].iter().map(|view| view.receipt.logs().len() as u64).sum()
    }
}

struct Place<'a> {
    block: &'a BlockView,
    index: usize,
    hash: B256,
}

impl Place<'_> {
    fn log(&self, position: u64, inner: alloy_primitives::Log) -> Log {
        Log {
            inner,
            block_hash: Some(self.block.hash),
            block_number: Some(self.block.header.number),
            block_timestamp: Some(self.block.header.timestamp),
            transaction_hash: Some(self.hash),
            transaction_index: Some(self.index as u64),
            log_index: Some(position),
            removed: false,
        }
    }
}

fn map_logs(
    receipt: ReceiptEnvelope,
    mut place: impl FnMut(u64, alloy_primitives::Log) -> Log,
) -> ReceiptEnvelope<Log> {
    let mut position = 0;
    receipt.map_logs(|log| {
        let placed = place(position, log);
        position += 1;
        placed
    })
}

/// A transaction that waits in the pool.
pub fn pending_transaction(transaction: Envelope, sender: Address) -> EthTransaction {
    let recovered = Recovered::new_unchecked(transaction, sender);
    let info = TransactionInfo { hash: Some(*recovered.inner().tx_hash()), ..TransactionInfo::default() };
    Transaction::from_transaction(recovered, info)
}

/// The sentence of Solidity's `Error(string)`, where the data is one.
pub fn revert_reason(data: &[u8]) -> Option<String> {
    const ERROR_STRING: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];
    let body = data.strip_prefix(&ERROR_STRING)?;
    let length = usize::try_from(U256::from_be_slice(body.get(32..64)?)).ok()?;
    let text = body.get(64..64_usize.checked_add(length)?)?;
    String::from_utf8(text.to_vec()).ok()
}
