//! One kind of transaction, as guests and hosts send it: an EIP-1559 call, signed by an account key.

use alloy_consensus::{SignableTransaction as _, TxEip1559};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256};
use freehold_crypto::AccountKey;
use freehold_primitives::{Account, Digest};

use crate::node_client::FeeQuote;

/// A call of a contract or module, or a plain transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallTransaction {
    /// Chain id.
    pub chain_id: u64,
    /// Nonce of the sender.
    pub nonce: u64,
    /// Callee.
    pub to: Account,
    /// Value in wei.
    pub value_wei: u128,
    /// Bound on gas.
    pub gas_limit: u64,
    /// Fees.
    pub fees: FeeQuote,
    /// Call data.
    pub data: Vec<u8>,
}

impl CallTransaction {
    /// Signs the transaction: EIP-2718 bytes, and their hash.
    pub fn sign(self, key: &AccountKey) -> (Vec<u8>, Digest) {
        let kind = TxKind::Call(Address::from(self.to.0));
        self.signed(kind, key)
    }

    /// Signs the same as the creation of a contract: the data is its code, and there is no callee.
    pub fn sign_creation(self, key: &AccountKey) -> (Vec<u8>, Digest) {
        self.signed(TxKind::Create, key)
    }

    fn signed(self, to: TxKind, key: &AccountKey) -> (Vec<u8>, Digest) {
        let transaction = TxEip1559 {
            chain_id: self.chain_id,
            nonce: self.nonce,
            gas_limit: self.gas_limit,
            max_fee_per_gas: self.fees.max_fee_per_gas,
            max_priority_fee_per_gas: self.fees.max_priority_fee_per_gas,
            to,
            value: U256::from(self.value_wei),
            access_list: alloy_eips::eip2930::AccessList::default(),
            input: Bytes::from(self.data),
        };
        let signed = key.sign(&Digest(transaction.signature_hash().0));
        let scalar = |bytes: &[u8]| U256::from_be_slice(bytes);
        let signature = Signature::new(scalar(&signed[..32]), scalar(&signed[32..64]), signed[64] == 28);
        let envelope = transaction.into_signed(signature);
        (envelope.encoded_2718(), Digest(envelope.hash().0))
    }
}
