//! Masters of the derivation key (`spec/key-service.md` §9).

use crate::{
    ids::{Generation, Height, NetworkKey, Term, UnixSeconds},
    masters::LiveMaster,
};

canonical_struct! {
    /// A master: its public key never changes. Without an entry generation 0 is the genesis' master, and never ends.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct MasterEntry {
        /// Counts from 0, the genesis' one.
        pub generation: Generation,
        /// Its public key.
        pub public_key: NetworkKey,
        /// The first term whose members hold it.
        pub first_term: Term,
        /// When it began, in seconds since the Unix epoch; 0 for the genesis' one.
        pub begun_at: UnixSeconds,
        /// From when on no app's key is served under it; `None` for the newest.
        pub ends_at: Option<UnixSeconds>,
    }
}

impl MasterEntry {
    /// Whether apps' keys are served under it at this moment.
    pub fn serves(&self, now_unix_s: UnixSeconds) -> bool {
        self.ends_at.is_none_or(|end| now_unix_s < end)
    }
}

canonical_struct! {
    /// A round for another master.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct MasterRound {
        /// The generation that it makes.
        pub generation: Generation,
        /// Height at which it was asked for.
        pub asked_at: Height,
        /// How long the master before serves on, in seconds.
        pub keep_s: UnixSeconds,
    }
}

canonical_struct! {
    /// What a term does about masters beside the genesis' one; nothing changes it once the term runs.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct MastersEntry {
        /// The term.
        pub term: Term,
        /// The round for another master that runs in it.
        pub round: Option<MasterRound>,
        /// Masters whose shares its members hold, by generation.
        pub live: Vec<LiveMaster>,
        /// Generations of those that are reshared in it: the others' shares are erased when it ends.
        pub reshared: Vec<Generation>,
    }
}
