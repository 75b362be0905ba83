//! Masters of the derivation key (`spec/key-service.md` §9): what a payload says of those after the genesis' one.
//!
//! The genesis' master is generation 0 and stands beside these (`TermTurn::derivation_polynomial`).

use crate::ids::{Generation, NetworkKey};

/// Newest generation that a master may have: key tags of generations are 16 + generation, in one byte.
pub const MASTER_GENERATION_MAX: Generation = 239;
/// Most masters beside the genesis' one that live in a term: the newest, and the one before while it serves.
pub const MASTERS_LIVE_MAX: usize = 2;
/// Least time for which the master before serves on under a production genesis, in seconds: 30 days.
pub const MASTER_KEEP_S_MIN: u64 = 30 * 24 * 3_600;

canonical_struct! {
    /// A master that lives in a term, and how its shares are dealt in it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct LiveMaster {
        /// Its generation, from 1.
        pub generation: Generation,
        /// Public polynomial of its shares, constant term first: that is the master's public key and never changes.
        pub polynomial: Vec<NetworkKey>,
    }
}
