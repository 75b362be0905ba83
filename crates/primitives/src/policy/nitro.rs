//! What an app accepts as AWS Nitro Enclaves evidence (`spec/policy.md`). Nothing is judged here.

use super::POLICY_LIST_MAX;
use crate::measurement::NitroMeasurement;

canonical_struct! {
    /// What Nitro evidence must show. An enclave in debug mode is refused whatever stands here.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct NitroPolicy {
        /// Accepted images; an empty list accepts none.
        pub measurements: Vec<NitroMeasurement>,
        /// Longest time in seconds between the document's own timestamp and the judgement; 0 sets no limit of its own.
        pub age_s_max: u64,
        /// Refuse evidence whose collateral came without revocation lists.
        pub revocation_required: bool,
    }
}

impl NitroPolicy {
    /// Whether every list is within [`POLICY_LIST_MAX`].
    pub const fn is_bounded(&self) -> bool {
        self.measurements.len() <= POLICY_LIST_MAX
    }
}
