//! What consensus orders: payloads, opaque to it but for the head (design D3, `spec/payload.md`).
//!
//! The digest of a payload is H("freehold payload", head), and the head carries the digest of the body, so that a
//! proof carries about 250 bytes of a payload of 2 MiB. Digests are computed in `freehold-crypto`.

use crate::{
    codec::Blob,
    ids::{Account, Digest, Ed25519Signature, G1Point, Height, Term, UnixSeconds},
    membership::{Membership, TermTurn},
};

/// Largest encoded body, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Largest transaction, in bytes.
pub const TRANSACTION_BYTES_MAX: usize = 128 * 1024;
/// `executed` may lag a payload by this many heights before the payload must be empty.
pub const EXECUTED_LAG_MAX: u64 = 16;

canonical_struct! {
    /// Position and digest of a payload.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct PayloadId {
        /// Height of the payload.
        pub height: Height,
        /// Digest of its head.
        pub digest: Digest,
    }
}

canonical_struct! {
    /// The newest block that a proposer has executed. It never goes back along the chain.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub struct Executed {
        /// Height of the block.
        pub height: Height,
        /// Its Ethereum block hash.
        pub block_hash: Digest,
    }
}

canonical_struct! {
    /// Head of a payload: everything that certificates and proofs need of it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PayloadHead {
        /// Chain this payload belongs to.
        pub chain_id: u64,
        /// Height, one above the parent's.
        pub height: Height,
        /// Term of the engine in which it was proposed.
        pub term: Term,
        /// View of the engine in which it was proposed; 0 in the genesis payload.
        pub view: u64,
        /// Digest of the parent's head.
        pub parent: Digest,
        /// Milliseconds since the Unix epoch, never below the parent's.
        pub timestamp_ms: u64,
        /// Index of the proposer in the sorted validator set of the term.
        pub proposer: u32,
        /// Newest block the proposer has executed.
        pub executed: Executed,
        /// Seed of the round in which the *parent* was notarised (a G1 signature of the network key over the round);
        /// `None` where the parent is the genesis payload.
        pub parent_seed: Option<G1Point>,
        /// Digest of the body.
        pub body: Digest,
    }
}

canonical_struct! {
    /// Body of a payload.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct PayloadBody {
        /// The transactions in their order of execution, EIP-2718 encoded.
        pub transactions: Vec<Blob>,
        /// Statements of key generation that are ordered here (`spec/key-generation.md` §3).
        pub statements: Vec<Blob>,
        /// The turn to a new term; exactly in the first payload of every term but the first.
        pub turn: Option<TermTurn>,
    }
}

canonical_struct! {
    /// A payload whole.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Payload {
        /// Its head.
        pub head: PayloadHead,
        /// Canonical bytes of its [`PayloadBody`] (with version byte); H(body) stands in the head.
        pub body: Blob,
        /// The proposer's signature over the payload digest (`spec/payload.md` §2); zero in the genesis payload. No part of
        /// the digest.
        pub signature: Ed25519Signature,
    }
}

canonical_struct! {
    /// A threshold certificate: `network key` says that a payload is final (`spec/certificate.md`).
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Certificate {
        /// Term under the signature.
        pub term: Term,
        /// View under the signature.
        pub view: u64,
        /// View of the parent under the signature.
        pub parent_view: u64,
        /// Digest of the payload under the signature.
        pub payload: Digest,
        /// The threshold signature.
        pub signature: G1Point,
        /// Seed of the round (threshold signature over term and view).
        pub seed: G1Point,
    }
}

canonical_struct! {
    /// What the genesis of a chain fixes; everything names its digest. All must agree on it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Genesis {
        /// Chain id of EIP-155.
        pub chain_id: u64,
        /// What the network is for.
        pub purpose: Purpose,
        /// Start, in milliseconds since the Unix epoch.
        pub timestamp_ms: u64,
        /// Length of an epoch in seconds.
        pub epoch_s: u64,
        /// Longest lease of an instance in seconds.
        pub lease_s: u64,
        /// Validators' Ed25519 identity keys, sorted.
        pub validators: Vec<crate::ids::Ed25519Key>,
        /// Public polynomial of the consensus key (engine's encoding); its constant term is the network key.
        pub consensus_polynomial: Blob,
        /// Public polynomial of the derivation key: `threshold` compressed G2 points, constant term first.
        pub derivation_polynomial: Vec<crate::ids::NetworkKey>,
        /// How the key shares came to be.
        pub key_ceremony: KeyCeremony,
        /// Roots of trust for evidence.
        pub trust_roots: Vec<TrustRoot>,
        /// Accounts that hold coins from the start.
        pub allocations: Vec<Allocation>,
        /// Terms, and who may validate.
        pub membership: Membership,
    }
}

canonical_enum! {
    /// What a network is for.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Purpose {
        /// Development: roots of trust for development and a trusted dealer are allowed.
        Development = 0,
        /// Production: neither is.
        Production = 1,
        /// Development in which nodes trace confidential frames for whoever asks (`dev_traces`): secrets of contracts are
        /// none.
        DevelopmentTraces = 2,
    }
}

impl Genesis {
    /// Whether no root of trust for development and no trusted dealer is allowed.
    pub fn is_production(&self) -> bool {
        self.purpose == Purpose::Production
    }

    /// Whether nodes trace confidential frames.
    pub fn has_dev_traces(&self) -> bool {
        self.purpose == Purpose::DevelopmentTraces
    }
}

canonical_enum! {
    /// How the shares of the network's keys were made.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum KeyCeremony {
        /// One process dealt all shares when it made the genesis: development only.
        TrustedDealer = 1,
        /// Distributed key generation; nobody ever held the key.
        Distributed = 2,
    }
}

canonical_enum! {
    /// Where a root of trust comes from; recorded in every registration.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum TrustDomain {
        /// The emulator: its seed is public, anyone can forge this evidence.
        Emulated = 1,
        /// Intel SGX and TDX.
        Intel = 2,
        /// AMD SEV-SNP.
        Amd = 3,
        /// AWS Nitro.
        Aws = 4,
        /// NVIDIA GPUs.
        Nvidia = 5,
    }
}

impl TrustDomain {
    /// Every domain.
    pub const ALL: [Self; 5] = [Self::Emulated, Self::Intel, Self::Amd, Self::Aws, Self::Nvidia];

    /// The domain of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|domain| domain.as_str() == word)
    }

    /// The word used in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Emulated => "emulated",
            Self::Intel => "intel",
            Self::Amd => "amd",
            Self::Aws => "aws",
            Self::Nvidia => "nvidia",
        }
    }
}

canonical_struct! {
    /// A root of trust for evidence, a genesis parameter.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct TrustRoot {
        /// Its domain.
        pub domain: TrustDomain,
        /// The root certificate, DER.
        pub certificate: Blob,
    }
}

canonical_struct! {
    /// Coins that an account holds from block 0.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Allocation {
        /// The account.
        pub account: Account,
        /// Balance, a big-endian integer of 18 decimals.
        pub balance: [u8; 32],
    }
}

canonical_struct! {
    /// What a chain knows about a moment: a header's height, hash and time.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct BlockMoment {
        /// Height of the block.
        pub height: Height,
        /// Ethereum block hash.
        pub block_hash: Digest,
        /// Header time.
        pub time_unix_s: UnixSeconds,
    }
}
