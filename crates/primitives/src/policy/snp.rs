//! Policy for AMD SEV-SNP guests.

use super::POLICY_LIST_MAX;
use crate::measurement::SnpMeasurement;

canonical_struct! {
    /// What an SEV-SNP guest must show.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SnpPolicy {
        /// Accepted releases; an empty list accepts none.
        pub measurements: Vec<SnpMeasurement>,
    }
}

impl SnpPolicy {
    /// Whether every list is within its bound.
    pub const fn is_bounded(&self) -> bool {
        self.measurements.len() <= POLICY_LIST_MAX
    }
}
