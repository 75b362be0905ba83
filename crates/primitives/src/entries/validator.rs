//! Validators and their terms (`spec/membership.md`).

use crate::{
    codec::Blob,
    ids::{Account, Digest, Ed25519Key, Height, NetworkKey, Term},
    membership::TermOutcome,
    payload::TrustDomain,
    succession::WaitingKey,
};

canonical_enum! {
    /// Where a validator stands.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ValidatorState {
        /// It waits for a seat.
        Candidate = 1,
        /// It has a seat.
        Active = 2,
        /// It has a seat and wants to leave: it goes when a candidate takes the seat.
        Leaving = 3,
        /// It failed at its duties, or was slashed; it may still have a seat that no candidate took.
        Jailed = 4,
        /// It has left. Its bond stays until it is withdrawn.
        Left = 5,
    }
}

canonical_struct! {
    /// A validator, from its first joining on.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ValidatorEntry {
        /// Its key on the network.
        pub identity: Ed25519Key,
        /// Who may act for it: its owner, or the account of the instance that it runs in. Zero where it is nobody's.
        pub account: Account,
        /// Who runs the machine: the owner, or the provider of the instance. It may act for the validator too.
        pub operator: Account,
        /// Who receives its rewards, and its bond in the end.
        pub payee: Account,
        /// Its bond, a big-endian integer of 18 decimals.
        pub bond: [u8; 32],
        /// Where other validators reach it: an IP address and a port; empty where a genesis says nothing.
        pub address: String,
        /// The instance that it runs in; `None` where it is not attested.
        pub instance_id: Option<Digest>,
        /// Trust domain of that instance: the vendor of its TEE.
        pub vendor: Option<TrustDomain>,
        /// Where it stands.
        pub state: ValidatorState,
        /// Height at which it became a candidate; candidates take seats in this order.
        pub joined_at: Height,
        /// Height since which it stands where it stands.
        pub since: Height,
        /// First term in which it may leave the jail; 0 where it never was there.
        pub jailed_until: Term,
        /// First term in which its bond may be withdrawn; 0 until it has left.
        pub locked_until: Term,
        /// Term in which it was slashed last: proposals of that term and of earlier ones are not punished again.
        pub slashed_in: Option<Term>,
    }
}

canonical_struct! {
    /// Who signs in a term, and with which keys.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct CommitteeEntry {
        /// The term.
        pub term: Term,
        /// Its members, sorted: a payload's `proposer` counts them.
        pub members: Vec<Ed25519Key>,
        /// Public polynomial of the consensus key (engine's encoding).
        pub consensus_polynomial: Blob,
        /// Public polynomial of the derivation key, constant term first; that term never changes.
        pub derivation_polynomial: Vec<NetworkKey>,
        /// How the round before ended.
        pub outcome: TermOutcome,
        /// Height that wrote it: the first of the term.
        pub decided_at: Height,
    }
}

canonical_struct! {
    /// A validator and where it is reached.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Peer {
        /// Its key on the network.
        pub identity: Ed25519Key,
        /// Its address; may be empty.
        pub address: String,
    }
}

canonical_struct! {
    /// Who shall hold the keys in the term after this one: the players of this term's round.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PlayersEntry {
        /// The term whose round it is.
        pub term: Term,
        /// The players, sorted by identity.
        pub players: Vec<Peer>,
    }
}

canonical_struct! {
    /// Who has a seat and who waits for one, now.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct RosterEntry {
        /// The running term.
        pub term: Term,
        /// Who has a seat, sorted: the players of the running term.
        pub seats: Vec<Ed25519Key>,
        /// Who waits for one, in the order in which seats are taken.
        pub candidates: Vec<Ed25519Key>,
    }
}

canonical_enum! {
    /// What a turn did to a validator.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum TurnAct {
        /// It took a seat.
        Seated = 1,
        /// It left, as it wanted to.
        Left = 2,
        /// It was jailed: it said nothing in its round, or stood against more members than can be faulty.
        Jailed = 3,
        /// It gave up its seat because it was in jail.
        Unseated = 4,
        /// It was one of two of whom one is at fault; it waits again.
        Disputed = 5,
        /// It gave up its seat because the instance that it runs in is no longer live, and is in jail.
        Lapsed = 6,
        /// It was paid.
        Rewarded = 7,
    }
}

canonical_struct! {
    /// One act of a turn.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct TurnEvent {
        /// Whom it concerns.
        pub identity: Ed25519Key,
        /// What was done.
        pub act: TurnAct,
    }
}

canonical_struct! {
    /// What the turn to a term did.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct TurnEntry {
        /// The term that began.
        pub term: Term,
        /// Height that did it.
        pub height: Height,
        /// What each rewarded member of the term before was paid, a big-endian integer of 18 decimals.
        pub reward: [u8; 32],
        /// What was done to whom, in order.
        pub events: Vec<TurnEvent>,
    }
}

canonical_struct! {
    /// What a term does about the network key, where it was asked to replace it (`spec/succession.md` §4).
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SuccessionEntry {
        /// The term.
        pub term: Term,
        /// Height at which it was asked for.
        pub asked_at: Height,
        /// The key that the last payload of this term names; `None`: a round for one runs in this term.
        pub waiting: Option<WaitingKey>,
    }
}
