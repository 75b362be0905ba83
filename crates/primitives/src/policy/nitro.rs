//! Policy for AWS Nitro enclaves.

use super::POLICY_LIST_MAX;
use crate::measurement::NitroMeasurement;

canonical_struct! {
    /// What a Nitro enclave must show.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct NitroPolicy {
        /// Accepted releases; an empty list accepts none.
        pub measurements: Vec<NitroMeasurement>,
    }
}

impl NitroPolicy {
    /// Whether every list is within its bound.
    pub const fn is_bounded(&self) -> bool {
        self.measurements.len() <= POLICY_LIST_MAX
    }
}
