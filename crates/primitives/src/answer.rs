//! What an executor signs of a call that nobody without state keys can make again (`spec/call-answer.md`).
//!
//! Not here: the signature, and who may sign.

use crate::{
    codec::Blob,
    ids::{Account, Digest, Height},
};

canonical_enum! {
    /// What a call is made for.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum AnswerPurpose {
        /// Its output (`eth_call`).
        Call = 1,
        /// The least gas limit with which it succeeds (`eth_estimateGas`).
        Estimate = 2,
    }
}

canonical_enum! {
    /// How a call ended.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum AnswerStatus {
        /// It succeeded: the output is its return data, or of an estimate the gas limit, 8 bytes.
        Success = 1,
        /// It reverted; the output says why.
        Revert = 2,
        /// It was stopped, and has no output.
        Halt = 3,
    }
}

canonical_struct! {
    /// A call, as it is asked: all that its outcome hangs on beside the state, and the entropy of who makes it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct AskedCall {
        /// Who calls; the zero account where not given.
        pub from: Account,
        /// Who is called; `None` makes a contract.
        pub to: Option<Account>,
        /// Value, a big-endian integer.
        pub value: [u8; 32],
        /// Call data, or init code; an envelope as it stands.
        pub data: Blob,
        /// Gas limit.
        pub gas: Option<u64>,
        /// Price per gas, or the fee cap, a big-endian integer.
        pub gas_price: Option<[u8; 16]>,
        /// Priority fee per gas, a big-endian integer.
        pub priority_fee: Option<[u8; 16]>,
        /// Nonce.
        pub nonce: Option<u64>,
        /// RLP of the list of authorizations (EIP-7702).
        pub authorizations: Blob,
        /// RLP of the access list (EIP-2930).
        pub access_list: Blob,
    }
}

canonical_struct! {
    /// What an executor says that a call gave.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct CallAnswer {
        /// Chain id.
        pub chain_id: u64,
        /// Digest of the genesis.
        pub genesis_hash: Digest,
        /// The executor: an instance of the app that the genesis names for validators and executors.
        pub instance_id: Digest,
        /// Height of the block behind which the call was made.
        pub height: Height,
        /// Hash of that block.
        pub block_hash: Digest,
        /// What it was made for.
        pub purpose: AnswerPurpose,
        /// Digest of the [`AskedCall`].
        pub call: Digest,
        /// How it ended.
        pub status: AnswerStatus,
        /// Digest of its output.
        pub output: Digest,
    }
}
