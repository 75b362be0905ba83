//! Tiers of evidence, and who sets them (`spec/entries.md`).

use crate::{
    ids::{Account, Height},
    policy::EvidencePolicy,
};

/// Most tiers; their numbers are 1 to this.
pub const TIERS_MAX: u8 = 8;
/// Longest name of a tier, in bytes.
pub const TIER_NAME_BYTES_MAX: usize = 32;

canonical_struct! {
    /// Who may deny for the whole chain, lift such denials, and set tiers.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct GovernorEntry {
        /// The account or contract.
        pub governor: Account,
        /// Height that made it so.
        pub since: Height,
    }
}

canonical_struct! {
    /// A tier: what evidence must show to be of it, whatever it runs.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct TierEntry {
        /// Its number, from 1; higher asks for more.
        pub tier: u8,
        /// Counts its changes from 0.
        pub version: u32,
        /// Its name.
        pub name: String,
        /// What evidence must show. Where a list of measurements is empty, any measurement is accepted.
        pub policy: EvidencePolicy,
        /// Height that made this version.
        pub changed_at: Height,
    }
}
