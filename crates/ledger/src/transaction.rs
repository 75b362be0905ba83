//! Transactions: reading them, recovering their senders, and what may be refused without knowing state.
//!
//! The same checks stand at admission, before a vote, and in execution, so that a transaction which any of them refuses
//! is refused by all. Codes are stable and never change their meaning (`spec/block.md` §2).

use alloy_consensus::{EthereumTxEnvelope, Transaction as _, TxEip4844, TxType};
use alloy_eips::{Decodable2718 as _, Encodable2718 as _, Typed2718 as _};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use freehold_crypto::CallData;
use freehold_evm::{INIT_CODE_BYTES_MAX, TX_GAS_MAX, TxEnv, recover_account};
use freehold_primitives::TRANSACTION_BYTES_MAX;
use thiserror::Error;

use crate::{
    call_data::opening_gas,
    context::{BASE_FEE_MIN, ChainContext},
};

/// A signed transaction. Type 3 never occurs: it is refused when read.
pub type Transaction = EthereumTxEnvelope<TxEip4844>;

/// Why a transaction may never stand in a block of this chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
#[repr(u16)]
pub enum TransactionRefusal {
    /// Longer than 128 KiB.
    #[error("the transaction is longer than {TRANSACTION_BYTES_MAX} bytes")]
    TooLong = 1,
    /// Not an EIP-2718 transaction, or not in its one canonical form.
    #[error("the transaction is malformed")]
    Malformed = 2,
    /// A type that this chain does not take (blobs, and types unknown).
    #[error("transactions of this type are not accepted; types 0, 1, 2 and 4 are")]
    Type = 3,
    /// Signed for another chain.
    #[error("the transaction is signed for another chain")]
    Chain = 4,
    /// A legacy transaction that any chain would take.
    #[error("the transaction carries no chain id (EIP-155)")]
    Unprotected = 5,
    /// The signature is malformed, recovers to nothing, or has `s` in the upper half (EIP-2).
    #[error("the signature is malformed or not in its lower half")]
    Signature = 6,
    /// The gas limit does not cover what every such transaction costs (EIP-7623 included).
    #[error("the gas limit is below the transaction's intrinsic cost")]
    IntrinsicGas = 7,
    /// The gas limit is above 2²⁴ (EIP-7825).
    #[error("the gas limit is above {TX_GAS_MAX}")]
    GasCap = 8,
    /// The fee cap is below the floor of the base fee.
    #[error("the fee cap is below {BASE_FEE_MIN}, the least base fee")]
    FeeCap = 9,
    /// The priority fee is above the fee cap.
    #[error("the priority fee is above the fee cap")]
    PriorityFee = 10,
    /// Init code above 49,152 bytes (EIP-3860).
    #[error("the init code is too long")]
    InitCode = 11,
    /// A type 4 transaction without authorizations (EIP-7702).
    #[error("the transaction carries no authorization")]
    NoAuthorization = 12,
    /// The nonce is the largest there is (EIP-2681).
    #[error("the nonce is the largest there is")]
    Nonce = 13,
}

impl TransactionRefusal {
    /// The stable code.
    pub const fn code(self) -> u16 {
        self as u16
    }
}

/// A transaction with its sender. Only [`admit`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    transaction: Transaction,
    sender: Address,
}

impl Recovered {
    /// The transaction.
    pub const fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Who signed it.
    pub const fn sender(&self) -> Address {
        self.sender
    }

    /// Its hash.
    pub fn hash(&self) -> B256 {
        *self.transaction.tx_hash()
    }

    /// The transaction and its sender.
    pub fn into_parts(self) -> (Transaction, Address) {
        (self.transaction, self.sender)
    }

    /// As the machine takes it.
    pub(crate) fn to_tx_env(&self) -> TxEnv {
        let tx = &self.transaction;
        let authorizations = tx.authorization_list().unwrap_or_default();
        TxEnv {
            tx_type: tx.ty(),
            caller: self.sender,
            gas_limit: tx.gas_limit(),
            gas_price: tx.max_fee_per_gas(),
            kind: tx.kind(),
            value: tx.value(),
            data: tx.input().clone(),
            nonce: tx.nonce(),
            chain_id: tx.chain_id(),
            access_list: tx.access_list().cloned().unwrap_or_default(),
            gas_priority_fee: tx.max_priority_fee_per_gas(),
            authorization_list: freehold_evm::signed_authorizations(authorizations),
            ..TxEnv::default()
        }
    }
}

/// Reads a transaction and makes every check that needs no state.
///
/// # Errors
/// The first [`TransactionRefusal`] that applies.
pub fn admit(ctx: &ChainContext, raw: &[u8]) -> Result<Recovered, TransactionRefusal> {
    let refuse_unless = |accepted: bool, refusal| if accepted { Ok(()) } else { Err(refusal) };

    refuse_unless(raw.len() <= TRANSACTION_BYTES_MAX, TransactionRefusal::TooLong)?;
    let transaction = decode(raw)?;
    match transaction.chain_id() {
        None => return Err(TransactionRefusal::Unprotected),
        Some(chain_id) => refuse_unless(chain_id == ctx.chain_id(), TransactionRefusal::Chain)?,
    }
    let gas = transaction.gas_limit();
    refuse_unless(gas <= TX_GAS_MAX, TransactionRefusal::GasCap)?;
    refuse_unless(transaction.nonce() < u64::MAX, TransactionRefusal::Nonce)?;
    let is_create = transaction.kind().is_create();
    refuse_unless(!is_create || transaction.input().len() <= INIT_CODE_BYTES_MAX, TransactionRefusal::InitCode)?;
    let authorizations = transaction.authorization_list();
    refuse_unless(!authorizations.is_some_and(<[_]>::is_empty), TransactionRefusal::NoAuthorization)?;
    refuse_unless(gas >= intrinsic_gas(&transaction), TransactionRefusal::IntrinsicGas)?;
    let fee_cap = transaction.max_fee_per_gas();
    refuse_unless(fee_cap >= u128::from(BASE_FEE_MIN), TransactionRefusal::FeeCap)?;
    let priority = transaction.max_priority_fee_per_gas().unwrap_or_default();
    refuse_unless(priority <= fee_cap, TransactionRefusal::PriorityFee)?;
    let sender = recover_account(transaction.signature(), &transaction.signature_hash());
    let sender = sender.ok_or(TransactionRefusal::Signature)?;
    Ok(Recovered { transaction, sender })
}

/// Transactions that were admitted before on this chain, by hash, so that nobody recovers a sender twice.
pub trait Admitted {
    /// The transaction with this hash, if it was admitted and is still kept.
    fn get(&self, hash: &B256) -> Option<Recovered>;
}

/// Keeps nothing.
impl Admitted for () {
    fn get(&self, _hash: &B256) -> Option<Recovered> {
        None
    }
}

/// As [`admit`], but asks first whether this was admitted before.
///
/// # Errors
/// The first [`TransactionRefusal`] that applies.
pub fn admit_with(ctx: &ChainContext, raw: &[u8], admitted: &dyn Admitted) -> Result<Recovered, TransactionRefusal> {
    // The hash of a transaction is that of its bytes: admission takes its canonical form only.
    admitted.get(&keccak256(raw)).map_or_else(|| admit(ctx, raw), Ok)
}

fn decode(raw: &[u8]) -> Result<Transaction, TransactionRefusal> {
    match raw.first() {
        None => return Err(TransactionRefusal::Malformed),
        // A legacy transaction is an RLP list; below that stands the byte of a type.
        Some(first) if *first < 0xc0 && !matches!(first, 1 | 2 | 4) => return Err(TransactionRefusal::Type),
        Some(_) => {}
    }
    let transaction = Transaction::decode_2718_exact(raw).map_err(|_| TransactionRefusal::Malformed)?;
    // One transaction, one byte string: its hash must be that of the bytes that were ordered.
    if transaction.encoded_2718() != raw || transaction.tx_type() == TxType::Eip4844 {
        return Err(TransactionRefusal::Malformed);
    }
    Ok(transaction)
}

/// What a transaction costs before its first instruction, and at least in all (EIP-2028, 2930, 3860, 7623, 7702, and
/// [`OPENING_GAS`](crate::OPENING_GAS) where its call data is encrypted).
pub fn intrinsic_gas(transaction: &Transaction) -> u64 {
    let input: &Bytes = transaction.input();
    let zeros = input.iter().filter(|byte| **byte == 0).count() as u64;
    let tokens = zeros + 4 * (input.len() as u64 - zeros);
    let mut gas = 21_000 + 4 * tokens;
    if transaction.kind().is_create() {
        gas += 32_000 + 2 * (input.len() as u64).div_ceil(32);
    }
    if let Some(list) = transaction.access_list() {
        let slots: u64 = list.iter().map(|item| item.storage_keys.len() as u64).sum();
        gas += 2_400 * list.len() as u64 + 1_900 * slots;
    }
    gas += 25_000 * transaction.authorization_list().map_or(0, |list| list.len() as u64);
    gas += opening_gas(CallData::read(input).is_sealed());
    gas.max(intrinsic_floor(tokens))
}

/// What a transaction costs at least in all, by the tokens of its call data (EIP-7623).
pub(crate) const fn intrinsic_floor(tokens: u64) -> u64 {
    21_000 + 10 * tokens
}
