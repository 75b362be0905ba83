//! Proof that a validator signed a wrong share of a key (`spec/membership.md` §6).

use crate::{
    codec::Blob,
    ids::{Digest, Ed25519Signature, Generation, Term},
};

canonical_struct! {
    /// A share as its validator signed it, and what it is of. Whether it is wrong is for the ledger to judge.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ShareReport {
        /// The term whose polynomial it should belong to.
        pub term: Term,
        /// Generation of the master that the key is under.
        pub master: Generation,
        /// Place of the validator among the members of the term.
        pub member: u32,
        /// The grant, or the id that stands for one where an executor asked for a state root key.
        pub grant: Digest,
        /// Whose state root key, where it is one.
        pub state: Option<StateShare>,
        /// The encrypted share (`spec/key-service.md` §3), or whatever was sent in its place.
        pub share: Blob,
        /// The validator's signature.
        pub signature: Ed25519Signature,
    }
}

canonical_struct! {
    /// A state root key for an executor (`spec/confidential-state.md` §7).
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct StateShare {
        /// The executor's instance.
        pub instance: Digest,
        /// The generation of the state root key.
        pub generation: Generation,
    }
}
