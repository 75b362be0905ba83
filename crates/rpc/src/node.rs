//! Types of the node's methods (`spec/rpc.md`): `freehold_*` whole, and of `eth_*` what our own clients read.
//!
//! Hex carries `0x`; heights and seconds are JSON numbers, and hex quantities are read too. Canonical documents travel
//! as hex. Nothing here is verified: see the module doc of `freehold-verify`.

use freehold_primitives::{Account, Digest, Generation, Height, NetworkKey, Term, UnixSeconds};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    health::ProtocolReport,
    hexed::{HexBytes, prefixed, prefixed_option},
};

/// Most headers in a [`Finality`]: the lag that a payload may have, and itself.
pub const HEADERS_MAX: usize = 17;
/// Most headers of a `freehold_getHeaders`.
pub const HEADER_RANGE_MAX: u64 = 1_024;
/// Most keys of a [`CallProof`].
pub const CALL_KEYS_MAX: usize = 1_024;

/// Answer of `freehold_getFinality(height)`: the first payload with its own certificate whose `executed` is at or above
/// the height, and the headers from the height to there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finality {
    /// Height that was asked for; the first header's.
    pub height: Height,
    /// RLP of the headers, oldest first; the last one's hash stands in `payload_head.executed`.
    pub headers: Vec<HexBytes>,
    /// Canonical document of the payload's head.
    pub payload_head: HexBytes,
    /// Canonical document of the certificate over it.
    pub certificate: HexBytes,
}

/// One leaf of the state tree with its proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeafProof {
    /// Key in the tree; whoever checks computes it again from address and slot.
    #[serde(with = "prefixed")]
    pub key: Digest,
    /// Value; null where the leaf is proven absent.
    pub value: Option<HexBytes>,
    /// Proof bytes (`spec/state-proof.md`).
    pub proof: HexBytes,
}

/// Answer of `freehold_getProof(address, [slots], tag)`, at the newest executed height.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Height whose state it is.
    pub height: Height,
    /// State root after that height.
    #[serde(with = "prefixed")]
    pub state_root: Digest,
    /// Slots, in the order asked for.
    pub proofs: Vec<LeafProof>,
    /// The account itself.
    pub account: LeafProof,
}

/// Answer of `oasis_callDataPublicKey()`, in Sapphire's form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallDataKeyReport {
    /// X25519 public key that call data is encrypted to.
    pub key: HexBytes,
    /// Commitment to the state root key that it hangs on, 32 bytes.
    pub checksum: HexBytes,
    /// Zero: a client checks the key by a state proof (`spec/call-data.md` §5).
    pub signature: HexBytes,
    /// Epoch of the key.
    pub epoch: u64,
}

/// Answer of `freehold_getBlock(height)`: a whole block in the bytes that its roots are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawBlock {
    /// RLP of the header.
    pub header: HexBytes,
    /// EIP-2718 bytes of the transactions, in order.
    pub transactions: Vec<HexBytes>,
    /// EIP-2718 bytes of the receipts, in order.
    pub receipts: Vec<HexBytes>,
}

/// What a call is made for, in `freehold_proveCall`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CallPurpose {
    /// Its output (`eth_call`).
    Call,
    /// Its gas (`eth_estimateGas`).
    Estimate,
}

/// Answer of `freehold_proveCall(request, purpose, entropy)`: all that the call reads behind the newest executed block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallProof {
    /// Height whose state it is.
    pub height: Height,
    /// State root after that height.
    #[serde(with = "prefixed")]
    pub state_root: Digest,
    /// Every key that the call reads, with its proof.
    pub leaves: Vec<LeafProof>,
    /// Code and documents that it reads.
    pub content: Vec<HexBytes>,
    /// RLP of the earlier headers that it reads.
    pub headers: Vec<HexBytes>,
}

/// Answer of `freehold_call(request, purpose)`: what a call gave, signed by a registered executor (`spec/call-answer.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedAnswer {
    /// Canonical document of the `CallAnswer`.
    pub answer: HexBytes,
    /// The output whose digest it names.
    pub output: HexBytes,
    /// The executor's signature, 65 bytes.
    pub signature: HexBytes,
}

/// One share of a derived key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyShare {
    /// Index of the validator's share, from 0.
    pub index: u32,
    /// The share, encrypted to the instance's transport key.
    pub share: HexBytes,
}

/// Answer of `freehold_keyShares(grant_id)`: enough shares to make the key, all of one term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyShares {
    /// The term whose polynomial they belong to.
    pub term: Term,
    /// The shares.
    pub shares: Vec<KeyShare>,
}

/// A moment in [`NodeStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusMoment {
    /// Height of the block.
    pub height: Height,
    /// Its hash.
    #[serde(with = "prefixed")]
    pub block_hash: Digest,
    /// Header time.
    pub time_unix_s: UnixSeconds,
}

/// Answer of `freehold_status()`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeStatus {
    /// Name and version of the software.
    pub version: String,
    /// Chain id.
    pub chain_id: u64,
    /// Digest of the genesis.
    #[serde(with = "prefixed")]
    pub genesis_hash: Digest,
    /// The network key.
    #[serde(with = "prefixed")]
    pub network_key: NetworkKey,
    /// Newest executed block (`latest`).
    pub latest: StatusMoment,
    /// Newest block under a certificate (`finalized`).
    pub finalized: StatusMoment,
    /// Validators of the term.
    pub validators: u32,
    /// `false` where the genesis admits roots of trust for development.
    pub production: bool,
    /// `true` where nodes trace confidential frames for whoever asks: secrets of contracts are none.
    pub dev_traces: bool,
    /// How the key shares came to be: `trusted-dealer` or `distributed`.
    pub key_ceremony: String,
    /// Transactions waiting in the pool.
    pub pool: u64,
    /// Keys of confidential state.
    pub state_keys: StateKeyReport,
    /// Versions of the protocol, in force and announced.
    pub protocol: ProtocolReport,
}

/// Keys of confidential state in [`NodeStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateKeyReport {
    /// Where this node's keys come from: `development` (a dealer's file: they protect nothing from whoever reads it),
    /// `quorum`, or `none` on a follower.
    pub origin: String,
    /// Generation that every write uses.
    pub generation: Generation,
    /// Generation before it, while values under it are left.
    pub previous: Option<Generation>,
    /// How much of the tree re-encryption has passed, 100 when nothing is left to do.
    pub re_encrypted_percent: u8,
}

/// Answer of `freehold_collateral(kind, key)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollateralDocument {
    /// Canonical document of the `CollateralEntry`.
    pub entry: HexBytes,
    /// The collateral document whose digest the entry names.
    pub document: HexBytes,
}

/// An integer that Ethereum writes as `0x…`; plain numbers are read too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct QuantityU64(pub u64);

impl Serialize for QuantityU64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}

impl<'de> Deserialize<'de> for QuantityU64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(u64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(number) => Ok(Self(number)),
            Form::Text(text) => {
                let digits = text.strip_prefix("0x").ok_or_else(|| D::Error::custom("a quantity opens with 0x"))?;
                u64::from_str_radix(digits, 16).map(Self).map_err(|_| D::Error::custom("no 64-bit quantity"))
            }
        }
    }
}

/// What our clients read of an Ethereum block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockSummary {
    /// Height.
    pub number: QuantityU64,
    /// Hash.
    #[serde(with = "prefixed")]
    pub hash: Digest,
    /// Header time.
    pub timestamp: QuantityU64,
    /// Base fee in wei.
    pub base_fee_per_gas: Option<QuantityU64>,
}

/// What our clients read of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Contract that logged.
    #[serde(with = "prefixed")]
    pub address: Account,
    /// Topics.
    pub topics: Vec<HexBytes>,
    /// Data.
    pub data: HexBytes,
}

/// What our clients read of an Ethereum receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransactionReceipt {
    /// Hash of the transaction.
    #[serde(with = "prefixed")]
    pub transaction_hash: Digest,
    /// Height of its block.
    pub block_number: QuantityU64,
    /// Hash of its block.
    #[serde(with = "prefixed")]
    pub block_hash: Digest,
    /// 1 for success, 0 for a revert.
    pub status: QuantityU64,
    /// Gas used.
    pub gas_used: QuantityU64,
    /// Contract that it created.
    #[serde(with = "prefixed_option", default)]
    pub contract_address: Option<Account>,
    /// Logs.
    pub logs: Vec<LogRecord>,
}
