//! Clients of a simulated network: accounts that sign transfers, deploy and call a contract, call a system module, and
//! have validators join and leave.

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_eips::Encodable2718 as _;
use alloy_primitives::{Bytes, Signature, TxKind, U256};
use alloy_sol_types::SolCall as _;
use freehold_consensus::IdentityKey;
use freehold_crypto::{AccountKey, Ed25519Secret, genesis_hash, possession_message, slots};
use freehold_ledger::{Transaction, to_address};
use freehold_primitives::{Account, Allocation, Digest, Genesis};

use crate::plan::{ACCOUNTS, Succeeds};

#[allow(clippy::too_many_arguments, missing_docs, unreachable_pub, reason = "generated from Solidity by alloy")]
mod abi {
    alloy_sol_types::sol!("../../contracts/interfaces/IValidators.sol");
}
use abi::IValidators;

/// Bond of every validator, in wei.
pub(crate) const BOND: u64 = 1_000_000;
/// Most validators' accounts.
const OWNERS: u8 = 32;
/// The account of the chain's governor: the first of the genesis, and the last here.
const GOVERNOR: u8 = ACCOUNTS + OWNERS + 1;
/// Seconds that a master serves after another one has begun.
const KEEP_S: u64 = 1;
/// Wei that each account begins with: 10^22.
const BALANCE: [u64; 2] = [1_000_000_000_000, 10_000_000_000];
/// Price per gas, far above the floor of the base fee.
const PRICE: u128 = 20_000_000_000;
const GAS: u64 = 1_000_000;
/// A contract that counts in its first slot: `SSTORE(0, SLOAD(0) + 1)`.
const COUNTER: [u8; 19] = [
    0x69, 0x60, 0, 0x54, 0x60, 1, 1, 0x60, 0, 0x55, 0, // PUSH10 of the code
    0x60, 0, 0x52, // MSTORE at 0
    0x60, 10, 0x60, 22, 0xf3, // RETURN of its ten bytes
];

/// The accounts: first those of users, then the owners of validators, then the governor.
pub(crate) struct Clients {
    keys: Vec<AccountKey>,
    nonces: Vec<u64>,
    genesis: Genesis,
}

fn key(account: u8) -> AccountKey {
    AccountKey::from_bytes(&[account; 32]).expect("a small number is a secp256k1 key")
}

/// Coins of all accounts, for the genesis.
pub(crate) fn allocations() -> Vec<Allocation> {
    let balance = (U256::from(BALANCE[0]) * U256::from(BALANCE[1])).to_be_bytes();
    let all = std::iter::once(GOVERNOR).chain(1..GOVERNOR);
    all.map(|account| Allocation { account: key(account).account(), balance }).collect()
}

/// The account that owns a validator.
pub(crate) fn owner(validator: u16) -> Account {
    key(ACCOUNTS + 1 + u8::try_from(validator).unwrap_or(OWNERS) % OWNERS).account()
}

fn owner_index(validator: u16) -> usize {
    usize::from(ACCOUNTS) + usize::from(validator) % usize::from(OWNERS)
}

impl Clients {
    pub(crate) fn new(genesis: Genesis) -> Self {
        let keys: Vec<_> = (1..=GOVERNOR).map(key).collect();
        Self { nonces: vec![0; keys.len()], keys, genesis }
    }

    /// Makes the validator of an identity a candidate.
    pub(crate) fn join(&mut self, validator: u16, identity: &IdentityKey, reached_at: &str) -> Vec<u8> {
        let account = owner(validator);
        let message = possession_message(self.genesis.chain_id, &genesis_hash(&self.genesis), &account);
        let call = IValidators::joinCall {
            identity: identity.public().0.into(),
            payee: to_address(&account),
            reachedAt: reached_at.to_owned(),
            possession: Ed25519Secret::from_seed(&identity.to_bytes()).sign(&message).to_vec().into(),
        };
        self.call_validators(owner_index(validator), BOND, call.abi_encode())
    }

    /// Asks for a validator to leave.
    pub(crate) fn resign(&mut self, validator: u16, identity: &IdentityKey) -> Vec<u8> {
        let call = IValidators::resignCall { identity: identity.public().0.into() };
        self.call_validators(owner_index(validator), 0, call.abi_encode())
    }

    /// Has the governor ask for another key.
    pub(crate) fn succeed(&mut self, which: Succeeds) -> Vec<u8> {
        let input = match which {
            Succeeds::NetworkKey => IValidators::succeedNetworkKeyCall {}.abi_encode(),
            Succeeds::Master => IValidators::succeedMasterCall { keepS: KEEP_S }.abi_encode(),
        };
        self.call_validators(usize::from(GOVERNOR) - 1, 0, input)
    }

    fn call_validators(&mut self, index: usize, value: u64, input: Vec<u8>) -> Vec<u8> {
        let nonce = self.nonces[index];
        self.nonces[index] += 1;
        self.sign(index, nonce, (TxKind::Call(to_address(&slots::VALIDATORS)), value, input.into()))
    }

    /// The next transaction of an account: the first deploys the counter, later ones are of the kind asked for.
    pub(crate) fn next(&mut self, account: u8, kind: u8) -> Vec<u8> {
        let index = usize::from(account - 1) % usize::from(ACCOUNTS);
        let nonce = self.nonces[index];
        self.nonces[index] += 1;
        let sender = to_address(&self.keys[index].account());
        let other = to_address(&self.keys[(index + 1) % usize::from(ACCOUNTS)].account());
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
            chain_id: self.genesis.chain_id,
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
