//! Blocks, transactions, receipts and logs as Ethereum's JSON-RPC shows them (execution-apis).
//!
//! Built on `alloy-rpc-types-eth`, which keeps the field names; what is here is the way from our records to them.

use alloy_consensus::{
    BlockHeader as _, Header, ReceiptEnvelope, Sealed, Transaction as _,
    transaction::{Recovered, TransactionInfo},
};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, U256};
use alloy_rlp::Encodable as _;
use alloy_rpc_types_eth::{Block, BlockTransactions, Header as RpcHeader, Log, Transaction, TransactionReceipt};

/// A signed transaction, never of type 3.
pub(crate) type Envelope = freehold_ledger::Transaction;

/// A block with everything a view needs.
#[derive(Debug, Clone)]
pub(crate) struct BlockView {
    pub(crate) header: Header,
    pub(crate) hash: B256,
    pub(crate) transactions: Vec<TransactionView>,
}

/// A transaction of a block and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct TransactionView {
    pub(crate) transaction: Envelope,
    pub(crate) sender: Address,
    pub(crate) receipt: ReceiptEnvelope,
    pub(crate) gas_used: u64,
    pub(crate) contract_address: Option<Address>,
}

/// How a block shows its transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    Hashes,
    Full,
}

impl BlockView {
    pub(crate) fn block(&self, detail: Detail) -> Block<Transaction<Envelope>> {
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

    pub(crate) fn transaction(&self, index: usize) -> Option<Transaction<Envelope>> {
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

    pub(crate) fn receipt(&self, index: usize) -> Option<TransactionReceipt> {
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
pub(crate) fn pending(transaction: Envelope, sender: Address) -> Transaction<Envelope> {
    let recovered = Recovered::new_unchecked(transaction, sender);
    let info = TransactionInfo { hash: Some(*recovered.inner().tx_hash()), ..TransactionInfo::default() };
    Transaction::from_transaction(recovered, info)
}
