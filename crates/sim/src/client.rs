//! Clients of a simulated network: accounts that sign transfers, deploy and call a contract, and call a system module.

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_eips::Encodable2718 as _;
use alloy_primitives::{Bytes, Signature, TxKind, U256};
use freehold_crypto::{AccountKey, slots};
use freehold_ledger::{Transaction, to_address};
use freehold_primitives::{Allocation, Digest};

use crate::plan::ACCOUNTS;

/// Wei that each account begins with: 10^22.
const BALANCE: [u64; 2] = [1_000_000_000_000, 10_000_000_000];
/// Price per gas, far above the floor of the base fee.
const PRICE: u128 = 20_000_000_000;
const GAS: u64 = 300_000;
/// A contract that counts in its first slot: `SSTORE(0, SLOAD(0) + 1)`.
const COUNTER: [u8; 19] = [
    0x69, 0x60, 0, 0x54, 0x60, 1, 1, 0x60, 0, 0x55, 0, // PUSH10 of the code
    0x60, 0, 0x52, // MSTORE at 0
    0x60, 10, 0x60, 22, 0xf3, // RETURN of its ten bytes
];

/// The accounts.
pub(crate) struct Clients {
    keys: Vec<AccountKey>,
    nonces: Vec<u64>,
    chain_id: u64,
}

fn key(account: u8) -> AccountKey {
    AccountKey::from_bytes(&[account; 32]).expect("a small number is a secp256k1 key")
}

/// Coins of all accounts, for the genesis.
pub(crate) fn allocations() -> Vec<Allocation> {
    let balance = (U256::from(BALANCE[0]) * U256::from(BALANCE[1])).to_be_bytes();
    (1..=ACCOUNTS).map(|account| Allocation { account: key(account).account(), balance }).collect()
}

impl Clients {
    pub(crate) fn new(chain_id: u64) -> Self {
        Self { keys: (1..=ACCOUNTS).map(key).collect(), nonces: vec![0; ACCOUNTS.into()], chain_id }
    }

    /// The next transaction of an account: the first deploys the counter, later ones are of the kind asked for.
    pub(crate) fn next(&mut self, account: u8, kind: u8) -> Vec<u8> {
        let index = usize::from(account - 1) % self.keys.len();
        let nonce = self.nonces[index];
        self.nonces[index] += 1;
        let sender = to_address(&self.keys[index].account());
        let other = to_address(&self.keys[(index + 1) % self.keys.len()].account());
        let (to, value, input) = match (nonce, kind) {
            (0, _) => (TxKind::Create, 0, Bytes::copy_from_slice(&COUNTER)),
            (_, 0 | 1) => (TxKind::Call(sender.create(0)), 0, Bytes::new()),
            // No call that the module knows: it reverts, and its gas is spent.
            (_, 2) => (TxKind::Call(to_address(&slots::APPS)), 0, Bytes::from_static(&[0xde, 0xad, 0xbe, 0xef])),
            _ => (TxKind::Call(other), 1_000 + nonce, Bytes::new()),
        };
        self.sign(index, nonce, (to, value, input))
    }

    fn sign(&self, index: usize, nonce: u64, (to, value, input): (TxKind, u64, Bytes)) -> Vec<u8> {
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce,
            gas_limit: GAS,
            max_fee_per_gas: PRICE,
            max_priority_fee_per_gas: 1,
            to,
            value: U256::from(value),
            input,
            ..TxEip1559::default()
        };
        let bytes = self.keys[index].sign(&Digest(transaction.signature_hash().0));
        let signature = Signature::from_bytes_and_parity(&bytes[..64], matches!(bytes[64], 1 | 28));
        Transaction::from(transaction.into_signed(signature)).encoded_2718()
    }
}
