//! Transactions of apps on the chain in this process: blocks that hold them under real roots, and calls without a machine.

use alloy_consensus::{
    Receipt, ReceiptEnvelope,
    proofs::{calculate_receipt_root, calculate_transaction_root},
};
use alloy_eips::eip2718::Encodable2718 as _;

use alloy_primitives::{Bloom, Log};
use freehold_crypto::AccountKey;
use freehold_rpc::{CallTransaction, FeeQuote};

use super::*;

/// Callee whose calls fail.
pub(crate) const FAILING: Account = Account([0xee; 20]);
/// Gas that every transaction uses.
const GAS: u64 = 21_000;

/// EIP-2718 bytes of a block's transactions and of its receipts.
type Body = (Vec<Vec<u8>>, Vec<Vec<u8>>);

/// What the chain has of them.
#[derive(Default)]
pub(super) struct Bodies {
    waiting: Vec<(TxEnvelope, Vec<Log>)>,
    by_height: BTreeMap<u64, Body>,
    /// All that guests sent, in order.
    sent: Vec<TxEnvelope>,
    /// How many are the test's own.
    made: usize,
}

impl Bodies {
    /// How many there are, so that no two are the same.
    pub(super) const fn count(&self) -> usize {
        self.sent.len() + self.made
    }
}

impl FakeChain {
    /// Transactions that guests sent, in order.
    pub(crate) fn sent(&self) -> Vec<TxEnvelope> {
        self.lock().bodies.sent.clone()
    }

    /// Puts logs into the next block, in one transaction.
    pub(crate) fn emit(&self, logs: Vec<Log>) {
        self.lock().call(Account([0x51; 20]), Vec::new(), logs);
    }

    /// Opens call data of an epoch to this secret.
    pub(crate) fn set_call_data_key(&self, epoch: u64, secret: &[u8; 32]) {
        let public_key = freehold_primitives::X25519Key(freehold_crypto::x25519_public(secret));
        let entry = CallDataKeyEntry { epoch, generation: 0, public_key, opened_at: 0 };
        let mut inner = self.lock();
        inner.call_data_key = Some((epoch, public_key.0));
        inner.pending.push((EntryKey::CallDataKey(epoch), entry.to_canonical()));
    }
}

impl Inner {
    /// Takes a transaction that is no module's.
    pub(super) fn take(&mut self, envelope: TxEnvelope) -> Digest {
        let hash = Digest(envelope.tx_hash().0);
        self.receipts.insert(hash, self.headers.len() as u64);
        if fails(&envelope) {
            self.reverted.insert(hash);
        }
        self.bodies.sent.push(envelope.clone());
        self.bodies.waiting.push((envelope, Vec::new()));
        hash
    }

    /// Puts a call of somebody's into the next block, with what it logs.
    pub(super) fn call(&mut self, to: Account, data: Vec<u8>, logs: Vec<Log>) {
        let call = CallTransaction {
            chain_id: CHAIN_ID,
            nonce: self.bodies.count() as u64,
            to,
            value_wei: 0,
            gas_limit: GAS,
            fees: FeeQuote { max_fee_per_gas: 1_000_000_000, max_priority_fee_per_gas: 0 },
            data,
        };
        self.bodies.made += 1;
        let (bytes, _) = call.sign(&AccountKey::from_bytes(&[0x61; 32]).unwrap());
        self.bodies.waiting.push((TxEnvelope::decode_2718(&mut bytes.as_slice()).unwrap(), logs));
    }

    /// Puts what waits into a block.
    pub(super) fn fill(&mut self, header: &mut Header) {
        let waiting = std::mem::take(&mut self.bodies.waiting);
        let receipt = |(index, (envelope, logs)): (usize, &(TxEnvelope, Vec<Log>))| {
            let cumulative_gas_used = GAS * (index as u64 + 1);
            let receipt = Receipt { status: (!fails(envelope)).into(), cumulative_gas_used, logs: logs.clone() };
            ReceiptEnvelope::Eip1559(receipt.with_bloom())
        };
        let receipts: Vec<ReceiptEnvelope> = waiting.iter().enumerate().map(receipt).collect();
        header.logs_bloom = waiting.iter().flat_map(|(_, logs)| logs).collect::<Bloom>();
        let transactions: Vec<TxEnvelope> = waiting.into_iter().map(|(envelope, _)| envelope).collect();
        header.transactions_root = calculate_transaction_root(&transactions);
        header.receipts_root = calculate_receipt_root(&receipts);
        let bytes = (
            transactions.iter().map(|transaction| transaction.encoded_2718()).collect(),
            receipts.iter().map(|receipt| receipt.encoded_2718()).collect(),
        );
        self.bodies.by_height.insert(header.number, bytes);
    }

    pub(super) fn raw_block(&self, height: u64) -> Value {
        let header = &self.headers[height as usize];
        let (transactions, receipts) = &self.bodies.by_height[&height];
        let list = |bytes: &[Vec<u8>]| bytes.iter().map(|bytes| hexed(bytes)).collect::<Vec<_>>();
        let receipts = match self.misbehaviour.logs {
            LogsTold::All => receipts.clone(),
            // A node that leaves logs out, or makes some up, is found out by the root of receipts.
            LogsTold::Withheld | LogsTold::Forged => {
                receipts.iter().map(|bytes| self.misbehaviour.logs.spoil(bytes)).collect()
            }
        };
        // A node that leaves a transaction out is found out by the roots.
        let transactions = if self.misbehaviour.empty_blocks { &[][..] } else { transactions };
        json!({"header": hexed(&alloy_rlp::encode(header)), "transactions": list(transactions), "receipts": list(&receipts)})
    }
}

fn fails(envelope: &TxEnvelope) -> bool {
    // Code that begins with an invalid instruction makes no contract.
    let breaks = envelope.to().is_none() && envelope.input().first() == Some(&0xfe);
    breaks || envelope.to().is_some_and(|to| to.0.0 == FAILING.0)
}

/// What a node tells of the logs of a block.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum LogsTold {
    #[default]
    All,
    /// None of them.
    Withheld,
    /// With other data.
    Forged,
}

impl LogsTold {
    fn spoil(self, receipt: &[u8]) -> Vec<u8> {
        let receipt = ReceiptEnvelope::decode_2718(&mut &receipt[..]).unwrap();
        let logs = match self {
            Self::Withheld => Vec::new(),
            _ => receipt
                .logs()
                .iter()
                .map(|log| Log::new_unchecked(log.address, log.topics().to_vec(), [9_u8; 32].into()))
                .collect(),
        };
        let spoilt = Receipt { status: true.into(), cumulative_gas_used: receipt.cumulative_gas_used(), logs };
        ReceiptEnvelope::Eip1559(spoilt.with_bloom()).encoded_2718()
    }
}
