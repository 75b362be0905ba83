//! Who validates: what a genesis fixes about it, and what a payload says where one term ends and the next begins
//! (`spec/membership.md`).

use crate::{
    codec::Blob,
    ids::{Account, AppId, Ed25519Key, NetworkKey, Term},
    masters::LiveMaster,
    succession::WaitingKey,
};

/// Most bytes of a validator's network address, as text.
pub const PEER_ADDRESS_BYTES_MAX: usize = 64;

/// Most statements of key generation in one payload.
pub const STATEMENTS_MAX: usize = 8;
/// Largest statement, in bytes: a log of 64 players has 12,464, measured against the engine by a test of consensus.
pub const STATEMENT_BYTES_MAX: usize = 12_600;

canonical_struct! {
    /// What a genesis fixes about its validators and their successors.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Membership {
        /// Length of a term, in payloads: key shares are made anew once a term. 0: one term without end, the genesis'
        /// validators for ever.
        pub term_blocks: u64,
        /// Whose the first validators are, in the order of `Genesis::validators`; empty where they are nobody's.
        pub seats: Vec<Seat>,
        /// Least bond of a validator, a big-endian integer of 18 decimals.
        pub bond_min: [u8; 32],
        /// Terms that a bond stays after its validator left.
        pub unbond_terms: u32,
        /// Terms that a validator stays away at least which failed at its duties.
        pub jail_terms: u32,
        /// Whether one operator or one vendor may hold a threshold of the shares.
        pub diversity: Diversity,
        /// The app whose instances may become validators; `None`: anybody, attested or not, which no production genesis
        /// allows.
        pub app: Option<AppId>,
    }
}

impl Default for Membership {
    /// One term without end.
    fn default() -> Self {
        Self {
            term_blocks: 0,
            seats: Vec::new(),
            bond_min: [0; 32],
            unbond_terms: 0,
            jail_terms: 1,
            diversity: Diversity::Waived,
            app: None,
        }
    }
}

canonical_enum! {
    /// Whether one operator, or one vendor of TEEs, may hold as many seats as make a quorum of shares.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Diversity {
        /// Neither may.
        Required = 1,
        /// Either may: for development, or where all belong to one on purpose.
        Waived = 2,
    }
}

canonical_struct! {
    /// Whose a first validator is.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Seat {
        /// Its owner: may move it, is paid, and counts as its operator.
        pub account: Account,
        /// Its bond at the start, beside what the allocations give: a big-endian integer of 18 decimals.
        pub bond: [u8; 32],
        /// Where other validators reach it: an IP address and a port, at most [`PEER_ADDRESS_BYTES_MAX`] bytes; may be empty
        /// where all are told on the command line.
        pub address: String,
    }
}

canonical_struct! {
    /// What stands in the first payload of every term but the first: who holds the keys in it, and how the round of
    /// the term before ended. A pure function of the statements that were ordered.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct TermTurn {
        /// The term that begins.
        pub term: Term,
        /// Who signs in it, sorted.
        pub members: Vec<Ed25519Key>,
        /// Public polynomial of the consensus key (engine's encoding).
        pub consensus_polynomial: Blob,
        /// Public polynomial of the derivation key, constant term first.
        pub derivation_polynomial: Vec<NetworkKey>,
        /// How the round ended.
        pub outcome: TermOutcome,
        /// Dealers of the failed round that had neither a clean log nor a complaint ordered, sorted.
        pub silent: Vec<Ed25519Key>,
        /// Pairs of the failed round of which at least one is at fault, sorted.
        pub disputes: Vec<Dispute>,
        /// The network key of the term after this one, where it is another (`spec/succession.md` §4).
        pub waiting: Option<WaitingKey>,
        /// Masters beside the genesis' one whose shares the members hold, by generation (`spec/key-service.md` §9).
        pub masters: Vec<LiveMaster>,
    }
}

canonical_enum! {
    /// How a term's round of key generation ended.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum TermOutcome {
        /// Both keys have new shares.
        Reshared = 1,
        /// A round failed: committee and shares of the term before stay in force.
        Kept = 2,
    }
}

canonical_struct! {
    /// A dealer without a log, and a player whose acknowledgement it lacks.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Dispute {
        /// The dealer.
        pub dealer: Ed25519Key,
        /// The player.
        pub player: Ed25519Key,
    }
}
